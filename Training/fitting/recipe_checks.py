"""What is refused in a recipe, and in which words."""

from __future__ import annotations

from typing import Any

from iuinet.errors import UsageError


def plain(value: Any) -> Any:
    """Tuples as lists, as JSON gives them back."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def wrong(where: str, value: object, hint: str) -> UsageError:
    """The error for a value that a recipe cannot have."""
    return UsageError(f"the recipe's {where} is {value!r}", hint=hint, code="recipe")


def require(where: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise UsageError "recipe" for a value that is none of the choices."""
    if value not in choices:
        raise wrong(where, value, f"Choose from {', '.join(choices)}.")


def positive(where: str, part: object, *names: str) -> None:
    """Raise UsageError "recipe" for a field that is not above 0."""
    for name in names:
        if not getattr(part, name) > 0:
            raise wrong(f"{where}.{name}", getattr(part, name), "Give a number above 0.")
