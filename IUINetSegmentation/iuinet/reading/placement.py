"""From the matrix in a header to the volume's place, and whether two matrices mean the same place.

Matrices are 4 x 4, from the voxel index (i, j, k, 1) to LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from iuinet.checks import SHEAR
from iuinet.errors import InputRefused
from iuinet.volume import Grid

from .declared import check_spacing

HALF_VOXEL = 0.5  # two places that differ by more, anywhere in the scan, are two places
SPACING_TOLERANCE = 0.01  # of a voxel size, and so of a volume in ml
ROUNDING = 1e-6  # of single precision: what is less off a right angle is left as it is
SPACING_ROUNDING = 1e-5  # relative
_FLAT = 1e-3  # a smaller determinant of the three unit vectors is that of a plane
_SIDES = ("left and right", "front and back", "head and foot")


@np.errstate(all="ignore")  # what overflows is refused
def usable(matrix: np.ndarray) -> bool:
    """Whether all is finite and the three axes span a volume.

    >>> usable(np.eye(4)), usable(np.diag([1, 1, np.inf, 1])), usable(np.diag([1, 1, 0, 1]))
    (True, False, False)
    """
    if not np.isfinite(matrix).all():
        return False
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    return bool((lengths > 0).all() and abs(np.linalg.det(matrix[:3, :3] / lengths)) > _FLAT)


@np.errstate(all="ignore")
def grid_from_matrix(
    path: Path, size: tuple[int, int, int], matrix: np.ndarray, spacing: Sequence[float] | None = None
) -> Grid:
    """The grid of a volume. Axes that are off a right angle by no more than checks.SHEAR are set right.

    size: voxels along i, j, k. spacing: mm, as the file writes it; taken where it differs by rounding only.
    Raises: InputRefused "bad-spacing", "bad-place", "sheared-axes".

    >>> grid_from_matrix(Path("ct.nii"), (4, 3, 2), np.diag([0.8, 0.8, 2.5, 1])).spacing
    (0.8, 0.8, 2.5)
    """
    matrix = np.asarray(matrix, np.float64) + 0.0  # which leaves no negative zero
    axes = matrix[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    check_spacing(path, lengths.tolist())
    if not usable(matrix):
        raise InputRefused(
            f"The place of the scan in {path.name} is not finite, or its axes lie in one plane.",
            hint="Export the volume again with its true place.",
            code="bad-place",
        )
    direction = axes / lengths
    shear = float(np.abs(direction.T @ direction - np.eye(3)).max())
    if shear > SHEAR:
        raise InputRefused(
            f"The axes in the header of {path.name} are not at right angles (off by {shear:.3g}).",
            hint="Resample the volume to a straight grid first.",
            code="sheared-axes",
        )
    if shear > ROUNDING:
        left, _, right = np.linalg.svd(direction)  # the nearest orthonormal axes
        direction = left @ right
    if spacing is not None and np.allclose(lengths, spacing, rtol=SPACING_ROUNDING, atol=0):
        lengths = np.asarray(spacing, np.float64)
    return Grid(size, tuple(lengths.tolist()), tuple(matrix[:3, 3].tolist()), direction)


@np.errstate(all="ignore")
def is_same_place(size: tuple[int, int, int], one: np.ndarray, other: np.ndarray) -> bool:
    """Whether no corner lies half a voxel away from where the other matrix has it, and the spacings agree.

    >>> shifted = np.eye(4)
    >>> shifted[0, 3] = 0.4
    >>> is_same_place((9, 9, 9), np.eye(4), shifted), is_same_place((9, 9, 9), np.eye(4), 1.1 * shifted)
    (True, False)
    """
    voxels = np.linalg.inv(one) @ (other - one) @ _corners(size)
    lengths = [np.linalg.norm(matrix[:3, :3], axis=0) for matrix in (one, other)]
    return bool(
        np.abs(voxels[:3]).max() <= HALF_VOXEL
        and (np.abs(lengths[1] - lengths[0]) <= SPACING_TOLERANCE * lengths[0]).all()
    )


@np.errstate(all="ignore")
def difference(size: tuple[int, int, int], one: np.ndarray, other: np.ndarray) -> str:
    """How two places differ, in words.

    >>> difference((11, 9, 9), np.eye(4), np.diag([-1, 1, 1, 1]))
    '20 mm apart at the farthest corner, with left and right exchanged'
    """
    apart = np.linalg.norm(((other - one) @ _corners(size))[:3], axis=0).max()
    main = [np.abs(matrix[:3, :3]).argmax(axis=0) for matrix in (one, other)]
    words = f"{apart:.3g} mm apart at the farthest corner"
    if not np.array_equal(*main):
        return f"{words}, with the axes in another order"
    turned = [_SIDES[side] for axis, side in enumerate(main[0]) if one[side, axis] * other[side, axis] < 0]
    return f"{words}, with {', '.join(turned)} exchanged" if turned else words


def _corners(size: tuple[int, int, int]) -> np.ndarray:
    """Indices of the eight corner voxels as columns (i, j, k, 1)."""
    return np.array([(*corner, 1) for corner in product(*((0, n - 1) for n in size))], float).T
