"""Resizing with aligned extents, averaging where it shrinks, and the window."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from iuinet.preprocessing import apply_window, prepare, resize, resize_weights


def test_growing_is_torchs_half_voxel_linear_interpolation():
    array = np.random.default_rng(0).normal(0, 300, (5, 6, 7)).astype(np.float32)
    expected = interpolate(torch.from_numpy(array)[None, None], (11, 12, 20), mode="trilinear")[0, 0]
    torch.testing.assert_close(resize(array, (11, 12, 20)), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("source", "target"), [(512, 128), (100, 96), (96, 100), (41, 128), (1, 32), (7, 3)])
def test_each_axis_keeps_constants_and_places(source, target):
    weights = resize_weights(source, target).double()
    torch.testing.assert_close(weights.sum(1), torch.ones(target).double(), rtol=0, atol=1e-6)
    centres = (torch.arange(source) + 0.5).double() / source
    expected = ((torch.arange(target) + 0.5).double() / target).clamp(0.5 / source, 1 - 0.5 / source)
    inner = slice(1, -1) if source > target > 2 else slice(None)  # at the border the triangle is cut
    torch.testing.assert_close((weights @ centres)[inner], expected[inner], rtol=0, atol=0.3 / source)


def test_nothing_finer_than_the_new_grid_survives():
    checkerboard = np.indices((64, 64, 64)).sum(0) % 2 * 1000.0
    assert (resize(checkerboard, (16, 16, 16)) - 500).abs().max() < 1


def test_a_slab_at_a_time_is_the_same(monkeypatch):
    array = np.random.default_rng(1).integers(-1000, 1000, (40, 30, 20), dtype=np.int16)
    whole = resize(array, (32, 32, 32))
    monkeypatch.setattr("iuinet.preprocessing.SLAB_VOXELS", 3000)
    torch.testing.assert_close(resize(array, (32, 32, 32)), whole, rtol=0, atol=2e-3)


@pytest.mark.parametrize("dtype", ["uint8", "int8", ">i2", "uint16", "int32", "uint64", "float32", ">f8"])
def test_every_pixel_type_gives_the_same_numbers(dtype):
    values = np.arange(120).reshape(4, 5, 6)
    torch.testing.assert_close(resize(values.astype(dtype), (4, 5, 6)), torch.from_numpy(values).float())


@pytest.mark.parametrize("size", [(32, 5, 16), (4, 40, 16)])
def test_a_box_beyond_the_volume_goes_on_with_its_outermost_voxels(size):
    array = np.random.default_rng(2).integers(-1000, 1000, (12, 9, 20), dtype=np.int16)
    box = slice(-5, 12), slice(2, 30), slice(4, 17)
    padded = np.pad(array, [(5, 0), (0, 21), (0, 0)], mode="edge")[:, 2:, 4:17]
    assert padded.shape == (17, 28, 13)
    torch.testing.assert_close(resize(array, size, box=box), resize(padded, size), rtol=0, atol=2e-3)


def test_padding_below_air_weighs_as_air():
    array = np.full((4, 4, 4), -1000.0)
    array[:, :, :2] = -3024
    assert resize(array, (2, 2, 2)).min() >= -1024


def test_the_window_maps_to_zero_and_one():
    hu = torch.tensor([-2000.0, -125.0, 75.0, 275.0, 3000.0])
    torch.testing.assert_close(apply_window(hu, (-125, 275)), torch.tensor([0, 0, 0.5, 1, 1]))


def test_the_input_has_the_networks_shape():
    x = prepare(np.zeros((10, 20, 30), np.int16), 32, (-125, 275))
    assert x.shape == (1, 1, 32, 32, 32) and x.dtype == torch.float32


def test_a_stop_is_possible_between_slabs():
    calls = []
    prepare(np.zeros((300, 256, 256), np.int16), 32, (-125, 275), lambda: calls.append(1))
    assert len(calls) > 3
