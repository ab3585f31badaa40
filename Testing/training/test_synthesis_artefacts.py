"""What goes wrong in synthetic scans, and what large vessels show: seen by itself, forced to happen."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch

from pipeline.synthesis.chance import Chance
from pipeline.synthesis.contents import Canvas, paint_vessels
from pipeline.synthesis.scanner import breathe, paint_metal, rings, slice_choice
from pipeline.synthesis.tissues import NAMES, NUMBER

SIZE = 32
EXTENT_MM = (160.0, 320.0, 320.0)


class Always(Chance):
    """Whatever may happen, happens."""

    def happens(self, probability: float) -> bool:
        return True


class Never(Chance):
    """Nothing happens."""

    def happens(self, probability: float) -> bool:
        return False


def canvas(chance: Chance, *places: str) -> Canvas:
    """Tissues as blocks one behind the other, everything at 50 HU and well inside its tissue."""
    tissue = torch.full((SIZE,) * 3, NUMBER["fat"])
    for number, name in enumerate(places):
        tissue[:, 4 + 8 * number : 10 + 8 * number, 8:24] = NUMBER[name]
    distance = torch.full((3, SIZE, SIZE, SIZE), 5.0)
    hu = torch.full((SIZE,) * 3, 50.0)
    return Canvas(tissue, distance, hu, torch.full((len(NAMES),), 50.0), EXTENT_MM, chance)


def test_breathing_moves_whole_slices_along_the_body():
    still = torch.zeros(3, SIZE, SIZE, SIZE)
    moved = breathe(still, EXTENT_MM, Always(3))
    assert torch.equal(moved, moved[:, :, :1, :1].expand_as(moved)), "all of a slice goes together"
    assert 0.5 < float(moved[0].std()) < 8 and not moved[2].any(), "millimetres, and never sideways"
    assert float(moved[0].diff(dim=0).abs().max()) > 0.3, "neighbours differ"
    assert torch.equal(breathe(still, EXTENT_MM, Never(3)), still)


def test_slices_with_gaps_show_their_centre_alone():
    chosen = slice_choice(4, SIZE)
    assert chosen.sum(1).tolist() == [1, 1, 1, 1]
    assert chosen.argmax(1).tolist() == [4, 12, 20, 28]


def test_rings_are_round_about_the_axis():
    field = rings(SIZE, Chance(1))
    plane = field[5]
    assert plane.std() > 0.1
    assert torch.allclose(plane, plane.flip(0)) and torch.allclose(plane, plane.t())


def test_metal_is_bright_and_throws_streaks_in_its_slices():
    painted = canvas(Always(4), "bone", "duodenum", "liver", "stomach")
    paint_metal(painted)
    metal = painted.hu > 2000
    assert metal.any()
    with_metal = metal.any(2).any(1)
    changed = (painted.hu != 50).flatten(1).any(1)
    assert torch.equal(changed, with_metal) and not with_metal.all()
    near = painted.hu[with_metal][~metal[with_metal]]
    assert near.min() < 45 and near.max() > 55, "streaks are dark and bright"


def test_a_body_without_the_tissue_gets_no_metal():
    painted = canvas(Always(4))
    painted.tissue[:] = NUMBER["lung"]
    paint_metal(painted)
    assert torch.equal(painted.hu, torch.full_like(painted.hu, 50))


def test_plaques_lie_in_the_wall_and_streams_in_the_vena_cava():
    painted = canvas(Always(2), "aorta", "inferior vena cava", "liver")
    wall = painted.mask("aorta").clone()
    wall[:, 6:8] = False
    painted.inside[wall] = 1.0
    paint_vessels(painted)
    assert painted.hu[wall].max() >= 250
    assert (painted.hu[painted.mask("aorta") & ~wall] == 50).all()
    assert painted.hu[painted.mask("inferior vena cava")].std() > 1
    assert (painted.hu[painted.mask("liver")] == 50).all()
