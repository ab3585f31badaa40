"""Implicit shapes: a field is negative inside, zero on the surface and about millimetres elsewhere.

Positions are arrays ``x, y, z`` of the body frame (mm; x to the patient's left, y to the back, z to the
head). Fields need not be exact distances: `coverage` measures their slope on the grid itself.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def coverage(field: np.ndarray, softness: tuple[float, float, float]) -> np.ndarray:
    """Share of each voxel that lies inside the shape: the partial volume effect, float32 in 0..1.

    A flat surface crosses a voxel while the field's value is less than half its change across that voxel.
    softness: extent of the slice profile and of the kernel in voxels, along k, j and i.
    """
    change = np.full(field.shape, 1e-3, dtype=np.float32)
    for axis, extent in enumerate(softness):
        if field.shape[axis] < 2:
            continue
        step = np.abs(np.diff(field, axis=axis))
        step *= np.float32(extent / 2)
        along, steps = np.moveaxis(change, axis, 0), np.moveaxis(step, axis, 0)  # views
        along[:-1] += steps
        along[1:] += steps
        along[0] += steps[0]  # the outermost voxels have one neighbour only
        along[-1] += steps[-1]
    share = np.divide(field, change, out=change)
    np.subtract(np.float32(0.5), share, out=share)
    return np.clip(share, 0, 1, out=share)


def smooth_max(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Intersection of two shapes with an edge rounded over ``width`` mm."""
    gap = np.clip(0.5 + (a - b) / np.float32(2 * width), 0, 1)
    return b + (a - b) * gap + np.float32(width) * gap * (1 - gap)


def smooth_min(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Union of two shapes with a groove filled over ``width`` mm."""
    return -smooth_max(-a, -b, width)


def rotation(x_deg: float = 0.0, y_deg: float = 0.0, z_deg: float = 0.0) -> np.ndarray:
    """3 x 3 matrix whose rows are the local axes after turns about x, then y, then z (degrees)."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad((x_deg, y_deg, z_deg))):
        c, s = np.cos(angle), np.sin(angle)
        turn = np.eye(3)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
        matrix = turn @ matrix
    return matrix.T


def local(window, centre, axes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions relative to ``centre``, along the rows of ``axes`` if given."""
    offset = [p - np.float32(c) for p, c in zip((window.x, window.y, window.z), centre, strict=True)]
    if axes is None:
        return tuple(offset)
    rows = np.asarray(axes, dtype=np.float32)
    return tuple(row[0] * offset[0] + row[1] * offset[1] + row[2] * offset[2] for row in rows)


def ellipsoid(window, centre, radii, axes: np.ndarray | None = None) -> np.ndarray:
    """Ellipsoid with half axes ``radii`` (mm) along the rows of ``axes``."""
    total = sum((p / np.float32(r)) ** 2 for p, r in zip(local(window, centre, axes), radii, strict=True))
    return (np.sqrt(total) - 1) * np.float32(min(radii))


def spline(points: np.ndarray, step_mm: float) -> np.ndarray:
    """Points (n, 4: x, y, z, radius) along a Catmull-Rom curve through the given ones, ``step_mm`` apart."""
    points = np.asarray(points, dtype=float)
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    curve = [points[:1]]
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        count = max(1, int(np.ceil(np.linalg.norm((p2 - p1)[:3]) / step_mm)))
        t = (np.arange(1, count + 1) / count)[:, None]
        curve.append(
            0.5
            * (
                2 * p1
                + (p2 - p0) * t
                + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
                + (3 * (p1 - p2) + p3 - p0) * t**3
            )
        )
    return np.vstack(curve)


def segment_distance(window, a, b, squash) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the segment a-b and the position along it (0..1).

    squash: factor per axis before measuring; above 1 the tube becomes flatter along that axis.
    """
    squash = np.asarray(squash, dtype=np.float32)
    start = np.asarray(a, dtype=np.float32) * squash
    along = np.asarray(b, dtype=np.float32) * squash - start
    offset = [p * s - c for p, s, c in zip((window.x, window.y, window.z), squash, start, strict=True)]
    length2 = max(float(along @ along), 1e-6)
    t = (offset[0] * along[0] + offset[1] * along[1] + offset[2] * along[2]) / np.float32(length2)
    np.clip(t, 0, 1, out=t)
    distance2 = sum((o - t * d) ** 2 for o, d in zip(offset, along, strict=True))
    return np.sqrt(distance2), t


def tube(canvas, points, step_mm: float = 7.0, squash=(1.0, 1.0, 1.0)):
    """A tube through ``points`` (x, y, z, radius): its window, its field and the millimetres along it."""
    curve = spline(points, max(step_mm, 1.2 * canvas.voxel_mm))
    # Beyond this margin nothing is painted; the field is level there, as a step would read as an edge.
    margin = np.float32(4 + 1.5 * canvas.voxel_mm)
    reach = (curve[:, 3].max() + margin) / min(1.0, *squash)
    window = canvas.window(curve[:, :3].min(0) - reach, curve[:, :3].max(0) + reach)
    field = np.full(window.shape, margin, dtype=np.float32)
    along = np.zeros(window.shape, dtype=np.float32)
    travelled = 0.0
    for a, b in pairwise(curve):
        reach = (max(a[3], b[3]) + margin) / min(1.0, *squash)
        part = canvas.window(np.minimum(a, b)[:3] - reach, np.maximum(a, b)[:3] + reach, window)
        length = float(np.linalg.norm((b - a)[:3]))
        if part.size:
            distance, t = segment_distance(part, a[:3], b[:3], squash)
            distance -= np.float32(a[3]) + t * np.float32(b[3] - a[3])
            inside = part.relative_to(window)
            nearer = distance < field[inside]
            field[inside][nearer] = distance[nearer]
            along[inside][nearer] = travelled + length * t[nearer]
        travelled += length
    return window, field, along
