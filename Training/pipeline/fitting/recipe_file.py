"""A recipe from a TOML file and ``--set section.key=value``; unknown keys are refused by their place."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from iuinet.errors import UsageError

from .recipe import Recipe, wrong

STARTED_RATE, STARTED_WARM_UP = 3e-4, 50
_FORM = "Write section.key=value, such as optimiser.batch=2 or phases.train.epochs=100."


def read_recipe(path: Path | None, changes: Sequence[str] = (), started: bool = False) -> Recipe:
    """The recipe of a TOML file (the defaults without one), with changes such as "optimiser.batch=2".

    A phase is named by its name or its number from 0. A value is TOML; what is not TOML is taken as text.
    started: whether the training starts from a model. A phase that names no learning rate then has a gentle
    one: a new network's would undo in a hundred steps what the model has learnt.
    Raises: UsageError "recipe" or "recipe-missing".
    """
    values = _read(path) if path else {}
    for change in changes:
        _apply(values, change)
    phases = values.setdefault("phases", [{}]) if started else []
    for phase in phases if isinstance(phases, list) else []:
        if isinstance(phase, dict) and "learning_rate" not in phase:
            phase |= {"learning_rate": STARTED_RATE, "warm_up_steps": STARTED_WARM_UP, **phase}
    return recipe_from(values)


def recipe_from(values: Mapping[str, Any]) -> Recipe:
    """The recipe of nested values, as TOML, JSON or ``to_dict`` give them. Raises: UsageError "recipe"."""
    return _build(Recipe, values, "")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        hint = "The project's own recipes lie in Training/config."
        raise UsageError(f"there is no recipe {path}", hint=hint, code="recipe-missing") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read", hint="Check the file.", code="recipe-missing") from error
    except ValueError as error:  # TOMLDecodeError is one; so is a number of more digits than Python takes
        raise UsageError(f"{path} is not TOML: {error}", hint="Correct this place.", code="recipe") from error


# Changes ------------------------------------------------------------------------------------------------


def _apply(values: dict[str, Any], change: str) -> None:
    """Put one change into the nested values."""
    key, equals, text = change.partition("=")
    *sections, last = key.strip().split(".")
    whole = last in {field.name for field in dataclasses.fields(Recipe)}  # phases=[...]
    if not equals or not (sections or whole):
        raise UsageError(f"--set {change} cannot be understood", hint=_FORM, code="recipe")
    place: Any = values
    for section in sections:
        place = _step(place, section, change)
    if not isinstance(place, dict):
        raise UsageError(f"--set {change} names no place in the recipe", hint=_FORM, code="recipe")
    place[last] = _value(text.strip())


def _step(place: Any, section: str, change: str) -> Any:
    """The part of the values that a section names; a missing table is made."""
    if isinstance(place, dict):
        return place.setdefault(section, {} if section != "phases" else [{}])
    if isinstance(place, list):
        for number, phase in enumerate(place):
            if section in (str(number), phase.get("name", "train")):
                return phase
        names = ", ".join(phase.get("name", "train") for phase in place)
        raise UsageError(f"--set {change}: no such phase", hint=f"There are: {names}.", code="recipe")
    raise UsageError(f"--set {change} names no place in the recipe", hint=_FORM, code="recipe")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text


# Types --------------------------------------------------------------------------------------------------


def _build(kind: type, values: Any, where: str) -> Any:
    """A dataclass of nested values, every field checked."""
    if not isinstance(values, Mapping):
        raise wrong(where or "file", values, "Write a table here.")
    types_of = get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind) if field.init}
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            choices = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(known))}."
            place = f"[{where}]" if where else "the recipe"
            raise UsageError(f"{place} has no {key!r}", hint=choices, code="recipe")
    below = {key: f"{where}.{key}" if where else key for key in values}
    return kind(**{key: _convert(types_of[key], value, below[key]) for key, value in values.items()})


def _convert(kind: Any, value: Any, where: str) -> Any:
    """The value as its field's type. Raises: UsageError "recipe"."""
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, where)
    if origin in (Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        return _convert_tuple(arguments, value, where)
    if origin is dict and isinstance(value, Mapping):
        return {key: _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    if kind is str and isinstance(value, bool):  # data_on_device = true
        return str(value).lower()
    raise wrong(where, value, f"Give {_name(kind)}.")


def _convert_union(kinds: Sequence[Any], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        try:
            return _convert(kind, value, where)
        except UsageError:
            continue
    raise wrong(where, value, f"Give {' or '.join(_name(k) for k in kinds if k is not type(None))}.")


def _convert_tuple(kinds: Sequence[Any], value: Sequence[Any], where: str) -> tuple:
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise wrong(where, value, f"Give {len(kinds)} values.")
    return tuple(
        _convert(kind, item, f"{where}.{n}") for n, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _name(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return names.get(kind) or ("a table" if get_origin(kind) is dict else "a list")
