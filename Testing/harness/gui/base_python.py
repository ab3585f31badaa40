"""Slicer's own Python instead of its stand-ins: SLICER_BASE_PYTHON=<a checkout of Slicer>/Base/Python.

Then the base classes of scripted modules, the parameter node wrapper, the translation and, where a test asks
for it, the package installation are Slicer's real files, read from that folder. They show what the stand-ins
got wrong. They never come into this repository.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import slicer
from PySide6 import QtCore, QtWidgets

VARIABLE = "SLICER_BASE_PYTHON"
NAMES = ("i18n", "ScriptedLoadableModule", "parameterNodeWrapper")

# Widgets that the real parameter node wrapper knows by name, and that no panel of ours uses.
CTK = (
    "ctkCheckBox", "ctkCheckablePushButton", "ctkColorPickerButton", "ctkComboBox", "ctkDirectoryButton",
    "ctkDoubleRangeSlider", "ctkDoubleSlider", "ctkDoubleSpinBox", "ctkPathLineEdit", "ctkRangeWidget",
    "ctkSliderWidget",
)  # fmt: skip
MRML = ("qMRMLRangeWidget", "qMRMLSliderWidget", "qMRMLSpinBox")


def folder() -> Path | None:
    """The folder that the environment names, None for none. FileNotFoundError if it is not there."""
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    found = Path(named).expanduser() / "slicer"
    if not found.is_dir():
        raise FileNotFoundError(f"{VARIABLE} is {named}, which holds no folder slicer")
    return found


class ModuleManager(QtCore.QObject):
    """The manager that the base class of panels connects to."""

    moduleAboutToBeUnloaded = QtCore.Signal(str)


def install(ctk: ModuleType) -> None:
    """Put Slicer's files where scripts look for them, if the environment names the folder."""
    source = folder()
    if source is None:
        return
    for name in CTK:
        setattr(ctk, name, type(name, (QtWidgets.QWidget,), {}))
    for name in MRML:
        setattr(slicer, name, type(name, (QtWidgets.QWidget,), {}))
    manager = ModuleManager()
    slicer.app.moduleManager = lambda: manager
    slicer.app.commandOptions = lambda: SimpleNamespace(testingEnabled=slicer.app.testingEnabled())
    for name in NAMES:
        load(source, name)


def load(source: Path, name: str) -> ModuleType:
    """One of Slicer's own modules, under its own name."""
    path = source / name / "__init__.py"
    package = path.is_file()
    spec = importlib.util.spec_from_file_location(
        f"slicer.{name}",
        path if package else source / f"{name}.py",
        submodule_search_locations=[str(path.parent)] if package else None,
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"slicer.{name}"] = module
    setattr(slicer, name, module)
    spec.loader.exec_module(module)
    return module
