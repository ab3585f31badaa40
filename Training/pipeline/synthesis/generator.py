"""From an anatomy and a seed to a synthetic CT with its labels.

Organs of other anatomies may be set into it: so that there are more arrangements than bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from iuinet.preprocessing import LOWEST_HU
from iuinet.volume import Grid, Volume

from . import contents, surroundings
from .anatomy import INSIDE, Anatomy
from .chance import Chance
from .contents import Canvas
from .scanner import breathe, paint_metal, scan
from .tissues import IGNORE, NAMES, NUMBER, ORGANS, table
from .view import View, draw_view, sampling_positions

# Far more often than in patients: an organ that is nearly always there would be drawn where it is not.
REMOVAL = {"gallbladder": 0.12, "spleen": 0.05, "right kidney": 0.08, "left kidney": 0.06}

# What may be exchanged, each group from one donor.
GROUPS = (("stomach",), ("spleen",), ("right kidney", "left kidney"), ("liver", "gallbladder"), ("pancreas",))

# What a set-in organ may cover; everything else stays in front of it.
GIVES_WAY = ("fat", "duodenum", "colon", "small bowel", "lung", "vein", "artery", "renal sinus", "lesion")


@dataclass(frozen=True)
class Sample:
    """A synthetic scan in canonical axes.

    image: float32 (1, 1, S, S, S), HU. labels: uint8 (S, S, S), organ ids, 255 where it is unknown.
    view: the field of view. phase: contrast phase.
    """

    image: torch.Tensor
    labels: torch.Tensor
    view: View
    phase: str


def generate(
    anatomy: Anatomy,
    seed: int,
    size: int,
    phase: str | None = None,
    view: View | None = None,
    donors: Sequence[Anatomy] = (),
) -> Sample:
    """A deformed anatomy under a random field of view as a CT of size^3 voxels; a function of its arguments.

    phase, view: fixed instead of drawn. donors: anatomies that may lend organs.
    """
    chance = Chance(seed)
    drawn = draw_view(anatomy, chance)
    view = view or drawn
    positions = sampling_positions(anatomy, view, size, chance, donors)
    positions = breathe(positions, view.extent_mm, chance)
    tissue, distance = anatomy.at(positions)
    mix(tissue, distance, positions, anatomy, donors, chance)
    for name, probability in REMOVAL.items():
        if chance.happens(probability):
            tissue[tissue == NUMBER[name]] = NUMBER["fat"]
    phases = table()["probability"]
    drawn_phase = list(phases)[chance.choose(list(phases.values()))]
    phase = phase or drawn_phase
    means = draw_means(phase, chance)
    canvas = Canvas(tissue, distance, means[tissue], means, view.extent_mm, chance)
    _paint(canvas, drawn_wall=anatomy.name == "spl")
    image = scan(canvas.hu, view.extent_mm, chance, circle=not view.box)
    labels = organ_labels(tissue)
    labels[image <= LOWEST_HU] = 0  # beyond the reconstruction circle nothing is to be seen
    return Sample(image[None, None], labels, view, phase)


def mix(
    tissue: torch.Tensor,
    distance: torch.Tensor,
    positions: torch.Tensor,
    anatomy: Anatomy,
    donors: Sequence[Anatomy],
    chance: Chance,
) -> None:
    """Exchange organs in place, in two of three scans one to three groups.

    tissue int64 (S, S, S), distance (3, S, S, S): as seen in ``anatomy`` at positions (3, S, S, S) in mm.
    """
    others = [donor for donor in donors if donor.name != anatomy.name]
    if not others or not chance.happens(0.67):
        return
    gives_way = torch.zeros(256, dtype=torch.bool)
    gives_way[[NUMBER[name] for name in GIVES_WAY]] = True
    for _ in range(1 + chance.choose((0.5, 0.3, 0.2))):
        donor = others[chance.choose([1.0] * len(others))]
        for organ in GROUPS[chance.choose([1.0] * len(GROUPS))]:
            if organ in donor.boxes and organ in anatomy.boxes:
                _set_in(organ, tissue, distance, positions, anatomy, donor, gives_way)


def _set_in(
    organ: str,
    tissue: torch.Tensor,
    distance: torch.Tensor,
    positions: torch.Tensor,
    anatomy: Anatomy,
    donor: Anatomy,
    gives_way: torch.Tensor,
) -> None:
    """The donor's organ at the place of this one's: same centre, and half way to its size."""
    here_low, here_high = (torch.tensor(c).view(3, 1, 1, 1) for c in anatomy.boxes[organ])
    there_low, there_high = (torch.tensor(c).view(3, 1, 1, 1) for c in donor.boxes[organ])
    scale = ((there_high - there_low) / (here_high - here_low)).clamp(0.5, 2).sqrt()
    there = (positions - (here_low + here_high) / 2) * scale + (there_low + there_high) / 2
    donor_tissue, donor_distance = donor.at(there)
    number = NUMBER[organ]
    tissue[tissue == number] = NUMBER["fat"]
    new = (donor_tissue == number) & gives_way[tissue]
    tissue[new] = number
    distance[INSIDE][new] = donor_distance[INSIDE][new]


def draw_means(phase: str, chance: Chance) -> torch.Tensor:
    """Mean HU of every tissue in a scan of this phase (random: organs from the random range)."""
    values = table()
    ranges = dict(values["portal" if phase == "random" else phase])
    means = torch.zeros(len(NAMES))
    for number, name in enumerate(NAMES):
        key = "esophagus" if name == "unknown esophagus" else name
        low, high = ranges.get(key) or values["same"][key]
        if phase == "random" and (key in ORGANS or key in values["portal"]):
            low, high = values["random"]["organ"]
        means[number] = chance.uniform(low, high)
    right, left, cortex = (NUMBER[name] for name in ("right kidney", "left kidney", "renal cortex"))
    lead = values["kidney_over_spleen"].get(phase)
    if lead:
        means[right] = max(float(means[right]), float(means[NUMBER["spleen"]]) + chance.uniform(*lead))
        means[cortex] = max(float(means[right]), float(means[cortex]))
    if phase != "random":  # both kidneys are alike
        means[left] = means[right] + chance.normal(3)
    return means


def organ_labels(tissue: torch.Tensor) -> torch.Tensor:
    """Tissue numbers -> organ ids, IGNORE at the unknown esophagus."""
    lookup = torch.arange(len(NAMES))
    lookup[len(ORGANS) + 1 :] = 0
    lookup[NUMBER["unknown esophagus"]] = IGNORE
    return lookup[tissue].to(torch.uint8)


def _paint(canvas: Canvas, drawn_wall: bool) -> None:
    textures = table()["texture"]
    texture = torch.tensor([float(textures.get(name, textures["default"])) for name in NAMES])
    canvas.hu = canvas.hu + texture[canvas.tissue] * canvas.noise(12)
    contents.paint_kidneys(canvas)
    contents.paint_stomach(canvas)
    contents.paint_bowel(canvas)
    contents.paint_gallbladder(canvas)
    contents.paint_esophagus(canvas)
    contents.paint_pancreas(canvas)
    contents.paint_vessels(canvas)
    surroundings.paint_liver_and_spleen(canvas)
    surroundings.paint_chest(canvas)
    surroundings.paint_bone(canvas)
    body = surroundings.paint_body_wall(canvas, drawn_wall)
    surroundings.paint_loops(canvas, body)
    surroundings.paint_fat_space(canvas, body)
    surroundings.paint_outside(canvas, body)
    paint_metal(canvas)


def as_volume(sample: Sample, name: str) -> Volume:
    """A generated scan as a volume: its cube's voxels, its field of view's millimetres."""
    array = sample.image[0, 0].round().numpy().astype(np.int16)
    shape = array.shape
    spacing = tuple(extent / n for extent, n in zip(sample.view.extent_mm, shape, strict=True))[::-1]
    origin = tuple(low + step / 2 for low, step in zip(sample.view.low[::-1], spacing, strict=True))
    return Volume(array, Grid(shape[::-1], spacing, origin), name, "CT")
