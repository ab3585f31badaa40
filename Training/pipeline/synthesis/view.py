"""Where a synthetic scan looks: its field of view in an anatomy, and how the anatomy is deformed under it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import interpolate

from .anatomy import HULL, Anatomy
from .chance import Chance

# Whose box a second pass looks at (``iuinet.inference.second_pass``); the other organs lie between them.
LARGE = ("liver", "spleen", "stomach", "right kidney", "left kidney")

WALL_MM = 40.0  # how deep under the torso's hull organs begin to move as they like

LATTICE = 24  # nodes per axis on which the deformation is computed

# Wavelength as nodes over the field of view, and deviation in mm.
NOISE = ((3, 10.0), (5, 8.0), (9, 4.5), (16, 2.0))

VIGOUR = (0.4, 1.0)  # of all that noise in one scan: most bodies are not far from the usual

# Organs that grow, move and turn: deviation of log size, of the shift in mm, of the turn in degrees.
MOVING = {
    "liver": (0.15, 7.0, 5.0),
    "spleen": (0.32, 9.0, 16.0),
    "stomach": (0.32, 12.0, 18.0),
    "right kidney": (0.20, 14.0, 12.0),
    "left kidney": (0.20, 14.0, 12.0),
    "gallbladder": (0.35, 8.0, 25.0),
    "pancreas": (0.22, 9.0, 10.0),
    "aorta": (0.0, 4.0, 0.0),
    "right adrenal gland": (0.15, 3.0, 8.0),
    "left adrenal gland": (0.15, 3.0, 8.0),
}

SHAPE = 0.13  # deviation of the logarithm by which a moving organ grows along each axis by itself


# Per organ: logarithm of its growth, and how far it goes along (k, j, i) in mm.
Arrangement = dict[str, tuple[float, tuple[float, float, float]]]


@dataclass(frozen=True)
class View:
    """A field of view: lowest and highest position (k, j, i) in mm of the anatomy's grid.

    box: it was cut out of a scan around the organs, and is not a scanner's own.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    box: bool = False

    @property
    def extent_mm(self) -> tuple[float, ...]:
        """Size along k, j, i."""
        return tuple(b - a for a, b in zip(self.low, self.high, strict=True))


def draw_view(anatomy: Anatomy, chance: Chance) -> View:
    """What a network is shown: a scanner's field of view, a narrow one (15 %), or (30 %) the organs' box of a
    second pass."""
    kind = chance.choose((0.55, 0.15, 0.3))
    return (scanner_view, _narrow_view, _organ_box)[kind](anatomy, chance)


def scanner_view(anatomy: Anatomy, chance: Chance) -> View:
    """A field of view as abdominal CT has them: from the chest, the dome or below it to the liver's end, the
    kidneys or the pelvis; sometimes a slab."""
    boxes, length = anatomy.boxes, anatomy.extent_mm[0]
    dome, liver_end = boxes["liver"][1][0], boxes["liver"][0][0]
    kidneys = [boxes[name] for name in ("right kidney", "left kidney") if name in boxes]
    kidneys_end = min((low[0] for low, _ in kidneys), default=0)
    above = chance.choose((0.60, 0.28, 0.12))
    low, high = ((0, 75), (-70, 0), (75, 260))[above]
    top = dome + chance.uniform(low, high)
    kind = chance.choose((0.34, 0.25, 0.23, 0.18))
    if kind == 0:
        bottom = liver_end + chance.uniform(-30, 20)
    elif kind == 1:
        bottom = kidneys_end + chance.uniform(-40, 20)
    elif kind == 2:
        bottom = kidneys_end - chance.uniform(60, 240)
    else:
        thickness = chance.uniform(30, 90)
        bottom = chance.uniform(liver_end, dome - thickness)
        top = bottom + thickness
    # Deformation may reach a little beyond the anatomy: its edge voxels are repeated there.
    bottom, top = max(bottom, -6.0), min(top, length + 6.0)
    if top - bottom < 30:
        bottom, top = max(0.0, top - 60), top
    centre, half = _in_plane(anatomy, chance)
    return View((bottom, centre[0] - half, centre[1] - half), (top, centre[0] + half, centre[1] + half))


