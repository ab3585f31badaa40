"""Slices end up where the headers say; a series whose slices are not one even stack is refused by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.dicom_factory import body_volume, feet_first, oblique, prone, write_enhanced, write_series
from helpers.reading_helpers import refusal
from pydicom.dataset import Dataset

from iuinet.reading import read_volume

SPACING = (0.8, 0.7, 2.5)
ORIGIN = (-120.0, -90.0, 40.0)
ORIENTATIONS = {"head-first": np.eye(3), "feet-first": feet_first(), "prone": prone(), "oblique": oblique()}


def even_positions(count: int = 12, step: float = 2.5) -> np.ndarray:
    """LPS positions of an axial stack."""
    return np.array(ORIGIN) + np.outer(np.arange(count) * step, [0.0, 0.0, 1.0])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_voxel_lies_where_the_header_says(tmp_path: Path, orientation: str) -> None:
    volume, direction = body_volume(), ORIENTATIONS[orientation]
    write_series(tmp_path, volume, spacing=SPACING, origin=ORIGIN, direction=direction)
    read = read_volume(tmp_path)
    np.testing.assert_array_equal(read.array, volume)
    expected = np.eye(4)
    expected[:3, :3] = direction * SPACING
    expected[:3, 3] = ORIGIN
    np.testing.assert_allclose(read.grid.index_to_lps(), expected, atol=1e-5)
    assert read.grid.size == volume.shape[::-1]
    assert read.notes == ()


def test_files_written_from_head_to_feet_are_turned_round(tmp_path: Path) -> None:
    volume = body_volume()
    write_series(tmp_path, volume, positions=even_positions()[::-1])
    read = read_volume(tmp_path)
    np.testing.assert_array_equal(read.array, volume[::-1])
    np.testing.assert_allclose(read.grid.origin, ORIGIN)
    np.testing.assert_allclose(read.grid.direction, np.eye(3), atol=1e-9)


def test_order_comes_from_positions_not_from_names_or_numbers(tmp_path: Path) -> None:
    volume = body_volume()
    scrambled = np.random.default_rng(3).permutation(len(volume))

    def renumber(ds: Dataset, k: int) -> None:
        ds.InstanceNumber = int(scrambled[k])

    write_series(tmp_path, volume, name=lambda k: f"{scrambled[-1 - k]:03d}", edit=renumber)
    np.testing.assert_array_equal(read_volume(tmp_path).array, volume)


@pytest.mark.parametrize(("lost", "count"), [([5], "1 slice is"), ([5, 6], "2 slices are")])
def test_missing_slices_are_named(tmp_path: Path, lost: list[int], count: str) -> None:
    files = write_series(tmp_path, body_volume())
    for k in lost:
        files[k].unlink()
    gap = f"{2.5 * (len(lost) + 1):.2f} mm"
    above = lost[-1] + 1
    names = ("slice 5 (file IM0004.dcm)", f"slice {above + 1} (file IM{above:04d}.dcm)")
    refusal(tmp_path, "slices-missing", f"{count} missing", *names, gap, "2.50 mm")


def test_two_slices_at_one_place_are_named(tmp_path: Path) -> None:
    positions = even_positions()
    positions[6] = positions[5]
    write_series(tmp_path, body_volume(), positions=positions)
    refusal(tmp_path, "slices-doubled", "slice 6 (file IM0005.dcm)", "slice 7 (file IM0006.dcm)", "52.50 mm")


def test_a_copied_file_is_named(tmp_path: Path) -> None:
    files = write_series(tmp_path, body_volume())
    shutil.copy(files[3], tmp_path / "IM0003 copy.dcm")
    error = refusal(tmp_path, "slices-doubled", "IM0003 copy.dcm", "the same image")
    assert "copies" in error.hint


def test_a_series_of_two_phases_is_refused(tmp_path: Path) -> None:
    for phase in range(2):
        write_series(tmp_path / str(phase), body_volume(seed=phase), series_uid="1.2.3")
    error = refusal(tmp_path, "slices-doubled", "12 of 24")
    assert "phases" in error.hint


def test_two_phases_in_one_enhanced_file_are_not_taken_for_copies(tmp_path: Path) -> None:
    volume = body_volume((6, 24, 28))
    order = [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]
    path = tmp_path / "phases.dcm"
    write_enhanced(path, volume, order=order, edit=lambda ds: setattr(ds, "NumberOfFrames", 12))
    error = refusal(path, "slices-doubled", "6 of 12", "frame 1", "frame 7")
    assert "phases" in error.hint and "copies" not in error.hint


def test_one_position_for_all_slices_is_said_so(tmp_path: Path) -> None:
    write_series(tmp_path, body_volume(), positions=np.tile(ORIGIN, (12, 1)))
    assert (
        "true positions" in refusal(tmp_path, "slices-doubled", "All 12 slices have the same position").hint
    )


MARKS = {  # keyword: its value in slice k of acquisition a, where each acquisition has a block of its own
    "AcquisitionNumber": lambda a, k: a + 1,
    "AcquisitionTime": lambda a, k: f"{101500 + 20 * a + k / 4:.2f}",
    "AcquisitionDateTime": lambda a, k: f"20260101{101500 + 20 * a}",
    "TemporalPositionIdentifier": lambda a, k: a + 1,
    "TriggerTime": lambda a, k: f"{350 * a}",
    "ConvolutionKernel": lambda a, k: ("SOFT", "BONE")[a],
}


def write_marked(folder: Path, keyword: str, acquisition: Callable[[int], int]) -> None:
    def mark(ds: Dataset, k: int) -> None:
        setattr(ds, keyword, MARKS[keyword](acquisition(k), k // 2))

    write_series(folder, body_volume((24, 24, 28)), edit=mark)


@pytest.mark.parametrize("keyword", MARKS)
def test_interleaved_acquisitions_are_refused(tmp_path: Path, keyword: str) -> None:
    write_marked(tmp_path, keyword, lambda k: k % 2)
    error = refusal(tmp_path, "slices-interleaved", keyword, "IM0000.dcm", "IM0001.dcm")
    assert "export only one" in error.hint


@pytest.mark.parametrize("keyword", MARKS)
def test_acquisitions_one_after_the_other_are_one_scan(tmp_path: Path, keyword: str) -> None:
    write_marked(tmp_path, keyword, lambda k: k // 12)
    assert read_volume(tmp_path).grid.size[2] == 24


def test_interleaved_phases_of_an_enhanced_file_are_refused(tmp_path: Path) -> None:
    def mark(ds: Dataset) -> None:
        for k, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
            content = Dataset()
            content.TemporalPositionIndex = k % 2 + 1
            frame.FrameContentSequence = [content]

    path = write_enhanced(tmp_path / "phases.dcm", body_volume(), edit=mark)
    refusal(path, "slices-interleaved", "TemporalPositionIndex", "frame 1", "frame 2")


def test_a_tilted_gantry_is_refused_with_its_angle(tmp_path: Path) -> None:
    positions = even_positions()
    positions[:, 1] += np.arange(12) * 2.5 * np.tan(np.radians(15))
    write_series(tmp_path, body_volume(), positions=positions)
    refusal(tmp_path, "gantry-tilt", "15.0 degrees")


def test_one_slice_beside_the_others_is_named(tmp_path: Path) -> None:
    positions = even_positions()
    positions[7, 0] += 3
    write_series(tmp_path, body_volume(), positions=positions)
    refusal(tmp_path, "slices-shifted", "slice 8 (file IM0007.dcm)", "3.0 mm")


@pytest.mark.parametrize("moved", [1, 6, 11])
def test_a_gap_off_by_more_than_a_tenth_of_a_millimetre_names_its_slice(tmp_path: Path, moved: int) -> None:
    positions = even_positions()
    positions[moved, 2] += 0.13
    write_series(tmp_path, body_volume(), positions=positions)
    refusal(tmp_path, "slices-uneven", f"slice {moved + 1} (file IM{moved:04d}.dcm)", "2.630 mm", "2.500 mm")


@pytest.mark.parametrize(("step", "jitter"), [(3.6, 0.05), (2.5, 0.03), (0.625, 0.005), (0.5, 0.05)])
def test_small_jitter_of_the_positions_is_read(tmp_path: Path, step: float, jitter: float) -> None:
    """Headers with few digits, or a table that stops not quite exactly."""
    for seed in range(5):
        volume, positions = body_volume((60, 24, 28)), even_positions(60, step)
        positions[:, 2] += np.random.default_rng(seed).uniform(-jitter, jitter, 60)
        write_series(tmp_path / str(seed), volume, positions=positions)
        read = read_volume(tmp_path / str(seed))
        np.testing.assert_array_equal(read.array, volume)
        assert read.grid.spacing[2] == pytest.approx(step, rel=1e-3)
        assert read.grid.origin[2] == pytest.approx(40, abs=0.06)


def test_steps_that_drift_apart_are_refused(tmp_path: Path) -> None:
    """No gap is off by 0.1 mm, yet the middle of the scan lies two millimetres beside its place."""
    positions = even_positions(60)
    positions[:, 2] = 40 + np.cumsum(np.r_[0, np.full(29, 2.42), np.full(30, 2.5)])
    write_series(tmp_path, body_volume((60, 24, 28)), positions=positions)
    refusal(tmp_path, "slices-uneven", "2.500 mm")


def test_a_step_that_changes_half_way_is_named(tmp_path: Path) -> None:
    positions = even_positions()
    positions[8:, 2] += np.arange(1, 5) * 2.5 * 0.5
    write_series(tmp_path, body_volume(), positions=positions)
    refusal(tmp_path, "slices-uneven", "slice 9 (file IM0008.dcm)", "3.750 mm", "4 such gaps")


def test_a_gap_off_by_less_than_one_percent_is_even(tmp_path: Path) -> None:
    positions = even_positions()
    positions[6, 2] += 2.5 * 0.008
    write_series(tmp_path, body_volume(), positions=positions)
    assert read_volume(tmp_path).grid.spacing[2] == pytest.approx(2.5)


def test_positions_rounded_by_an_archive_count_as_even(tmp_path: Path) -> None:
    positions = even_positions(step=0.625)

    def round_position(ds: Dataset, k: int) -> None:
        ds.ImagePositionPatient = [f"{value:.1f}" for value in positions[k]]

    write_series(tmp_path, body_volume(), positions=positions, edit=round_position)
    read = read_volume(tmp_path)
    assert read.grid.spacing[2] == pytest.approx(0.625, rel=0.01)
    assert "rounded to 0.1 mm" in read.notes[0]


def test_a_moved_slice_is_not_taken_for_rounding(tmp_path: Path) -> None:
    positions = even_positions(step=1.0)
    positions[6, 2] += 0.1

    def round_position(ds: Dataset, k: int) -> None:
        ds.ImagePositionPatient = [f"{value:.1f}" for value in positions[k]]

    write_series(tmp_path, body_volume(), positions=positions, edit=round_position)
    refusal(tmp_path, "slices-uneven", "slice 7 (file IM0006.dcm)", "1.100 mm")


@pytest.mark.parametrize(
    ("keyword", "value", "named"),
    [
        ("PixelSpacing", [0.9, 0.9], "0.9 x 0.9 mm"),
        ("ImageOrientationPatient", [1, 0, 0, 0, 0.9998, 0.02], "0.02"),
        ("Rows", 23, "28 x 23"),
    ],
)
def test_a_slice_unlike_the_others_is_named(tmp_path: Path, keyword: str, value: object, named: str) -> None:
    def change(ds: Dataset, k: int) -> None:
        if k == 4:
            setattr(ds, keyword, value)

    write_series(tmp_path, body_volume(), edit=change)
    refusal(tmp_path, "slices-mixed", "slice 5 (file IM0004.dcm)", named)


@pytest.mark.parametrize("orientation", [["1e308", 0, 0, 0, 1, 0], [1, 0, 0, 0, "-1e5", 0]])
def test_absurd_axes_are_refused(tmp_path: Path, orientation: list[object]) -> None:
    write_series(
        tmp_path, body_volume(), edit=lambda ds, k: setattr(ds, "ImageOrientationPatient", orientation)
    )
    refusal(tmp_path, ("bad-number", "bad-orientation"), "IM0000.dcm")


@pytest.mark.parametrize("orientation", [[1, 0, 0, 0, 2, 0], [1, 0, 0, 0.5, 0.866, 0], [0] * 6])
def test_axes_that_are_no_right_angle_of_unit_vectors_are_refused(
    tmp_path: Path, orientation: list[float]
) -> None:
    def change(ds: Dataset, k: int) -> None:
        ds.ImageOrientationPatient = orientation

    write_series(tmp_path, body_volume(), edit=change)
    refusal(tmp_path, "bad-orientation", "IM0000.dcm", "lengths")


@pytest.mark.parametrize("spacing", [[0, 0.8], [-0.8, 0.8]])
def test_a_pixel_spacing_that_is_not_positive_is_refused(tmp_path: Path, spacing: list[float]) -> None:
    write_series(tmp_path, body_volume(), edit=lambda ds, k: setattr(ds, "PixelSpacing", spacing))
    refusal(tmp_path, "bad-spacing", f"{spacing[0]:g} x 0.8 mm")


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_images_without_a_place_are_refused(tmp_path: Path, keyword: str) -> None:
    write_series(tmp_path, body_volume(), edit=lambda ds, k: delattr(ds, keyword))
    refusal(tmp_path, "no-position", "IM0000.dcm")


def test_a_position_that_is_no_number_is_refused(tmp_path: Path) -> None:
    files = write_series(tmp_path, body_volume())
    files[2].write_bytes(files[2].read_bytes().replace(b"-120.000000", b"-12x.000000"))
    refusal(tmp_path, "file-damaged", "IM0002.dcm")


def test_a_single_slice_is_read_for_the_checks_to_judge(tmp_path: Path) -> None:
    write_series(tmp_path, body_volume((1, 24, 28)))
    assert read_volume(tmp_path).grid.spacing == (0.8, 0.7, 2.5)
