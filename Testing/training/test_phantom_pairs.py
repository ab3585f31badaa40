"""Registered pairs: image and labels carry one and the same smooth warp, on the fixed scan's grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from scipy import ndimage

from iuinet.reading import read_volume
from iuinet.volume import Grid
from pipeline.generated.bodies import Body, draw_scan, low_grid, make_body
from pipeline.generated.synapse import OUTSIDE_HU, Job, Settings, registration, resample, warp, write_scan

ORGANS = {"spleen": 1, "left kidney": 3, "liver": 6, "aorta": 8, "inferior vena cava": 9}
SETTINGS = Settings(matrix=96)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for job in (
        Job(folder, SETTINGS, "0001"),
        Job(folder, SETTINGS, "0061"),
        Job(folder, SETTINGS, "0001", "0061"),
    ):
        write_scan(job)
    return folder


def read(folder: Path, kind: str, case: str):
    place = f"RegData/Training-Testing/{kind}/{case[-4:]}" if "-" in case else f"RawData/Training/{kind}"
    return read_volume(folder / place / f"{kind}{case}.nii.gz")


def inside(image, labels, label: int, shift: int = 0) -> np.ndarray:
    """HU well inside an organ."""
    mask = ndimage.binary_erosion(np.roll(labels.array == label, shift, axis=2))
    return image.array[mask]


def test_a_pair_lies_on_the_fixed_scans_grid(written):
    fixed = read_volume(written / "RawData/Testing/img/img0061.nii.gz").grid
    for kind in ("img", "label"):
        grid = read(written, kind, "0001-0061").grid
        assert grid.size == fixed.size and np.allclose(grid.index_to_lps(), fixed.index_to_lps())


@pytest.mark.parametrize("organ", ORGANS)
def test_labels_lie_on_their_organs_after_the_warp_as_before(written, organ):
    label = ORGANS[organ]
    before = inside(read(written, "img", "0001"), read(written, "label", "0001"), label)
    image, labels = read(written, "img", "0001-0061"), read(written, "label", "0001-0061")
    after = inside(image, labels, label)
    assert len(after) > 30
    assert np.median(after) == pytest.approx(np.median(before), abs=6)
    assert np.std(after) < 1.3 * np.std(before) + 5
    # Labels that lie elsewhere would be noticed.
    beside = inside(image, labels, label, shift=6)
    assert np.std(beside) > 2 * np.std(after)


def test_a_pair_is_another_shape_than_the_scan_it_came_from():
    moving, fixed = draw_scan("0001", 0), draw_scan("0061", 0)
    body, grid = make_body(moving, 64), low_grid(fixed, 64)
    positions = registration(moving, fixed, Settings(matrix=64))
    stretched = warp(grid, (1.0, 1.0, 1.0), 0, deviation_mm=0.0)
    bend = positions - stretched
    assert np.std(bend[0]) > 3 and np.abs(bend).max() < 80
    warped, unwarped = (resample(body, where, grid).labels == 6 for where in (positions, stretched))
    overlap = 2 * (warped & unwarped).sum() / (warped.sum() + unwarped.sum())
    assert 0.5 < overlap < 0.97


def test_the_warp_never_folds():
    moving, fixed = draw_scan("0005", 0), draw_scan("0062", 0)
    grid = low_grid(fixed, 64)
    positions = registration(moving, fixed, Settings(matrix=64))
    slopes = [np.stack(np.gradient(part, *grid.spacing[::-1])) for part in positions[::-1]]
    jacobian = np.linalg.det(np.moveaxis(np.array(slopes), (0, 1), (-2, -1)))
    assert jacobian.min() > 0.1


def test_resampling_at_the_own_places_changes_nothing():
    rng = np.random.default_rng(0)
    labels = np.zeros((6, 8, 10), np.uint8)
    labels[1:4, 2:7, 3:9], labels[5, :, 5:] = 7, 2
    grid = Grid((10, 8, 6), (2.0, 3.0, 4.0), (-5.0, 2.0, 11.0))
    body = Body(rng.normal(size=labels.shape).astype(np.float32), labels, grid)
    same = resample(body, warp(grid, (1.0, 1.0, 1.0), 0, deviation_mm=0.0), grid)
    assert np.allclose(same.hu, body.hu, atol=1e-4) and np.array_equal(same.labels, labels)
    shifted = resample(body, warp(grid, (1.0, 1.0, 1.0), 0, slip_mm=4.0, deviation_mm=0.0), grid)
    assert np.array_equal(shifted.labels[:-1], labels[1:])
    assert (shifted.hu[-1] == OUTSIDE_HU).all() and not shifted.labels[-1].any()


def test_a_failed_registration_has_slipped_off_the_body(written, tmp_path):
    write_scan(Job(tmp_path, SETTINGS, "0001", "0061", failed=True))
    good, failed = (read(folder, "label", "0001-0061").array for folder in (written, tmp_path))
    assert (failed > 0).sum() < 0.1 * (good > 0).sum()
