"""How strongly samples are changed: the recipe's [augmentation]."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from iuinet.errors import UsageError

Range = tuple[float, float]


@dataclass(frozen=True)
class Augmentation:
    """Probabilities (0 to 1) and ranges. Names that end in ``_probability`` switch a change on for a sample.

    crop_shares_head, crop_shares_plane: smallest and largest share of the field of view that is kept along
    the body's axis, and along each axis of the slice. rotation_degrees: largest angle about each of the axes
    to head, back and left. scale, stretch: factor of the whole, and of single axes. elastic_mm: standard
    deviation of the displacement, smooth between nodes ``elastic_nodes_mm`` apart.
    brightness_hu: largest shift. contrast: factor about 40 HU. gamma: exponent on -160 to 240 HU.
    noise_hu: standard deviation. blur_voxels: standard deviation of a Gaussian. low_resolution: factor by
    which one axis is made coarser and fine again, as thick slices are.
    """

    crop_probability: float = 0.5
    crop_shares_head: Range = (0.5, 1.0)
    crop_shares_plane: Range = (0.8, 1.0)
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
            good = (
                0 <= value <= 1
                if field.name.endswith("_probability")
                else (isinstance(value, tuple) and 0 < value[0] <= value[1])
                or (isinstance(value, float | int) and value >= 0)
            )
            if field.name.startswith("crop_shares"):
                good = good and value[1] <= 1
            if not good:
                raise UsageError(
                    f"the recipe's augmentation.{field.name} is {value!r}",
                    hint="Give probabilities and shares up to 1, ranges with the smaller number first.",
                    code="recipe",
                )

    @classmethod
    def off(cls) -> Augmentation:
        """No change at all."""
        names = [field.name for field in dataclasses.fields(cls) if field.name.endswith("_probability")]
        return cls(**dict.fromkeys(names, 0.0))
