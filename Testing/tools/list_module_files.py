"""Keep the lists of IUINetSegmentation/CMakeLists.txt equal to the files of the module.

Slicer packages exactly what the lists name: a file that is not listed is missing from the installed
extension, and a listed file that is absent breaks the build. ``list_module_files.py`` says what differs;
with ``--write`` it writes the lists anew, between their markers.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

MODULE = Path(__file__).resolve().parents[2] / "IUINetSegmentation"
CMAKE = MODULE / "CMakeLists.txt"
LISTS = ("scripts", "resources")


def module_files() -> dict[str, list[str]]:
    """What has to be listed: Python files as scripts, all other files as resources."""
    found: dict[str, list[str]] = {name: [] for name in LISTS}
    for path in sorted(MODULE.rglob("*")):
        relative = path.relative_to(MODULE)
        made = any(part.startswith((".", "__pycache__")) or ".egg-info" in part for part in relative.parts)
        if made or not path.is_file() or path == CMAKE or path.suffix == ".part":
            continue
        found["scripts" if path.suffix == ".py" else "resources"].append(relative.as_posix())
    return found


def listed_files() -> dict[str, list[str]]:
    """What the CMake file lists now."""
    text = CMAKE.read_text(encoding="utf-8")
    return {name: re.search(_pattern(name), text).group("files").split() for name in LISTS}


def write() -> None:
    """Put the module's files between the markers."""
    text = CMAKE.read_text(encoding="utf-8")
    for name, files in module_files().items():
        lines = "".join(f"  {file}\n" for file in files)
        text = re.sub(_pattern(name), lambda match, new=lines: match["begin"] + new + match["end"], text)
    CMAKE.write_text(text, encoding="utf-8", newline="\n")


def _pattern(name: str) -> str:
    return rf"(?P<begin>  # begin {name}\n)(?P<files>(?:.*\n)*?)(?P<end>  # end {name}\n)"


def main() -> int:
    """Read the command line; the exit status is 1 if the lists differ and were not written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the lists anew")
    if parser.parse_args().write:
        write()
        return 0
    there, listed = module_files(), listed_files()
    for name in LISTS:
        for file in sorted(set(there[name]) ^ set(listed[name])):
            print(f"{'not listed' if file in there[name] else 'listed, but absent'}: {file}")
    return int(there != listed)


if __name__ == "__main__":
    raise SystemExit(main())
