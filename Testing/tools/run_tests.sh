#!/usr/bin/env bash
# Runs the parts of the test suite one after the other, each in processes of its own, and says how each went.
#
#   run_tests.sh [--venv FOLDER] [PART...]
#
# PART: lint, or what pytest takes below Testing: a folder, a file, a test (all folders without PART). A part
# that fails does not keep the others from running. At the end stand the slowest tests and, in the last line,
# the result and what was left out. The tests of a part run side by side, a process for each core.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

venv=.venv
if [ "${1:-}" = --venv ]; then
  venv=$2
  shift 2
fi
# The MRML classes keep one scene per process, so they get processes of their own; so does everything else.
parts=(lint unit mrml panel training end_to_end)
if [ $# -gt 0 ]; then parts=("$@"); fi

# No screen is needed, and none is used where there is one.
export QT_QPA_PLATFORM=offscreen VTK_DEFAULT_OPENGL_WINDOW=vtkEGLRenderWindow MPLBACKEND=Agg
unset DISPLAY
# The models of the tests are small: more threads gain nothing, and on a busy machine they wait for each
# other (the MRML tests then take 240 s instead of 28).
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT

run_part() {
  if [ "$1" = lint ]; then
    "$venv/bin/python" -m ruff check .
  else
    # In the order of conftest.py, which begins with the longest files; left alone, xdist keeps those for
    # the end that have few tests.
    "$venv/bin/python" -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder \
      --junitxml "$reports/${1//[^A-Za-z0-9]/_}.xml" "Testing/$1"
  fi
}

summary=()
failed=()
SECONDS=0
for part in "${parts[@]}"; do
  began=$SECONDS
  echo "== $part =="
  if run_part "$part"; then result=passed; else result=FAILED; failed+=("$part"); fi
  summary+=("$part: $result in $((SECONDS - began)) s")
  echo
done

took=$SECONDS
printf '%s\n' "${summary[@]}" ""
shopt -s nullglob
told=$("$venv/bin/python" Testing/tools/tell_results.py "$reports"/*.xml)
if [ "$(wc -l <<<"$told")" -gt 1 ]; then head -n -1 <<<"$told"; fi
if [ ${#failed[@]} -gt 0 ]; then
  echo "Tests FAILED in $took s: ${failed[*]}; $(tail -n 1 <<<"$told")"
  exit 1
fi
echo "All tests passed in $took s: ${parts[*]}; $(tail -n 1 <<<"$told")"
