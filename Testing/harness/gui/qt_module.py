"""The modules ``qt`` and ``ctk`` as Slicer gives them to scripts, on PySide6."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from . import ctk_widgets, mrml_widgets, properties

# Of PySide6 alone: whoever uses one of these would not run in Slicer.
NOT_IN_SLICER = {"Signal", "Slot", "Property", "QtMsgType", "ClassInfo", "QEnum", "QFlag", "SignalInstance"}
SOURCES = (QtCore, QtGui, QtWidgets)


class UiError(RuntimeError):
    """A .ui file that would not work in Slicer."""


class QUiLoader:
    """Makes the widgets of a .ui file; what it does not know is an error and not a silence."""

    def load(self, file: QtCore.QFile) -> QtWidgets.QWidget:
        """The top widget, its connections made. Raises UiError for unknown classes, signals or slots."""
        text = bytes(file.readAll().data())
        document = ElementTree.fromstring(text)
        custom = {cls.__name__: cls for cls in (*ctk_widgets.WIDGETS, *mrml_widgets.WIDGETS)}
        for element in document.iter("widget"):
            name = element.get("class")
            if name not in custom and not hasattr(QtWidgets, name):
                raise UiError(f"the .ui file uses the class {name}, which the harness does not know")
        loader = QtUiTools.QUiLoader()
        for cls in custom.values():
            loader.registerCustomWidget(cls)
        buffer = QtCore.QBuffer()
        buffer.setData(_without_connections(document))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = loader.load(buffer)
        if widget is None:
            raise UiError(loader.errorString())
        for connection in document.iter("connection"):
            _connect(widget, connection)
        return widget


def _without_connections(document: ElementTree.Element) -> bytes:
    """The file without its connections: PySide6 knows no vtk types, so it could not make them."""
    copy = ElementTree.fromstring(ElementTree.tostring(document))
    for part in copy.findall("connections"):
        copy.remove(part)
    return ElementTree.tostring(copy)


def _connect(top: QtWidgets.QWidget, connection: ElementTree.Element) -> None:
    """Make one connection of the file."""
    parts = {name: connection.findtext(name) for name in ("sender", "signal", "receiver", "slot")}
    found = {}
    for role in ("sender", "receiver"):
        name = parts[role]
        found[role] = top if top.objectName == name else top.findChild(QtCore.QObject, name)
        if found[role] is None:
            raise UiError(f"a connection names {name!r}, which is not in the .ui file")
    signal, slot = (parts[key].partition("(")[0] for key in ("signal", "slot"))
    source, target = getattr(found["sender"], signal, None), getattr(found["receiver"], slot, None)
    if not hasattr(source, "connect"):
        raise UiError(f"{parts['sender']} has no signal {parts['signal']}")
    if not callable(target):
        raise UiError(f"{parts['receiver']} has no slot {parts['slot']}")
    source.connect(target)


def make_qt() -> ModuleType:
    """``import qt``: the classes of Qt's modules in one place, adapted to PythonQt's ways."""
    properties.adapt_objects()
    module = ModuleType("qt", "Qt as Slicer gives it to scripts (stand-in on PySide6)")
    for source in SOURCES:
        properties.adapt(source)
        for name in dir(source):
            if not name.startswith("_") and name not in NOT_IN_SLICER:
                setattr(module, name, getattr(source, name))
    module.QUiLoader = QUiLoader
    module.errors = properties.errors
    return module


def make_ctk() -> ModuleType:
    """``import ctk``: the widgets of ctk_widgets and nothing else, so that any other name is an error."""
    module = ModuleType("ctk", "CTK as Slicer gives it to scripts (stand-in)")
    for cls in ctk_widgets.WIDGETS:
        properties.adapt_class(cls)
        setattr(module, cls.__name__, cls)
    return module


def mrml_classes() -> dict[str, Any]:
    """The qMRML and qSlicer widget classes by name, adapted; they stand in the module ``slicer``."""
    for cls in mrml_widgets.WIDGETS:
        properties.adapt_class(cls)
    return {cls.__name__: cls for cls in mrml_widgets.WIDGETS}
