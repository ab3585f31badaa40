"""Labels at the network's size: each label is resized as the image is, and the winner takes the voxel."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from iuinet.preprocessing import resize_weights

_TIE = 1e-5  # shares closer than this are equal: sums of rounded weights differ in their last digits


def resize_labels(labels: np.ndarray, size: tuple[int, int, int]) -> torch.Tensor:
    """Canonical labels uint8 (k, j, i) -> uint8 (H, W, D).

    Each label's mask, and that of the background, is resized with the weights of
    ``iuinet.preprocessing.resize``; a voxel gets the label with the largest share, on a tie the lowest one.
    A mask's weights vanish outside its bounding box, so that only the box is computed.
    """
    weights = [resize_weights(n, m) for n, m in zip(labels.shape, size, strict=True)]
    total, best = torch.zeros(size), torch.zeros(size)
    winner = torch.zeros(size, dtype=torch.uint8)
    for index, box in enumerate(ndimage.find_objects(labels)):
        if box is None:
            continue
        mask = torch.from_numpy((labels[box] == index + 1).astype(np.float32))
        place, (along_k, along_j, along_i) = _touched(weights, box)
        share = along_j @ (mask @ along_i.t())
        share = torch.tensordot(along_k, share, dims=1)
        total[place] += share
        wins = share > best[place] + _TIE
        winner[place][wins] = index + 1
        best[place] = torch.maximum(best[place], share)
    winner[1 - total >= best - _TIE] = 0  # the weights of a voxel sum to 1: the rest is background
    return winner


def _touched(
    weights: list[torch.Tensor], box: tuple[slice, ...]
) -> tuple[tuple[slice, ...], list[torch.Tensor]]:
    """The stretch of the result that a box reaches on each axis, and the weights between both."""
    places, parts = [], []
    for matrix, stretch in zip(weights, box, strict=True):
        part = matrix[:, stretch]
        rows = torch.nonzero(part.sum(1)).flatten()
        place = slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)
        places.append(place)
        parts.append(part[place])
    return tuple(places), parts
