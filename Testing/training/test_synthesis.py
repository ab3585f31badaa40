"""Label-driven synthesis: labels in their places, plausible HU, everything from the seed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from helpers.sample_ct import CHALLENGE
from training.small_anatomy import small_anatomy

from pipeline.synthesis import HELD_OUT, IGNORE, ORGANS, TRAINING, Anatomy, generate
from pipeline.synthesis.chance import Chance
from pipeline.synthesis.sources import read_tissues
from pipeline.synthesis.tissues import NAMES, NUMBER, table
from pipeline.synthesis.view import View, draw_arrangement, draw_view

SIZE = 48
IDS = {name: number for number, name in enumerate(ORGANS, start=1)}


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return small_anatomy()


@pytest.fixture(scope="module")
def whole(anatomy: Anatomy) -> View:
    """A field of view over the whole torso."""
    return View((0.0, 20.0, 20.0), (200.0, 280.0, 360.0))


def test_every_tissue_has_values_in_every_phase():
    values = table()
    for phase in values["probability"]:
        ranges = values["same"] | values["portal" if phase == "random" else phase]
        missing = set(NAMES) - set(ranges) - {"unknown esophagus"}
        assert not missing, f"{phase}: {missing}"
        assert all(low <= high for low, high in ranges.values())
    assert sum(values["probability"].values()) == pytest.approx(1)


def test_the_organs_numbers_are_their_label_ids():
    assert tuple(NUMBER[name] for name in ORGANS) == tuple(range(1, 14))
    assert [(organ.id, organ.name) for organ in CHALLENGE] == [(n, name) for name, n in IDS.items()]


def test_a_scan_is_a_function_of_its_seed(anatomy):
    first, again, other = (generate(anatomy, seed, 32) for seed in (5, 5, 6))
    assert torch.equal(first.image, again.image) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.image, other.image)


def test_image_and_labels_have_the_promised_form(anatomy):
    sample = generate(anatomy, 1, 32)
    assert sample.image.shape == (1, 1, 32, 32, 32) and sample.image.dtype == torch.float32
    assert sample.labels.shape == (32, 32, 32) and sample.labels.dtype == torch.uint8
    assert torch.isfinite(sample.image).all()
    assert set(sample.labels.unique().tolist()) <= {*range(14), IGNORE}


def test_the_patients_right_is_at_small_i(anatomy, whole):
    for seed in range(4):
        labels = generate(anatomy, seed, SIZE, view=whole).labels
        place = {
            name: float(torch.nonzero(labels == IDS[name])[:, 2].float().mean())
            for name in ("liver", "spleen", "right kidney", "left kidney")
            if (labels == IDS[name]).any()
        }
        # Now and then a scan lacks a spleen or kidney, as patients do.
        for right, left in (("liver", "spleen"), ("right kidney", "left kidney")):
            if right in place and left in place:
                assert place[right] < place[left]


def test_the_head_is_at_large_k_and_the_back_at_large_j(anatomy, whole):
    labels = generate(anatomy, 3, SIZE, view=whole).labels
    names = ("liver", "right kidney", "stomach")
    centre = {name: torch.nonzero(labels == IDS[name]).float().mean(0) for name in names}
    assert centre["liver"][0] > centre["right kidney"][0]
    assert centre["stomach"][1] < centre["right kidney"][1]


@pytest.mark.parametrize(
    ("phase", "liver", "kidney"), [("portal", (50, 150), (100, 300)), ("non_contrast", (0, 85), (-30, 65))]
)
def test_hounsfield_units_belong_to_the_phase(anatomy, whole, phase, liver, kidney):
    values = {"liver": [], "right kidney": []}
    for seed in range(5):
        sample = generate(anatomy, seed, SIZE, phase=phase, view=whole)
        image, labels = sample.image[0, 0], sample.labels
        for name, found in values.items():
            # The upper part of an organ's values: at its edge it is mixed with fat.
            found.append(float(image[labels == IDS[name]].quantile(0.7)))
    assert all(kidney[0] < value < kidney[1] for value in values["right kidney"])
    # A fatty liver is up to 65 HU darker (surroundings.py), the usual one is not fatty.
    assert all(liver[0] - 65 < value < liver[1] for value in values["liver"])
    assert liver[0] < np.median(values["liver"])


def test_there_is_air_around_the_body_and_soft_tissue_in_it(anatomy, whole):
    image = generate(anatomy, 2, SIZE, view=whole).image[0, 0]
    assert float(image[:, 0, 0].median()) < -800
    assert -150 < float(image[24, 20:28, 16:32].median()) < 250


def test_organs_are_arranged_part_of_the_way_to_another_body(anatomy):
    """The donor's spleen lies 20 mm lower and is larger."""
    low, high = anatomy.boxes["spleen"]
    lower = tuple((k - 20 - grow, j - grow, i - grow) for (k, j, i), grow in ((low, 6), (high, -6)))
    donor = Anatomy("donor", anatomy.tissue, anatomy.distance, {**anatomy.boxes, "spleen": lower})
    drawn = [draw_arrangement(anatomy, (anatomy, donor), Chance(seed)) for seed in range(60)]
    moved = [moves["spleen"] for moves in drawn if moves]
    assert 15 < len(moved) < 45 and all("aorta" not in moves for moves in drawn)
    for growth, (k, j, i) in moved:
        assert j == i == pytest.approx(0, abs=1e-3)
        assert -20 < k < 7 and (growth > 0) == (k < 0), "down and larger, or up and smaller"
    assert draw_arrangement(anatomy, (), Chance(1)) == {} == draw_arrangement(anatomy, (anatomy,), Chance(1))


