"""Slicer's main window as far as a module's panel reaches it: switching to another module."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import slicer
import vtk
from PySide6 import QtWidgets

# Modules that the tests may switch to; Slicer refuses others.
MODULES = ("IUINetSegmentation", "PyTorchUtils", "SegmentEditor")


class ModuleSelector:
    """shown: the modules that were switched to, in order."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def selectModule(self, name: str) -> None:
        """Switch to a module."""
        if name not in MODULES:
            raise RuntimeError(f"there is no module {name}")
        self.shown.append(name)


class MainWindow(QtWidgets.QMainWindow):
    """Never shown; ``slicer.util`` finds it by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._selector = ModuleSelector()

    def moduleSelector(self) -> ModuleSelector:
        """What the list of modules is behind."""
        return self._selector


class LayoutManager:
    """The slice views as far as scripts reach them: Slicer's own slice logics, without a window."""

    SIZE = (250, 200)  # pixels

    def __init__(self, application: Any) -> None:
        self._scene = application.scene
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self._scene)
        self.logics = [
            self._logic(application.logic, *view)
            for view in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal"))
        ]

    def _logic(self, application_logic: Any, name: str, orientation: str) -> Any:
        node = self._scene.CreateNodeByClass("vtkMRMLSliceNode")  # a plain one lacks the scene's presets
        node.UnRegister(None)
        node.SetLayoutName(name)
        node = self._scene.AddNode(node)
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(application_logic)
        logic.SetMRMLScene(self._scene)
        logic.SetSliceNode(node)
        node.SetOrientation(orientation)
        node.SetDimensions(*self.SIZE, 1)
        return logic

    def mrmlSliceLogics(self) -> Any:
        """All of them, as a VTK collection."""
        collection = vtk.vtkCollection()
        for logic in self.logics:
            collection.AddItem(logic)
        return collection

    def close(self) -> None:
        """Take the views' nodes out of the scene."""
        for logic in self.logics:
            nodes = (logic.GetSliceCompositeNode(), logic.GetSliceNode())
            logic.SetMRMLScene(None)
            for node in nodes:
                if node is not None and self._scene.IsNodePresent(node):
                    self._scene.RemoveNode(node)


class SegmentEditor:
    """The editor in Slicer's module: which segmentation and volume it works on."""

    def __init__(self) -> None:
        self.segmentation: Any = None
        self.volume: Any = None

    def setSegmentationNode(self, node: Any) -> None:
        """Edit this segmentation."""
        self.segmentation = node

    def setSourceVolumeNode(self, node: Any) -> None:
        """Paint on this volume."""
        self.volume = node


def install_segment_editor() -> SegmentEditor:
    """Put the module SegmentEditor where scripts look for it; gives its editor."""
    editor = SegmentEditor()
    widget = SimpleNamespace(self=lambda: SimpleNamespace(editor=editor))
    slicer.modules.segmenteditor = SimpleNamespace(name="SegmentEditor", widgetRepresentation=lambda: widget)
    return editor
