"""What goes wrong in a scan: breathing between slices, slices with gaps between them, rings, metal."""

from __future__ import annotations

import math

import torch

from .chance import Chance
from .contents import Canvas

# Where metal lies, and how often: screws in the spine, stents and tubes, clips and coils.
METAL = {"bone": 0.4, "duodenum": 0.2, "liver": 0.15, "fat": 0.15, "stomach": 0.1}


def breathe(positions: torch.Tensor, extent_mm: tuple[float, ...], chance: Chance) -> torch.Tensor:
    """In one of eight scans organs move while the table does, and slices no longer fit to each other.

    positions (3, S, S, S) in mm, along k first. Labels follow: who outlines organs outlines what is seen.
    """
    if not chance.happens(0.12):
        return positions
    period = chance.uniform(6, 20)
    nodes = min(positions.shape[1], round(extent_mm[0] / period) + 2)
    amplitude = chance.uniform(1, 5)
    moved = chance.noise((nodes, 2, 2), (positions.shape[1], 1, 1))
    return positions + amplitude * moved * torch.tensor([1.0, 0.4, 0.0]).view(3, 1, 1, 1)


def slice_choice(slices: int, size: int) -> torch.Tensor:
    """(slices, size) matrix: thin slices far apart, each what is seen at its centre."""
    centre = ((torch.arange(slices) + 0.5) * size / slices).long()
    return torch.nn.functional.one_hot(centre, size).float()


def rings(size: int, chance: Chance) -> torch.Tensor:
    """(S, S, S) HU: circles about the scanner's axis, from detectors that measure too much or too little."""
    axis = torch.arange(size) - (size - 1) / 2
    radius = torch.hypot(axis[:, None], axis[None]).round().long()
    profile = chance.normals(int(radius.max()) + 1)
    along = chance.noise((4, 2, 2), (size, 1, 1))[0].abs()
    return chance.uniform(2, 10) * along * profile[radius]


def paint_metal(canvas: Canvas) -> None:
    """A rod of metal in a tissue, and the streaks that go out from it."""
    chance, size = canvas.chance, canvas.tissue.shape[0]
    if not chance.happens(0.06):
        return
    tissue = list(METAL)[chance.choose(list(METAL.values()))]
    places = torch.nonzero(canvas.mask(tissue) & (canvas.inside > 2))
    if len(places) == 0:
        return
    place = places[int(chance.uniform(0, len(places)))]
    k, j, i = (
        (torch.arange(size) - int(at)) * (extent / size)
        for at, extent in zip(place, canvas.extent_mm, strict=True)
    )
    half = chance.uniform(5, 40)
    lean_j, lean_i = chance.normal(0.3), chance.normal(0.3)
    away_j = j.view(1, -1, 1) - lean_j * k.view(-1, 1, 1)
    away_i = i.view(1, 1, -1) - lean_i * k.view(-1, 1, 1)
    away = torch.hypot(away_j, away_i)
    within = k.abs().view(-1, 1, 1) < half
    angle = torch.atan2(away_j, away_i)
    waves = sum(
        torch.sin((2 + chance.choose([1.0] * 12)) * angle + chance.uniform(0, 2 * math.pi)) for _ in range(3)
    )
    streaks = chance.uniform(20, 150) * waves * torch.exp(-away / chance.uniform(20, 80))
    canvas.hu = torch.where(within, canvas.hu + streaks, canvas.hu)
    voxel = 0.75 * max(canvas.extent_mm[1:]) / size  # a rod thinner than that would fall between voxels
    canvas.paint(within & (away < max(chance.uniform(1.5, 5), voxel)), 3000.0)
