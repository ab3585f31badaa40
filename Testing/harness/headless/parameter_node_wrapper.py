"""``slicer.parameterNodeWrapper`` for the types that this project uses, after its public documentation.

A decorated class has typed attributes that live in a MRML parameter node: texts, numbers, booleans and
enumerations as parameters, nodes as references. ``connectGui`` needs the Qt half of the harness.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import slicer

__all__ = ["Default", "parameterNodeWrapper"]


class Default:
    """``Annotated[bool, Default(True)]``; a plain ``name: bool = True`` does the same."""

    def __init__(self, value: Any) -> None:
        self.value = value


def parameterNodeWrapper(cls: type) -> type:
    """Turn a class with annotations into a typed view on a parameter node."""
    hints = get_type_hints(cls, include_extras=True)
    fields: dict[str, tuple[type, Any]] = {}
    for name, hint in hints.items():
        default = getattr(cls, name, None)
        if get_origin(hint) is Annotated:
            hint, *notes = get_args(hint)
            default = next((note.value for note in notes if isinstance(note, Default)), default)
        fields[name] = (hint, _zero(hint) if default is None else default)
    body = {name: property(_getter(name, *field), _setter(name, field[0])) for name, field in fields.items()}
    return type(cls.__name__, (Wrapper,), {"__doc__": cls.__doc__, "_fields": fields, **body})


def _zero(hint: Any) -> Any:
    if _is_node(hint):
        return None
    return next(iter(hint)) if issubclass(_plain_type(hint), Enum) else _plain_type(hint)()


def _plain_type(hint: Any) -> type:
    return get_origin(hint) or hint


def _is_node(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, slicer.vtkMRMLNode)


def _getter(name: str, hint: Any, default: Any) -> Callable:
    def get(self: Wrapper) -> Any:
        node = self.parameterNode
        if _is_node(hint):
            return node.GetNodeReference(name)
        text = node.GetParameter(name)
        return default if text == "" and not node.HasParameter(name) else _from_text(hint, text)

    return get


def _setter(name: str, hint: Any) -> Callable:
    def set_(self: Wrapper, value: Any) -> None:
        if _is_node(hint):
            if value is not None and not isinstance(value, hint):
                raise TypeError(f"{name} takes a {hint.__name__}, not {value!r}")
            self.parameterNode.SetNodeReferenceID(name, value.GetID() if value is not None else None)
            return
        if not isinstance(value, _plain_type(hint)):
            raise TypeError(f"{name} takes {hint}, not {value!r}")
        self.parameterNode.SetParameter(name, _to_text(value))

    return set_


def _to_text(value: Any) -> str:
    if isinstance(value, Enum):
        return value.name
    return json.dumps(value) if isinstance(value, list | dict | bool) else str(value)


def _from_text(hint: Any, text: str) -> Any:
    plain = _plain_type(hint)
    if issubclass(plain, Enum):
        return plain[text]
    return json.loads(text) if issubclass(plain, list | dict | bool) else plain(text)


class Wrapper:
    """What every decorated class gets."""

    _fields: dict[str, tuple[Any, Any]]

    def __init__(self, parameterNode: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.parameterNode = parameterNode
        self._connections: dict[int, tuple[int, list[tuple[Any, str, Callable]]]] = {}
        self._next = 1

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._fields and name not in ("parameterNode", "_connections", "_next"):
            raise AttributeError(f"{type(self).__name__} has no parameter {name!r}")
        object.__setattr__(self, name, value)

    def AddObserver(self, *arguments: Any) -> int:
        """Observe the parameter node, as with the node itself."""
        return self.parameterNode.AddObserver(*arguments)

    def RemoveObserver(self, tag: int) -> None:
        """Undo AddObserver."""
        self.parameterNode.RemoveObserver(tag)

    def HasObserver(self, *arguments: Any) -> int:
        """Whether there is such an observer."""
        return self.parameterNode.HasObserver(*arguments)

    def connectGui(self, widget: Any) -> int:
        """Tie the widgets below to the parameters they name; gives a tag for disconnectGui."""
        raise NotImplementedError("There are no widgets without the Qt half of the harness.")

    def disconnectGui(self, tag: int) -> None:
        """Undo connectGui."""
        raise NotImplementedError("There are no widgets without the Qt half of the harness.")
