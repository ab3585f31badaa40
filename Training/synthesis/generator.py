"""From an anatomy and a seed to a synthetic CT with its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from iuinet.preprocessing import LOWEST_HU

from . import contents, surroundings
from .anatomy import Anatomy
from .artefacts import breathe, paint_metal
from .chance import Chance
from .contents import Canvas
from .mixing import mix
from .scanner import scan
from .tissues import IGNORE, NAMES, NUMBER, ORGANS, table
from .vessels import paint_vessels
from .view import View, draw_view, sampling_positions

# Far more often than in patients: an organ that is nearly always there would be drawn where it is not.
REMOVAL = {"gallbladder": 0.12, "spleen": 0.05, "right kidney": 0.08, "left kidney": 0.06}


@dataclass(frozen=True)
class Sample:
    """A synthetic scan in canonical axes.

    image: float32 (1, 1, S, S, S), HU. labels: uint8 (S, S, S), organ ids, 255 where nobody knows.
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
    paint_vessels(canvas)
    surroundings.paint_liver_and_spleen(canvas)
    surroundings.paint_chest(canvas)
    surroundings.paint_bone(canvas)
    body = surroundings.paint_body_wall(canvas, drawn_wall)
    surroundings.paint_loops(canvas, body)
    surroundings.paint_fat_space(canvas, body)
    surroundings.paint_outside(canvas, body)
    paint_metal(canvas)