def _organ_box(anatomy: Anatomy, chance: Chance) -> View:
    """What a second pass looks at: the box of the large organs, as far as a scan holds them, with margins."""
    scan = scanner_view(anatomy, chance)
    boxes = torch.tensor([anatomy.boxes[name] for name in LARGE if name in anatomy.boxes])
    low = [float(edge) - chance.uniform(-8, 45) for edge in boxes[:, 0].min(0).values]
    high = [float(edge) + chance.uniform(-8, 45) for edge in boxes[:, 1].max(0).values]
    low[0], high[0] = max(low[0], scan.low[0]), min(high[0], scan.high[0])
    return View(tuple(low), tuple(high), box=True)


def _narrow_view(anatomy: Anatomy, chance: Chance) -> View:
    """15 to 25 cm around an organ or the spine, as scans of one organ or of vertebrae have: the body goes on
    beyond all sides."""
    scan, names = scanner_view(anatomy, chance), sorted(set(MOVING) & set(anatomy.boxes))
    low, high = anatomy.boxes[names[chance.choose([1.0] * len(names))]]
    centre = [(low[axis] + high[axis]) / 2 + chance.normal(10) for axis in (1, 2)]
    if "aorta" in anatomy.boxes and chance.happens(0.3):
        low, high = anatomy.boxes["aorta"]
        centre = [high[1] + chance.normal(10), (low[2] + high[2]) / 2 + chance.normal(10)]
    half = chance.uniform(75, 125)
    low, high = (tuple(place + side for place in centre) for side in (-half, half))
    return View((scan.low[0], *low), (scan.high[0], *high))


def _in_plane(anatomy: Anatomy, chance: Chance) -> tuple[tuple[float, float], float]:
    """Centre (j, i) and half the edge, in mm, of the square that the scanner reconstructs."""
    (j, i), width = _body(anatomy)
    half = width / 2 * chance.uniform(0.95, 1.65)
    return (j + chance.normal(12), i + chance.normal(8)), half


def _body(anatomy: Anatomy) -> tuple[tuple[float, float], float]:
    """Middle (j, i) and width of the body at the liver, mm."""
    k = int((anatomy.boxes["liver"][0][0] + anatomy.boxes["liver"][1][0]) / 4)
    body = anatomy.distance[1, min(k, len(anatomy.tissue) - 1)] < 15
    rows, columns = torch.where(body)
    middle = float(int(rows.min()) + int(rows.max())), float(int(columns.min()) + int(columns.max()))
    return middle, 2.0 * (int(columns.max()) - int(columns.min()))


def sampling_positions(
    anatomy: Anatomy, view: View, size: int, chance: Chance, donors: Sequence[Anatomy] = ()
) -> torch.Tensor:
    """(3, S, S, S): for every voxel of the scan the position (k, j, i) in mm in the anatomy's grid.

    donors: anatomies towards whose arrangement of organs this one may be moved.
    """
    axes = [_centres(low, high, LATTICE) for low, high in zip(view.low, view.high, strict=True)]
    base = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    middle = torch.tensor([(a + b) / 2 for a, b in zip(view.low, view.high, strict=True)]).view(3, 1, 1, 1)
    moved = _affine(base - middle, chance) + middle
    vigour = chance.uniform(*VIGOUR)
    for nodes, deviation in NOISE:
        strength = vigour * deviation * chance.uniform(0.3, 1.6)
        moved = moved + strength * chance.noise((nodes,) * 3, (LATTICE,) * 3, 3)
    moved = moved + _organ_moves(anatomy, moved, chance, draw_arrangement(anatomy, donors, chance))
    axes = [_centres(low, high, size) for low, high in zip(view.low, view.high, strict=True)]
    fine = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    displacement = moved - base
    return fine + interpolate(displacement[None], size=(size,) * 3, mode="trilinear", align_corners=False)[0]


def _centres(low: float, high: float, count: int) -> torch.Tensor:
    return low + (torch.arange(count, dtype=torch.float32) + 0.5) * ((high - low) / count)


