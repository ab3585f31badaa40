"""From a CT's voxels to the network's input: the one preprocessing of training, command line and Slicer.

The whole volume or a box of it, in canonical orientation, is resized to the model's cube with aligned
extents (the outer faces of both grids coincide, half-voxel correct), averaged where it shrinks, and windowed
to [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from .boxes import Box, common, lengths, moved, whole

# Below air there is only padding (scanners write -2000, -3024, ...), above 3071 HU only metal: neither may
# weigh in an average.
LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0
SLAB_VOXELS = 2**22


def apply_window(hu: torch.Tensor, window: tuple[float, float]) -> torch.Tensor:
    """Hounsfield units -> [0, 1]: window[0] and below is 0, window[1] and above is 1.

    >>> apply_window(torch.tensor([-200.0, 40.0, 300.0]), (-160, 240))
    tensor([0.0000, 0.5000, 1.0000])
    """
    low, high = window
    return ((hu - low) / (high - low)).clamp(0, 1)


def resize_weights(source: int, target: int) -> torch.Tensor:
    """(target, source) float32 matrix that resizes one axis with aligned extents; each row sums to 1.

    Linear interpolation at voxel centres when the axis grows; when it shrinks, the triangle is widened by
    the factor, so that every source voxel weighs in and nothing finer than the new grid aliases.

    >>> resize_weights(2, 1)
    tensor([[0.5000, 0.5000]])
    """
    scale = source / target
    centre = (torch.arange(target, dtype=torch.float64)[:, None] + 0.5) * scale - 0.5
    distance = (torch.arange(source, dtype=torch.float64) - centre.clamp(0, source - 1)).abs()
    weights = (1 - distance / max(scale, 1.0)).clamp(min=0)
    return (weights / weights.sum(1, keepdim=True)).float()


def resize(
    array: np.ndarray,
    size: tuple[int, int, int],
    check: Callable[[], None] = lambda: None,
    box: Box | None = None,
) -> torch.Tensor:
    """Resize a canonical HU array (k, j, i) of any real dtype to float32 (H, W, D), slab by slab.

    check is called between slabs, and may raise to stop. box: what is resized, None for the whole; it holds
    some voxel of the array, and beyond it the array's outermost voxels go on.

    >>> resize(np.array([[[0, 100]]]), (1, 1, 1))
    tensor([[[50.]]])
    >>> resize(np.array([[[0, 100]]]), (1, 1, 4), box=(slice(0, 1), slice(0, 1), slice(-1, 3)))
    tensor([[[  0.,   0., 100., 100.]]])
    """
    box = box or whole(array.shape)
    part = common(box, whole(array.shape))
    array = array[part]
    along_k, along_j, along_i = (
        _repeating(resize_weights(n, m), held)
        for n, m, held in zip(lengths(box), size, moved(part, box), strict=True)
    )
    result = torch.zeros(size)
    step = max(1, SLAB_VOXELS // (array.shape[1] * array.shape[2]))
    for start in range(0, array.shape[0], step):
        check()
        slab = np.ascontiguousarray(array[start : start + step], dtype=np.float32)
        # As a buffer: torch's own way from numpy is closed where it was built for numpy 1 and meets numpy 2.
        plane = torch.frombuffer(slab, dtype=torch.float32).view(slab.shape)
        if array.dtype.kind == "f":  # beside a region, which was checked to have none, NaN is padding
            plane = plane.nan_to_num(LOWEST_HU)
        plane = plane.clamp(LOWEST_HU, HIGHEST_HU) @ along_i.t()
        plane = along_j @ plane
        result += torch.tensordot(along_k[:, start : start + step], plane, dims=1)
    return result


def _repeating(weights: torch.Tensor, held: slice) -> torch.Tensor:
    """The weights (target, source) for the voxels ``held`` alone, whose outermost stand for those beyond."""
    places = torch.arange(weights.shape[1]).clamp(held.start, held.stop - 1) - held.start
    return weights.new_zeros(len(weights), held.stop - held.start).index_add_(1, places, weights)


def prepare(
    array: np.ndarray,
    size: int,
    window: tuple[float, float],
    check: Callable[[], None] = lambda: None,
    box: Box | None = None,
) -> torch.Tensor:
    """Canonical HU array (k, j, i), or a box of it -> network input (1, 1, size, size, size) in [0, 1].

    check, box: see ``resize``.

    >>> prepare(np.zeros((4, 4, 4)), 2, (-160, 240)).shape
    torch.Size([1, 1, 2, 2, 2])
    """
    return apply_window(resize(array, (size,) * 3, check, box), window)[None, None]
