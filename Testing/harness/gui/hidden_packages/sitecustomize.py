"""Hides packages from this interpreter, as if they were not installed: a file in HARNESS_PIP names them.

Python runs this file at its start when its folder is on PYTHONPATH, so it holds in worker processes, too.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from pathlib import Path


class Hider:
    """A finder that stands before the others and denies the hidden packages."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Raise for a hidden package; otherwise let the next finder answer."""
        if name.partition(".")[0] in hidden():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def told(name: str) -> str:
    """What a file of the stand-in for pip holds, "" where there is none."""
    path = Path(os.environ.get("HARNESS_PIP", "."), name)
    return path.read_text() if path.is_file() else ""


def hidden() -> set[str]:
    """The names that are hidden now."""
    return set(told("hidden").split())


def hide() -> None:
    """Begin to hide, in imports and in the list of installed packages."""
    sys.meta_path.insert(0, Hider())
    original, version = importlib.metadata.Distribution.from_name.__func__, importlib.metadata.version

    def from_name(cls: type, name: str) -> importlib.metadata.Distribution:
        if name in hidden():
            raise importlib.metadata.PackageNotFoundError(name)
        return original(cls, name)

    importlib.metadata.Distribution.from_name = classmethod(from_name)
    pretended = lambda name: json.loads(told("versions.json") or "{}").get(name)  # noqa: E731
    importlib.metadata.version = lambda name: pretended(name) or version(name)


if "HARNESS_PIP" in os.environ:
    hide()
