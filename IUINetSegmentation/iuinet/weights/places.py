"""The folders of a user: models, lists of models, and what the program remembers. Needs no torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from iuinet.errors import WeightsError

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
        return absolute(named)
    if sys.platform == "win32":
        return absolute(os.environ.get("LOCALAPPDATA") or "~/AppData/Local") / "IUINet"
    if sys.platform == "darwin":
        return absolute("~/Library/Application Support/IUINet")
    return absolute(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "iuinet"


def absolute(named: str | Path) -> Path:
    """A path that a user gave, from the root; "~" is the home folder.

    Raises: WeightsError "weights-folder" for the home of a user that does not exist.

    >>> absolute("/data/../models").parts[-2:]
    ('..', 'models')
    """
    try:
        return Path(named).expanduser().absolute()
    except RuntimeError as error:
        raise WeightsError(
            f"the folder {named} cannot be found: there is no such home folder",
            code="weights-folder",
            hint="Give its whole path, without '~'; IUINET_HOME names the folder for models.",
        ) from error


def models_folder() -> Path:
    """Where the models of this user lie.

    >>> models_folder() == user_folder() / "models"
    True
    """
    return user_folder() / "models"
