"""The translations of the panel: complete, up to date, and such that Slicer's own tools find the texts."""

from __future__ import annotations

import re

import pytest
from helpers.repository import MODULE
from tools import translations

LANGUAGES = list(translations.LANGUAGES)
# Values that a language has no word for: the article before a modality, "an MR".
NO_WORD = {("zh-Hans", "This is {modality} {modality2} series; the model is for CT."): "{modality}"}


def test_every_file_holds_the_texts_of_today() -> None:
    """Else: Testing/tools/translations.py --write, and translate what it lists."""
    stale = [path.name for path, content in translations.written().items() if path.read_bytes() != content]
    assert stale == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language: str) -> None:
    assert translations.untranslated(language) == []
    texts = translations.collect()
    assert {"IUINetSegmentation", "panel.panel", "organs", "messages"} <= set(texts)
    assert sum(map(len, texts.values())) > 400


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_values_of_its_text_and_no_others(language: str) -> None:
    for (_, text), translated in translations.read_ts(translations.ts_file(language)).items():
        wanted = translations.placeholders(text)
        if (language, text) in NO_WORD:
            wanted.remove(NO_WORD[language, text])
        assert translations.placeholders(translated) == wanted, text


def test_slicers_own_tool_finds_each_text_of_the_python_files() -> None:
    """Its update_translations.py goes by patterns: a text ends where its first quotes close a call."""
    for path in translations.module_files():
        source = path.read_text(encoding="utf-8")
        for call in re.finditer(r"(?<![_\w])_\(\s*(['\"])", source):
            end = re.compile(rf"{call[1]}\s*\)").search(source, call.end())
            taken = source[call.end() - 1 : end.start() + 1]
            assert "_(" not in taken and ".format" not in taken, f"{path.name}: {taken}"


def test_no_value_is_put_into_a_text_before_it_is_translated() -> None:
    """What goes through ``_`` is a literal; the tool would fail on anything else."""
    for texts in translations.collect().values():
        assert all(isinstance(text, str) and text for text in texts)


def test_a_new_text_is_one_to_translate_and_one_that_is_gone_leaves() -> None:
    known = {("a", "Stay"): "Bleib", ("a", "Gone"): "Weg"}
    text = translations.ts_text({"a": ["Stay", "New & <b>"]}, known, "de")
    assert "Bleib" in text and "Weg" not in text
    new = '<source>New &amp; &lt;b&gt;</source>\n        <translation type="unfinished"></translation>'
    assert new in text


def test_the_sentences_are_collected_with_their_values_as_placeholders() -> None:
    found = translations.messages()
    assert "the region {name} has no extent" in found  # f"the region {region.GetName()!r} has no extent"
    assert "the volume's axes do not span a space; its spacing is {more} mm" in found  # "..." + more + " mm"
    assert "{message}, {free} GB are free." in found  # message += f", {free / 1e9:.0f} GB are free."
    assert not any("volume, ml" in text or "docstring" in text for text in found)
    assert all(name != "{}" for text in found for name in translations.placeholders(text))


def test_what_slicer_loads_lies_beside_what_is_translated() -> None:
    names = {path.name for path in (MODULE / "Resources" / "Translations").iterdir()}
    assert names == {f"IUINetExtension_{end}" for end in ("zh-Hans.ts", "zh-Hans.qm", "zh-CN.qm")}
