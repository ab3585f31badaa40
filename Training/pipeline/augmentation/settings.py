"""How strongly samples are changed: the recipe's [augmentation], and draws in its units."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch

from iuinet.errors import UsageError

Range = tuple[float, float]

# Up to 45 degrees about each axis, right stays right of left and head above feet.
_HIGHEST = {"rotation_degrees": 45.0}


@dataclass(frozen=True)
class Augmentation:
    """Probabilities (0 to 1) and ranges. Names that end in ``_probability`` switch a change on for a sample.

    crop_shares_head, crop_shares_plane: smallest and largest share of the field of view that is kept along
    the body's axis, and along each axis of the slice. narrow_mm: edge of the square in the slice that a
    narrow field of view shows, about the middle. rotation_degrees: largest angle about each of the axes to
    head, back and left, at most 45. scale, stretch: factor of the whole, and of single axes. elastic_mm:
    standard deviation of the displacement at nodes ``elastic_nodes_mm`` apart, linear between them; less
    where it would fold the body.
    brightness_hu: largest shift. contrast: factor about 40 HU. gamma: exponent on -160 to 240 HU.
    noise_hu: standard deviation. blur_voxels: standard deviation of a Gaussian. low_resolution: factor by
    which one axis is made coarser and fine again, as thick slices are.
    """

    crop_probability: float = 0.5
    crop_shares_head: Range = (0.5, 1.0)
    crop_shares_plane: Range = (0.8, 1.0)
    narrow_probability: float = 0.0
    narrow_mm: Range = (150.0, 250.0)
    affine_probability: float = 0.7
    rotation_degrees: float = 12.0
    scale: Range = (0.85, 1.2)
    stretch: Range = (0.93, 1.07)
    elastic_probability: float = 0.4
    elastic_mm: float = 5.0
    elastic_nodes_mm: float = 70.0
    brightness_probability: float = 0.3
    brightness_hu: float = 20.0
    contrast_probability: float = 0.3
    contrast: Range = (0.75, 1.25)
    gamma_probability: float = 0.3
    gamma: Range = (0.75, 1.35)
    noise_probability: float = 0.3
    noise_hu: Range = (3.0, 25.0)
    blur_probability: float = 0.15
    blur_voxels: Range = (0.4, 1.0)
    low_resolution_probability: float = 0.2
    low_resolution: Range = (1.3, 2.5)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            problem = _problem(field.name, value, isinstance(field.default, tuple))
            if problem:
                raise UsageError(
                    f"the recipe's augmentation.{field.name} is {value!r}", hint=problem, code="recipe"
                )

    @classmethod
    def off(cls) -> Augmentation:
        """No change at all."""
        names = [field.name for field in dataclasses.fields(cls) if field.name.endswith("_probability")]
        return cls(**dict.fromkeys(names, 0.0))


def _problem(name: str, value: object, is_range: bool) -> str | None:
    """What to give instead of a value that makes no sense, None for one that does."""
    if is_range:
        highest = 1.0 if name.startswith("crop_shares") else math.inf
        good = isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value))
        if good and 0 < value[0] <= value[1] <= highest:
            return None
        limit = " up to 1" if highest == 1 else ""
        return f"Give two numbers above 0{limit}, the smaller one first."
    highest = _HIGHEST.get(name, 1.0 if name.endswith("_probability") else math.inf)
    if _is_number(value) and 0 <= value <= highest:
        return None
    return f"Give a number from 0 up to {highest:g}." if highest < math.inf else "Give a number from 0 on."


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)


# Draws ------------------------------------------------------------------------------------------------------


def happens(probability: float, chance: torch.Generator) -> bool:
    """True with this probability. One number is drawn whatever comes of it."""
    return float(torch.rand((), generator=chance)) < probability


def between(low: float, high: float, chance: torch.Generator) -> float:
    """A number in [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=chance))


def factor(low: float, high: float, chance: torch.Generator) -> float:
    """A factor in [low, high), even in its logarithm: halving is as likely as doubling."""
    return math.exp(between(math.log(low), math.log(high), chance))
