"""``slicer.i18n`` without translations: every text stays as it is written."""

from __future__ import annotations

__all__ = ["tr", "translate"]


def tr(text: str) -> str:
    """The text in the user's language; modules import it as ``_``."""
    return text


def translate(context: str, text: str) -> str:
    """The text in the user's language, as used in the given context."""
    return text
