"""The cells of an upsampling: their voxels, and the labels inside those without a clear winner.

A cell is the box between eight neighbouring voxels of the network's grid, its corners; the output voxels
in it are interpolated from these alone. ``upsampling`` explains why most cells need no interpolation.

Arrays over cells have the cells along their last axis, so that torch works on long contiguous stretches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .upsampling_reference import axis_weights, interpolate

# A run of output indices is cut at this length: however coarse the logits, a cell has at most 8^3 voxels.
_LONGEST_RUN = 8
# Values (classes x voxels) interpolated at a time: what fits the processor's cache.
_VALUES_AT_ONCE = 1 << 19


@dataclass(frozen=True)
class Runs:
    """Stretches of output indices along one axis that lie between the same two source indices.

    lower, upper, first, count: (R,) int64; run r covers the output indices first[r] to
    first[r] + count[r] - 1 and is interpolated between the source indices lower[r] and upper[r].
    w0, w1: float32, the weights of lower and upper at each output index.
    """

    lower: torch.Tensor
    upper: torch.Tensor
    first: torch.Tensor
    count: torch.Tensor
    w0: torch.Tensor
    w1: torch.Tensor


def find_runs(n_in: int, n_out: int, part: slice = slice(None)) -> Runs:
    """The runs of an axis of n_in voxels upsampled to n_out, or of a part of these: its own begin is 0.

    >>> find_runs(2, 6).count  # the first voxel lies before both centres, and belongs to the first run
    tensor([4, 2])
    """
    weights = axis_weights(n_in, n_out)
    lower, upper, w0, w1 = (values[part] for values in (weights.lower, weights.upper, weights.w0, weights.w1))
    index = torch.arange(len(lower))
    since = index - torch.searchsorted(lower, lower)  # 0 where a new source index begins
    first = index[since % _LONGEST_RUN == 0]
    count = torch.diff(first, append=torch.tensor([len(lower)]))
    return Runs(lower[first], upper[first], first, count, w0, w1)


def rounding_bound(magnitude: torch.Tensor) -> torch.Tensor:
    """A lead between two classes above this cannot be turned by rounding; float32, shape of ``magnitude``.

    magnitude: the largest absolute logit m at the corners. Three nested steps of two products and a sum round
    an interpolated logit by at most 6 * 2^-24 * m. Two logits, the subtraction, and weights whose sum is not
    quite one make less than 10 * 2^-23 * m; taken are 16. The second term covers products that underflow.
    Near the end of float32's range values can overflow: nothing is certain.

    >>> rounding_bound(torch.tensor([1.0, 1e38])) > 1e-5
    tensor([False,  True])
    """
    bound = magnitude * (16 * 2.0**-23) + 32 * torch.finfo(torch.float32).tiny
    return torch.where(magnitude < 1e38, bound, torch.inf)


@dataclass(frozen=True)
class Group:
    """Open cells that can be worked on together. members: (m,) int64, their numbers among the open cells.

    shape: voxels of each of them along the three axes. living: number of classes that can win in each.
    """

    members: torch.Tensor
    shape: tuple[int, int, int]
    living: int


class OpenCells:
    """The cells without a certain winner, and the decision about each of their voxels.

    logits: (C, H, W, D) float32, contiguous. runs: of the three axes. cells: (3, M) int64, the number of the
    run along each axis. After ``find_alive`` was called for all of them, ``groups`` and ``decide`` can be.
    """

    def __init__(self, logits: torch.Tensor, runs: tuple[Runs, ...], cells: torch.Tensor) -> None:
        self.logits = logits
        self.runs = runs
        self.cells = cells
        self.count = cells.shape[1]
        self.alive = torch.empty((len(logits), self.count), dtype=torch.bool)

    def find_alive(self, part: slice) -> None:
        """Find which classes can win in the cells ``part``: those that the strongest one does not beat."""
        every = torch.arange(len(self.logits))[:, None]
        corners = self._corners(self.cells[:, part], every).flatten(1, 3)  # (C, 8, m)
        strongest = corners.sum(1).argmax(0)
        rival = corners.gather(0, strongest.expand(1, 8, -1))
        bound = rounding_bound(corners.abs().amax((0, 1)))
        beaten = ((rival - corners) > bound).all(1)
        # A class with the very same corners has the very same upsampled logits, and the lowest id wins.
        beaten |= (rival == corners).all(1) & (every > strongest)
        self.alive[:, part] = ~beaten

    def groups(self) -> Iterator[Group]:
        """All open cells, in groups of one shape, one number of living classes and a handy size."""
        living = self.alive.sum(0)
        kind = torch.stack([living, *(run.count[n] for run, n in zip(self.runs, self.cells, strict=True))])
        kinds, kind_of_cell = torch.unique(kind, dim=1, return_inverse=True)
        order = torch.argsort(kind_of_cell, stable=True)
        sizes = torch.bincount(kind_of_cell, minlength=kinds.shape[1])
        for (number, *shape), members in zip(kinds.t().tolist(), order.split(sizes.tolist()), strict=True):
            values = number * shape[0] * shape[1] * shape[2]
            for some in members.split(max(1, _VALUES_AT_ONCE // values)):
                yield Group(some, tuple(shape), number)

    def decide(self, group: Group, out: torch.Tensor) -> None:
        """Write the labels of all voxels of the group's cells into the flat label array ``out``."""
        cells = self.cells[:, group.members]
        # The living classes of each cell in ascending order: (K, m).
        classes = self.alive[:, group.members].t().nonzero()[:, 1].view(-1, group.living).t().contiguous()
        values = self._interpolate(self._corners(cells, classes), cells, group.shape)
        out[self._voxels(cells, group.shape)] = _highest(values, classes.to(torch.uint8))

    def _corners(self, cells: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Logits at the corners: cells (3, m), classes (K, m) or (K, 1) -> (K, 2, 2, 2, m)."""
        index = classes[:, None, None, None] * self.logits.stride(0)
        for axis, run in enumerate(self.runs):
            ends = torch.stack([run.lower[cells[axis]], run.upper[cells[axis]]])
            index = index + _along(axis, ends) * self.logits.stride(axis + 1)
        return self.logits.view(-1)[index]

    def _interpolate(
        self, corners: torch.Tensor, cells: torch.Tensor, shape: tuple[int, int, int]
    ) -> torch.Tensor:
        """Corners (K, 2, 2, 2, m) -> values at all voxels (K, *shape, m), by the reference's operations."""
        values = corners
        for axis in (2, 1, 0):
            run = self.runs[axis]
            voxels = run.first[cells[axis]] + torch.arange(shape[axis])[:, None]
            lower, upper = values.split(1, dim=axis + 1)
            values = interpolate(lower, upper, _along(axis, run.w0[voxels]), _along(axis, run.w1[voxels]))
        return values

    def _voxels(self, cells: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
        """Index of all voxels of the cells in the flat label array: (*shape, m)."""
        index = torch.zeros(1, dtype=torch.int64)
        for axis, run in enumerate(self.runs):
            voxels = run.first[cells[axis]] + torch.arange(shape[axis])[:, None]
            index = index * len(run.w0) + _along(axis, voxels)
        return index


def _along(axis: int, values: torch.Tensor) -> torch.Tensor:
    """Lay values (n, m) along one of the three axes of cells: (n, 1, 1, m), (1, n, 1, m) or (1, 1, n, m)."""
    shape = [1, 1, 1, values.shape[1]]
    shape[axis] = values.shape[0]
    return values.view(shape)


def _highest(values: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Class of the highest value, the lowest of several: values (K, ..., m), classes (K, m) -> (..., m)."""
    best, labels = values[0], classes[0].expand(values.shape[1:])
    for value, label in zip(values[1:], classes[1:], strict=True):
        labels = torch.where(value > best, label, labels)
        best = torch.maximum(best, value)
    return labels
