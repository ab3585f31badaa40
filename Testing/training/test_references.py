"""References of real scans: what the watershed from discs takes in, and what it leaves out."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from scipy import ndimage

from iuinet.reading import read_volume
from iuinet.volume import Grid, Volume
from pipeline.starter.references import ORGANS, grow, reference
from pipeline.starter.scans import Case, narrow, without_contrast

SHAPE = (9, 96, 128)
DISCS = {
    "liver": [[2, 40, 40, 6], [4, 40, 40, 6], [6, 40, 40, 6]],
    "spleen": [[4, 100, 60, 5]],
    "other": [[4, 40, 76, 4], [4, 100, 10, 4]],
}


@pytest.fixture
def scan() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Fat with a liver that holds a vessel and a lesion and lies on muscle, and a spleen; a little noise."""
    k, j, i = np.mgrid[tuple(slice(n) for n in SHAPE)]
    liver = ((i - 40) / 28) ** 2 + ((j - 42) / 25) ** 2 + ((k - 4) / 5) ** 2 < 1
    spleen = ((i - 100) / 14) ** 2 + ((j - 60) / 18) ** 2 + ((k - 4) / 4) ** 2 < 1
    hu = np.full(SHAPE, -100.0)
    hu[(j > 62) & (j < 90) & (i < 70)] = 45
    hu[liver], hu[spleen] = 110, 125
    hu[liver & ((i - 48) ** 2 + (j - 36) ** 2 < 9)] = 190
    hu[liver & ((i - 28) ** 2 + (j - 50) ** 2 < 25)] = 40
    hu += np.random.default_rng(1).normal(0, 12, SHAPE)
    return hu.round().astype(np.int16), {"liver": liver, "spleen": spleen}


def test_organs_are_found_with_their_vessels_and_lesions_and_without_neighbours(scan):
    hu, truth = scan
    labels = grow(hu, DISCS)
    for organ, mask in truth.items():
        found = labels == ORGANS.index(organ) + 1
        assert 2 * (found & mask).sum() / (found.sum() + mask.sum()) > 0.94
    assert labels[4, 36, 48] == labels[4, 50, 28] == 1  # vessel and lesion
    assert labels[4, 76, 40] == labels[4, 10, 100] == 0  # muscle and fat
    assert not np.isin([3, 4, 5], labels).any()  # organs without a disc


def test_the_same_discs_give_the_same_reference_and_a_misread_name_is_noticed(scan):
    assert np.array_equal(grow(scan[0], DISCS), grow(scan[0], DISCS))
    with pytest.raises(ValueError):
        grow(scan[0], {"livre": [[4, 40, 40, 6]]})


def test_contrast_is_taken_from_organs_and_vessels_and_from_nothing_else(scan):
    hu, truth = scan
    hu[:, 40:60, 70:80] = 160  # a vessel
    hu[:, 5:25, 60:80] = 280  # bone
    labels = np.zeros(SHAPE, np.uint8)
    labels[truth["liver"]], labels[truth["spleen"]] = 1, 2
    plain = without_contrast(hu, labels, {"liver": 1, "spleen": 2})
    # Away from the edges, which are sharper here than a scanner's.
    deep = {organ: ndimage.binary_erosion(mask, np.ones((1, 7, 7))) for organ, mask in truth.items()}
    assert np.median(plain[deep["liver"]]) == pytest.approx(55, abs=4)
    assert np.median(plain[deep["spleen"]]) == pytest.approx(48, abs=4)
    assert np.median(plain[:, 44:56, 73:77]) == pytest.approx(57, abs=4)
    assert np.median(plain[4, 36, 47:50]) < 110  # the vessel in the liver
    assert np.array_equal(plain[:, 8:22, 63:77], hu[:, 8:22, 63:77])
    fat = np.s_[:, :12, 90:]
    assert np.array_equal(plain[fat], hu[fat])
    inside = np.s_[3:6, 30:34, 34:40]
    assert plain[inside].std() == pytest.approx(hu[inside].std(), rel=0.3)  # noise stays


def test_a_scan_is_cut_to_a_narrow_field_of_view_where_it_lies(scan):
    hu, truth = scan
    labels = np.zeros(SHAPE, np.uint8)
    labels[truth["liver"]], labels[truth["spleen"]] = 1, 2
    volume = Volume(hu, Grid(SHAPE[::-1], (4.0, 4.0, 5.0), (7.0, 8.0, 9.0)))
    around = list(narrow(Case("one", "real", volume, labels, {"liver": 1, "spleen": 2})))
    assert [case.name for case in around] == ["one around the liver", "one around the spleen"]
    for case, organ in zip(around, (1, 2), strict=True):
        assert case.volume.array.shape == case.truth.shape == case.volume.grid.shape == (9, 50, 50)
        i, j = (round((at - old) / 4) for at, old in zip(case.volume.grid.origin, (7.0, 8.0), strict=False))
        assert np.array_equal(case.volume.array, hu[:, j : j + 50, i : i + 50])
        assert np.array_equal(case.truth == organ, labels[:, j : j + 50, i : i + 50] == organ)
        middle = np.argwhere(case.truth == organ).mean(0)
        assert np.abs(middle[1:] - 24.5).max() < 6, "it is about the organ"


def test_a_real_scans_reference_has_the_volumes_that_were_looked_at(data_folder):
    volume = read_volume(data_folder / "ct" / "CRLM-CT-1004")
    labels, ids = reference("CRLM-CT-1004", volume)
    millilitres = [np.count_nonzero(labels == ids[organ]) * volume.grid.voxel_volume_ml for organ in ORGANS]
    assert millilitres == pytest.approx((1362.8, 188.2, 105.1, 136.7, 19.7), rel=0.01)
