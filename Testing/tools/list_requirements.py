"""Print the requirements of pyproject.toml, one per line, without those that are named.

``list_requirements.py test preview --without torch ptflops`` serves the environments that do without torch.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def requirements(extras: list[str], without: list[str]) -> list[str]:
    """The package's own requirements and those of the extras, less the left-out names."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return [line for line in lines if name_of(line) not in {name_of(name) for name in without}]


def name_of(requirement: str) -> str:
    """The package's normalised name: ``Torch>=2.10`` gives ``torch``."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement).group()).lower()


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extras", nargs="*", help="optional dependencies to add")
    parser.add_argument("--without", nargs="*", default=[], help="packages to leave out")
    arguments = parser.parse_args()
    print("\n".join(requirements(arguments.extras, arguments.without)))


if __name__ == "__main__":
    main()
