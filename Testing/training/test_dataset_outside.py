"""What lies outside a registered scan is air, whatever the registration wrote there."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from pipeline.dataset.arrays import air_outside


def test_zeros_from_a_face_inwards_become_air_and_others_stay():
    scan = np.full((20, 20, 20), 40.0, np.float32)
    scan[:6] = 0  # 2400 voxels that no registration reached
    scan[10:13, 5:8, 5:8] = 0  # a small place of water within
    scan[19, 0, 0] = 0  # a voxel of 0 HU at a face
    found = air_outside(scan)
    assert (found[:6] == -1024).all()
    assert (found[10:13, 5:8, 5:8] == 0).all() and found[19, 0, 0] == 0
    assert (found[6:10] == 40).all() and (scan[:6] == 0).all(), "the array that was given is left alone"


def test_a_scan_without_such_zeros_is_left_as_it_is():
    scan = np.random.default_rng(1).integers(-1, 2, (12, 12, 12)).astype(np.int16)
    assert air_outside(scan[:3, :3, :3]) is not None
    whole = np.full((4, 4, 4), -5, np.int16)
    assert air_outside(whole) is whole
