"""The folders of a user: models, lists of models, and what the program remembers. Needs no torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_chosen: str | None = None


def use_folder(folder: str | None) -> None:
    """Use this folder in this process, before all others; None forgets it.

    >>> use_folder("/data/iuinet"); models_folder().parent.name
    'iuinet'
    >>> use_folder(None)
    """
    global _chosen
    _chosen = folder


def is_set() -> bool:
    """Whether the user chose a folder.

    >>> use_folder("/data/iuinet"); is_set()
    True
    >>> use_folder(None)
    """
    return bool(_chosen or os.environ.get("IUINET_HOME"))


def user_folder() -> Path:
    """The folder for models: one chosen in this process, ``IUINET_HOME``, or the platform's place.

    >>> use_folder("/data/iuinet"); user_folder().parts[-2:]
    ('data', 'iuinet')
    >>> use_folder(None)
    """
    named = _chosen or os.environ.get("IUINET_HOME")
    if named:
        return Path(named).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(base) / "IUINet"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "IUINet"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "iuinet"


def models_folder() -> Path:
    """Where the models of this user lie.

    >>> models_folder() == user_folder() / "models"
    True
    """
    return user_folder() / "models"
