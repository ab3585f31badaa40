"""NIfTI files: the one that was named, all of it, at the place that it gives; or a question, or a refusal."""

from __future__ import annotations

import gzip
import math
import struct
import time
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from helpers.dicom_factory import body_volume, oblique
from helpers.reading_helpers import assert_as_itk_reads, flipped, orientations, question, refusal

from iuinet.checks import check_volume, enforce
from iuinet.errors import InputRefused
from iuinet.reading import read_volume

SPACING = (0.8, 0.7, 2.5)
DIM, DATATYPE, PIXDIM, VOX_OFFSET, SCALE, UNITS, QUATERNION, SROW = 40, 70, 76, 108, 112, 123, 256, 280
MAGIC = 344


def affine(direction: np.ndarray | None = None) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if direction is None else direction) * SPACING
    matrix[:3, 3] = -20, -30, 40
    return matrix


def nifti(
    path: Path,
    array: np.ndarray | None = None,
    s: np.ndarray | None = None,
    q: np.ndarray | None = None,
    codes: tuple[int, int] = (1, 1),
    kind: type = nibabel.Nifti1Image,
) -> Path:
    """A file by nibabel. s, q: places in RAS; codes: of sform and qform."""
    s = affine() if s is None else s
    image = kind((body_volume() if array is None else array).T, s)
    image.set_sform(s, codes[0])
    image.set_qform(s if q is None else q, codes[1], strip_shears=True)
    nibabel.save(image, path)
    return path


def patched(path: Path, offset: int, layout: str, *values: object) -> Path:
    """The file with other values in its header, compressed again if it was."""
    data = bytearray(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    struct.pack_into(layout, data, offset, *values)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


# What is read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1), (2, 1)], ids=str)
def test_all_48_storage_orders_are_read_as_itk_reads_them(tmp_path: Path, codes: tuple[int, int]) -> None:
    for direction in orientations():
        path = nifti(tmp_path / "scan.nii", body_volume((5, 6, 7)), affine(direction), codes=codes)
        assert assert_as_itk_reads(path).notes == ()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_numbers_and_their_scaling_are_read_as_itk_reads_them(tmp_path: Path, dtype: str, order: str) -> None:
    array = (body_volume() % 100).astype(dtype)
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(dtype)
    image = nibabel.Nifti1Image(array.T, affine(), header)
    image.set_qform(affine(), 1)
    nibabel.save(image, tmp_path / "scan.nii")
    assert assert_as_itk_reads(tmp_path / "scan.nii").array.dtype == dtype
    assert_as_itk_reads(patched(tmp_path / "scan.nii", SCALE, order + "2f", 0.37, -1024.5))


def test_an_oblique_scan_is_read_as_itk_reads_it(tmp_path: Path) -> None:
    for codes in ((1, 0), (0, 1), (1, 1)):
        assert_as_itk_reads(nifti(tmp_path / "scan.nii.gz", s=affine(oblique()), codes=codes))


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_nifti_2_is_read(tmp_path: Path, ending: str) -> None:
    path = nifti(tmp_path / f"scan.{ending}", s=affine(oblique()), kind=nibabel.Nifti2Image)
    read = read_volume(path)
    np.testing.assert_array_equal(read.array, body_volume())
    np.testing.assert_allclose(
        np.diag([-1, -1, 1, 1]) @ read.grid.index_to_lps(), affine(oblique()), atol=1e-5
    )
    assert read.notes == ()


def test_the_file_that_was_named_is_read_whatever_lies_beside_it(tmp_path: Path) -> None:
    named = nifti(tmp_path / "scan.nii.gz")
    nifti(tmp_path / "scan.nii", body_volume()[::-1])
    np.testing.assert_array_equal(read_volume(named).array, body_volume())
    np.testing.assert_array_equal(read_volume(tmp_path / "scan.nii").array, body_volume()[::-1])


@pytest.mark.parametrize(("unit", "mm"), [(0, 1), (1, 1000), (2, 1), (3, 0.001)])
def test_lengths_are_read_in_the_unit_that_the_file_names(tmp_path: Path, unit: int, mm: float) -> None:
    read = assert_as_itk_reads(patched(nifti(tmp_path / "scan.nii"), UNITS, "B", unit))
    np.testing.assert_allclose(read.grid.spacing, np.multiply(SPACING, mm), rtol=1e-6)


@pytest.mark.parametrize("slope", [0.0, math.nan, math.inf], ids=str)
def test_a_void_slope_scales_nothing_and_voids_the_intercept(tmp_path: Path, slope: float) -> None:
    path = patched(nifti(tmp_path / "scan.nii"), SCALE, "<2f", slope, -1024)
    np.testing.assert_array_equal(read_volume(path).array, body_volume())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_what_is_no_number_stays_so_and_is_refused(tmp_path: Path, value: float) -> None:
    array = body_volume().astype(np.float32)
    array[5, 10:14, 10:14] = value
    volume = read_volume(nifti(tmp_path / "scan.nii.gz", array))
    np.testing.assert_array_equal(volume.array, array)
    with pytest.raises(InputRefused, match="16 of 8064 voxels are not numbers"):
        enforce(check_volume(volume), accept_warnings=True)


def test_extensions_before_the_voxels_are_passed_over(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(body_volume().T, affine())
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 5000))
    nibabel.save(image, tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "scan.nii.gz").array, body_volume())


