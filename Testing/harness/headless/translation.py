"""``slicer.i18n``: texts in the language of the application, as they are written where it has no other."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import slicer

__all__ = ["tr", "translate"]


def tr(text: str) -> str:
    """The text in the user's language; modules import it as ``_``.

    The context is the caller's file, behind the name of its folder where that is a package. As in Slicer, a
    translation without the text's placeholders, with their formats, is not taken.
    """
    path = Path(inspect.currentframe().f_back.f_code.co_filename)
    package = f"{path.parent.name}." if (path.parent / "__init__.py").is_file() else ""
    translated = translate(package + path.stem, text)
    return translated if _placeholders(translated) == _placeholders(text) else text


def translate(context: str, text: str) -> str:
    """The text in the user's language, as used in the given context."""
    application = getattr(slicer, "app", None)
    return application.translate(context, text) if application is not None else text


def _placeholders(text: str) -> set[str]:
    return set(re.findall(r"(?<!\{)\{[^{}]+\}(?!\})", text))
