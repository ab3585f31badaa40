"""Labels do not depend on how a scan is stored, and lie where its voxels lie."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from helpers.measures import through_the_geometry
from helpers.sample_ct import CHALLENGE, sample_ct

from iuinet import segment
from iuinet.devices import choose_device
from iuinet.errors import Cancelled, DeviceError, InputRefused, UsageError
from iuinet.inference import Segmenter, softmax_margins
from iuinet.options import Options
from iuinet.volume import Grid, Volume
from iuinet.weights import resolve
from pipeline.generated.phantom import make_sample


@pytest.fixture(scope="module")
def segmenter(shallow_model):
    return Segmenter(resolve(shallow_model), "cpu")


@pytest.fixture(scope="module")
def scan():
    return sample_ct((40, 36, 28))


def stored(volume: Volume, order, signs) -> tuple[Volume, np.ndarray]:
    """The same scan with its array axes permuted and flipped, and the function that undoes it on labels."""
    array = volume.array.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    axes = [2 - axis for axis in order][::-1]  # image axes i, j, k now are these ones
    direction = np.asarray(volume.grid.direction)[:, axes] * np.array(signs[::-1])
    spacing = tuple(volume.grid.spacing[axis] for axis in axes)
    return Volume(array, Grid(array.shape[::-1], spacing, (0, 0, 0), direction))


def test_all_forty_eight_ways_to_store_a_scan_give_the_same_labels(segmenter, scan):
    expected = segmenter(scan).labels
    assert len(np.unique(expected)) > 3, "the random model must give a picture that can differ"
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            labels = segmenter(stored(scan, order, signs)).labels
            moved = expected.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
            assert np.array_equal(labels, moved), (order, signs)


def test_a_small_scan_is_widened_alike_whichever_of_its_axes_is_stored_first(two_pass_model, scan):
    twice = Segmenter(resolve(two_pass_model), "cpu")
    small = Volume(scan.array[10:22], Grid((40, 36, 12), (2.0, 2.5, 5.0)))
    expected = twice(small).labels
    assert len(np.unique(expected)) > 3, "the random model must give a picture that can differ"
    for order in itertools.permutations(range(3)):
        labels = twice(stored(small, order, (1, -1, 1))).labels
        assert np.array_equal(labels, expected.transpose(order)[:, ::-1]), order


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 5.0), (3.0, 0.7, 1.1)])
def test_an_oblique_header_gives_the_labels_of_the_nearest_straight_one(shallow_model, scan, spacing):
    image = sitk.GetImageFromArray(scan.array)
    image.SetSpacing(spacing)
    straight = segment(image, shallow_model, device="cpu", accept_warnings=True)
    angle = np.radians(25)
    image.SetDirection([np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1])
    image.SetOrigin((12.5, -300.25, 41.0))
    oblique = segment(image, shallow_model, device="cpu", accept_warnings=True)
    assert np.array_equal(*(sitk.GetArrayViewFromImage(r.labels) for r in (straight, oblique)))
    for read in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(oblique.labels, read)() == getattr(image, read)()
    assert oblique.labels.GetPixelID() == sitk.sitkUInt8


def test_a_fourth_axis_of_one_is_dropped_and_what_is_no_image_refused_before_the_work(shallow_model, scan):
    image = sitk.GetImageFromArray(scan.array)
    image.SetSpacing((3.0, 3.5, 4.0))
    image.SetOrigin((12.5, -300.25, 41.0))
    plain = segment(image, shallow_model, device="cpu", accept_warnings=True).labels
    joined = segment(sitk.JoinSeries([image]), shallow_model, device="cpu", accept_warnings=True).labels
    assert np.array_equal(sitk.GetArrayViewFromImage(plain), sitk.GetArrayViewFromImage(joined))
    for read in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(joined, read)() == getattr(image, read)()
    for other in (scan.array, "ct.nii.gz", scan):
        with pytest.raises(UsageError, match=type(other).__name__):
            segment(other, "no-such-model", device="cpu")
    with pytest.raises(InputRefused, match="5"):
        segment(sitk.JoinSeries([image] * 5), "no-such-model", device="cpu")


@pytest.mark.parametrize(("shape", "size"), [((41, 256, 250), 96), ((160, 90, 75), 64), ((60, 60, 60), 64)])
def test_a_labelmap_through_the_geometry_alone_keeps_its_place(shape, size):
    relative = [(np.arange(n) + 0.5) / n for n in shape]
    k, j, i = np.meshgrid(*relative, indexing="ij")
    labels = np.zeros(shape, np.uint8)
    for label, (centre, radii) in enumerate(
        [((0.33, 0.61, 0.27), (0.2, 0.25, 0.15)), ((0.7, 0.3, 0.66), (0.25, 0.2, 0.3))], start=1
    ):
        away = sum(((x - c) / r) ** 2 for x, c, r in zip((k, j, i), centre, radii, strict=True))
        labels[away < 1] = label
    back = through_the_geometry(labels, size)
    for label in (1, 2):
        moved = np.mean(np.nonzero(back == label), 1) - np.mean(np.nonzero(labels == label), 1)
        assert np.abs(moved).max() < 0.05, f"label {label} moved by {moved} voxels"


def test_the_ceiling_that_the_networks_grid_sets_is_printed_per_organ():
    labels, size = make_sample(seed=1, size=(160, 160, 80)).labels, 96
    back = through_the_geometry(labels, size)
    for organ in CHALLENGE:
        truth, found = labels == organ.id, back == organ.id
        dice = 2 * (truth & found).sum() / (truth.sum() + found.sum())
        print(f"round trip through {size}^3: {organ.name:28} DSC {dice:.3f}")
        assert dice > (0.98 if organ.name in ("liver", "spleen", "stomach") else 0.7), organ.name


def test_only_the_wanted_organs_come_back(segmenter, scan):
    everything = segmenter(scan, Options(islands=False))
    some = segmenter(scan, Options(organs=("liver", "spleen"), islands=False))
    ids = [organ.id for organ in segmenter.organs if organ.name in ("liver", "spleen")]
    assert [organ.id for organ in some.organs] == ids
    assert np.array_equal(some.labels, np.where(np.isin(everything.labels, ids), everything.labels, 0))
    assert set(some.margins) <= {"liver", "spleen"}


def test_progress_rises_through_the_stages_and_a_cancel_stops_it(segmenter, scan):
    seen: list[tuple[str, float]] = []
    segmenter(scan, progress=lambda stage, fraction: seen.append((stage, fraction)))
    stages = list(dict.fromkeys(stage for stage, _ in seen))
    assert stages == ["preparing", "segmenting", "finishing"]
    for stage in stages:
        fractions = [fraction for name, fraction in seen if name == stage]
        assert fractions == sorted(fractions) and fractions[-1] == 1
    assert sum(stage == "segmenting" for stage, _ in seen) > 50
    for limit in (1, 40, len(seen) - 3):
        asked = itertools.count()
        with pytest.raises(Cancelled):
            segmenter(scan, cancelled=lambda asked=asked, limit=limit: next(asked) > limit)


def test_the_margin_is_the_lead_of_the_winner():
    logits = torch.zeros(14, 2, 1, 1)
    logits[6, 0], logits[1, 0] = 3.0, 1.0
    logits[0, 1] = 9.0
    margins = softmax_margins(logits, CHALLENGE)
    p = torch.softmax(logits[:, 0, 0, 0], 0)
    assert list(margins) == ["liver"] and margins["liver"] == pytest.approx(float(p[6] - p[1]))


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "cuda:x", ""])
def test_a_device_that_is_not_here_is_refused_by_its_name(name):
    with pytest.raises(DeviceError, match=name or "''"):
        choose_device(name)


def test_voxels_come_and_go_as_buffers(small_model, scan, monkeypatch):
    """torch's own way to numpy and back is closed where it was built for numpy 1 and meets numpy 2."""

    def closed(*_: object) -> None:
        raise RuntimeError("Numpy is not available")

    expected = Segmenter(resolve(small_model), "cpu")(scan).labels
    monkeypatch.setattr(torch, "from_numpy", closed)
    for name in ("numpy", "__array__"):
        monkeypatch.setattr(torch.Tensor, name, closed)
    assert np.array_equal(Segmenter(resolve(small_model), "cpu")(scan).labels, expected)