def test_a_plain_file_named_gz_and_several_gzip_members_are_read(tmp_path: Path) -> None:
    plain = nifti(tmp_path / "scan.nii")
    data = plain.read_bytes()
    (tmp_path / "plain.nii.gz").write_bytes(data)
    parts = [data[start : start + 5000] for start in range(0, len(data), 5000)]
    (tmp_path / "members.nii.gz").write_bytes(b"".join(gzip.compress(part) for part in parts))
    for name in ("plain.nii.gz", "members.nii.gz"):
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, body_volume())


def test_a_scan_hardly_off_a_right_angle_is_read_at_right_angles(tmp_path: Path) -> None:
    sheared = affine()
    sheared[1, 2] = SPACING[2] * 5e-3
    grid = read_volume(nifti(tmp_path / "scan.nii", s=sheared, codes=(2, 0))).grid
    np.testing.assert_allclose(grid.direction.T @ grid.direction, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(grid.direction, np.diag([-1, -1, 1]), atol=5e-3)
    sheared[1, 2] = SPACING[2] * 2e-2
    refusal(nifti(tmp_path / "scan.nii", s=sheared, codes=(2, 0)), "sheared-axes", "off by 0.02")


# What a person is asked ----------------------------------------------------------------------------------


def test_two_places_that_are_mirrored_are_a_question(tmp_path: Path) -> None:
    mirrored = affine(np.diag([-1, 1, 1]))
    mirrored[0, 3] += 27 * SPACING[0]
    volume = read_volume(nifti(tmp_path / "scan.nii.gz", q=mirrored, codes=(2, 1)))
    question(volume, "two-places", "21.6 mm apart", "left and right exchanged", "The sform was taken")
    np.testing.assert_allclose(volume.grid.direction, np.diag([-1, -1, 1]), atol=1e-6)
    asked = [finding for finding in check_volume(volume) if finding.code == "two-places"]
    with pytest.raises(InputRefused, match="two places") as caught:
        enforce(asked, accept_warnings=False)
    assert "--accept-warnings" in caught.value.hint


def test_two_places_apart_are_a_question_and_less_than_half_a_voxel_is_none(tmp_path: Path) -> None:
    for voxels, asked in ((0.4, False), (0.6, True)):
        shifted = affine()
        shifted[2, 3] += voxels * SPACING[2]
        volume = read_volume(nifti(tmp_path / "scan.nii", q=shifted, codes=(4, 1)))
        assert bool(volume.doubts) is asked
    question(volume, "two-places", "1.5 mm apart")


def test_a_voxel_size_that_is_not_that_of_the_place_is_a_question(tmp_path: Path) -> None:
    path = patched(nifti(tmp_path / "scan.nii", codes=(2, 0)), PIXDIM + 4, "<3f", 1, 1, 1)
    volume = read_volume(path)
    question(volume, "two-spacings", "1 x 1 x 1 mm", "0.8 x 0.7 x 2.5 mm")
    np.testing.assert_allclose(volume.grid.spacing, SPACING, rtol=1e-6)


def test_a_file_without_orientation_is_a_question(tmp_path: Path) -> None:
    volume = read_volume(nifti(tmp_path / "scan.nii.gz", codes=(0, 0)))
    question(volume, "no-orientation", "left and right may be exchanged")
    np.testing.assert_allclose(volume.grid.spacing, SPACING, rtol=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0], ids=str)
def test_a_broken_sform_does_not_beat_a_sound_qform(tmp_path: Path, value: float) -> None:
    for codes in ((1, 1), (4, 1)):
        path = patched(nifti(tmp_path / "scan.nii.gz", codes=codes), SROW + 16, "<3f", 10, value, value)
        patched(path, SROW, "<4f", 0.8, value, value, -20)
        patched(path, SROW + 32, "<4f", value, value, value, 40)
        volume = read_volume(path)
        question(volume, "two-places", "sform", "broken")
        np.testing.assert_allclose(volume.grid.origin, (20, 30, 40), rtol=1e-6)
    nifti(tmp_path / "only.nii.gz", codes=(1, 0))
    refusal(patched(tmp_path / "only.nii.gz", SROW + 16, "<3f", 0, value, value), "bad-place", "sform")


def test_a_place_of_wrong_numbers_is_a_question(tmp_path: Path) -> None:
    path = patched(nifti(tmp_path / "scan.nii"), SROW + 32, "<4f", 0, 0, 1e30, 40)
    question(read_volume(path), "two-places", "sform", "1e+30")
    path = patched(nifti(tmp_path / "scan.nii"), QUATERNION, "<3f", 5e6, 0, 0)
    question(read_volume(path), "two-places", "qform", "broken")


