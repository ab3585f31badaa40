"""Augmentation: image and labels move together, nothing is mirrored, and a seed means one thing."""

from __future__ import annotations

import dataclasses

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import numpy as np
import torch

from iuinet.errors import UsageError
from iuinet.preprocessing import HIGHEST_HU, LOWEST_HU, resize
from pipeline.augmentation import Augmentation, augment
from pipeline.augmentation.intensity import bend, blur, coarsen
from pipeline.augmentation.spatial import Motion, draw_matrix, draw_motion, resample, steepness
from pipeline.dataset.arrays import resize_labels
from pipeline.fitting.samples import seed_of

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


@pytest.mark.parametrize("seed", range(4))
def test_a_point_of_the_body_is_at_one_place_in_both(seed):
    at = torch.stack(torch.meshgrid(*[torch.arange(SIZE).float()] * 3, indexing="ij"))
    distance = (at - torch.tensor([18.0, 21.0, 17.0]).view(3, 1, 1, 1)).norm(dim=0)
    labels = (distance < 5).to(torch.uint8)
    moved, found = augment(labels * 1000.0 + LOWEST_HU, labels, SIZE, SPATIAL, seed)
    light = moved - LOWEST_HU
    seen = (at * light).sum((1, 2, 3)) / light.sum()
    assert (seen - centre(found == 1)).abs().max() < 0.2
    assert (seen - centre(labels == 1)).abs().max() > 0.5


def test_samples_are_finite_of_one_kind_and_a_function_of_the_arguments():
    image, labels = body(24)
    kept = image.clone(), labels.clone()
    for seed in range(12):
        torch.manual_seed(seed)
        before = torch.random.get_rng_state()
        changed, found = augment(image.half(), labels, 16, Augmentation(), seed)
        assert torch.equal(torch.random.get_rng_state(), before), "other draws stay as they would have been"
        assert changed.shape == found.shape == (16, 16, 16) and torch.isfinite(changed).all()
        assert (changed.dtype, found.dtype) == (torch.float32, torch.uint8)
        assert changed.min() >= LOWEST_HU and changed.max() <= HIGHEST_HU
        again = augment(image, labels, 16, Augmentation(), seed)
        assert torch.equal(changed, again[0]) and torch.equal(found, again[1]), "float16 says the same"
    assert torch.equal(image, kept[0]) and torch.equal(labels, kept[1])


def test_draws_keep_to_their_ranges_and_use_them():
    chance = torch.Generator().manual_seed(0)
    turns = dataclasses.replace(SPATIAL, scale=(1.0, 1.0), stretch=(1.0, 1.0))
    scales = dataclasses.replace(SPATIAL, rotation_degrees=0.0, stretch=(1.0, 1.0))
    angles, factors, shares = [], [], []
    for _ in range(300):
        matrix = draw_matrix(turns, chance)
        assert torch.allclose(matrix @ matrix.T, torch.eye(3), atol=1e-5)
        angles.append(float(torch.rad2deg(torch.asin(matrix[0, 2]))))  # the second of the three turns
        factors.append(1 / float(draw_matrix(scales, chance)[0, 0]))
        box = draw_motion(SPATIAL, (100.0, 100.0, 100.0), chance)
        shares.append(box.extent)
        assert all(low >= 0 and low + part <= 100.001 for low, part in zip(box.low, box.extent, strict=True))
    assert -12.01 <= min(angles) < -11 and 11 < max(angles) <= 12.01 and abs(np.mean(angles)) < 1.5
    assert 0.85 <= min(factors) < 0.87 and 1.18 < max(factors) <= 1.2
    assert np.median(factors) == pytest.approx(np.sqrt(0.85 * 1.2), abs=0.03)
    lows, highs = np.min(shares, 0), np.max(shares, 0)
    assert (lows >= [49.99, 79.99, 79.99]).all() and (lows < [52, 82, 82]).all() and (highs > 98).all()


