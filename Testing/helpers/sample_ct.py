"""The generated CT that the module ships, in the size that a test needs."""

from __future__ import annotations

from functools import cache

import numpy as np

from harness.segment import SAMPLE_CT
from iuinet.labels import ORGANS
from iuinet.reading import read_volume
from iuinet.volume import Grid, Volume

# The organs of the generated CT and of the models of tests; the program may know more.
CHALLENGE = ORGANS[:13]


@cache
def shipped() -> Volume:
    """The CT as it is shipped; nobody may write to its array."""
    volume = read_volume(SAMPLE_CT)
    volume.array.flags.writeable = False
    return volume


def sample_ct(size: tuple[int, int, int]) -> Volume:
    """The shipped CT's nearest voxels on a grid of the same extent. size: voxels along i, j, k."""
    whole = shipped()
    pairs = list(zip(whole.grid.size, size, strict=True))
    nearest = [((np.arange(new) + 0.5) * old / new).astype(int) for old, new in pairs]
    spacing = tuple(step * old / new for step, (old, new) in zip(whole.grid.spacing, pairs, strict=True))
    steps = zip(whole.grid.origin, whole.grid.spacing, spacing, strict=True)
    origin = tuple(start + (new - old) / 2 for start, old, new in steps)
    return Volume(whole.array[np.ix_(*nearest[::-1])], Grid(size, spacing, origin), whole.name, "CT")


def enlarged_ct(slices: int) -> Volume:
    """A CT of 512 x 512 x slices: a small one, each voxel repeated, with noise.

    Flat blocks would be easier on every cache and codec than what a scanner gives.
    """
    small = sample_ct((128, 128, 100))
    rows = np.arange(slices) * 100 // slices
    array = np.repeat(np.repeat(small.array[rows], 4, axis=1), 4, axis=2)
    noise = np.random.default_rng(0).integers(-12, 13, array.shape, dtype=np.int16)
    x, y, z = small.grid.spacing
    spacing = (x / 4, y / 4, z * 100 / slices)
    grid = Grid((512, 512, slices), spacing, small.grid.origin, small.grid.direction)
    return Volume((array + noise).astype(np.int16), grid, modality="CT")