def test_a_broken_quaternion_does_not_beat_a_sound_sform(tmp_path: Path) -> None:
    for value in (math.nan, 5.0):
        path = patched(nifti(tmp_path / "scan.nii", codes=(1, 1)), QUATERNION, "<3f", value, 0, 0)
        volume = read_volume(path)
        question(volume, "two-places", "qform", "broken")
        np.testing.assert_allclose(volume.grid.origin, (20, 30, 40), rtol=1e-6)
        path = patched(nifti(tmp_path / "only.nii", codes=(0, 1)), QUATERNION, "<3f", value, 0, 0)
        refusal(path, "bad-place", "qform")


# What is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
@pytest.mark.parametrize(
    ("offset", "layout", "value"),
    [
        (0, "<i", 349),
        (0, "<i", 0),
        (MAGIC, "4s", b"n+0\0"),
        (MAGIC, "4s", b"o+1\0"),
        (MAGIC, "4s", b"ni1\0"),
        (MAGIC, "4s", bytes(4)),
        (VOX_OFFSET, "<f", 0.0),
        (VOX_OFFSET, "<f", 300.0),
        (VOX_OFFSET, "<f", 352.5),
        (VOX_OFFSET, "<f", math.nan),
        (VOX_OFFSET, "<f", 3e30),
        (DIM, "<h", 0),
        (DIM, "<h", 9),
        (DIM + 2, "<h", 27),
        (DIM + 6, "<h", 6),
        (DATATYPE, "<h", 5),
        (DATATYPE, "<h", 2),
        (DATATYPE + 2, "<h", 8),
        (UNITS, "B", 5),
        (SCALE, "<2f", (2.0, math.nan)),
    ],
    ids=str,
)
def test_a_damaged_header_is_refused(
    tmp_path: Path, ending: str, offset: int, layout: str, value: object
) -> None:
    values = value if isinstance(value, tuple) else (value,)
    path = patched(nifti(tmp_path / f"scan.{ending}"), offset, layout, *values)
    refusal(path, "file-damaged", path.name)


def test_a_damaged_header_does_not_hide_that_half_of_the_file_is_missing(tmp_path: Path) -> None:
    path = patched(nifti(tmp_path / "scan.nii"), 0, "<i", 349)
    path.write_bytes(path.read_bytes()[:8000])
    refusal(path, "file-damaged", "349")


def test_every_wrong_bit_of_the_compressed_data_is_seen(tmp_path: Path) -> None:
    path = nifti(tmp_path / "scan.nii.gz")
    for data in flipped(path.read_bytes(), 400):
        path.write_bytes(data)
        refusal(path, ("file-cut", "file-damaged"), "scan.nii.gz")


def test_what_follows_the_voxels_is_refused_but_for_zeros_after_a_compressed_stream(tmp_path: Path) -> None:
    plain, zipped = nifti(tmp_path / "scan.nii"), nifti(tmp_path / "scan.nii.gz")
    whole, stream = plain.read_bytes(), zipped.read_bytes()
    zipped.write_bytes(stream + bytes(511))
    np.testing.assert_array_equal(read_volume(zipped).array, body_volume())
    for more in (b"junk", bytes(512), bytes(100) + b"\1"):
        zipped.write_bytes(stream + more)
        refusal(zipped, "file-damaged", "holds more than the voxels")
    for more in (b"\0", b"junk", bytes(512)):  # a byte that came in before would push a zero out at the end
        plain.write_bytes(whole + more)
        zipped.write_bytes(gzip.compress(whole + more))
        for path in (plain, zipped):
            refusal(path, "file-damaged", "holds more than the voxels")


def test_a_stream_that_goes_on_is_not_inflated(tmp_path: Path) -> None:
    data = nifti(tmp_path / "scan.nii").read_bytes()
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(data) + gzip.compress(bytes(1 << 24)) * 1000)  # 16 GB
    start = time.process_time()
    refusal(path, "file-damaged", "holds more than the voxels")
    assert time.process_time() - start < 5


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_no_memory_is_taken_for_what_a_header_claims(tmp_path: Path, ending: str) -> None:
    path = patched(nifti(tmp_path / f"scan.{ending}"), DIM, "<4h", 3, 2000, 2000, 600)
    tracemalloc.start()
    try:
        refusal(path, "file-cut", "of 4800000352 bytes are there")
        assert tracemalloc.get_traced_memory()[1] < 1e7
    finally:
        tracemalloc.stop()


def test_types_that_no_ct_has_are_refused(tmp_path: Path) -> None:
    for code, bits, refused in ((1, 1, "pixel-type"), (1536, 128, "pixel-type"), (128, 24, "vector-pixels")):
        path = patched(nifti(tmp_path / "scan.nii"), DATATYPE, "<2h", code, bits)
        refusal(path, refused)


def test_a_vector_image_of_nifti_is_named_so(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.stack([body_volume()] * 3, -1), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "field.nii"))
    refusal(tmp_path / "field.nii", "vector-pixels", "3 values")