def test_a_narrow_field_of_view_is_a_square_of_the_promised_size_within_the_scan():
    settings, chance = dataclasses.replace(OFF, narrow_probability=1.0), torch.Generator().manual_seed(0)
    extent, sides = (90.0, 180.0, 400.0), []
    for _ in range(100):
        motion = draw_motion(settings, extent, chance)
        head, *plane = motion.extent
        assert head == 90.0 and plane[0] == plane[1] and 150 <= plane[0] <= 180
        for low, part, whole in zip(motion.low, motion.extent, extent, strict=True):
            assert low >= 0 and low + part <= whole + 1e-6
        assert 0.3 * 400 - 1e-6 <= motion.low[2] + plane[1] / 2 <= 0.7 * 400 + 1e-6
        sides.append(plane[0])
    assert min(sides) < 160 and max(sides) == 180


@pytest.mark.parametrize("head_mm", [40.0, 300.0])
def test_elastic_fields_never_fold(head_mm):
    """A fold mirrors a small part of the body. At risk are thin scans, whose nodes lie close."""
    for seed in range(20):
        extent = (head_mm, 300.0, 300.0)
        motion = draw_motion(SPATIAL, extent, torch.Generator().manual_seed(seed))
        assert 0.1 < steepness(motion.nodes, motion.extent) < 0.91
        at = motion.places(24, torch.device("cpu"))
        steps = [at.diff(dim=axis + 1)[:, :23, :23, :23] for axis in range(3)]
        assert (torch.linalg.det(torch.stack(steps).permute(2, 3, 4, 1, 0)) > 0).all()


def test_nothing_is_mirrored():
    chance = torch.Generator().manual_seed(0)
    wild = dataclasses.replace(SPATIAL, rotation_degrees=45.0, scale=(0.5, 2.0), stretch=(0.7, 1.4))
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
    finer_image, finer_labels = augment(image, labels, 48, OFF, 1)
    assert torch.allclose(finer_image, resize(image.numpy(), (48, 48, 48)), atol=0.01), "to the outer faces"
    assert (finer_labels == resize_labels(np.asarray(labels), (48, 48, 48))).float().mean() > 0.99


def test_neighbours_of_what_nobody_knows_leave_no_seam():
    """Between an organ and 255, or two organs, lies neither background nor a third label."""
    labels = torch.full((24, 24, 24), 255, dtype=torch.uint8)
    labels[:, :, 8:16], labels[:, :, 16:] = 2, 9
    turn = draw_matrix(SPATIAL, torch.Generator().manual_seed(1))
    within = Motion((4.0,) * 3, (16.0,) * 3, turn)
    for size in (9, 16, 40):
        found = resample(torch.zeros(24, 24, 24), labels, size, within, (24.0,) * 3)[1]
        assert set(found.unique().tolist()) == {2, 9, 255}


def test_many_labels_move_as_each_does_alone():
    labels = torch.arange(24).repeat(24, 24, 1).div(2, rounding_mode="floor").to(torch.uint8)
    motion = draw_motion(SPATIAL, (24.0,) * 3, torch.Generator().manual_seed(2))
    whole = resample(torch.zeros(24, 24, 24), labels, 20, motion, (24.0,) * 3)[1]
    values = resample(labels.float(), labels, 20, motion, (24.0,) * 3)[0]
    known = values > LOWEST_HU
    assert whole.max() > 9 and (whole[known] - values[known]).abs().max() <= 0.51


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
    "change",
    [
        {"scale": (1.2, 0.8)},
        {"scale": 1.1},
        {"stretch": (0.9, 1.0, 1.1)},
        {"crop_shares_head": (0.5, 1.5)},
        {"noise_hu": (0.0, 5.0)},
        {"noise_hu": (3.0, float("inf"))},
        {"rotation_degrees": 90.0},
        {"elastic_mm": float("nan")},
        {"blur_probability": "often"},
    ],
)
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(UsageError, match=next(iter(change))):
        Augmentation(**change)
