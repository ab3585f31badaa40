#!/usr/bin/env bash
# Runs the parts of the test suite one after the other, each in a process of its own, and says how each went.
#
#   run_tests.sh [--venv FOLDER] [PART...]
#
# PART: lint, or a folder of Testing (all of them without PART). A part that fails does not keep the others
# from running; the last line and the exit status tell the whole.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

venv=.venv
if [ "${1:-}" = --venv ]; then
  venv=$2
  shift 2
fi
# The MRML classes keep one scene per process, so they get a process of their own; so does everything else.
parts=(lint unit mrml panel training end_to_end)
if [ $# -gt 0 ]; then parts=("$@"); fi

# No screen is needed, and none is used where there is one.
export QT_QPA_PLATFORM=offscreen VTK_DEFAULT_OPENGL_WINDOW=vtkEGLRenderWindow MPLBACKEND=Agg
unset DISPLAY
# The models of the tests are small: more threads gain nothing, and on a busy machine they wait for each
# other (the MRML tests then take 240 s instead of 28).
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

run_part() {
  if [ "$1" = lint ]; then
    "$venv/bin/python" -m ruff check .
  else
    "$venv/bin/python" -m pytest "Testing/$1"
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

printf '%s\n' "${summary[@]}"
if [ ${#failed[@]} -gt 0 ]; then
  echo "Tests FAILED in $SECONDS s: ${failed[*]}"
  exit 1
fi
echo "All tests passed in $SECONDS s: ${parts[*]}"
