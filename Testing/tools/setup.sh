#!/usr/bin/env bash
# Makes a virtual environment with what the project and its tests need. Quick when it is already there.
#
#   setup.sh [--venv FOLDER] [--python VERSION] [--slicer-core VERSION] [--torch VERSION | --without-torch]
#   setup.sh --browser     only a browser, for the tests of a cohort's page, which are left out without one
#
# --venv           where it goes (.venv)
# --python         this Python and no other, such as 3.12 (any from 3.11 on)
# --slicer-core    this slicer-core instead of the one in Testing/constraints.txt
# --torch          this torch instead of the one in Testing/constraints.txt, and numpy 1 where it needs that
# --without-torch  leaves out torch and what needs it: for a Python that only runs the torch-free tests
#
# Exit status: 0 done, 3 no such Python here, 1 anything else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
this_script=Testing/tools/setup.sh

venv=.venv
python=
slicer_core=
torch=
with_torch=yes
browser=no
while [ $# -gt 0 ]; do
  case "$1" in
    --venv) venv=$2; shift 2 ;;
    --python) python=$2; shift 2 ;;
    --slicer-core) slicer_core=$2; shift 2 ;;
    --torch) torch=$2; shift 2 ;;
    --without-torch) with_torch=no; shift ;;
    --browser) browser=yes; shift ;;
    *) echo "setup.sh: unknown option $1" >&2; exit 1 ;;
  esac
done

say() { echo "setup: $*"; }

# The first of the candidates that runs at all (a version manager's shim may not) and is new enough.
find_python() {
  local names=(python3.11 python3.12 python3.13 python3.14 python3 python) candidate
  if [ -n "$python" ]; then names=("python$python"); fi
  for candidate in "${names[@]}"; do
    if command -v pyenv >/dev/null 2>&1; then
      names+=("$(pyenv root)"/versions/*/bin/"$candidate")
    fi
  done
  for candidate in "${names[@]}"; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  return 1
}

# apt-get as root, else one line that names what is missing.
need_packages() {
  local why=$1
  shift
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    say "installing $* ($why)"
    if apt-get install -y -q --no-install-recommends "$@" >/dev/null 2>&1; then return 0; fi
    if apt-get update -q >/dev/null 2>&1 &&
       apt-get install -y -q --no-install-recommends "$@" >/dev/null 2>&1; then return 0; fi
  fi
  say "MISSING system packages ($why); install them: apt-get install $*"
  return 1
}

# Shared libraries that the wheels of vtk, slicer-core and Qt need and do not bring.
check_libraries() {
  [ "$(uname -s)" = Linux ] || return 0
  local missing
  missing=$("$venv/bin/python" - <<'PYTHON'
import ctypes

PACKAGES = {
    "libglib-2.0.so.0": "libglib2.0-0",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
}
for library, package in PACKAGES.items():
    try:
        ctypes.CDLL(library)
    except OSError:
        print(package)
PYTHON
  )
  # shellcheck disable=SC2086  # one word per package is meant
  [ -z "$missing" ] || need_packages "shared libraries that wheels cannot bring" $missing
}

if [ "$browser" = yes ]; then
  if [ "$(uname -s)" = Linux ] && ! command -v chromium chromium-browser google-chrome >/dev/null 2>&1; then
    need_packages "the tests of a cohort's page, which are left out without it" chromium || true
  fi
  exit 0
fi

if [ "$venv" = "${venv#/}" ]; then venv=$PWD/$venv; fi
# One setup at a time where the system can lock; a second one then finds the work done.
if command -v flock >/dev/null 2>&1; then
  exec 9>"$venv.lock"
  flock 9
fi

wanted=$({
  cat pyproject.toml Testing/constraints.txt "$this_script"
  echo "$PWD $python $slicer_core $torch $with_torch"
} | cksum)
stamp=$venv/.setup-done
begun=$venv/.setup-begun
place=$venv/.setup-place
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
  exit 0
fi

interpreter=$(find_python) || {
  say "no Python ${python:-3.11 or newer} that runs was found here"
  exit 3
}
# A first setup that was broken off leaves its mark, and is begun again from nothing. A later one only
# brings a whole environment up to date: pip can do that again, and what uses the environment goes on.
# One that came along when the checkout was moved or copied points to the old place.
if [ -e "$begun" ] || ! "$venv/bin/python" -c 'import pip' 2>/dev/null ||
   { [ -e "$place" ] && [ "$(cat "$place")" != "$venv" ]; }; then
  rm -rf "$venv"
fi
if [ ! -d "$venv" ]; then
  version=$("$interpreter" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if ! "$interpreter" -c 'import ensurepip, venv' 2>/dev/null; then
    need_packages "Python's own venv module" "python$version-venv" || exit 1
  fi
  say "making $(basename "$venv") with Python $version: gigabytes to download, this takes minutes"
  mkdir -p "$venv"
  touch "$begun"
  "$interpreter" -m venv "$venv"
fi
rm -f "$stamp"

constraints=$venv/constraints.txt
cp Testing/constraints.txt "$constraints"
if [ -n "$slicer_core" ]; then
  grep -v -E '^(slicer-core|vtk)==' Testing/constraints.txt >"$constraints"
  echo "slicer-core==$slicer_core" >>"$constraints"
fi
install=("$venv/bin/python" -m pip install -qq --disable-pip-version-check --constraint "$constraints")
if [ -n "$torch" ]; then
  grep -v -E '^(torch|triton|numpy|pyjpegls)==' "$constraints" >"$constraints.new"
  mv "$constraints.new" "$constraints"
fi
if [ "$with_torch" = yes ] && [ -z "$torch" ]; then
  "${install[@]}" --editable '.[test,preview,cohort,train,baselines,lint]'
else
  if [ -n "$torch" ]; then
    # It is not what this platform's users get, so the package's own requirement is not asked; the newest
    # pyjpegls wants numpy 2, and each torch another triton.
    "$venv/bin/python" Testing/tools/list_requirements.py test preview --without torch triton pyjpegls \
      >"$venv/requirements.txt"
    echo "torch==$torch" >>"$venv/requirements.txt"
    case $torch in 2.[0-2].*) echo 'numpy<2' >>"$venv/requirements.txt" ;; esac
  else
    "$venv/bin/python" Testing/tools/list_requirements.py test preview --without torch triton ptflops \
      >"$venv/requirements.txt"
  fi
  "${install[@]}" --requirement "$venv/requirements.txt"
  "${install[@]}" --no-deps --editable .
fi
# Without the libraries much works all the same, so this is no failure; but it is said each time.
if check_libraries; then echo "$wanted" >"$stamp"; fi
echo "$venv" >"$place"
rm -f "$begun"
say "$(basename "$venv") is ready"
