"""What the scanner adds: slices of some thickness, blur, noise, the reconstruction circle; and what fails:
breathing between slices, slices with gaps between them, rings, metal.
"""

from __future__ import annotations

import math

import torch

from iuinet.preprocessing import LOWEST_HU, resize_weights

from .chance import Chance
from .contents import Canvas

# Where metal lies, and how often: screws in the spine, stents and tubes, clips and coils.
METAL = {"bone": 0.4, "duodenum": 0.2, "liver": 0.15, "fat": 0.15, "stomach": 0.1}


def scan(hu: torch.Tensor, extent_mm: tuple[float, ...], chance: Chance, circle: bool) -> torch.Tensor:
    """HU of the tissues (S, S, S) -> HU as the network's resized input shows them.

    circle: the field of view is a scanner's own, which in half of all scans is round.
    """
    size = hu.shape[0]
    hu = hu.clamp(LOWEST_HU, 1500)
    thickness = (1.0, 1.25, 2.0, 2.5, 3.0, 5.0, 7.5)[chance.choose((0.1, 0.1, 0.1, 0.15, 0.15, 0.32, 0.08))]
    slices = max(8, round(extent_mm[0] / thickness))
    # The network's input is averaged from a finer matrix: no tissue ends sharply at a voxel's face.
    hu = _blur(hu, chance.uniform(0.08, 0.24), 1)
    hu = _blur(hu, chance.uniform(0.08, 0.24), 2)
    noise = _noise(size, chance)
    gaps = chance.happens(0.1)
    if slices < size:
        seen = slice_choice(slices, size) if gaps else resize_weights(size, slices)
        matrix = resize_weights(slices, size) @ seen
        hu = torch.tensordot(matrix, hu, dims=1)
        noise = torch.tensordot(matrix, noise, dims=1)
    else:
        hu = _blur(hu, 0.1, 0)
    hu = hu + noise
    if chance.happens(0.05):
        hu = hu + rings(size, chance)
    if chance.happens(0.5) and circle:
        hu = _circle(hu, chance)
    return hu


def _blur(x: torch.Tensor, weight: float, axis: int) -> torch.Tensor:
    """[weight, 1 - 2 weight, weight] along an axis, the edge repeated."""
    first, last, count = x.narrow(axis, 0, 1), x.narrow(axis, -1, 1), x.shape[axis]
    before = torch.cat([first, x.narrow(axis, 0, count - 1)], axis)
    after = torch.cat([x.narrow(axis, 1, count - 1), last], axis)
    return x + weight * (before + after - 2 * x)


def _noise(size: int, chance: Chance) -> torch.Tensor:
    """White and correlated noise; streaks from side to side."""
    white = chance.uniform(0, 1) ** 2 * 12 + 1
    noise = white * chance.normals(size, size, size)
    if chance.happens(0.6):
        half = max(2, size // 2)
        noise = noise + chance.uniform(0, 9) * chance.noise((half,) * 3, (size,) * 3)[0]
    if chance.happens(0.15):
        noise = noise + chance.uniform(2, 12) * chance.noise((size, size, 3), (size,) * 3)[0]
    return noise


def _circle(hu: torch.Tensor, chance: Chance) -> torch.Tensor:
    """Scanners reconstruct a circle and pad the square's corners."""
    axis = torch.linspace(-1, 1, hu.shape[1])
    outside = axis[:, None] ** 2 + axis[None] ** 2 > chance.uniform(0.97, 1.02) ** 2
    return torch.where(outside, torch.tensor(LOWEST_HU), hu)


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
