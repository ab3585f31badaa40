"""Stand-ins for Slicer's own Qt widgets around the MRML scene.

They follow the documented behaviour of the real ones: which nodes a selector offers, when it signals. Rename,
delete and the display of icons are left out.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtWidgets
from PySide6.QtCore import Property, Signal

CREATE = "create"  # the data of the entries that make a node: this and its class


class qMRMLWidget(QtWidgets.QWidget):
    """A widget that knows the scene and tells its children of it."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        """The scene, None before it was set."""
        return self._scene

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Set the scene; children that are connected get it too."""
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


def _forget(observers: list[tuple[slicer.vtkMRMLScene, int]]) -> None:
    """Stop observing scenes."""
    while observers:
        scene, tag = observers.pop()
        scene.RemoveObserver(tag)


class qMRMLNodeComboBox(qMRMLWidget):
    """Lets the user choose a node of some classes."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeAddedByUser = Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QtWidgets.QComboBox(self)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._types: list[str] = []
        self._none_enabled, self._none_display = False, "None"
        self._add_enabled = self._remove_enabled = self._rename_enabled = self._edit_enabled = True
        self._show_hidden = self._show_children = self._select_on_creation = True
        self._observers: list[tuple[slicer.vtkMRMLScene, int]] = []
        observers = self._observers  # not self: that is gone by then
        self.destroyed.connect(lambda *_: _forget(observers))
        self._current: str = ""
        self._box.activated.connect(self._on_activated)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Offer the nodes of this scene, and follow its changes."""
        _forget(self._observers)
        super().setMRMLScene(scene)
        if scene is not None:
            events = slicer.vtkMRMLScene
            added = vtk.calldata_type(vtk.VTK_OBJECT)(lambda *values: self._on_added(values[-1]))
            removed = vtk.calldata_type(vtk.VTK_OBJECT)(lambda *values: self._on_removed(values[-1]))
            self._observers += [
                (scene, scene.AddObserver(events.NodeAddedEvent, added)),
                (scene, scene.AddObserver(events.NodeRemovedEvent, removed)),
            ]
        self._fill()

    def currentNode(self) -> Any:
        """The chosen node or None."""
        scene = self.mrmlScene()
        return scene.GetNodeByID(self._current) if scene and self._current else None

    def setCurrentNode(self, node: Any) -> None:
        """Choose a node; None chooses none."""
        self._choose(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, identifier: str | None) -> None:
        """Choose by id."""
        self._choose(identifier or "")

    def nodeCount(self) -> int:
        """How many nodes are offered."""
        return len(self._nodes())

    def addNode(self, class_name: str = "") -> Any:
        """What the entry "Create new" does: a node as its class makes it, such as a box of no size and place.

        Its own name where the class has one, else a unique one; chosen; and only then said to be the user's.
        """
        scene = self.mrmlScene()
        node = scene.CreateNodeByClass(class_name or self._types[0])
        node.UnRegister(None)  # CreateNodeByClass gives a new one
        if not node.GetName():
            node.SetName(scene.GetUniqueNameByString(node.GetDefaultNodeNamePrefix()))
        node = scene.AddNode(node)
        if self._select_on_creation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def _nodes(self) -> list[Any]:
        scene = self.mrmlScene()
        if scene is None:
            return []
        found = []
        for kind in self._types:
            collection = scene.GetNodesByClass(kind)
            collection.UnRegister(None)  # GetNodesByClass gives a new collection
            found += [collection.GetItemAsObject(n) for n in range(collection.GetNumberOfItems())]
        # A label map is a scalar volume by class, but not one that a selector of volumes offers.
        if not self._show_children:
            found = [node for node in found if node.GetClassName() in self._types]
        return [node for node in found if not node.GetHideFromEditors()]

    def _fill(self) -> None:
        self._box.clear()
        if self._none_enabled:
            self._box.addItem(self._none_display, "")
        for node in self._nodes():
            self._box.addItem(node.GetName() or "", node.GetID())
        if self._add_enabled:
            for kind in self._types:
                self._box.addItem(f"Create new {self._tag(kind)}", f"{CREATE} {kind}")
        identifiers = [node.GetID() for node in self._nodes()]
        wanted = self._current
        if wanted not in identifiers:
            wanted = "" if self._none_enabled or not identifiers else identifiers[0]
        self._choose(wanted)

    def _choose(self, identifier: str) -> None:
        index = self._box.findData(identifier)
        if identifier and index < 0:
            identifier = ""
        self._box.setCurrentIndex(self._box.findData(identifier))
        if identifier != self._current:
            self._current = identifier
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(identifier)

    def _tag(self, class_name: str) -> str:
        scene = self.mrmlScene()
        return scene.GetTagByClassName(class_name) if scene is not None else class_name

    def _on_activated(self, index: int) -> None:
        chosen = self._box.itemData(index) or ""
        if chosen.startswith(f"{CREATE} "):
            self.addNode(chosen.removeprefix(f"{CREATE} "))
        else:
            self._choose(chosen)

    def activate(self, text: str) -> None:
        """Of the harness: a user's click on the entry with this text."""
        index = self._box.findText(text)
        if index < 0:
            raise ValueError(f"there is no entry {text!r}")
        self._box.setCurrentIndex(index)
        self._on_activated(index)

    def _on_added(self, node: Any) -> None:
        if any(node.IsA(kind) for kind in self._types):
            self._fill()

    def _on_removed(self, node: Any) -> None:
        if any(node.IsA(kind) for kind in self._types):
            self._fill()

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._fill()

    def _set_none(self, enabled: bool) -> None:
        self._none_enabled = enabled
        self._fill()

    def _set_display(self, text: str) -> None:
        self._none_display = text
        self._fill()

    def _flag(name: str) -> Property:
        return Property(
            bool, lambda self: getattr(self, name), lambda self, value: setattr(self, name, value)
        )

    nodeTypes = Property("QStringList", lambda self: self._types, _set_types)
    noneEnabled = Property(bool, lambda self: self._none_enabled, _set_none)
    noneDisplay = Property(str, lambda self: self._none_display, _set_display)
    currentNodeID = Property(str, lambda self: self._current, setCurrentNodeID)
    addEnabled = _flag("_add_enabled")
    removeEnabled = _flag("_remove_enabled")
    renameEnabled = _flag("_rename_enabled")
    editEnabled = _flag("_edit_enabled")
    showHidden = _flag("_show_hidden")
    showChildNodeTypes = _flag("_show_children")
    selectNodeUponCreation = _flag("_select_on_creation")


