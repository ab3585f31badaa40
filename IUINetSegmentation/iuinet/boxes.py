"""Boxes of a volume's voxels, which may reach beyond the volume: there its outermost voxels go on.

What a network is shown is such a box. Arrays, shapes and sizes are in the order (k, j, i).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

# Voxels along k, j, i. A start may be negative, and a stop may lie beyond the volume's end.
Box = tuple[slice, slice, slice]


def whole(shape: Sequence[int]) -> Box:
    """The box of all voxels.

    >>> whole((2, 3, 4))
    (slice(0, 2, None), slice(0, 3, None), slice(0, 4, None))
    """
    return tuple(slice(0, int(count)) for count in shape)


def lengths(box: Box) -> tuple[int, int, int]:
    """Voxels along each axis.

    >>> lengths((slice(-2, 4), slice(0, 3), slice(1, 2)))
    (6, 3, 1)
    """
    return tuple(edges.stop - edges.start for edges in box)


def widened(
    box: Box, shape: Sequence[int], spacing: Sequence[float], smallest_mm: Sequence[float]
) -> Box:
    """The box, and where it is shorter than this more around it: of the volume, as far as that reaches.

    shape: of the volume; spacing: mm. A length is rounded to voxels; of an odd number of further voxels the
    odd one is behind. Where the volume itself is too short, it is in the middle.

    >>> around = (slice(0, 10), slice(0, 20), slice(12, 15))
    >>> widened(around, (10, 20, 90), (5, 2, 2), (80, 40, 30))
    (slice(-3, 13, None), slice(0, 20, None), slice(6, 21, None))
    >>> widened((slice(0, 4),) * 3, (20, 20, 20), (1, 1, 1), (4, 9, 21))
    (slice(0, 4, None), slice(0, 9, None), slice(0, 21, None))
    """
    found = []
    for edges, count, step, wanted in zip(box, shape, spacing, smallest_mm, strict=True):
        least = edges.stop - edges.start
        length = max(least, round(wanted / step))
        if length < count:
            start = min(max(edges.start - (length - least) // 2, 0), count - length)
        else:
            start = -((length - count) // 2)
        found.append(slice(start, start + length))
    return tuple(found)


def common(box: Box, other: Box) -> Box | None:
    """The voxels that both boxes hold, None for none.

    >>> common((slice(-2, 4), slice(0, 9), slice(5, 6)), whole((3, 8, 7)))
    (slice(0, 3, None), slice(0, 8, None), slice(5, 6, None))
    """
    part = tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, other, strict=True)
    )
    return part if min(lengths(part)) > 0 else None


def moved(part: Box, box: Box) -> Box:
    """The same voxels, counted from where ``box`` begins.

    >>> moved((slice(0, 3),) * 3, (slice(-2, 9),) * 3)[0]
    slice(2, 5, None)
    """
    return tuple(
        slice(edges.start - by.start, edges.stop - by.start) for edges, by in zip(part, box, strict=True)
    )


def cells_inside(box: Box, other: Box, cells: Sequence[int]) -> Box:
    """Which of the cells that a box is divided into have their centres in the other one.

    >>> cells_inside((slice(-4, 8),) * 3, whole((4, 8, 8)), (6, 6, 6))  # cells of two voxels
    (slice(2, 4, None), slice(2, 6, None), slice(2, 6, None))
    """
    found = []
    for edges, inner, number in zip(box, other, cells, strict=True):
        per_voxel = number / (edges.stop - edges.start)
        first, last = (math.ceil((at - edges.start) * per_voxel - 0.5) for at in (inner.start, inner.stop))
        found.append(slice(max(0, first), min(number, last)))
    return tuple(found)
