"""Surface metrics against the truth where it is known, and against MedPy and MONAI where it is not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import ndimage

from pipeline.evaluation.metrics import border, surface_distances

binary = pytest.importorskip("medpy.metric.binary", reason="MedPy is not installed here")

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 0.8, 0.7), (0.9, 2.5, 5.0)]


def box(shape, low, high) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def blob(seed: int, shape=(20, 26, 23)) -> np.ndarray:
    """A ragged body, in some places at the array's edge."""
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 2.5, mode="nearest") > 0.02


def monai(first, second, spacing, tolerance) -> tuple[float, float, float]:
    """MONAI's HD95, ASSD and surface dice."""
    torch = pytest.importorskip("torch", reason="torch is not installed here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's own, about its dependencies
        metrics = pytest.importorskip("monai.metrics", reason="MONAI is not installed here")
        a, b = (torch.from_numpy(mask)[None, None] for mask in (first, second))
        hd95 = metrics.compute_hausdorff_distance(a, b, True, percentile=95, spacing=spacing)
        assd = metrics.compute_average_surface_distance(a, b, True, symmetric=True, spacing=spacing)
        nsd = metrics.compute_surface_dice(a, b, [tolerance], True, spacing=spacing)
    return hd95.item(), assd.item(), nsd.item()


def pairs():
    """Pairs of masks: ragged bodies, a single voxel, touching bodies, one inside the other, far apart."""
    shape = (20, 26, 23)
    yield "blobs", blob(0), blob(1)
    yield "small change", blob(2), ndimage.binary_dilation(blob(2))
    yield "single voxel and blob", box(shape, (3, 4, 5), (4, 5, 6)), blob(3)
    yield "single voxels", box(shape, (0, 0, 0), (1, 1, 1)), box(shape, (19, 25, 22), (20, 26, 23))
    yield "touching", box(shape, (2, 2, 2), (10, 9, 9)), box(shape, (10, 2, 2), (18, 9, 9))
    yield "inside", box(shape, (2, 2, 2), (18, 20, 20)), box(shape, (8, 8, 8), (11, 11, 11))
    yield (
        "spur",
        box(shape, (5, 5, 5), (15, 15, 15)),
        box(shape, (5, 5, 5), (15, 15, 15)) | box(shape, (9, 9, 15), (11, 11, 23)),
    )
    yield "whole array", np.ones(shape, bool), blob(4)


PAIRS = [pytest.param(a, b, id=name) for name, a, b in pairs()]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_medpy_finds_the_same_distances(first, second, spacing):
    ours = surface_distances(first, second, spacing)
    assert ours.pooled_hd95 == pytest.approx(binary.hd95(first, second, spacing), rel=1e-12)
    forward, backward = binary.asd(first, second, spacing), binary.asd(second, first, spacing)
    assert ours.forward.mean() == pytest.approx(forward, rel=1e-12)
    assert ours.backward.mean() == pytest.approx(backward, rel=1e-12)
    assert ours.assd == pytest.approx(binary.assd(first, second, spacing), rel=1e-12)
    # Where the definitions differ: the mean of the two means, which some papers call ASSD, and MedPy's HD95.
    assert min(forward, backward) - 1e-9 <= ours.assd <= max(forward, backward) + 1e-9
    largest = max(ours.forward.max(), ours.backward.max())
    assert largest == pytest.approx(binary.hd(first, second, spacing), rel=1e-12)
    assert ours.hd95 <= largest + 1e-12


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_monai_gives_the_same_numbers(first, second, spacing):
    ours = surface_distances(first, second, spacing)
    for tolerance in (0.5, 2.2, 3.1):  # no distance of these grids lies at a tolerance
        numbers = ours.hd95, ours.assd, ours.nsd(tolerance)
        assert numbers == pytest.approx(monai(first, second, spacing, tolerance), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_two_plates_lie_as_far_apart_as_they_were_put(spacing, axis):
    """One voxel thin and parallel: every distance is the same, a known number of steps."""
    low, high = [2, 2, 2], [12, 12, 12]
    high[axis] = 3
    first = box((14, 14, 14), low, high)
    second = np.roll(first, 7, axis)
    distances = surface_distances(first, second, spacing)
    expected = 7 * spacing[axis]
    for value in (distances.hd95, distances.pooled_hd95, distances.assd):
        assert value == pytest.approx(expected, rel=1e-12)
    assert distances.nsd(expected) == 1 and distances.nsd(expected * 0.999) == 0


def test_spheres_of_one_centre_lie_as_far_apart_as_their_radii():
    """Radii 12 and 17 mm: 5 mm everywhere but for the surface's steps, which bring a nearest voxel nearer."""
    spacing = np.array((1.5, 0.75, 0.75))
    shape = (30, 60, 60)
    at = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    radius = np.sqrt(sum(x**2 for x in np.meshgrid(*at, indexing="ij")))
    distances = surface_distances(radius < 12, radius < 17, tuple(spacing))
    assert distances.assd == pytest.approx(5, abs=0.75 / 2)
    assert distances.hd95 == pytest.approx(5, abs=1.0) and distances.pooled_hd95 == pytest.approx(5, abs=1.0)
    assert distances.nsd(3.75) == 0 and distances.nsd(6.2) == 1


def test_a_spur_shows_in_our_hd95_and_not_in_the_pooled_one():
    """A spur of 7 % of the result's surface is under 4 % of both: 95 % of all distances do not see it."""
    body = box((30, 40, 80), (3, 3, 3), (27, 37, 27))
    spur = body | box((30, 40, 80), (14, 18, 27), (17, 21, 78))
    distances = surface_distances(spur, body, (1, 1, 1))
    share = np.count_nonzero(distances.forward > 0) / distances.forward.size
    assert 0.05 < share < 0.1 and distances.backward.max() < 2
    assert distances.pooled_hd95 < 1 < 4 < distances.hd95


def test_equal_masks_have_no_distance():
    distances = surface_distances(blob(5), blob(5), (3.0, 0.8, 0.7))
    assert (distances.hd95, distances.assd, distances.nsd(0.0)) == (0, 0, 1)


def test_the_tolerance_holds_for_steps_that_do_not_add_up_exactly():
    first = box((12, 3, 3), (1, 1, 1), (2, 2, 2))
    assert 3 * 0.7 != 2.1, "the case that the test is about"
    assert surface_distances(first, np.roll(first, 3, 0), (0.7, 1, 1)).nsd(2.1) == 1


def test_the_cut_at_the_edge_of_the_scan_is_surface():
    assert border(np.ones((3, 3, 3), bool)).sum() == 26


def test_surfaces_of_nothing_are_refused():
    some, none = np.ones((3, 3, 3), bool), np.zeros((3, 3, 3), bool)
    for first, second in ((some, none), (none, some)):
        with pytest.raises(ValueError, match="empty"):
            surface_distances(first, second, (1, 1, 1))
    with pytest.raises(ValueError, match="do not fit"):
        surface_distances(some, some[:2], (1, 1, 1))
