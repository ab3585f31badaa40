"""Augmentation: image and labels move together, nothing is mirrored, and a seed means one thing."""

from __future__ import annotations

import dataclasses

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import numpy as np
import torch
from augmentation import Augmentation, augment
from augmentation.intensity import bend, blur, coarsen
from augmentation.seeds import seed_of
from augmentation.spatial import Motion, draw_matrix, resample
from dataset.label_resize import resize_labels

from iuinet.errors import UsageError
from iuinet.preprocessing import LOWEST_HU, resize

SIZE = 40
OFF = Augmentation.off()
SPATIAL = dataclasses.replace(OFF, crop_probability=1.0, affine_probability=1.0, elastic_probability=1.0)


def body(size: int = SIZE) -> tuple[torch.Tensor, torch.Tensor]:
    """A large organ on the right (1), a small one on the left (2), and a slab that nobody knows (255)."""
    labels = torch.zeros(size, size, size, dtype=torch.uint8)
    s = size // 8
    labels[2 * s : 6 * s, 2 * s : 6 * s, s : 4 * s] = 1
    labels[3 * s : 5 * s, 3 * s : 5 * s, 5 * s : 7 * s] = 2
    labels[: s // 2] = 255
    values = torch.zeros(256)
    values[1], values[2], values[255] = 100.0, 200.0, -500.0
    return values[labels.long()], labels


def centre(mask: torch.Tensor) -> torch.Tensor:
    return torch.nonzero(mask).float().mean(0)


def test_without_settings_nothing_changes():
    image, labels = body()
    same_image, same_labels = augment(image.half(), labels, SIZE, OFF, 1)
    assert torch.equal(same_image, image) and torch.equal(same_labels, labels)
    assert same_image.dtype == torch.float32


def test_a_seed_means_one_thing():
    image, labels = body()
    first, again, other = (augment(image, labels, SIZE, Augmentation(), seed) for seed in (1, 1, 3))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("seed", range(4))
def test_image_and_labels_move_together(seed):
    image, labels = body()
    moved, found = augment(image, labels, SIZE, SPATIAL, seed, (3.0, 1.0, 1.0))
    assert not torch.equal(found, labels) and torch.isfinite(moved).all()
    assert set(found.unique().tolist()) <= {0, 1, 2, 255}
    for label, value in ((1, 100.0), (2, 200.0)):
        inside = moved[found == label]
        assert inside.numel() > 50 and (inside - value).abs().median() < 1


def test_nothing_is_mirrored():
    chance = torch.Generator().manual_seed(0)
    wild = dataclasses.replace(SPATIAL, rotation_degrees=30.0, scale=(0.5, 2.0), stretch=(0.7, 1.4))
    for _ in range(200):
        matrix = draw_matrix(wild, chance)
        assert torch.linalg.det(matrix) > 0 and (torch.diagonal(matrix) > 0).all()
    image, labels = body()
    for seed in range(10):
        found = augment(image, labels, SIZE, SPATIAL, seed)[1]
        if (found == 1).any() and (found == 2).any():
            assert centre(found == 1)[2] < centre(found == 2)[2], "right stays right of left"


def test_what_nobody_knows_stays_unknown_and_outside_is_air():
    image, labels = body()
    low = Motion((0.0, -20.0, 0.0), (40.0, 40.0, 40.0), torch.eye(3))
    moved, found = resample(image, labels, SIZE, low, (40.0, 40.0, 40.0))
    assert (moved[:, :20] - LOWEST_HU).abs().max() < 0.01 and (found[:, :20] == 0).all()
    assert torch.equal(found[:, 20:], labels[:, :20]) and (found[0, 21:] == 255).all()
    assert torch.allclose(moved[:, 20:], image[:, :20], atol=1e-3)


def test_a_turned_body_keeps_its_shape_where_voxels_are_not_cubes():
    """Turned by 90 degrees in a plane of 1 x 2 mm voxels, 12 mm stay 12 mm."""
    labels = torch.zeros(16, 32, 32, dtype=torch.uint8)
    labels[:, 10:22, 13:19] = 1  # 12 mm x 12 mm
    labels[:, 14:18, 10:13] = 2  # to the right of it
    turn = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    extent = (16.0, 32.0, 64.0)
    _, found = resample(torch.zeros(16, 32, 32), labels, 32, Motion((0.0,) * 3, extent, turn), extent)
    box = torch.nonzero(found == 1)[:, 1:]
    assert (box.amax(0) - box.amin(0) + 1).tolist() == [12, 6]
    assert centre(found == 2)[1] < centre(found == 1)[1] - 6


def test_volumes_follow_the_scale():
    image, labels = body()
    larger = Motion((0.0,) * 3, (40.0,) * 3, torch.eye(3) / 1.2)
    found = resample(image, labels, SIZE, larger, (40.0,) * 3)[1]
    assert (found == 1).sum() / (labels == 1).sum() == pytest.approx(1.2**3, rel=0.03)


def test_another_size_is_the_preparation_at_that_size():
    image, labels = body()
    small_image, small_labels = augment(image, labels, 16, OFF, 1)
    assert torch.allclose(small_image, resize(image.numpy(), (16, 16, 16)), atol=0.01)
    assert (small_labels == resize_labels(np.asarray(labels), (16, 16, 16))).float().mean() > 0.99
    assert augment(image, labels, 48, OFF, 1)[1].shape == (48, 48, 48)


def test_intensities_do_what_their_names_say():
    torch.manual_seed(0)
    noise = 50 * torch.randn(24, 24, 24)
    assert blur(noise, 1.0).std() < 0.4 * noise.std()
    assert blur(torch.full((8, 8, 8), 30.0), 1.0).allclose(torch.tensor(30.0))
    thick = coarsen(noise, 0, 2.0)
    assert thick.shape == noise.shape and thick.std() < 0.8 * noise.std()
    ramp = torch.linspace(-300, 400, 701)
    bent = bend(ramp, 1.3)
    assert (
        (bent.diff() >= 0).all()
        and torch.equal(bent[:140], ramp[:140])
        and torch.equal(bent[-160:], ramp[-160:])
    )
    assert (bent - ramp).abs().max() > 10


def test_labels_do_not_change_with_intensities():
    image, labels = body()
    names = [field.name for field in dataclasses.fields(OFF) if field.name.endswith("_probability")]
    intensity = [name for name in names if name.split("_")[0] not in ("crop", "affine", "elastic")]
    for name in intensity:
        changed, same = augment(image, labels, SIZE, dataclasses.replace(OFF, **{name: 1.0}), 5)
        assert torch.equal(same, labels) and not torch.equal(changed, image), name
        assert torch.isfinite(changed).all() and changed.min() >= LOWEST_HU


def test_changes_happen_as_often_as_they_should():
    image, labels = torch.zeros(4, 4, 4), torch.zeros(4, 4, 4, dtype=torch.uint8)
    rare = dataclasses.replace(OFF, brightness_probability=0.25)
    changed = sum(not torch.equal(augment(image, labels, 4, rare, seed)[0], image) for seed in range(400))
    assert 70 <= changed <= 130


def test_seeds_of_neighbours_have_nothing_in_common():
    seeds = {seed_of(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(seeds) == 1000 and all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(1, 2) != seed_of(2, 1) and seed_of(0) != seed_of(0, 0)
    assert 0.4 < np.mean([bin(seed_of(n) ^ seed_of(n + 1)).count("1") / 63 for n in range(200)]) < 0.6


@pytest.mark.parametrize(
    "change", [{"scale": (1.2, 0.8)}, {"crop_shares_head": (0.5, 1.5)}, {"noise_hu": (0.0, 5.0)}]
)
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(UsageError, match=next(iter(change))):
        Augmentation(**change)
