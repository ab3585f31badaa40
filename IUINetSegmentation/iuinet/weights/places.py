"""The folders of a user: models, lists of models, and what the program remembers. Needs no torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_chosen: str | None = None


def use_folder(folder: str | None) -> None:
    """Use this folder in this process, before all others; None forgets it."""
    global _chosen
    _chosen = folder


def is_set() -> bool:
    """Whether somebody said which folder to use."""
    return bool(_chosen or os.environ.get("IUINET_HOME"))


def user_folder() -> Path:
    """The folder for models: one chosen in this process, ``IUINET_HOME``, or the platform's place."""
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
    """Where the models of this user lie."""
    return user_folder() / "models"
