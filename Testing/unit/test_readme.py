"""The Chinese README says what the English one says: same parts, commands, numbers, links and pictures."""

from __future__ import annotations

import re

import pytest
from helpers.repository import ROOT

ENGLISH, CHINESE = "README.md", "README.zh-CN.md"
BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def parts(name: str) -> list[str]:
    """What stands between the headings, the headings with it."""
    return re.split(r"^(?=#+ )", BLOCK.sub("<block>", read(name)), flags=re.MULTILINE)


def facts(text: str) -> dict[str, object]:
    """What does not depend on the language: counted, since sentences order them differently."""
    links = re.findall(r"\]\(([^)]*)\)", text)
    words = re.sub(r"\]\([^)]*\)", "]", text)
    return {
        "level": re.match("#*", text).group(),
        "links": sorted(link for link in links if link not in (ENGLISH, CHINESE)),
        "pictures": re.findall(r"!\[[^\]]+\]\(([^)]*)\)", text),
        "code": sorted(re.findall(r"`[^`]+`", words)),
        "numbers": sorted(re.findall(r"\d+(?:\.\d+)*", words)),
        "blocks": text.count("<block>"),
        "rows": len(re.findall(r"^\|", text, re.MULTILINE)),
        "points": len(re.findall(r"^\* ", text, re.MULTILINE)),
        "paragraphs": len(re.findall(r"\n\n", text.strip())),
        "bold": text.count("**"),
    }


def commands(name: str) -> list[str]:
    """The code blocks without their comments."""
    return [re.sub(r" *# .*", "", block) for block in BLOCK.findall(read(name))]


def test_it_has_the_parts_of_the_english_one_with_the_same_facts() -> None:
    english, chinese = (list(map(facts, parts(name))) for name in (ENGLISH, CHINESE))
    assert len(english) > 5
    assert [part["level"] for part in chinese] == [part["level"] for part in english]
    for number, part in enumerate(english):
        for kind in part:
            assert chinese[number][kind] == part[kind], (number, kind)


def test_the_commands_are_the_same() -> None:
    assert commands(CHINESE) == commands(ENGLISH) and len(commands(ENGLISH)) == 3


def test_each_leads_to_the_other_in_its_first_line() -> None:
    assert f"]({CHINESE})" in read(ENGLISH).splitlines()[0]
    assert f"]({ENGLISH})" in read(CHINESE).splitlines()[0]


@pytest.mark.parametrize("button", ["Segment", "Set up…", "Try a sample"])
def test_buttons_have_the_words_of_the_panel(button: str) -> None:
    from tools import translations

    known = translations.read_ts(translations.ts_file("zh-Hans"))
    assert f"**{known['IUINetSegmentation', button]}**" in read(CHINESE)


def test_it_is_chinese() -> None:
    prose = re.sub(r"`[^`]*`|\]\([^)]*\)|(?<!\*)\*(?![ *])[^*\n]+\*", "", "".join(parts(CHINESE)))
    assert len(re.findall("[\u4e00-\u9fff]", prose)) > 1000
    assert not re.search(r"\b(the|and|is|of|with|without)\b", prose)
