"""How far generated CT is from real CT: values of organs, and whether a classifier tells both apart.

Both sides are seen alike: cubes of the network's size, clipped to what the real data show, and a generated
scan has the extent of a real one. The classifier sees patches around labelled voxels, of patients and of
generated scans that it did not learn from; at 0.5 it only guesses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn
from torch.nn.functional import avg_pool3d, binary_cross_entropy_with_logits, max_pool3d

from iuinet.errors import UsageError

from .anatomy import Anatomy
from .chance import Chance
from .generator import generate
from .tissues import IGNORE
from .view import View, scanner_view

PATCH = 24  # voxels along each edge
_LEAST = 100  # voxels inside of an organ, for its values to mean something
_MAD = 1.4826  # from the median absolute deviation to a normal distribution's deviation


@dataclass(frozen=True)
class Scan:
    """A CT in canonical axes: image float32 (S, S, S), HU, clipped; labels (S, S, S), organ ids."""

    image: torch.Tensor
    labels: torch.Tensor

    @cached_property
    def places(self) -> list[torch.Tensor]:
        """Of each labelled organ its voxels (N, 3)."""
        present = [label for label in self.labels.unique().tolist() if 0 < label < IGNORE]
        return [(self.labels == label).nonzero() for label in present]


@dataclass(frozen=True)
class Values:
    """An organ without its border, HU: median, slow deviation inside, deviation between neighbours."""

    median: float
    slow: float
    noise: float


def generated_scan(
    anatomy: Anatomy, donors: Sequence[Anatomy], extent_mm: Sequence[float], phase: str, size: int, seed: int
) -> Scan:
    """A scan, not clipped, of a real one's extent (k, j, i), in the middle of what a scanner shows."""
    usual = scanner_view(anatomy, Chance(seed))
    middle = [(low + high) / 2 for low, high in zip(usual.low, usual.high, strict=True)]
    pairs = list(zip(middle, extent_mm, strict=True))
    view = View(tuple(m - e / 2 for m, e in pairs), tuple(m + e / 2 for m, e in pairs))
    sample = generate(anatomy, seed, size, phase=phase, view=view, donors=donors)
    return Scan(sample.image[0, 0], sample.labels.long())


def organ_values(scan: Scan, label: int) -> Values | None:
    """An organ's values; None for too little of it.

    >>> scan = Scan(torch.full((8, 8, 8), 50.0), torch.ones(8, 8, 8))
    >>> organ_values(scan, 1)
    Values(median=50.0, slow=0.0, noise=0.0)
    """
    mask = (scan.labels == label).float()[None, None]
    inside = -max_pool3d(-mask, 3, 1)[0, 0] > 0
    image = scan.image[1:-1, 1:-1, 1:-1]
    if int(inside.sum()) < _LEAST:
        return None
    smooth = avg_pool3d(scan.image[None, None], 3, 1)[0, 0][inside]
    both = inside[..., 1:] & inside[..., :-1]
    steps = (image[..., 1:] - image[..., :-1])[both]
    return Values(
        float(image[inside].median()),
        _MAD * float((smooth - smooth.median()).abs().median()),
        _MAD / 2**0.5 * float(steps.abs().median()),
    )


def accuracy(
    real: Sequence[Scan],
    generated: Sequence[Scan],
    folds: int = 5,
    steps: int = 300,
    seed: int = 0,
    progress: Callable[[float], None] = lambda fraction: None,
) -> float:
    """How often the classifier is right about scans that it did not learn from; both kinds count alike.

    Scans without a labelled organ are left out. Raises: UsageError for fewer than two of a kind.
    """
    real, generated = ([scan for scan in scans if scan.places] for scans in (real, generated))
    folds = min(folds, len(real), len(generated))
    if folds < 2:
        raise UsageError(
            f"there are {len(real)} real and {len(generated)} generated scans with labelled organs",
            hint="A classifier needs at least two of each, to learn from some and to judge others.",
            code="scans",
        )
    right = []
    for fold in range(folds):
        torch.manual_seed(seed + fold)
        learnt, other = zip(*(_split(scans, fold, folds) for scans in (real, generated)), strict=True)
        net = _classifier()
        optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-2)
        for step in range(steps):
            patches, kinds = _batch(learnt, 16)
            loss = binary_cross_entropy_with_logits(net(patches).squeeze(1), kinds)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            progress((fold + (step + 1) / steps) / folds)
        net.eval()
        with torch.no_grad():
            patches, kinds = _batch(other, 200)
            right.append(((net(patches).squeeze(1) > 0) == kinds.bool()).float().mean())
    return float(torch.stack(right).mean())


def _split(scans: Sequence[Scan], fold: int, folds: int) -> tuple[list[Scan], list[Scan]]:
    """Those to learn from, and the others."""
    learnt = [scan for number, scan in enumerate(scans) if number % folds != fold]
    return learnt, [scan for number, scan in enumerate(scans) if number % folds == fold]


def _batch(kinds: Sequence[Sequence[Scan]], count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """So many patches of each kind, (N, 1, P, P, P) around 0, and their kinds 0 or 1."""
    patches = [_patch(scans[int(torch.randint(len(scans), ()))]) for scans in kinds for _ in range(count)]
    return torch.stack(patches), torch.arange(len(kinds)).repeat_interleave(count).float()


def _patch(scan: Scan) -> torch.Tensor:
    """A patch around a voxel of an organ, each organ as often; mirrored at random from side to side."""
    places = scan.places[int(torch.randint(len(scan.places), ()))]
    place = places[int(torch.randint(len(places), ()))]
    edges = [
        int(at.clamp(PATCH // 2, n - PATCH // 2)) - PATCH // 2
        for at, n in zip(place, scan.labels.shape, strict=True)
    ]
    patch = scan.image[tuple(slice(edge, edge + PATCH) for edge in edges)]
    return (patch.flip(2) if bool(torch.rand(()) < 0.5) else patch)[None] / 100 - 0.5


def _classifier() -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in ((1, 12), (12, 24), (24, 48)):
        layers += [
            nn.Conv3d(before, after, 3),
            nn.BatchNorm3d(after, momentum=0.3),
            nn.ReLU(),
            nn.MaxPool3d(2, ceil_mode=True),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(48, 1))
