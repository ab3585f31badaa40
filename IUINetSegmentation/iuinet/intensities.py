"""Whether values look like Hounsfield units, judged on a sample of the voxels.

HU are fixed by physics: air -1000, fat about -100, water 0, soft tissue 20 to 80, contrast up to some
hundreds, bone above. Any CT of a body has much in the range of soft tissue and something well below 0.
What is not CT (MR, PET, labels, scaled pictures) starts at 0, or has little where soft tissue would be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAMPLE_VOXELS = 400_000
PADDING = -1100  # under this lies no tissue but padding outside the field of view: -2000, -3024, ...
AIR = -900  # and under this only air
SOFT_TISSUE = (-200, 300)  # fat, water, organs with and without contrast
NEGATIVE = -40  # fat and air lie under this
NEGATIVE_SHARE = 0.0005  # of the voxels that must lie there
SOFT_SHARE = 0.2  # of what is not air that must be soft tissue; a chest with big lungs has more
SPREAD = 30.0  # HU between the 0.1st and the 99.9th percentile; less is a picture scaled to 0...1
BRIGHT = 3500  # HU that the 99th percentile stays under, metal included
# CT stored without its rescale intercept of -1024 or -1000: soft tissue near 1000, air near 24 or 0.
LOST_OFFSETS = (1024, 1000)
SHIFTED_TISSUE = (850, 1250)
SHIFTED_AIR = 150
SHIFTED_SHARE = 0.5  # of what lies above the shifted air; in HU only bone lies there
SHIFTED_BODY = 0.05  # of all voxels that lie above the shifted air


@dataclass(frozen=True)
class Judgement:
    """low, high: 0.1st and 99.9th percentile. lost_offset: what must be subtracted to get HU, if known."""

    looks_like_hu: bool
    low: float
    high: float
    lost_offset: int | None


def judge(array: np.ndarray) -> Judgement:
    """array: any shape, finite numbers, at least one voxel."""
    values = sample(array)
    low, high = (float(x) for x in np.percentile(values, (0.1, 99.9)))
    values = values[values > PADDING]
    if not len(values):
        return Judgement(False, low, high, None)
    offset = _lost_offset(values)
    return Judgement(offset is None and _is_hu(values), low, high, offset)


def sample(array: np.ndarray, voxels: int = SAMPLE_VOXELS) -> np.ndarray:
    """About ``voxels`` values on a regular sub-grid, float64, flat.

    Every step is odd, so that odd and even slices are met alike.
    """
    while array.size > 3 * voxels:
        longest = int(np.argmax(array.shape))
        array = array[tuple(slice(None, None, 3 if axis == longest else 1) for axis in range(array.ndim))]
    return array.astype(np.float64).ravel()


def _is_hu(values: np.ndarray) -> bool:
    body = values[values > AIR]
    if not len(body):
        return False
    low, bright, high = np.percentile(values, (0.1, 99, 99.9))
    soft = np.mean((body >= SOFT_TISSUE[0]) & (body <= SOFT_TISSUE[1]))
    negative = np.mean(values < NEGATIVE)
    return bool(
        negative >= NEGATIVE_SHARE and soft >= SOFT_SHARE and high - low >= SPREAD and bright <= BRIGHT
    )


def _lost_offset(values: np.ndarray) -> int | None:
    body = values[values > SHIFTED_AIR]
    if len(body) < SHIFTED_BODY * len(values):
        return None
    if np.mean((body > SHIFTED_TISSUE[0]) & (body < SHIFTED_TISSUE[1])) < SHIFTED_SHARE:
        return None
    air = values[(values > 0) & (values <= SHIFTED_AIR)]
    level = float(np.median(air)) if len(air) else 0.0
    return min(LOST_OFFSETS, key=lambda offset: abs(level - (offset - 1000)))