def test_a_donor_lends_organs(anatomy, whole):
    """With a donor of another name some scans change, and all organs stay on their sides."""
    donor = Anatomy("donor", anatomy.tissue, anatomy.distance, anatomy.boxes)
    changed = 0
    for seed in range(6):
        alone = generate(anatomy, seed, 32, view=whole)
        mixed = generate(anatomy, seed, 32, view=whole, donors=(anatomy, donor))
        changed += not torch.equal(alone.image, mixed.image)
        assert (mixed.labels == IDS["liver"]).any()
    assert changed


@pytest.mark.parametrize("name", TRAINING)
def test_the_published_label_maps_become_bodies_of_plausible_size(data_folder, name):
    """The atlas' header is wrong about its spacing: its liver tells."""
    tissue = read_tissues(name, data_folder)
    litres = np.count_nonzero(tissue == NUMBER["liver"]) * 8e-6
    assert 1.0 < litres < 2.5
    assert (tissue == NUMBER["stomach"]).any() and (tissue == NUMBER["duodenum"]).any()
    liver, spleen = (np.argwhere(tissue == NUMBER[organ]).mean(0) for organ in ("liver", "spleen"))
    assert liver[2] < spleen[2], "canonical axes run to the patient's left"


def test_a_network_is_shown_narrow_fields_of_view_too(anatomy):
    views = [draw_view(anatomy, Chance(seed)) for seed in range(200)]
    narrow = [view for view in views if not view.box and view.extent_mm[1] <= 250]
    assert 15 < len(narrow) < 50 and 50 < sum(view.box for view in views) < 80
    assert all(150 <= view.extent_mm[1] == pytest.approx(view.extent_mm[2]) for view in narrow)
    assert all(min(view.extent_mm[1:]) > 250 for view in views if not view.box and view not in narrow)


def test_what_validates_is_never_trained_on():
    config = Path(__file__).resolve().parents[2] / "Training" / "config"
    recipes = [tomllib.loads(path.read_text()) for path in config.glob("*.toml")]
    used = {name for recipe in recipes for name in recipe.get("synthesis", {}).get("anatomies", ())}
    assert used and not used & set(HELD_OUT)
    assert not set(TRAINING) & set(HELD_OUT)
