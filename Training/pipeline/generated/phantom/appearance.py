"""How the body looks: Hounsfield units of its tissues, and what the scanner adds to them."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import numpy as np

from .noise import blurred_noise, stream
from .options import PHASES, SampleOptions

# How far the contrast dose and its timing move all enhancement, as a factor's standard deviation.
DOSE_SPREAD = 0.10
LOWEST_HU, HIGHEST_HU = -1024, 3071


@cache
def table(name: str) -> dict:
    """One of the data files that lie beside this module, parsed."""
    return tomllib.loads(Path(__file__).with_name(f"{name}.toml").read_text(encoding="utf-8"))


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


def acquire(
    hu: np.ndarray, pixel_mm: float, spacing_mm: float, seed: int, options: SampleOptions
) -> np.ndarray:
    """The picture as it leaves the scanner: int16 HU of the same shape (k, j, i).

    Noise is correlated in the plane by the kernel, and between slices that overlap; it fades towards the
    edge of the picture, as rays there cross less of the body.
    """
    picture = hu
    if options.noise_hu > 0:
        soft = options.noise_correlation_mm / pixel_mm
        overlap = max(0.0, (options.thickness_mm or spacing_mm) / spacing_mm - 1)
        noise = blurred_noise(stream(seed, "noise"), hu.shape, (0.5 * overlap, soft, soft))
        rows = np.linspace(-1, 1, hu.shape[1], dtype=np.float32)[:, None]
        columns = np.linspace(-1, 1, hu.shape[2], dtype=np.float32)[None, :]
        strength = options.noise_hu * (1.05 - 0.35 * np.clip(rows**2 + columns**2, 0, 1))
        noise *= strength.astype(np.float32)
        picture = hu + noise
    picture = np.clip(np.rint(picture), LOWEST_HU, HIGHEST_HU).astype(np.int16)
    if options.circle:
        j, i = np.indices(hu.shape[1:], dtype=np.float32)
        middle_j, middle_i = (hu.shape[1] - 1) / 2, (hu.shape[2] - 1) / 2
        outside = (j - middle_j) ** 2 + (i - middle_i) ** 2 > (max(hu.shape[1:]) / 2) ** 2
        picture[:, outside] = LOWEST_HU
    return picture
