"""What the library says, in the user's language.

The library (iuinet) knows no Slicer: its messages are English sentences with values in them.
``messages.json`` lists them with {placeholders}, collected from the source by Testing/tools/translations.py;
here a sentence is recognised by its entry, translated as a whole by Slicer's means, and given its values
again, which are translated in turn. What is not listed or not translated stays English, and so do the log,
reports, and errors that scripts get.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

from slicer.i18n import tr as _
from slicer.i18n import translate

from iuinet.errors import IUINetError, whole_sentence
from iuinet.labels import organ_by_name

MESSAGES = Path(__file__).with_name("messages.json")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def organ_name(name: str) -> str:
    """An organ's name for the user's eyes; one that the library's table does not know stays as it is."""
    known = organ_by_name(name)
    translated = translate("organs", known.name) if known is not None else name
    return name if known is not None and translated == known.name else translated


def listed(names: Iterable[str]) -> str:
    """Organs' names for the user's eyes, one after the other."""
    return _(", ").join(map(organ_name, names))


def localized(text: str) -> str:
    """A text of the library in the user's language, in English where it is not known."""
    words = text.strip()
    template, values = _recognised(words)
    translated = translate("messages", template)
    if translated == template:
        return organ_name(text)
    # A placeholder that a translator invented stays visible, and nothing of the text is run.
    return text.replace(
        words, _PLACEHOLDER.sub(lambda found: localized(values.get(found[1], found[0])), translated)
    )


def sentence(text: str) -> str:
    """A message of the library as a whole sentence, with its full stop, in the user's language."""
    translated = localized(text)
    if translated == text:
        return whole_sentence(text)
    return translated if translated.endswith(tuple(".!?…:。！？：")) else _("{text}.").format(text=translated)


def error_text(error: IUINetError) -> str:
    """Message and hint of an error, as ``IUINetError.text``."""
    return f"{sentence(error.message)} {sentence(error.hint)}".strip()


@lru_cache(maxsize=1000)
def _recognised(text: str) -> tuple[str, dict[str, str]]:
    """The listed sentence that a text was made from, and the values in it; the text itself where none is."""
    for template, pattern in _patterns():
        found = pattern.fullmatch(text)
        if found:
            return template, found.groupdict()
    return text, {}


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """All listed sentences, those with the most words of their own first."""
    templates = json.loads(MESSAGES.read_text(encoding="utf-8"))
    templates.sort(key=lambda template: -len(_PLACEHOLDER.sub("", template)))
    return tuple((template, _pattern(template)) for template in templates)


def _pattern(template: str) -> re.Pattern[str]:
    parts = _PLACEHOLDER.split(template)  # text and names take turns
    pairs = zip(parts[::2], [*parts[1::2], ""], strict=True)
    return re.compile(
        "".join(re.escape(text) + (f"(?P<{name}>.*?)" if name else "") for text, name in pairs), re.DOTALL
    )
