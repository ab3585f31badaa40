"""The reference at the network's size is training's own, and the round trip is the product's geometry."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from helpers.sample_ct import CHALLENGE
from training.evaluation_factory import SIZE

from iuinet.inference.upsampling import upsample_labels
from iuinet.preprocessing import resize
from iuinet.volume import Grid
from pipeline.evaluation.metrics import score_labels
from pipeline.evaluation.scoring import Reference, through_network_size
from pipeline.generated.phantom import make_sample

IDS = {organ.name: organ.label for organ in CHALLENGE}


@pytest.fixture(scope="module")
def data(training_data):
    return training_data


@pytest.mark.parametrize("case", ["c0", "c2"])
def test_the_reference_at_the_networks_size_is_what_training_sees(data, case):
    volume, labels = data.native(case)
    small = Reference(labels, volume.grid).at_network_size(SIZE)
    assert np.array_equal(small, data.arrays(case)[1].numpy())


def test_the_round_trip_is_a_plain_resize_and_the_products_upsampling():
    labels = make_sample(seed=3, size=(60, 56, 40)).labels.astype(np.uint8)
    wanted = [1, 6, 7]
    masks = [np.isin(labels, wanted, invert=True), *(labels == number for number in wanted)]
    one_hot = torch.stack([resize(mask, (24, 24, 24)) for mask in masks])
    plain = np.array([0, *wanted])[upsample_labels(one_hot, labels.shape)]
    ours = through_network_size(labels, 24, wanted)
    assert np.count_nonzero(ours != plain) <= 1e-4 * labels.size  # ties, rounded to either side
    assert set(np.unique(ours)) == {0, *wanted}


def test_the_ceiling_rises_with_the_networks_size_and_is_one_without_a_resize():
    labels = make_sample(seed=1, size=(48, 48, 48)).labels.astype(np.uint8)
    reference = Reference(labels, Grid((48, 48, 48), (2.0, 2.0, 2.0)))
    dsc = {}
    for size in (16, 32, 48):
        scores = score_labels(reference.round_trip(size, IDS.values()), labels, IDS, reference.spacing)
        dsc[size] = scores["liver"]["dsc"], scores["gallbladder"]["dsc"]
    assert dsc[16] < dsc[32] < dsc[48] == (1, 1)


def test_the_round_trip_does_not_depend_on_how_the_scan_is_stored(data):
    """c2 is stored with other axes; turned back by hand it must give the same."""
    volume, labels = data.native("c2")
    reference = Reference(labels, volume.grid)
    assert reference.axes.order != (0, 1, 2)
    turned = np.ascontiguousarray(labels.transpose(reference.axes.order))
    turned = turned[tuple(slice(None, None, -1) if flip else slice(None) for flip in reference.axes.flips)]
    straight = Reference(np.ascontiguousarray(turned), Grid(turned.shape[::-1], (1.0, 1.0, 1.0)))
    mine, other = (r.round_trip(SIZE, IDS.values()) for r in (reference, straight))
    for number in (0, 6, 7):
        assert np.count_nonzero(mine == number) == np.count_nonzero(other == number)


def test_unknown_voxels_stay_unknown_and_other_organs_are_background():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[2:10, 2:10, 2:10], labels[12:18, 12:18, 12:18], labels[:, :, 18:] = 6, 1, 255
    back = through_network_size(labels, 20, [6])
    assert np.array_equal(back, np.where(labels == 1, 0, labels))


def test_the_voxels_of_the_cube_fill_the_same_space():
    grid = Grid((40, 30, 20), (0.8, 0.9, 3.0))
    reference = Reference(np.zeros(grid.shape, np.uint8), grid)
    assert reference.network_spacing(10) == pytest.approx((6.0, 2.7, 3.2))
    assert reference.network_voxel_ml(10) * 1000 == pytest.approx(grid.voxel_volume_ml * 24000)
