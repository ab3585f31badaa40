"""Hounsfield units of the tissues of one patient in one contrast phase."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from iuinet.sample.noise import stream
from iuinet.sample.options import PHASES, SampleOptions

# How far the contrast dose and its timing move all enhancement, as a factor's standard deviation.
DOSE_SPREAD = 0.10


@cache
def table(name: str) -> dict:
    """One of the data files that lie beside this module, parsed."""
    with (Path(__file__).parent / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def tissue_values(seed: int, options: SampleOptions) -> dict[str, float]:
    """HU of every tissue for this patient: the phase's mean, the dose factor, and individual spread."""
    data = table("tissues")
    rng = stream(seed, "tissues")
    phase = PHASES.index(options.phase)
    dose = float(max(0.7, 1 + DOSE_SPREAD * options.variation * rng.standard_normal()))
    values = {}
    for tissue, means in data["hu"].items():
        spread = data["spread"].get(tissue, 0) * options.variation
        enhancement = (means[phase] - means[0]) * dose
        values[tissue] = means[0] + enhancement + spread * float(rng.standard_normal())
    values["liver"] -= options.fatty_liver_hu
    return values
