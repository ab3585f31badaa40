"""What can be chosen about a generated CT: the patient, the contrast phase and the acquisition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iuinet.errors import UsageError

PHASES = ("non-contrast", "arterial", "portal", "delayed")
STOMACH_CONTENTS = ("water", "food", "contrast")
# Lowest and highest value of each number, of which a picture can be made.
LIMITS = {
    "field_of_view_mm": (50, 1000),
    "length_mm": (1, 1000),
    "top_mm": (-300, 500),
    "thickness_mm": (0.1, 50),
    "noise_hu": (0, 200),
    "noise_correlation_mm": (0, 20),
    "stature": (0.8, 1.2),
    "girth": (0.85, 1.2),
    "fat_mm": (3, 60),
    "variation": (0, 2),
    "fatty_liver_hu": (0, 60),
    "bowel_contrast": (0, 1),
}


@dataclass(frozen=True)
class SampleOptions:
    """Settings of one generated CT; the defaults describe an ordinary portal venous scan.

    phase: contrast phase, one of PHASES.
    field_of_view_mm: width of the image (axis i); pixels are square, so the height follows from the size.
    length_mm: stretch of the body that all slices cover together (slice spacing = length / slices).
    top_mm: upper edge of that stretch, millimetres above the centre of the first lumbar vertebra.
    thickness_mm: width of the slice profile; None means contiguous slices (thickness = spacing).
    noise_hu: standard deviation of the image noise in the middle of the body, HU.
    noise_correlation_mm: standard deviation of the noise's in-plane smoothing (the kernel's softness), mm.
    stature: size of the whole body relative to the standard patient, 0.8 to 1.2.
    girth: extra scale across the body (left-right and front-back), 0.85 to 1.2.
    fat_mm: subcutaneous fat in front of the abdomen, mm; the other sides follow.
    variation: strength of the individual differences in place, size and shape of the organs (0: none).
    fatty_liver_hu: how much fat lowers the liver, HU, 0 to 60.
    stomach_content: what fills the stomach below its air, one of STOMACH_CONTENTS.
    bowel_contrast: share of the small bowel loops that hold positive oral contrast, 0 to 1.
    table: whether the couch is in the picture.
    circle: whether everything outside the reconstruction circle is padded with -1024 HU.
    """

    phase: str = "portal"
    field_of_view_mm: float = 370.0
    length_mm: float = 288.0
    top_mm: float = 126.0
    thickness_mm: float | None = None
    noise_hu: float = 9.0
    noise_correlation_mm: float = 1.4
    stature: float = 1.0
    girth: float = 1.0
    fat_mm: float = 14.0
    variation: float = 1.0
    fatty_liver_hu: float = 0.0
    stomach_content: str = "water"
    bowel_contrast: float = 0.1
    table: bool = True
    circle: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no picture can be made of (UsageError)."""
        for name, allowed in (("phase", PHASES), ("stomach_content", STOMACH_CONTENTS)):
            if getattr(self, name) not in allowed:
                raise _refused(name, getattr(self, name), f"Choose one of: {', '.join(allowed)}.")
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if value is None and name == "thickness_mm":
                continue
            if not low <= value <= high:
                raise _refused(name, value, f"Choose a number from {low} to {high}.")


def draw_options(seed: int) -> SampleOptions:
    """The settings that belong to a seed: 0 is the standard scan, every other number draws its own."""
    if seed == 0:
        return SampleOptions()
    rng = np.random.default_rng([seed, 1])
    phase = str(rng.choice(PHASES, p=(0.2, 0.2, 0.5, 0.1)))
    fat = float(rng.uniform(6, 30))
    stature = float(rng.uniform(0.92, 1.07))
    girth = float(rng.uniform(0.96, 1.04) + 0.003 * (fat - 14))
    top = float(rng.uniform(85, 160))
    bottom = float(rng.uniform(-180, -90))
    body_width_mm = 300 * stature * girth + 2.4 * fat
    return SampleOptions(
        phase=phase,
        field_of_view_mm=float(body_width_mm * rng.uniform(1.04, 1.3)),
        length_mm=top - bottom,
        top_mm=top,
        thickness_mm=float(rng.uniform(2.0, 5.5)),
        noise_hu=float(rng.uniform(5, 18)),
        noise_correlation_mm=float(rng.uniform(0.9, 2.2)),
        stature=stature,
        girth=girth,
        fat_mm=fat,
        fatty_liver_hu=float(rng.uniform(10, 50)) if rng.random() < 0.2 else 0.0,
        stomach_content=str(rng.choice(STOMACH_CONTENTS)),
        bowel_contrast=float(rng.uniform(0.0, 0.6)),
        table=bool(rng.random() < 0.9),
        circle=bool(rng.random() < 0.4),
    )


def _refused(name: str, value: object, hint: str) -> UsageError:
    return UsageError(f"{name} is {value!r}.", hint=hint, code="sample-option")
