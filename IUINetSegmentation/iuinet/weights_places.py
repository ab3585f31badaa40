"""The folders of a user: models, lists of models, and what the program remembers. Needs no torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_folder() -> Path:
    """The folder for this user's models: ``IUINET_HOME``, else the platform's place for data."""
    named = os.environ.get("IUINET_HOME")
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
