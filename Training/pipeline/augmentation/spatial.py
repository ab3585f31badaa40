"""Where a sample's voxels come from: crop, turn, scale and elastic displacement as one resampling pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import grid_sample, interpolate

from iuinet.preprocessing import LOWEST_HU, resize_weights

from .settings import Augmentation, between, factor, happens

Extent = tuple[float, float, float]
_TIE = 1e-5  # shares closer than this are equal
_COARSER = 1.2  # from so many voxels per new voxel on, averages are taken first
_STEEPEST = 0.9  # bound on an elastic field's derivative (Frobenius norm); from 1 on it could fold
_TOGETHER = 4  # masks that share one look-up of places: a sixth less time for a sample, in little memory


@dataclass(frozen=True)
class Motion:
    """From the new field of view to places in the old one, axes (k, j, i), mm.

    low, extent: the box that the new field of view shows, before it is turned. matrix: 3 x 3, about the box's
    centre. nodes: displacements (3, K, J, I) at nodes that span the box, before it is turned; None without.
    """

    low: Extent
    extent: Extent
    matrix: torch.Tensor
    nodes: torch.Tensor | None = None

    def places(self, size: int, device: torch.device) -> torch.Tensor:
        """Where the voxels of a cube of this size come from, mm, (3, size, size, size)."""
        axes = [
            low + extent * (torch.arange(size, device=device) + 0.5) / size
            for low, extent in zip(self.low, self.extent, strict=True)
        ]
        at = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        centre = torch.tensor(self.low) + torch.tensor(self.extent) / 2
        centre = centre.to(device).view(3, 1, 1, 1)
        if self.nodes is not None:
            field = interpolate(
                self.nodes.to(device)[None], size=(size,) * 3, mode="trilinear", align_corners=True
            )
            at = at + field[0]
        return torch.einsum("ab,bkji->akji", self.matrix.to(device), at - centre) + centre


def identity_motion(extent: Extent) -> Motion:
    """The whole field of view as it is."""
    return Motion((0.0, 0.0, 0.0), extent, torch.eye(3))


def draw_motion(settings: Augmentation, extent: Extent, chance: torch.Generator) -> Motion | None:
    """A random motion for a field of view of this extent in mm; None where nothing moves."""
    narrow = settings.narrow_probability > 0 and happens(settings.narrow_probability, chance)
    crop = happens(settings.crop_probability, chance)
    affine = happens(settings.affine_probability, chance)
    elastic = happens(settings.elastic_probability, chance)
    if not (narrow or crop or affine or elastic):
        return None
    low, shown = (0.0, 0.0, 0.0), extent
    if crop:
        low, shown = _draw_box(settings, extent, chance)
    if narrow:
        low, shown = _narrowed(low, shown, settings, extent, chance)
    matrix = draw_matrix(settings, chance) if affine else torch.eye(3)
    nodes = _draw_nodes(settings, shown, chance) if elastic else None
    return Motion(low, shown, matrix, nodes)


def _draw_box(settings: Augmentation, extent: Extent, chance: torch.Generator) -> tuple[Extent, Extent]:
    ranges = (settings.crop_shares_head, settings.crop_shares_plane, settings.crop_shares_plane)
    shares = [between(*limits, chance) for limits in ranges]
    shown = tuple(whole * share for whole, share in zip(extent, shares, strict=True))
    low = tuple(between(0, whole - part, chance) for whole, part in zip(extent, shown, strict=True))
    return low, shown


def _narrowed(
    low: Extent, shown: Extent, settings: Augmentation, extent: Extent, chance: torch.Generator
) -> tuple[Extent, Extent]:
    """The same slices, but a square of them, whose middle lies in the middle two fifths of the extent."""
    side = min(between(*settings.narrow_mm, chance), *extent[1:])
    centres = [whole * between(0.3, 0.7, chance) for whole in extent[1:]]
    corner = [
        min(max(at - side / 2, 0.0), whole - side) for at, whole in zip(centres, extent[1:], strict=True)
    ]
    return (low[0], *corner), (shown[0], side, side)


def draw_matrix(settings: Augmentation, chance: torch.Generator) -> torch.Tensor:
    """Turn and scale, 3 x 3. Its determinant is positive: nothing is mirrored."""
    matrix = torch.eye(3)
    for axis in range(3):
        limit = settings.rotation_degrees
        angle = math.radians(between(-limit, limit, chance))
        a, b = (n for n in range(3) if n != axis)
        turn = torch.eye(3)
        turn[a, a] = turn[b, b] = math.cos(angle)
        turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    whole = factor(*settings.scale, chance)
    single = [factor(*settings.stretch, chance) for _ in range(3)]
    # From new places to old ones: what shall look larger comes from a smaller place.
    return matrix @ torch.diag(1 / (whole * torch.tensor(single)))


def _draw_nodes(settings: Augmentation, shown: Extent, chance: torch.Generator) -> torch.Tensor:
    counts = [max(3, 1 + round(part / max(settings.elastic_nodes_mm, 1.0))) for part in shown]
    nodes = settings.elastic_mm * torch.randn(3, *counts, generator=chance)
    return nodes * min(1.0, _STEEPEST / max(steepness(nodes, shown), 1e-6))


def steepness(nodes: torch.Tensor, shown: Extent) -> float:
    """Upper bound on the Frobenius norm of the derivative of displacements at nodes that span this extent.

    Below 1 no two places swap: between nodes a derivative is a mean of differences of neighbours. Where
    nodes lie close, as in a thin scan, the bound is what keeps the field from folding: a mirror in small.
    """
    squares = 0.0
    for axis, part in enumerate(shown):
        step = part / (nodes.shape[axis + 1] - 1)
        steepest = (nodes.diff(dim=axis + 1).abs() / step).amax(dim=(1, 2, 3))
        squares += float(steepest.square().sum())
    return math.sqrt(squares)


def resample(
    image: torch.Tensor, labels: torch.Tensor, size: int, motion: Motion, extent: Extent
) -> tuple[torch.Tensor, torch.Tensor]:
    """Image float32 HU and labels uint8 (size,)*3 of float32 HU and uint8 (S, S, S).

    extent: of the old field of view, mm. Outside of its outer faces is air and background; up to them its
    last voxels reach, as in the preparation. The image is interpolated linearly; each label's mask too, and a
    voxel gets the label with the largest share: the nearest label would lose what is finer than a new voxel.
    """
    at = motion.places(size, image.device)
    lengths = torch.tensor(extent, device=image.device).view(3, 1, 1, 1)
    # grid_sample counts axes from the last, and from -1 to 1 between the outer faces.
    grid = (2 * at / lengths - 1).flip(0).permute(1, 2, 3, 0)[None]
    inside = (grid[0].abs() <= 1).all(-1)
    shrunk = _shrinking(image.shape, size, motion, extent)
    moved = _sample(_shrink(image[None], shrunk), grid)[0].where(inside, LOWEST_HU)
    total, best = torch.zeros_like(moved), torch.zeros_like(moved)
    winner = torch.zeros_like(moved, dtype=torch.uint8)
    present = torch.unique(labels)
    for some in present[present > 0].split(_TOGETHER):
        masks = (labels == some.view(-1, 1, 1, 1)).float()
        for label, share in zip(some.tolist(), _sample(_shrink(masks, shrunk), grid), strict=True):
            total += share
            wins = share > best + _TIE
            winner[wins] = label
            best = torch.maximum(best, share)
    winner[(1 - total >= best - _TIE) | ~inside] = 0
    return moved, winner


def _sample(arrays: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Arrays (C, K, J, I) at the grid's places (1, S, S, S, 3): (C, S, S, S)."""
    return grid_sample(arrays[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]


def _shrinking(shape: torch.Size, size: int, motion: Motion, extent: Extent) -> tuple[int, ...]:
    """The sizes to which the axes are averaged first, so that nothing finer than the new voxels aliases."""
    sizes = []
    for axis in range(3):
        # Length of a new voxel, in old voxels, along the old axis that it mostly follows.
        step = motion.extent[axis] / size * float(motion.matrix[axis].abs().max())
        coarser = step / (extent[axis] / shape[axis])
        sizes.append(round(shape[axis] / coarser) if coarser > _COARSER else shape[axis])
    return tuple(sizes)


def _shrink(arrays: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
    for axis, target in enumerate(sizes, start=1):
        if target != arrays.shape[axis]:
            weights = resize_weights(arrays.shape[axis], target).to(arrays)
            arrays = torch.movedim(torch.tensordot(weights, arrays, dims=([1], [axis])), 0, axis)
    return arrays
