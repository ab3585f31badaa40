"""One model on one case: label maps at both sizes, and the reference itself, become the rows of the results.

A case's reference is wanted on its own grid, at the network's size, and sent through the network's size and
back. The round trip shows what the geometry alone costs: the reference's masks are resized to the network's
cube as the image is, and brought back by the product's own upsampling, with no network between. Its scores
stand beside a model's as the ceiling: a network that finds the resized reference perfectly scores this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from iuinet.geometry import canonical_axes, canonical_grid, from_canonical, to_canonical
from iuinet.inference.upsampling import upsample_labels
from iuinet.labels import Organ, plain_name
from iuinet.preprocessing import resize_weights
from iuinet.volume import Grid
from pipeline.dataset.arrays import resize_labels

from .metrics import UNKNOWN, Rules, score_labels


@dataclass(frozen=True)
class Found:
    """What a model found, as uint8 with the data's ids.

    native: on the reference's own grid. small: at the network's size (a cube in canonical axes).
    organs: name -> id of those that the model knows and the data hold.
    """

    native: np.ndarray
    small: np.ndarray
    organs: Mapping[str, int]


class Reference:
    """Reference labels of one case; what is derived of them is computed once. May be used by several threads.

    labels: uint8 (k, j, i) on the native grid, raw ids, 255 for unknown.
    """

    def __init__(self, labels: np.ndarray, grid: Grid) -> None:
        self.labels, self.grid = labels, grid
        self.axes = canonical_axes(grid.direction)
        self._lock = Lock()
        self._made: dict[tuple, np.ndarray] = {}

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Native spacing, mm along k, j, i."""
        return self.grid.spacing[::-1]

    def network_spacing(self, size: int) -> tuple[float, float, float]:
        """Spacing at the network's size, mm along the canonical axes k, j, i."""
        grid = canonical_grid(self.grid)
        return tuple(step * n / size for step, n in zip(grid.spacing, grid.size, strict=True))[::-1]

    def network_voxel_ml(self, size: int) -> float:
        """Volume of a voxel at the network's size."""
        return self.grid.voxel_volume_ml * self.labels.size / size**3

    def at_network_size(self, size: int) -> np.ndarray:
        """The reference as training sees it: uint8 (size, size, size), canonical axes, raw ids."""
        with self._lock:
            if (size,) not in self._made:
                canonical = np.ascontiguousarray(to_canonical(self.labels, self.axes))
                self._made[(size,)] = resize_labels(canonical, (size,) * 3).numpy()
            return self._made[(size,)]

    def round_trip(self, size: int, labels: Iterable[int]) -> np.ndarray:
        """These labels (all others are background) through the network's size; native grid and raw ids."""
        key = (size, *sorted(labels))
        with self._lock:
            if key not in self._made:
                back = through_network_size(to_canonical(self.labels, self.axes), size, key[1:])
                self._made[key] = np.ascontiguousarray(from_canonical(back, self.axes))
            return self._made[key]


def through_network_size(canonical: np.ndarray, size: int, labels: Sequence[int]) -> np.ndarray:
    """Canonical labels (k, j, i) resized to the cube and brought back, without a network between.

    labels: ids that a network would tell apart; unknown voxels stay a class of their own. uint8, as given.
    """
    ids = [*sorted(labels), UNKNOWN]
    boxes = ndimage.find_objects(np.ascontiguousarray(canonical), max_label=UNKNOWN)
    ids = [number for number in ids if boxes[number - 1] is not None]
    weights = [resize_weights(n, size) for n in canonical.shape]
    shares = torch.zeros(len(ids) + 1, size, size, size)
    for channel, number in enumerate(ids, start=1):
        box = boxes[number - 1]
        # Beyond a mask's box all its weights meet zeros, so only the box is multiplied.
        along_k, along_j, along_i = (part[:, span] for part, span in zip(weights, box, strict=True))
        mask = torch.from_numpy((canonical[box] == number).astype(np.float32))
        shares[channel] = torch.tensordot(along_k, along_j @ (mask @ along_i.t()), dims=1)
    shares[0] = 1 - shares[1:].sum(0)  # the weights of a voxel sum to 1: the rest is background
    return np.array([0, *ids], np.uint8)[upsample_labels(shares, canonical.shape)]


def score_case(found: Found, reference: Reference, rules: Rules) -> list[dict[str, Any]]:
    """Rows (grid, organ, scores) on the native grid, at the network's size, and of the round trip."""
    size = found.small.shape[0]
    voxel_ml = reference.grid.voxel_volume_ml
    ceiling = reference.round_trip(size, found.organs.values())
    spacing, small_spacing = reference.spacing, reference.network_spacing(size)
    small = reference.at_network_size(size), found.organs, small_spacing, reference.network_voxel_ml(size)
    native = reference.labels, found.organs, spacing, voxel_ml
    grids = {
        "native": score_labels(found.native, *native, rules),
        "network": score_labels(found.small, *small, rules),
        "ceiling": score_labels(ceiling, *native, rules),
    }
    return [
        {"organ": organ, "grid": grid, **{key: _rounded(value) for key, value in scores.items()}}
        for grid, rows in grids.items()
        for organ, scores in rows.items()
    ]


def to_shape(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """An array (k, j, i) on another grid that fills the same box: voxels as those their centres lie in."""
    if array.shape == tuple(shape):
        return array
    places = [((np.arange(m) + 0.5) * n / m).astype(int) for n, m in zip(array.shape, shape, strict=True)]
    return array[np.ix_(*places)]


def _rounded(value: str | float | None) -> str | float | None:
    """Six decimals: no one measures nanometres."""
    return round(value, 6) if isinstance(value, float) else value


def translation(model: Sequence[Organ], data: Sequence[Organ]) -> tuple[np.ndarray, dict[str, int]]:
    """From a model's label ids to the data's, by the organs' names.

    Returns a lookup uint8 (256,), 0 for organs that the data do not hold, and name -> the data's id of the
    organs that both know, in the data's order and by the data's names.
    """
    ids = {plain_name(organ.name): organ.label for organ in data}
    lookup = np.zeros(256, np.uint8)
    for organ in model:
        lookup[organ.label] = ids.get(plain_name(organ.name), 0)
    known = {plain_name(organ.name) for organ in model}
    return lookup, {organ.name: organ.label for organ in data if plain_name(organ.name) in known}


def not_scored(model: Sequence[Organ], data: Sequence[Organ]) -> list[str]:
    """Names of the model's organs that the data do not hold."""
    known = {plain_name(organ.name) for organ in data}
    return [organ.name for organ in model if plain_name(organ.name) not in known]
