"""Hides packages from this interpreter, as if they were not installed: their names stand in HARNESS_HIDDEN.

Python runs this file at its start when its folder is on PYTHONPATH, so it holds in worker processes, too.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys


class Hider:
    """A finder that stands before the others and denies the hidden packages."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Raise for a hidden package; otherwise let the next finder answer."""
        if name.partition(".")[0] in hidden():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def hidden() -> set[str]:
    """The names that are hidden now."""
    return set(os.environ.get("HARNESS_HIDDEN", "").split())


def hide() -> None:
    """Begin to hide, in imports and in the list of installed packages."""
    sys.meta_path.insert(0, Hider())
    original = importlib.metadata.Distribution.from_name.__func__

    def from_name(cls: type, name: str) -> importlib.metadata.Distribution:
        if name in hidden():
            raise importlib.metadata.PackageNotFoundError(name)
        return original(cls, name)

    importlib.metadata.Distribution.from_name = classmethod(from_name)


hide()
