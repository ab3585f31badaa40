"""The second, closer look: the network runs again on the box of the organs that its first pass found.

There its cube has smaller voxels than over the whole scan, and the two passes are averaged where both saw.
A model's document states whether it was trained for this (``preprocessing.second_pass``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import grid_sample, log_softmax

from iuinet.islands import keep_largest_components
from iuinet.labels import ALL, organs_of_model

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class SecondPass:
    """Where the second pass looks. channels: of the organs whose box it is. margin_mm: on every side.

    several: those of the channels of which all pieces count, and not only the largest.
    """

    channels: tuple[int, ...]
    margin_mm: float
    several: tuple[int, ...] = ()

    @classmethod
    def of_model(cls, document: Mapping[str, Any]) -> SecondPass | None:
        """What a model's document states, None for a model of one pass."""
        stated = document["preprocessing"].get("second_pass")
        if stated is None:
            return None
        organs = organs_of_model(document)
        names = [organ.name for organ in organs]
        channels = tuple(1 + names.index(name) for name in stated["organs"])
        several = tuple(channel for channel in channels if organs[channel - 1].pieces == ALL)
        return cls(channels, float(stated["margin_mm"]), several)

    def box(self, logits: torch.Tensor, shape: Sequence[int], spacing: Sequence[float]) -> Box | None:
        """The voxels to look at again; None where no organ was found, or the box is the whole volume.

        logits: (classes, H, W, D) of the first pass. shape: the volume's, canonical (k, j, i); spacing: mm
        along k, j, i. Of an organ that is one piece only the largest counts.
        """
        one_piece = set(self.channels) - set(self.several)
        found, _ = keep_largest_components(np.from_dlpack(logits.argmax(0).to(torch.uint8)), one_piece)
        places = np.argwhere(np.isin(found, self.channels))
        if not len(places):
            return None
        scale, margin = np.array(shape) / found.shape, self.margin_mm / np.array(spacing)
        low = np.floor(places.min(0) * scale - margin).clip(0).astype(int)
        high = np.minimum(np.ceil((places.max(0) + 1) * scale + margin), shape).astype(int)
        if np.array_equal(high - low, shape):
            return None
        return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def fuse(whole: torch.Tensor, part: torch.Tensor, box: Box, shape: Sequence[int]) -> torch.Tensor:
    """Both passes in one: the mean of their logarithms of probability, on the grid of the second.

    whole, part: logits (classes, H, W, D) over the volume of this shape (k, j, i), and over its box.

    >>> whole, part, box = torch.zeros(2, 4, 4, 4), torch.ones(2, 4, 4, 4), (slice(0, 4),) * 3
    >>> fuse(whole, part, box, (8, 8, 8)).softmax(0)[:, 0, 0, 0]
    tensor([0.5000, 0.5000])
    """
    axes = []
    for edges, count, size in zip(box, shape, part.shape[1:], strict=True):
        step = (edges.stop - edges.start) / size
        centre = edges.start + (torch.arange(size, dtype=torch.float64) + 0.5) * step
        axes.append((2 * centre / count - 1).float())
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)[None]
    options = {"mode": "bilinear", "padding_mode": "border", "align_corners": False}
    first = grid_sample(log_softmax(whole, 0)[None], grid, **options)[0]
    return (first + log_softmax(part, 0)) / 2
