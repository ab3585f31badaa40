"""Two looks at a scan: over all of it, and again, closer, on the box of the organs that were found there.

In the second look the network's cube has smaller voxels, and the two are averaged where both saw. The first
never shows less than a body: a network that resizes whole scans knows organs by their size in its cube, and a
region of 18 cm around the spine, or of eight slices, would fill it with a few large ones. Beyond the scan its
outermost voxels go on. A model's document states whether it was trained for two looks
(``preprocessing.second_pass``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import grid_sample, log_softmax

from iuinet.boxes import Box, lengths, widened
from iuinet.islands import keep_largest_components
from iuinet.labels import ALL, organs_of_model

# What the first look shows at least, mm along k, j, i, of a model whose document does not say it.
BODY_MM = (160.0, 320.0, 320.0)


@dataclass(frozen=True)
class SecondPass:
    """Where both passes look. channels: of the organs whose box it is. margin_mm: on every side.

    several: those of the channels of which all pieces count, and not only the largest.
    smallest_mm: what the first look shows at least, along k, j, i.
    """

    channels: tuple[int, ...]
    margin_mm: float
    several: tuple[int, ...] = ()
    smallest_mm: tuple[float, float, float] = BODY_MM

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
        smallest = tuple(float(length) for length in stated.get("smallest_mm", BODY_MM))
        return cls(channels, float(stated["margin_mm"]), several, smallest)

    def field(self, region: Box, shape: Sequence[int], spacing: Sequence[float]) -> Box:
        """What the first pass looks at: the region, and what is missing to ``smallest_mm`` around it.

        region, shape: voxels (k, j, i) of a volume; spacing: mm along k, j, i.
        """
        return widened(region, shape, spacing, self.smallest_mm)

    def box(self, logits: torch.Tensor, field: Box, spacing: Sequence[float]) -> Box | None:
        """The voxels to look at again; None where no organ was found, or the box is all that was seen.

        logits: (classes, H, W, D) of the first pass, which saw ``field``; spacing: mm along k, j, i. Of an
        organ that is one piece only the largest counts.
        """
        one_piece = set(self.channels) - set(self.several)
        found, _ = keep_largest_components(np.from_dlpack(logits.argmax(0).to(torch.uint8)), one_piece)
        places = np.argwhere(np.isin(found, self.channels))
        if not len(places):
            return None
        size, start = np.array(lengths(field)), [edges.start for edges in field]
        scale, margin = size / found.shape, self.margin_mm / np.array(spacing)
        low = np.floor(places.min(0) * scale - margin).clip(0).astype(int)
        high = np.minimum(np.ceil((places.max(0) + 1) * scale + margin), size).astype(int)
        if np.array_equal(high - low, size):
            return None
        return tuple(slice(int(a), int(b)) for a, b in zip(low + start, high + start, strict=True))


def fuse(whole: torch.Tensor, part: torch.Tensor, box: Box, field: Box) -> torch.Tensor:
    """Both passes in one: the mean of their logarithms of probability, on the grid of the second.

    whole, part: logits (classes, H, W, D) of the first pass over ``field``, and of the second over ``box``.

    >>> whole, part, box = torch.zeros(2, 4, 4, 4), torch.ones(2, 4, 4, 4), (slice(0, 4),) * 3
    >>> fuse(whole, part, box, (slice(0, 8),) * 3).softmax(0)[:, 0, 0, 0]
    tensor([0.5000, 0.5000])
    """
    axes = []
    for edges, seen, size in zip(box, field, part.shape[1:], strict=True):
        step = (edges.stop - edges.start) / size
        centre = edges.start - seen.start + (torch.arange(size, dtype=torch.float64) + 0.5) * step
        axes.append((2 * centre / (seen.stop - seen.start) - 1).float())
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)[None]
    options = {"mode": "bilinear", "padding_mode": "border", "align_corners": False}
    first = grid_sample(log_softmax(whole, 0)[None], grid, **options)[0]
    return (first + log_softmax(part, 0)) / 2
