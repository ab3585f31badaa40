"""The second pass looks where the organs are, and both passes meet voxel by voxel."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.model_factory import write_model
from helpers.sample_ct import sample_ct

from iuinet.boxes import common, lengths, moved, whole
from iuinet.errors import InputRefused, UsageError, WeightsError
from iuinet.geometry import box_to_canonical, canonical_axes, canonical_grid, to_canonical
from iuinet.inference import Logits, Segmenter
from iuinet.inference.second_pass import SecondPass, fuse
from iuinet.inference.upsampling import upsample_labels
from iuinet.labels import ORGANS
from iuinet.options import Options
from iuinet.preprocessing import prepare
from iuinet.segmentation import segment_volume
from iuinet.volume import Grid, Volume
from iuinet.weights.model_file import check_file

LIVER, SPLEEN = (
    next(n for n, organ in enumerate(ORGANS, 1) if organ.name == name) for name in ("liver", "spleen")
)


def logits_of(labels: np.ndarray, classes: int = 14) -> torch.Tensor:
    """Logits that decide for these labels."""
    return (
        10 * torch.nn.functional.one_hot(torch.from_numpy(labels).long(), classes).permute(3, 0, 1, 2).float()
    )


def test_the_box_holds_the_organs_with_their_margin_in_mm():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[8:12, 5:10, 4:6] = LIVER
    labels[9, 9, 15] = SPLEEN
    # One voxel of the network's grid is 5, 20 and 10 voxels of the volume, 10, 10 and 20 mm.
    second = SecondPass((LIVER, SPLEEN), margin_mm=20.0)
    box = second.box(logits_of(labels), whole((100, 400, 200)), (2.0, 0.5, 2.0))
    assert [(edges.start, edges.stop) for edges in box] == [(30, 70), (60, 240), (30, 170)]


def test_only_the_largest_piece_counts_and_the_volume_is_the_limit():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[0:6, 0:6, 0:6] = LIVER
    labels[18, 18, 18] = LIVER
    second = SecondPass((LIVER,), margin_mm=2.0)
    box = second.box(logits_of(labels), whole((40, 40, 40)), (1.0, 1.0, 1.0))
    assert [(edges.start, edges.stop) for edges in box] == [(0, 14)] * 3


def test_without_organs_or_with_organs_everywhere_there_is_no_box():
    second = SecondPass((LIVER,), margin_mm=20.0)
    for labels in (np.zeros((8, 8, 8), np.uint8), np.full((8, 8, 8), LIVER, np.uint8)):
        assert second.box(logits_of(labels), whole((8, 8, 8)), (1.0, 1.0, 1.0)) is None


def test_both_passes_agree_on_where_a_voxel_lies():
    """A field that is linear along each axis is the same seen from the volume and from its box."""
    shape, box, size = (60, 80, 40), (slice(12, 48), slice(20, 80), slice(4, 37)), 16

    def field(edges, count):
        centre = edges.start + (torch.arange(size) + 0.5) * (edges.stop - edges.start) / size
        return centre / count

    def seen(window):
        axes = [field(edges, count) for edges, count in zip(window, shape, strict=True)]
        k, j, i = torch.meshgrid(*axes, indexing="ij")
        return torch.stack([torch.zeros_like(k), k + 2 * j - 3 * i])

    first, part = seen(whole(shape)), seen(box)
    fused = fuse(first, part, box, whole(shape))
    lead = fused[1] - fused[0]
    inner = (slice(2, -2),) * 3  # half a voxel at the volume's own edge is repeated, not extrapolated
    assert torch.allclose(lead[inner], part[1][inner], atol=1e-4)


def test_inside_the_box_both_passes_count_and_outside_the_first(two_pass_model):
    segmenter = Segmenter(check_file(two_pass_model), "cpu")
    volume = sample_ct((64, 60, 44))
    once = segmenter(volume, Options(islands=False, fast=True))
    twice = segmenter(volume, Options(islands=False))
    assert (once.passes, twice.passes) == (1, 2)
    spacing = canonical_grid(volume.grid).spacing[::-1]
    field = segmenter.field(whole(volume.array.shape), volume.array.shape, spacing)
    assert field == whole(volume.array.shape), "the sample is as large as a body"
    with torch.inference_mode():
        first = segmenter.net(prepare(volume.array, 32, (-125, 275)))[0][0]
        box = segmenter.second_pass.box(first, field, spacing)
        part = segmenter.net(prepare(volume.array[box], 32, (-125, 275)))[0][0]
    expected = once.labels.copy()
    ids = np.array([0, *(organ.label for organ in segmenter.organs)], np.uint8)
    expected[box] = ids[upsample_labels(fuse(first, part, box, field), lengths(box))]
    assert np.array_equal(twice.labels, expected)
    assert not np.array_equal(twice.labels, once.labels), "the random model must show a difference"


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    "cut", [(slice(None), slice(14, 40), slice(10, 41)), (slice(20, 27), slice(None), slice(None))]
)
def test_a_scan_smaller_than_a_body_is_seen_in_one_of_its_outermost_voxels(two_pass_model, fast, cut):
    segmenter = Segmenter(check_file(two_pass_model), "cpu")
    scan = sample_ct((64, 60, 44))
    small = Volume(np.ascontiguousarray(scan.array[cut]), part_of(scan.grid, scan.array[cut].shape))
    field = segmenter.field(whole(small.array.shape), small.array.shape, scan.grid.spacing[::-1])
    assert lengths(field) != small.array.shape
    pads = [(-e.start, e.stop - n) for e, n in zip(field, small.array.shape, strict=True)]
    body = np.pad(small.array, pads, mode="edge")
    options = Options(islands=False, fast=fast)
    seen, plainly = (segmenter(v, options) for v in (small, Volume(body, part_of(scan.grid, body.shape))))
    held = moved(common(field, whole(small.array.shape)), field)
    expected = plainly.labels[held]
    # Sums of a widened resize come in another order: a boundary may move by a voxel here and there.
    assert np.mean(seen.labels != expected) < 2e-3 and seen.passes == plainly.passes
    assert len(np.unique(expected)) > 2, "the random model must show something"


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ({}, (80, 320, 320)),
        ({"smallest_mm": [40, 0, 50]}, (20, 20, 50)),
        ({"smallest_mm": [0, 0, 0]}, (10, 20, 30)),
    ],
)
def test_as_much_is_seen_as_the_models_document_says(tmp_path, small_model, said, seen):
    shape, spacing = (20, 25, 40), (2.0, 1.0, 1.0)
    region = slice(3, 13), slice(0, 20), slice(5, 35)
    second = {"organs": ["liver"], "margin_mm": 5, **said}
    preprocessing = {"orientation": "LPS", "size": 32, "window": [-125, 275], "second_pass": second}
    path = write_model(tmp_path / "model.safetensors", preprocessing=preprocessing)
    assert lengths(SecondPass.of_model(check_file(path).document).field(region, shape, spacing)) == seen
    once = Segmenter(check_file(small_model), "cpu")
    assert once.field(region, shape, spacing) == region, "a model of one look sees the region alone"


# Of the cube of 2 m that the network is shown the volume holds the middle: the cells 15 and 16.
@pytest.mark.parametrize(("found", "passes"), [(slice(0, 8), 1), (slice(15, 17), 2), (slice(0, 0), 1)])
def test_only_organs_near_the_volume_are_worth_a_second_look(two_pass_model, monkeypatch, found, passes):
    segmenter = Segmenter(check_file(two_pass_model), "cpu")
    segmenter.second_pass = replace(segmenter.second_pass, smallest_mm=(2000.0, 2000.0, 2000.0))
    labels = np.zeros((32, 32, 32), np.uint8)
    labels[found, found, found] = SPLEEN
    monkeypatch.setattr(segmenter, "run", lambda *_: (logits_of(labels), []))
    grid = Grid((40, 40, 20), (1.0, 1.0, 2.0), (0, 0, 0), np.eye(3))
    assert segmenter(Volume(np.zeros((20, 40, 40), np.int16), grid)).passes == passes


def test_margins_are_of_what_lies_in_the_region():
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[:4] = LIVER
    organs, region = tuple(ORGANS), whole((8, 8, 8))
    found = Logits(region, logits_of(labels), (slice(0, 16), slice(0, 8), slice(0, 8)))
    assert list(found.margins(organs)) == ["liver"]
    beside = Logits(region, logits_of(labels), (slice(-8, 8), slice(0, 8), slice(0, 8)))
    assert beside.margins(organs) == {}
    behind = Logits((slice(4, 8), *region[1:]), logits_of(labels), region)
    assert behind.margins(organs) == {}


def part_of(grid: Grid, shape: tuple[int, ...]) -> Grid:
    """A grid of the same voxels with another shape; its place does not matter."""
    return replace(grid, size=shape[::-1])


def test_progress_rises_through_both_passes(two_pass_model):
    steps = []
    segmenter = Segmenter(check_file(two_pass_model), "cpu")
    segmenter(sample_ct((40, 40, 30)), progress=lambda stage, done: steps.append((stage, done)))
    for name in ("segmenting", "finishing"):
        fractions = [done for stage, done in steps if stage == name]
        assert fractions == sorted(fractions) and fractions[0] == 0.0 and fractions[-1] == 1.0


# A region of a scan -----------------------------------------------------------------------------------------

REGION = ((14, 30), (8, 33), (20, 51))


def regional(region=REGION, **others) -> Options:
    return Options(islands=False, region=region, **others)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("direction", [np.eye(3), np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]])])
def test_a_region_is_seen_with_what_lies_beside_it(two_pass_model, fast, direction):
    """Whatever the axes: as if the scan were cut as wide as a body, and the region from its labels."""
    segmenter = Segmenter(check_file(two_pass_model), "cpu")
    scan = sample_ct((64, 60, 44))
    scan = replace(scan, grid=replace(scan.grid, direction=direction))
    axes, spacing = canonical_axes(direction), canonical_grid(scan.grid).spacing[::-1]
    canonical = to_canonical(scan.array, axes)
    region = box_to_canonical(regional().box, scan.array.shape, axes)
    body = tuple((count + 9) * step for count, step in zip(lengths(region), spacing, strict=True))
    segmenter.second_pass = replace(segmenter.second_pass, smallest_mm=body)
    field = segmenter.field(region, canonical.shape, spacing)
    assert common(field, whole(canonical.shape)) == field != region, "wider, and all of it in the scan"
    wide = Volume(canonical[field], Grid(lengths(field)[::-1], spacing[::-1]))
    expected = segmenter(wide, Options(islands=False, fast=fast))
    found = segmenter(scan, regional(fast=fast))
    assert found.passes == expected.passes
    assert np.array_equal(to_canonical(found.labels, axes), expected.labels[moved(region, field)])
    assert len(np.unique(found.labels)) > 2, "the random model must show something"


def test_what_lies_beside_a_region_is_of_the_scan_as_far_as_that_reaches(two_pass_model):
    second = SecondPass.of_model(check_file(two_pass_model).document)
    second = replace(second, smallest_mm=(40.0, 40.0, 200.0))
    corner = second.field((slice(0, 8), slice(50, 60), slice(20, 30)), (44, 60, 64), (2.0, 2.0, 2.0))
    assert corner == (slice(0, 20), slice(40, 60), slice(-18, 82))


def test_a_region_is_segmented_whatever_the_voxels_beside_it_hold(two_pass_model, small_model):
    scan = sample_ct((64, 60, 44))
    padded = replace(scan, array=scan.array.astype(np.float32))
    padded.array[:12] = np.nan
    for path in (two_pass_model, small_model):
        assert segment_volume(padded, check_file(path), regional(device="cpu")).labels.any()
    assert np.isnan(padded.array[:12]).all(), "the scan itself stays as it is"
    with pytest.raises(InputRefused):
        segment_volume(padded, check_file(path), regional(((8, 30), *REGION[1:]), device="cpu"))
    longer = replace(scan.grid, size=(64, 60, 99))
    for wrong in (replace(scan, grid=longer), replace(scan, array=scan.array[0])):
        with pytest.raises(InputRefused):
            segment_volume(wrong, check_file(path), regional(device="cpu"))


def test_nothing_is_found_outside_a_region_and_the_report_is_of_it(two_pass_model, small_model):
    scan = sample_ct((64, 60, 44))
    box = regional().box
    for path in (two_pass_model, small_model):
        result = segment_volume(scan, check_file(path), regional(device="cpu"))
        assert result.labels.shape == scan.array.shape
        beside = result.labels.copy()
        beside[box] = 0
        assert result.labels.any() and not beside.any()
        assert result.report["input"]["size"] == list(lengths(box)[::-1])
        for organ in result.report["organs"]:
            count = np.count_nonzero(result.labels == organ["label"])
            assert organ["voxels"] == count
    # A model of one look sees the region alone.
    alone = segment_volume(scan.part(box), check_file(small_model), regional(None, device="cpu"))
    assert np.array_equal(result.labels[box], alone.labels)


@pytest.mark.parametrize(
    "region",
    [
        3,
        "liver",
        ((0, 8), (0, 8)),
        ((0, 8.5), (0, 8), (0, 8)),
        ((0, 8), (0, 8), (9, 9)),
        (*REGION[:2], (40, 65)),
    ],
)
def test_a_region_that_is_none_of_the_scan_is_refused(small_model, region):
    with pytest.raises(UsageError, match="region"):
        segment_volume(sample_ct((64, 60, 44)), check_file(small_model), regional(region, device="cpu"))


# What a document may say ------------------------------------------------------------------------------------

WRONG = (
    {"organs": ["heart"], "margin_mm": 5},
    {"organs": [], "margin_mm": 5},
    {"organs": ["liver"], "margin_mm": -1},
    {"organs": ["liver"]},
    {"organs": ["liver"], "margin_mm": 5, "smallest_mm": [160, 320]},
    {"organs": ["liver"], "margin_mm": 5, "smallest_mm": [160, 320, "all"]},
    3,
)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_second_pass_that_makes_no_sense_is_refused_with_the_file(tmp_path, wrong):
    preprocessing = {"orientation": "LPS", "size": 32, "window": [-125, 275], "second_pass": wrong}
    path = write_model(tmp_path / "wrong.safetensors", preprocessing=preprocessing)
    with pytest.raises(WeightsError) as refused:
        check_file(path)
    assert refused.value.code == "weights-metadata"
