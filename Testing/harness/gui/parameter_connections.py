"""``connectGui`` of the parameter node wrapper: ties parameters to the widgets that name them."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import vtk
from PySide6 import QtWidgets

from ..headless.parameter_node_wrapper import Wrapper
from . import mrml_widgets


def install() -> None:
    """Give the wrapper its connections to widgets."""
    Wrapper.connectGui, Wrapper.disconnectGui = _connect_gui, _disconnect_gui


def _connect_gui(self: Wrapper, widget: QtWidgets.QWidget) -> int:
    """Tie the widgets below to the parameters they name; gives a tag for disconnectGui."""
    pairs = []
    for child in [widget, *widget.findChildren(QtWidgets.QWidget)]:
        name = child.property("SlicerParameterName")
        if name:
            if name not in self._fields:
                raise ValueError(f"the widget {child.name} names the unknown parameter {name!r}")
            pairs.append((child, name))
    links = [_link(self, child, name) for child, name in pairs]

    def update(*_: Any) -> None:
        for child, name in pairs:
            _show(child, getattr(self, name))

    update()
    tag, self._next = self._next, self._next + 1
    observer = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, update)
    self._connections[tag] = (observer, links)
    return tag


def _disconnect_gui(self: Wrapper, tag: int) -> None:
    """Undo connectGui."""
    observer, links = self._connections.pop(tag)
    self.parameterNode.RemoveObserver(observer)
    for child, signal, function in links:
        child.disconnect(signal, function)


def _link(self: Wrapper, child: Any, name: str) -> tuple[Any, str, Callable]:
    signal, read = _signal_of(child, self._fields[name][0])

    def take(*_: Any) -> None:
        setattr(self, name, read())

    child.connect(signal, take)
    return child, signal, take


def _signal_of(child: Any, hint: Any) -> tuple[str, Callable[[], Any]]:
    """The signal of a widget's change, and how its value is read."""
    match child:
        case mrml_widgets.qMRMLNodeComboBox():
            return "currentNodeChanged(vtkMRMLNode*)", child.currentNode
        case QtWidgets.QAbstractButton():
            return "toggled(bool)", lambda: child.checked
        case QtWidgets.QComboBox():
            if isinstance(hint, type) and issubclass(hint, Enum):
                child.clear()
                child.addItems([member.value for member in hint])
                return "currentIndexChanged(int)", lambda: list(hint)[child.currentIndex]
            return "currentIndexChanged(int)", lambda: child.currentText
        case QtWidgets.QLineEdit():
            return "textChanged(QString)", lambda: child.text
        case QtWidgets.QSpinBox() | QtWidgets.QDoubleSpinBox():
            return "valueChanged(int)", lambda: child.value
    raise ValueError(f"the harness knows no parameter connector for {child.className()}")


def _show(child: Any, value: Any) -> None:
    """Put a parameter's value into its widget."""
    match child:
        case mrml_widgets.qMRMLNodeComboBox():
            child.setCurrentNode(value)
        case QtWidgets.QAbstractButton():
            child.checked = value
        case QtWidgets.QComboBox():
            text = value.value if isinstance(value, Enum) else value
            index = child.findText(text)
            if index >= 0:
                child.currentIndex = index
        case QtWidgets.QLineEdit():
            if child.text != value:
                child.text = value
        case _:
            child.value = value
