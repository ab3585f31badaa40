"""What the scanner adds: slices of some thickness, blur, noise, rings, the reconstruction circle."""

from __future__ import annotations

import torch

from iuinet.preprocessing import LOWEST_HU, resize_weights

from .artefacts import rings, slice_choice
from .chance import Chance


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
    white = chance.uniform(0, 1) ** 2 * 22 + 2
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
