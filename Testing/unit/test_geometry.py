"""Canonical orientation: permutations and flips only, for every way a scan can be stored."""

import itertools

import numpy as np
import pytest

from iuinet.geometry import canonical_axes, canonical_grid, from_canonical, to_canonical
from iuinet.volume import Grid

ORIENTATIONS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def rotation(degrees: float, axis: int) -> np.ndarray:
    a, b = [n for n in range(3) if n != axis]
    matrix = np.eye(3)
    matrix[[a, b], [a, b]] = np.cos(np.radians(degrees))
    matrix[a, b], matrix[b, a] = -np.sin(np.radians(degrees)), np.sin(np.radians(degrees))
    return matrix


def stored(order, signs) -> np.ndarray:
    """Direction matrix of an image whose axis n runs along patient axis order[n] with sign signs[n]."""
    direction = np.zeros((3, 3))
    for axis, (patient, sign) in enumerate(zip(order, signs, strict=True)):
        direction[patient, axis] = sign
    return direction


def positions(grid: Grid) -> np.ndarray:
    """LPS position of every voxel, (k, j, i, 3)."""
    k, j, i = np.meshgrid(*map(np.arange, grid.shape), indexing="ij")
    index = np.stack([i, j, k, np.ones_like(i)], -1)
    return (index @ grid.index_to_lps().T)[..., :3]


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
@pytest.mark.parametrize("tilt", [0, 20])
def test_every_stored_orientation_comes_to_lps_with_each_voxel_in_its_place(order, signs, tilt):
    direction = rotation(tilt, 0) @ rotation(tilt / 2, 2) @ stored(order, signs)
    grid = Grid((3, 4, 5), (0.5, 1.5, 2.5), (10.0, -20.0, 30.0), direction)
    axes = canonical_axes(direction)
    found = canonical_grid(grid)
    moved = np.stack([to_canonical(positions(grid)[..., n], axes) for n in range(3)], -1)
    np.testing.assert_allclose(moved, positions(found), atol=1e-9)
    nearest = rotation(tilt, 0) @ rotation(tilt / 2, 2)
    np.testing.assert_allclose(found.direction, nearest, atol=1e-12)


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_the_way_back_is_exact(order, signs):
    array = np.arange(60).reshape(3, 4, 5)
    axes = canonical_axes(stored(order, signs))
    np.testing.assert_array_equal(from_canonical(to_canonical(array, axes), axes), array)


def test_two_axes_never_claim_the_same_patient_axis():
    direction = rotation(45, 2)  # exactly between: either answer is right, but it must be a permutation
    assert sorted(canonical_axes(direction).order) == [0, 1, 2]
    assert sorted(canonical_axes(np.ones((3, 3)) / np.sqrt(3)).order) == [0, 1, 2]


def test_the_voxel_volume_counts_shear():
    sheared = np.array([[1, 0.5, 0], [0, np.sqrt(0.75), 0], [0, 0, 1]])
    assert Grid((1, 1, 1), (2, 2, 5), direction=sheared).voxel_volume_ml == pytest.approx(
        0.02 * np.sqrt(0.75)
    )
