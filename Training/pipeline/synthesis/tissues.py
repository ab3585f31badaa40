"""The tissues of a synthetic CT, by name and number, and their Hounsfield units by contrast phase.

Numbers 1 to 13 are the organs' label ids (Synapse challenge), 0 is the air around the body, and what
follows is everything else that a CT shows. The Hounsfield units are data: ``tissues.toml``.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

NAMES = (
    "air",
    "spleen",
    "right kidney",
    "left kidney",
    "gallbladder",
    "esophagus",
    "liver",
    "stomach",
    "aorta",
    "inferior vena cava",
    "portal and splenic veins",
    "pancreas",
    "right adrenal gland",
    "left adrenal gland",
    "fat",
    "duodenum",
    "colon",
    "small bowel",
    "bladder",
    "lung",
    "heart",
    "right atrium",
    "artery",
    "vein",
    "muscle",
    "bone",
    "cartilage",
    "spinal canal",
    "airway",
    "gland",
    "unknown esophagus",
    "renal cortex",
    "renal sinus",
    "lesion",
)
NUMBER = {name: number for number, name in enumerate(NAMES)}
ORGANS = NAMES[1:14]
IGNORE = 255


@cache
def table() -> dict:
    """Contents of tissues.toml: phases and their probabilities, HU ranges, texture."""
    with open(Path(__file__).with_name("tissues.toml"), "rb") as file:
        return tomllib.load(file)
