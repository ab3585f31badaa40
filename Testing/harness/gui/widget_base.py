"""The base class of a scripted module's panel, after Slicer's public documentation."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtWidgets

from ..headless import load_module
from . import mrml_widgets


class ScriptedLoadableModuleWidget:
    """A panel: ``parent`` is the widget it lives in, ``layout`` that widget's layout."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent if parent is not None else make_parent()
        self.layout = self.parent.layout()
        self.logic = None

    def setup(self) -> None:
        """Called once, when the panel is made."""

    def enter(self) -> None:
        """Called when the user comes to the panel."""

    def exit(self) -> None:
        """Called when the user leaves the panel."""

    def cleanup(self) -> None:
        """Called before the panel is destroyed."""

    def onReload(self) -> None:
        """Called by the developer's Reload button."""
        slicer.util.reloadScriptedModule(self.moduleName)

    def resourcePath(self, filename: str) -> str:
        """Absolute path of a file in the module's Resources folder."""
        return str(Path(sys.modules[type(self).__module__].__file__).parent / "Resources" / filename)


def make_parent() -> Any:
    """The widget that Slicer makes for a panel to live in."""
    widget = mrml_widgets.qSlicerScriptedLoadableModuleWidget()
    QtWidgets.QVBoxLayout(widget)
    widget.setMRMLScene(slicer.mrmlScene)
    return widget


def open_panel(name: str, folder: str | Path) -> Any:
    """Load a module, make its panel and enter it, as a user does who chooses the module; gives the panel."""
    python_module = load_module(name, folder)
    panel = getattr(python_module, f"{name}Widget")(make_parent())
    setattr(slicer.modules, f"{name}Widget", panel)
    panel.parent.setSelf(panel)
    getattr(slicer.modules, name.lower()).widgetRepresentation = lambda: panel.parent
    panel.setup()
    panel.parent.show()
    panel.parent.setEntered(True)
    panel.enter()
    return panel


def reload_panel(panel: Any) -> Any:
    """Reload the panel's module as the developer's Reload button does; gives the new panel, entered."""
    name = panel.moduleName

    def reload_scripted_module(module_name: str) -> None:
        # In Slicer's order: the file is read again first, then the old panel is cleaned up.
        path = sys.modules[module_name].__file__
        spec = importlib.util.spec_from_file_location(module_name, path)
        sys.modules[module_name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module_name])
        old = getattr(slicer.modules, f"{module_name}Widget")
        old.parent.hide()
        old.cleanup()
        new = getattr(sys.modules[module_name], f"{module_name}Widget")(make_parent())
        setattr(slicer.modules, f"{module_name}Widget", new)
        new.setup()
        new.parent.show()

    original = slicer.util.reloadScriptedModule
    slicer.util.reloadScriptedModule = reload_scripted_module
    try:
        panel.onReload()
    finally:
        slicer.util.reloadScriptedModule = original
    renewed = getattr(slicer.modules, f"{name}Widget")
    renewed.parent.setEntered(True)
    renewed.enter()
    return renewed


def close_panel(panel: Any) -> None:
    """Leave the panel and destroy it, as at Slicer's end or when the module is reloaded."""
    panel.parent.setEntered(False)
    panel.exit()
    panel.cleanup()
    panel.parent.hide()
    panel.parent.deleteLater()