def _affine(position: torch.Tensor, chance: Chance) -> torch.Tensor:
    """Rotation by a few degrees about every axis and scaling along each."""
    matrix = _turned((5.0, 4.0, 4.0), chance)
    scale = torch.tensor([1 / chance.uniform(0.85, 1.15) for _ in range(3)])
    return torch.einsum("ab,bkji->akji", matrix * scale, position)


def _turned(deviations: Sequence[float], chance: Chance) -> torch.Tensor:
    """(3, 3): a rotation about the axes k, i and j in turn, deviations of their angles in degrees."""
    matrix = torch.eye(3)
    for (first, second), deviation in zip(((1, 2), (0, 1), (0, 2)), deviations, strict=True):
        angle = torch.deg2rad(torch.tensor(chance.normal(deviation)))
        turn = torch.eye(3)
        turn[first, first] = turn[second, second] = torch.cos(angle)
        turn[first, second], turn[second, first] = -torch.sin(angle), torch.sin(angle)
        matrix = turn @ matrix
    return matrix


def _organ_moves(
    anatomy: Anatomy, position: torch.Tensor, chance: Chance, arrangement: Arrangement
) -> torch.Tensor:
    """Every moving organ scaled and turned about its centre and shifted, fading out around it."""
    move = torch.zeros_like(position)
    for name, (log_size, shift, turn) in MOVING.items():
        usual_size, usual_shift = arrangement.get(name, (0.0, (0.0, 0.0, 0.0)))
        size = usual_size + chance.normal(log_size)
        shape = [size + (chance.normal(SHAPE) if log_size else 0.0) for _ in range(3)]
        change = _turned([turn] * 3, chance) * torch.tensor([math.exp(-part) for part in shape])
        # Positions are looked up, so that what shall go to the left is taken from the right.
        offset = torch.tensor([chance.normal(shift) - part for part in usual_shift]).view(3, 1, 1, 1)
        if name not in anatomy.boxes:
            continue
        low, high = (torch.tensor(corner).view(3, 1, 1, 1) for corner in anatomy.boxes[name])
        centre, radius = (low + high) / 2, (high - low) / 2 + 15
        away = position - centre
        weight = torch.exp(-(((away / radius) ** 2).sum(0, keepdim=True) ** 2) / 2)
        move = move + weight * (torch.einsum("ab,bkji->akji", change - torch.eye(3), away) + offset)
    return move * _freedom(anatomy, position)


def _freedom(anatomy: Anatomy, position: torch.Tensor) -> torch.Tensor:
    """(3, S, S, S), 1 where organs move freely. They slide along the wall (k), but do not push it out."""
    depth = (-anatomy.at(position)[1][HULL] / WALL_MM).clamp(0, 1)
    return torch.stack([torch.ones_like(depth), depth, depth])


def draw_arrangement(anatomy: Anatomy, donors: Sequence[Anatomy], chance: Chance) -> Arrangement:
    """In half of all scans: how organs move, and grow, part of the way to where they lie in another body.

    Three bodies have three arrangements; this draws what lies between them, and a little beyond.
    """
    others = [donor for donor in donors if donor.name != anatomy.name]
    if not others or not chance.happens(0.5):
        return {}
    other = others[chance.choose([1.0] * len(others))]
    part = chance.uniform(-0.3, 0.9)
    here, there = _places(anatomy), _places(other)
    moves: Arrangement = {}
    for name in MOVING:
        if name in here and name in there:
            (centre, size), (other_centre, other_size) = here[name], there[name]
            shift = tuple(float(x) for x in (part * (other_centre - centre)).clamp(-30, 30))
            growth = part * float(torch.log(other_size / size).mean())
            moves[name] = (max(-0.4, min(0.4, growth)), shift)
    return moves


def _places(anatomy: Anatomy) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Centre and size (k, j, i) of each moving organ in mm, from the liver's dome and the body's middle."""
    (j, i), _ = _body(anatomy)
    origin = torch.tensor([anatomy.boxes["liver"][1][0], j, i])
    # How much of the aorta a label map holds says nothing about where it lies.
    boxes = {
        name: torch.tensor(box) for name, box in anatomy.boxes.items() if name in MOVING and name != "aorta"
    }
    return {name: (box.mean(0) - origin, box[1] - box[0]) for name, box in boxes.items()}
