"""Loads a scripted module from its file as Slicer does at start."""

from __future__ import annotations

import importlib
import sys
import unittest
from pathlib import Path
from types import ModuleType, SimpleNamespace

import slicer

from .application import boot


def _no_panel() -> None:
    raise unittest.SkipTest("there is no panel in a process without Qt")


def load_module(name: str, folder: str | Path) -> ModuleType:
    """Import <folder>/<name>.py and make the module's description object.

    Slicer puts the module's folder on the import path, imports the file under the module's name, and
    calls the class of that name with the C++ module as its parent. The description is then
    ``slicer.modules.<name in lower case>``.

    Returns the imported Python module, with the classes <name>, <name>Logic and so on.
    """
    boot()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    python_module = importlib.import_module(name)
    parent = SimpleNamespace(name=name, path=str(Path(folder) / f"{name}.py"))
    description = getattr(python_module, name)(parent)
    parent.widgetRepresentation = _no_panel
    setattr(slicer.modules, name.lower(), parent)
    # Slicer also keeps the Python object, under the name that its own scripts use.
    setattr(slicer.modules, f"{name}Instance", description)
    return python_module
