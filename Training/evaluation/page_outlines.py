"""Outlines of a mask as SVG path data, so that they stay sharp however far one zooms into a picture."""

from __future__ import annotations

import numpy as np

# Directions along the borders between pixels: right, down, left, up as (column, row). Walking with the mask
# on the right hand; at a corner where two pixels of the mask touch, a right turn keeps them apart.
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def outline(mask: np.ndarray) -> str:
    """Closed lines around a bool mask (rows, columns); "" for an empty one.

    Pixel (row, column) covers the unit square from (column, row). The lines run through the middles of the
    borders between mask and background, as a contour at one half does; holes have lines of their own.
    """
    edges = _edges(mask)
    parts = []
    while edges:
        corner, direction = next(iter(edges))
        loop = []
        while (corner, direction) in edges:
            edges.discard((corner, direction))
            across, down = _STEPS[direction]
            loop.append((corner[0] + across / 2, corner[1] + down / 2))
            corner = corner[0] + across, corner[1] + down
            turns = (direction + 1) % 4, direction, (direction - 1) % 4
            direction = next((turn for turn in turns if (corner, turn) in edges), direction)
        parts.append(_path(loop))
    return "".join(parts)


def _edges(mask: np.ndarray) -> set[tuple[tuple[int, int], int]]:
    """The borders between mask and background: corner that each starts from, and its direction."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    # Of a pixel's four sides: what lies beyond, and the corner at which the side starts.
    sides = (
        (padded[:-2, 1:-1], (0, 0)),
        (padded[1:-1, 2:], (1, 0)),
        (padded[2:, 1:-1], (1, 1)),
        (padded[1:-1, :-2], (0, 1)),
    )
    found = set()
    for direction, (beyond, (across, down)) in enumerate(sides):
        rows, columns = np.nonzero(inside & ~beyond)
        found |= {
            ((column + across, row + down), direction)
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        }
    return found


def _path(loop: list[tuple[float, float]]) -> str:
    """A closed line without the points that lie on the straight way between their neighbours."""
    kept = [
        point
        for before, point, after in zip(loop[-1:] + loop[:-1], loop, loop[1:] + loop[:1], strict=True)
        if (point[0] - before[0], point[1] - before[1]) != (after[0] - point[0], after[1] - point[1])
    ]
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in kept) + "Z"
