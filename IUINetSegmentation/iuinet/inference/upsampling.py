"""Labels at full resolution: the exact argmax of trilinearly upsampled logits, at a fraction of the work.

An upsampled logit is a convex combination of the logits at the eight corners of its cell (the box between
neighbouring voxels of the network's grid). Where one class leads at all eight corners by more than rounding
can change, it leads everywhere in the cell, and nothing is interpolated. In the other cells, those crossed by
a boundary between organs, only the classes that are not beaten in this way are interpolated, by the very
operations that define the exact labels (``upsampling_reference``).
Memory: the labels, plus a few arrays of the network's grid; never classes x voxels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from iuinet.boxes import Box, lengths, whole
from iuinet.errors import Cancelled, IUINetError, UsageError

from .upsampling_cells import OpenCells, Runs, find_runs, rounding_bound

# Open cells looked at in one go before the next point to cancel.
_CELLS_AT_ONCE = 1 << 13


def upsample_labels(
    logits: torch.Tensor,
    size: tuple[int, int, int],
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    part: Box | None = None,
) -> np.ndarray:
    """Labels of the logits upsampled to ``size``: the lowest class id with the highest upsampled logit.

    logits: (C, H, W, D), 1 to 256 classes, any float dtype and device (brought to the CPU in float32).
    size: (h, w, d), voxels of the upsampled box, at least 1 each; smaller than (H, W, D) is allowed.
    part: which of these voxels are wanted, None for all; the others cost nothing.
    progress: called with the fraction done, 0 to 1. cancelled: called several times a second.

    Returns uint8 (h, w, d), or the part of it, equal in every voxel and on every processor to
    ``upsampling_reference.plain_labels``.
    Raises: UsageError for other shapes, IUINetError "not-finite" for NaN or infinite logits, Cancelled.

    >>> logits = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).reshape(2, 1, 1, 2)
    >>> upsample_labels(logits, (1, 1, 6))
    array([[[1, 1, 1, 0, 0, 0]]], dtype=uint8)
    """
    _check(logits, size)
    report = _Reporter(progress, cancelled)
    with torch.no_grad():
        logits = logits.to("cpu", torch.float32).contiguous()
        part = part or whole(size)
        runs = tuple(map(find_runs, logits.shape[1:], size, part))
        winners, certain = _certain_cells(logits, runs)
        report(0.1)
        # As a buffer, for the reason in preprocessing.resize.
        found = np.empty(lengths(part), np.uint8)
        labels = torch.frombuffer(found, dtype=torch.uint8).view(found.shape)
        _fill(labels, winners, runs)
        report(0.2)
        cells = OpenCells(logits, runs, (~certain).nonzero().t().contiguous())
        _settle(cells, labels.view(-1), report)
    return found


class _Reporter:
    """Passes the fraction on, at most a hundred times, and stops the work when it was cancelled."""

    def __init__(
        self, progress: Callable[[float], None] | None, cancelled: Callable[[], bool] | None
    ) -> None:
        self.progress = progress
        self.cancelled = cancelled
        self.last = 0.0

    def __call__(self, fraction: float) -> None:
        if self.cancelled and self.cancelled():
            raise Cancelled()
        if self.progress and (fraction >= self.last + 0.01 or fraction == 1.0 > self.last):
            self.last = fraction
            self.progress(fraction)


def _check(logits: torch.Tensor, size: tuple[int, int, int]) -> None:
    floats = logits.is_floating_point() and logits.numel() > 0
    if not floats or logits.dim() != 4 or len(logits) > 256:
        raise UsageError(
            f"logits of shape {tuple(logits.shape)} and type {logits.dtype} cannot be turned into labels",
            hint="Give floating-point logits of shape (classes, H, W, D) with 1 to 256 classes.",
        )
    if len(size) != 3 or min(size) < 1:
        raise UsageError(
            f"a label map of size {tuple(size)} cannot be made",
            hint="Give three sizes of at least one voxel.",
        )


def _certain_cells(logits: torch.Tensor, runs: tuple[Runs, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Winner (uint8) of each cell, and whether it wins in the whole cell: two arrays (R0, R1, R2)."""
    leader, lead, magnitude = _leaders(logits)
    if not torch.isfinite(magnitude).all():
        raise IUINetError(
            "the network returned values that are not numbers",
            hint="Try again with the device cpu; if that fails too, use another model file.",
            code="not-finite",
        )
    lowest = _over_corners(leader, runs, torch.minimum)
    agree = lowest == _over_corners(leader, runs, torch.maximum)
    lead = _over_corners(lead, runs, torch.minimum)
    magnitude = _over_corners(magnitude, runs, torch.maximum)
    return lowest, agree & (lead > rounding_bound(magnitude))


def _leaders(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Per network voxel: the leading class (uint8), its lead over the second, the largest |logit|."""
    best, magnitude = logits[0].clone(), logits[0].abs()
    second = torch.full_like(best, -torch.inf)
    leader = torch.zeros(best.shape, dtype=torch.uint8)
    for label in range(1, len(logits)):
        value = logits[label]
        leader.masked_fill_(value > best, label)
        torch.maximum(second, torch.minimum(value, best), out=second)
        torch.maximum(best, value, out=best)
        torch.maximum(magnitude, value.abs(), out=magnitude)
    return leader, best - second, magnitude


def _over_corners(grid: torch.Tensor, runs: tuple[Runs, ...], reduce: Callable) -> torch.Tensor:
    """Reduce the values at each cell's eight corners: network grid (H, W, D) -> cells (R0, R1, R2)."""
    for axis, run in enumerate(runs):
        grid = reduce(grid.index_select(axis, run.lower), grid.index_select(axis, run.upper))
    return grid


def _fill(out: torch.Tensor, winners: torch.Tensor, runs: tuple[Runs, ...]) -> None:
    """Write each cell's winner into all its voxels."""
    rows, columns = (torch.repeat_interleave(run.count) for run in runs[1:])
    for plane, first, count in zip(winners, runs[0].first.tolist(), runs[0].count.tolist(), strict=True):
        out[first : first + count] = plane.index_select(1, columns).index_select(0, rows)


def _settle(cells: OpenCells, out: torch.Tensor, report: _Reporter) -> None:
    """Decide the open cells chunk by chunk and write their labels into the flat array ``out``."""
    for start in range(0, cells.count, _CELLS_AT_ONCE):
        cells.find_alive(slice(start, start + _CELLS_AT_ONCE))
        report(0.2 + 0.3 * start / cells.count)
    done = 0
    for group in cells.groups():
        cells.decide(group, out)
        done += len(group.members)
        report(0.5 + 0.5 * done / cells.count)
    report(1.0)
