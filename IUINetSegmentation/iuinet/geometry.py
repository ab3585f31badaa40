"""One canonical orientation for every scan, by permuting and flipping axes only: no voxel is interpolated.

Canonical means DICOM's LPS: ``array[k, j, i]`` with k to the head, j to the back, i to the patient's left.
The axes follow the header's nearest axis-aligned directions, so an oblique scan is treated as the voxels
it is made of, and its labels lie exactly where its voxels lie.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from .boxes import Box
from .volume import Grid


@dataclass(frozen=True)
class Axes:
    """How an image's array becomes canonical.

    order: canonical array axis n is the image's array axis ``order[n]``.
    flips: whether canonical array axis n then runs the other way.
    """

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]


def canonical_axes(direction: np.ndarray) -> Axes:
    """Axes that bring an image with this 3 x 3 LPS direction nearest to canonical.

    The assignment of the image's axes to the patient's is the one with the largest sum of |cosines|, so two
    axes never claim the same patient axis; on an exact tie the first permutation in lexical order is taken.

    >>> canonical_axes(np.diag([-1, -1, 1]))  # i to the right, j to the front
    Axes(order=(0, 1, 2), flips=(False, True, True))
    """
    direction = np.asarray(direction, dtype=float)
    cosines = np.abs(direction)
    # assignment[p] is the image axis (i, j, k) that runs along patient axis p (left, back, head).
    assignment = max(
        itertools.permutations(range(3)),
        key=lambda order: round(sum(cosines[patient, axis] for patient, axis in enumerate(order)), 9),
    )
    backwards = [bool(direction[patient, axis] < 0) for patient, axis in enumerate(assignment)]
    order = tuple(2 - axis for axis in reversed(assignment))  # array axes run k, j, i
    return Axes(order, tuple(reversed(backwards)))


def to_canonical(array: np.ndarray, axes: Axes) -> np.ndarray:
    """View of array (k, j, i) in canonical order.

    >>> to_canonical(np.array([[[0, 1]]]), Axes((0, 1, 2), (False, False, True))).tolist()
    [[[1, 0]]]
    """
    view = array.transpose(axes.order)
    return view[tuple(slice(None, None, -1) if flip else slice(None) for flip in axes.flips)]


def box_to_canonical(box: Box, shape: tuple[int, int, int], axes: Axes) -> Box:
    """The box (k, j, i) of an image of this shape that holds the same voxels of its canonical array.

    >>> axes = canonical_axes(np.diag([-1, 1, 1]))  # i to the right
    >>> box_to_canonical((slice(0, 1), slice(0, 2), slice(0, 3)), (9, 9, 9), axes)
    (slice(0, 1, None), slice(0, 2, None), slice(6, 9, None))
    """
    found = []
    for axis, flip in zip(axes.order, axes.flips, strict=True):
        edges, count = box[axis], shape[axis]
        found.append(slice(count - edges.stop, count - edges.start) if flip else edges)
    return tuple(found)


def from_canonical(array: np.ndarray, axes: Axes) -> np.ndarray:
    """Inverse of to_canonical, as a view.

    >>> axes, array = canonical_axes(np.diag([-1, -1, 1])), np.arange(8).reshape(2, 2, 2)
    >>> np.array_equal(from_canonical(to_canonical(array, axes), axes), array)
    True
    """
    view = array[tuple(slice(None, None, -1) if flip else slice(None) for flip in axes.flips)]
    return view.transpose(np.argsort(axes.order))


def canonical_grid(grid: Grid) -> Grid:
    """The grid of the same voxels in canonical order; an oblique grid stays oblique.

    >>> canonical_grid(Grid((4, 4, 2), (1, 1, 5), direction=np.diag([-1, -1, 1]))).origin
    (-3.0, -3.0, 0.0)
    """
    axes = canonical_axes(grid.direction)
    order = [2 - axis for axis in reversed(axes.order)]  # as i, j, k
    flips = axes.flips[::-1]
    direction = np.asarray(grid.direction, dtype=float)[:, order]
    size = tuple(grid.size[axis] for axis in order)
    spacing = tuple(grid.spacing[axis] for axis in order)
    origin = np.asarray(grid.origin, dtype=float)
    for axis, flip in enumerate(flips):
        if flip:
            origin = origin + direction[:, axis] * spacing[axis] * (size[axis] - 1)
            direction[:, axis] *= -1
    return Grid(size, spacing, tuple(origin.tolist()), direction)
