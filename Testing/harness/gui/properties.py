"""Makes PySide6's classes behave as PythonQt's do, which Slicer's scripts are written for.

PythonQt gives a C++ property as an attribute (``label.text = "..."``), has ``name``, ``className()`` and
``connect("signal(type)", function)``, and refuses an attribute that a C++ object does not have. The classes
are changed in place, so that objects made by Qt itself, from a .ui file or by a layout, behave so too.

The rules come from PythonQt's documentation and source, not from a running PythonQt. What these classes hide
or do differently stands in the package's docstring.
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from PySide6 import QtCore

# Getters that Qt calls through Python's names: as attributes they would call themselves without end.
STAY_METHODS = {"sizeHint", "minimumSizeHint", "duration"}

# What went wrong in a slot; Slicer prints it to its console and goes on. A test looks that it stays empty.
errors: list[str] = []

_strict: set[type] = set()


def adapt(module: ModuleType) -> None:
    """Adapt all QObject classes of a PySide6 module. PySide6 makes them when they are asked for, so ask."""
    for name in dir(module):
        cls = getattr(module, name)
        if isinstance(cls, type) and issubclass(cls, QtCore.QObject):
            adapt_class(cls)


def adapt_class(cls: type) -> None:
    """Give one class its C++ properties as attributes; from now on its objects refuse other attributes.

    A class of ours has its properties as attributes already.
    """
    meta = cls.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        name = meta.property(index).name()
        if name not in STAY_METHODS and not isinstance(cls.__dict__.get(name), QtCore.Property):
            # A property of a timer, and a function of its class: qt.QTimer.singleShot(0, function).
            static = _single_shot if name == "singleShot" else None
            setattr(cls, name, _attribute(name, static))
    _strict.add(cls)
    # PySide6 gives each class a __setattr__ of its own, so each has to be changed.
    cls.__setattr__ = _set_attribute


def adapt_objects() -> None:
    """What PythonQt adds to every object."""
    base = QtCore.QObject
    base.name = _attribute("objectName")
    base.className = lambda self: self.metaObject().className()
    # PySide6 looks these two up past the class, so the class cannot hold them.
    original = base.__getattribute__
    late = {"connect": _connect, "disconnect": _disconnect}

    def get_attribute(self: QtCore.QObject, name: str) -> Any:
        return partial(late[name], self) if name in late else original(self, name)

    base.__getattribute__ = get_attribute
    base.delete = lambda self: self.deleteLater()
    sys.excepthook = _record


class _Attribute(property):
    """A property; asked of the class it gives the static function of the same name, if there is one."""

    static: Any = None

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None and self.static is not None:
            return self.static
        return super().__get__(instance, owner)


def _attribute(name: str, static: Any = None) -> property:
    def get(self: QtCore.QObject) -> Any:
        return self.property(name)

    def set_(self: QtCore.QObject, value: Any) -> None:
        meta = self.metaObject()
        if not meta.property(meta.indexOfProperty(name)).isWritable():
            raise AttributeError(f"property {name!r} of {meta.className()} is read-only")
        if not self.setProperty(name, _plain(value)):
            raise ValueError(f"property {name!r} of {meta.className()} does not take {value!r}")

    attribute = _Attribute(get, set_)
    attribute.static = static
    return attribute


def _single_shot(milliseconds: int, receiver: Callable) -> None:
    """Call a function later, once."""
    timer = QtCore.QTimer(QtCore.QCoreApplication.instance())
    timer.setSingleShot(True)
    timer.timeout.connect(_slot(receiver))
    timer.timeout.connect(timer.deleteLater)
    timer.start(milliseconds)


def _plain(value: Any) -> Any:
    """PythonQt turns numbers of numpy, paths and None into what Qt knows."""
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return value.item()
    return str(value) if hasattr(value, "__fspath__") else value


def _set_attribute(self: QtCore.QObject, name: str, value: Any) -> None:
    """Set a property or a Python attribute (object.__setattr__ refuses types with a slot of their own)."""
    found = inspect.getattr_static(type(self), name, None)
    if isinstance(found, QtCore.Property):
        self.setProperty(name, _plain(value))
    elif hasattr(type(found), "__set__"):
        found.__set__(self, value)
    elif type(self) in _strict and found is None and not name.startswith("_"):
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
    else:
        self.__dict__[name] = value


# Signals by their C++ text ------------------------------------------------------------------------------

_connections: dict[tuple[int, str, Any], tuple[Any, Callable]] = {}


def _connect(self: QtCore.QObject, signal: str, receiver: Callable) -> bool:
    """``object.connect("clicked(bool)", function)``; an unknown signal is an error at once."""
    instance = _signal(self, signal)
    slot = _slot(receiver)
    _connections[_key(self, signal, receiver)] = (instance, slot)
    instance.connect(slot)
    return True


def _disconnect(self: QtCore.QObject, signal: str, receiver: Callable) -> bool:
    """Undo the connection; gives whether there was one."""
    found = _connections.pop(_key(self, signal, receiver), None)
    if found is None:
        return False
    found[0].disconnect(found[1])
    return True


def _key(source: QtCore.QObject, signal: str, receiver: Callable) -> tuple[int, str, Any]:
    owner = (id(receiver.__self__), receiver.__name__) if inspect.ismethod(receiver) else id(receiver)
    return id(source), QtCore.QMetaObject.normalizedSignature(signal).data().decode(), owner


def _signal(source: QtCore.QObject, text: str) -> Any:
    # Python classes have no C++ types in their signals.
    known = re.sub(r"vtk\w+\s*\*", "PyObject", text)
    normalized = QtCore.QMetaObject.normalizedSignature(known).data().decode()
    if source.metaObject().indexOfSignal(normalized) < 0:
        raise ValueError(f"{source.metaObject().className()} has no signal {text!r}")
    instance = getattr(source, normalized.partition("(")[0])
    parameters = normalized.partition("(")[2].rstrip(")")
    try:
        return instance[parameters] if parameters else instance
    except (IndexError, KeyError):
        return instance


def _slot(receiver: Callable) -> Callable:
    """A function that gives the receiver as many of the signal's values as it takes."""
    if isinstance(getattr(receiver, "__self__", None), QtCore.QObject) and not hasattr(receiver, "__func__"):
        return receiver  # a slot of Qt's own
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(receiver).parameters.values()
    takes_all = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
    count = sum(parameter.kind in kinds for parameter in parameters)

    def slot(*values: Any) -> None:
        try:
            receiver(*(values if takes_all else values[:count]))
        except Exception:
            _record(*sys.exc_info())

    return slot


def _record(kind: Any, error: Any, trace: Any) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    errors.append(text)
    sys.stderr.write(text)
