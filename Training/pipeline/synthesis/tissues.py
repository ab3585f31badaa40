"""The tissues of a synthetic CT, by name and number, and their Hounsfield units by contrast phase.

Numbers 1 to 13 are the organs' label ids (Synapse challenge), 0 is the air around the body, and what
follows is everything else that a CT shows. Both are data: ``tissues.toml``.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path


@cache
def table() -> dict:
    """Contents of tissues.toml: names, phases and their probabilities, HU ranges, texture."""
    return tomllib.loads(Path(__file__).with_name("tissues.toml").read_text(encoding="utf-8"))


NAMES = tuple(table()["names"])
NUMBER = {name: number for number, name in enumerate(NAMES)}
ORGANS = NAMES[1:14]
IGNORE = 255