class qMRMLSegmentationShow3DButton(QtWidgets.QPushButton):
    """Shows or hides a segmentation's surfaces. A button with a menu of CTK: it knows no scene."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__("Show 3D", parent)
        self.setCheckable(True)
        self._node: Any = None
        self.toggled.connect(self._on_toggled)

    def segmentationNode(self) -> Any:
        """The segmentation or None."""
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        """Which segmentation the button shows; without one it is disabled."""
        self._node = node
        self.setEnabled(node is not None)

    def _on_toggled(self, shown: bool) -> None:
        if self._node is None:
            return
        if shown:
            self._node.CreateClosedSurfaceRepresentation()
        else:
            self._node.GetSegmentation().RemoveRepresentation("Closed surface")
        self._node.GetDisplayNode().SetVisibility3D(shown)


class qSlicerWidget(qMRMLWidget):
    """The base of module panels."""


class qSlicerScriptedLoadableModuleWidget(qSlicerWidget):
    """The parent of a scripted panel. isEntered: whether its module is the chosen one, shown or not."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._entered = False
        self._panel: Any = None

    def setEntered(self, entered: bool) -> None:
        """Of the harness: what Slicer's own enter() and exit() note."""
        self._entered = entered

    def setSelf(self, panel: Any) -> None:
        """Of the harness: the Python object of the panel that lives here."""
        self._panel = panel

    def self(self) -> Any:
        """That object; PythonQt's name for it."""
        return self._panel

    isEntered = Property(bool, lambda self: self._entered)


WIDGETS = (
    *(qMRMLWidget, qMRMLNodeComboBox, qMRMLSegmentationShow3DButton, qSlicerWidget),
    qSlicerScriptedLoadableModuleWidget,
)
