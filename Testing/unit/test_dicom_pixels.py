"""DICOM pixels become the right Hounsfield units, whatever their codec, bits, sign and rescale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.dicom_factory import body_volume, write_enhanced, write_series
from helpers.reading_helpers import refusal
from pydicom.dataset import Dataset
from pydicom.uid import (
    HTJ2K,
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from iuinet.reading import read_volume

LOSSLESS = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "jpeg-lossless": JPEGLosslessSV1,
    "jpeg-ls": JPEGLSLossless,
    "jpeg-2000": JPEG2000Lossless,
    "rle": RLELossless,
}


def coarse(volume: np.ndarray, bits: int, signed: bool) -> tuple[np.ndarray, float, float]:
    """The volume in steps that this many bits can hold, with the slope and intercept to store it."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope = float(np.ceil(2000 / (high - low)))
    intercept = -1000.0 - low * slope if slope > 1 else (0.0 if signed else -1024.0)
    values = np.round((volume.clip(-1000, 1000) - intercept) / slope).clip(low, high)
    return values * slope + intercept, slope, intercept


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("codec", LOSSLESS)
def test_lossless_codecs_give_every_voxel_exactly(tmp_path: Path, codec: str, signed: bool) -> None:
    volume = body_volume()
    intercept = 0 if signed else -1024
    write_series(tmp_path, volume, transfer_syntax=LOSSLESS[codec], signed=signed, intercept=intercept)
    read = read_volume(tmp_path)
    assert read.array.dtype == np.int16
    np.testing.assert_array_equal(read.array, volume)


def test_baseline_jpeg_is_read_up_to_its_own_loss(tmp_path: Path) -> None:
    values, slope, intercept = coarse(body_volume(), 8, signed=False)
    write_series(
        tmp_path,
        values,
        transfer_syntax=JPEGBaseline8Bit,
        bits=(8, 8),
        signed=False,
        slope=slope,
        intercept=intercept,
    )
    assert np.abs(read_volume(tmp_path).array - values).max() <= 2 * slope


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("bits", [(8, 4), (8, 8), (16, 4), (16, 10), (16, 12), (32, 20), (32, 32)], ids=str)
def test_every_number_of_bits_is_unpacked_exactly(
    tmp_path: Path, bits: tuple[int, int], signed: bool
) -> None:
    values, slope, intercept = coarse(body_volume(), bits[1], signed)
    write_series(tmp_path, values, bits=bits, signed=signed, slope=slope, intercept=intercept)
    np.testing.assert_array_equal(read_volume(tmp_path).array, values)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_rle_with_few_bits_is_read_although_gdcm_cannot(tmp_path: Path, signed: bool) -> None:
    values, slope, intercept = coarse(body_volume((4, 16, 16)), 4, signed)
    stored = {"bits": (8, 4), "signed": signed, "slope": slope, "intercept": intercept}
    write_series(tmp_path, values, transfer_syntax=RLELossless, **stored)
    np.testing.assert_array_equal(read_volume(tmp_path).array, values)


def test_values_beyond_16_bits_are_kept(tmp_path: Path) -> None:
    volume = body_volume((4, 16, 16)).astype(np.int32)
    volume[1, 2, 3] = 100_000
    write_series(tmp_path, volume, bits=(32, 32))
    read = read_volume(tmp_path)
    assert read.array.dtype == np.int32
    np.testing.assert_array_equal(read.array, volume)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_bits_above_the_stored_ones_are_ignored(tmp_path: Path, signed: bool) -> None:
    def add_overlay(ds: Dataset, k: int) -> None:
        stored = np.frombuffer(ds.PixelData, np.uint16)
        ds.PixelData = (stored ^ np.uint16(0xF000)).tobytes()

    volume = body_volume()
    intercept = 0 if signed else -1024
    write_series(tmp_path, volume, bits=(16, 12), signed=signed, intercept=intercept, edit=add_overlay)
    np.testing.assert_array_equal(read_volume(tmp_path).array, volume)


def test_stored_bits_may_lie_high_in_their_word(tmp_path: Path) -> None:
    def shift(ds: Dataset, k: int) -> None:
        ds.PixelData = (np.frombuffer(ds.PixelData, np.uint16) << 4).tobytes()
        ds.HighBit = 15

    volume = body_volume()
    write_series(tmp_path, volume, bits=(16, 12), signed=False, intercept=-1024, edit=shift)
    np.testing.assert_array_equal(read_volume(tmp_path).array, volume)


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    slopes, intercepts = [1.0, 0.5] * 6, [-1024.0, -1000.0, -500.5] * 4
    stored = [np.round((v - b) / m) for v, m, b in zip(body_volume(), slopes, intercepts, strict=True)]
    volume = np.stack([s * m + b for s, m, b in zip(stored, slopes, intercepts, strict=True)])
    write_series(tmp_path, volume, slope=slopes, intercept=intercepts)
    np.testing.assert_array_equal(read_volume(tmp_path).array, volume)


def test_slices_may_differ_in_codec(tmp_path: Path) -> None:
    volume = body_volume()
    write_series(tmp_path, volume, transfer_syntax=JPEG2000Lossless, series_uid="1.2.3")
    write_series(tmp_path / "rest", volume, series_uid="1.2.3")
    for k in range(5):
        (tmp_path / f"IM{k:04d}.dcm").unlink()
    for k in range(5, len(volume)):
        (tmp_path / "rest" / f"IM{k:04d}.dcm").unlink()
    np.testing.assert_array_equal(read_volume(tmp_path).array, volume)


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        (HTJ2K, "High-Throughput JPEG 2000"),
        (MPEG2MPML, "MPEG2"),
        ("1.2.3.4.5", "1.2.3.4.5"),
    ],
    ids=["htj2k", "mpeg2", "unknown"],
)
def test_a_missing_codec_is_named(tmp_path: Path, syntax: str, name: str) -> None:
    def declare(ds: Dataset, k: int) -> None:
        ds.file_meta.TransferSyntaxUID = syntax

    write_series(tmp_path, body_volume(), transfer_syntax=RLELossless, edit=declare)
    assert "gdcmconv" in refusal(tmp_path, "codec-missing", name, "IM0000.dcm").hint


@pytest.mark.parametrize(
    ("codec", "junk"), [("jpeg-lossless", 255), ("jpeg-ls", 255), ("jpeg-2000", 255), ("rle", 0)]
)
def test_damaged_compressed_pixels_are_refused_without_a_word_from_gdcm(
    tmp_path: Path, codec: str, junk: int, capfd: pytest.CaptureFixture[str]
) -> None:
    files = write_series(tmp_path, body_volume((6, 24, 28)), transfer_syntax=LOSSLESS[codec])
    data = bytearray(files[2].read_bytes())
    data[-500:-8] = bytes([junk]) * 492  # the item and its end stay, so that only the decoder can notice
    files[2].write_bytes(data)
    refusal(tmp_path, "codec-failed", "IM0002.dcm")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ""], ids=["explicit", "none"])
def test_compressed_pixels_under_the_name_of_plain_ones_are_refused(tmp_path: Path, syntax: str) -> None:
    for file in write_series(tmp_path, body_volume(), transfer_syntax=JPEG2000Lossless):
        name = JPEG2000Lossless.encode()
        file.write_bytes(file.read_bytes().replace(name, syntax.encode().ljust(len(name), b"\0")))
    refusal(tmp_path, "codec-failed", "IM0000.dcm", "compressed")


def test_colour_pictures_are_refused(tmp_path: Path) -> None:
    def paint(ds: Dataset, k: int) -> None:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.PixelData = ds.PixelData * 3

    write_series(tmp_path, body_volume(), edit=paint)
    refusal(tmp_path, "vector-pixels", "RGB", "3 samples")


@pytest.mark.parametrize("element", ["BitsAllocated", "BitsStored", "HighBit"])
def test_an_impossible_pixel_layout_is_refused(tmp_path: Path, element: str) -> None:
    write_series(tmp_path, body_volume(), edit=lambda ds, k: setattr(ds, element, 24))
    refusal(tmp_path, "pixel-layout", "24", "IM0000.dcm")


@pytest.mark.parametrize("mixed", [False, True], ids=["all", "one"])
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("stored", [12, 16])
@pytest.mark.parametrize("codec", LOSSLESS)
def test_monochrome1_has_the_values_of_monochrome2(
    tmp_path: Path, codec: str, stored: int, signed: bool, mixed: bool
) -> None:
    """PS3.3 C.7.6.3.1.2 speaks of the display; GDCM turns compressed values round, plain ones not."""
    values, slope, intercept = coarse(body_volume((6, 24, 28)), stored, signed)
    write_series(
        tmp_path,
        values,
        transfer_syntax=LOSSLESS[codec],
        bits=(16, stored),
        signed=signed,
        slope=slope,
        intercept=intercept,
        edit=lambda ds, k: setattr(ds, "PhotometricInterpretation", f"MONOCHROME{2 - (k == 3 or not mixed)}"),
    )
    np.testing.assert_array_equal(read_volume(tmp_path).array, values)


PADDING = {  # bits stored, sign, Pixel Padding Value, its range limit, value in the pixels
    "16-bit": (16, False, 63536, None, 63536),
    "12-bit": (12, False, 4095, None, 4095),
    "range": (12, False, 4000, 4095, 4050),
    "range-downwards": (16, False, 65535, 60000, 63536),
    "signed": (16, True, 30000, None, 30000),
    "signed-range": (16, True, 30000, 32767, 31000),
    "signed-12-bit": (12, True, 2000, None, 2000),
    "tissue": (12, False, 1064, None, 1064),
}


@pytest.mark.parametrize("codec", sorted(set(LOSSLESS) - {"jpeg-lossless"}))
@pytest.mark.parametrize("kind", PADDING)
def test_declared_padding_is_air(tmp_path: Path, kind: str, codec: str) -> None:
    bits, signed, value, limit, pixel = PADDING[kind]
    volume = body_volume((6, 24, 28)).clip(-1024, 1000)
    intercept = 0 if signed else -1024
    padded = volume.astype(int)
    padded[:, :2, :3] = pixel + intercept  # under one per cent: as metal it would pass the checks

    def declare(ds: Dataset, k: int) -> None:
        ds.add_new("PixelPaddingValue", "SS" if signed else "US", value)
        if limit is not None:
            ds.add_new("PixelPaddingRangeLimit", "SS" if signed else "US", limit)

    stored = {"bits": (16, bits), "signed": signed, "intercept": intercept}
    write_series(tmp_path, padded, transfer_syntax=LOSSLESS[codec], edit=declare, **stored)
    volume[:, :2, :3] = -1000
    np.testing.assert_array_equal(read_volume(tmp_path).array, volume)


def test_padding_that_fills_more_bits_than_are_stored_is_air(tmp_path: Path) -> None:
    volume = body_volume((6, 24, 28)).clip(-1024, 1000)

    def pad(ds: Dataset, k: int) -> None:
        words = np.frombuffer(ds.PixelData, np.uint16).reshape(24, 28).copy()
        words[:2, :3] = 63536
        ds.PixelData, ds.PixelPaddingValue = words.tobytes(), 63536
        ds["PixelPaddingValue"].VR = "US"

    write_series(tmp_path, volume, bits=(16, 12), signed=False, intercept=-1024, edit=pad)
    volume[:, :2, :3] = -1000
    np.testing.assert_array_equal(read_volume(tmp_path).array, volume)


def test_padding_darker_than_air_and_tissue_of_its_value_stay(tmp_path: Path) -> None:
    volume = body_volume((6, 24, 28))
    volume[:, :2, :3] = -2000
    write_series(tmp_path / "dark", volume, edit=lambda ds, k: ds.add_new("PixelPaddingValue", "SS", -2000))
    np.testing.assert_array_equal(read_volume(tmp_path / "dark").array, volume)
    volume[:, 10:12, 10:12] = 0  # water inside the body, in a scan whose header calls 0 padding
    write_series(tmp_path / "water", volume, edit=lambda ds, k: ds.add_new("PixelPaddingValue", "SS", 0))
    np.testing.assert_array_equal(read_volume(tmp_path / "water").array, volume)


def test_a_rescale_that_gives_no_hounsfield_units_is_refused(tmp_path: Path) -> None:
    write_series(
        tmp_path / "slope", body_volume(), edit=lambda ds, k: setattr(ds, "RescaleSlope", 0 + (k != 3))
    )
    refusal(tmp_path / "slope", "bad-rescale", "slope 0", "IM0003.dcm")
    write_series(
        tmp_path / "sign", body_volume(), edit=lambda ds, k: setattr(ds, "RescaleSlope", 1 - 2 * (k == 3))
    )
    refusal(tmp_path / "sign", "bad-rescale", "slope -1", "IM0003.dcm")
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType, table.LUTData = [2, 0, 16], "US", [0, 1]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    write_series(
        tmp_path / "table", body_volume(), edit=lambda ds, k: setattr(ds, "ModalityLUTSequence", [table])
    )
    refusal(tmp_path / "table", "bad-rescale", "look-up table")


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [
        ("RescaleIntercept", "-1e9", "bad-number"),
        ("RescaleIntercept", "1e30", "bad-number"),
        ("RescaleSlope", "1e300", "bad-number"),
        ("RescaleIntercept", "900000", "bad-rescale"),
        ("RescaleIntercept", "-9000", "bad-rescale"),
        ("RescaleIntercept", "-1024", "bad-rescale"),  # as if the others' 0 had been forgotten here
        ("RescaleSlope", "4", "bad-rescale"),
        ("BitsStored", 1, "slices-mixed"),
        ("PixelRepresentation", 0, "slices-mixed"),
    ],
)
def test_one_slice_with_other_values_than_the_rest_is_named(
    tmp_path: Path, keyword: str, value: object, code: str
) -> None:
    def damage(ds: Dataset, k: int) -> None:
        if k == 3:
            setattr(ds, keyword, value)
            ds.HighBit = ds.BitsStored - 1

    write_series(tmp_path, body_volume(), edit=damage)
    refusal(tmp_path, code, "IM0003.dcm")


def test_a_rescale_of_its_own_that_is_right_is_read(tmp_path: Path) -> None:
    intercepts = [0.0] * 12
    intercepts[3] = -1024.0
    write_series(tmp_path, body_volume(), intercept=intercepts)
    np.testing.assert_array_equal(read_volume(tmp_path).array, body_volume())


# Enhanced multi-frame files -------------------------------------------------------------------------------


def test_an_enhanced_file_is_sorted_by_its_frames_positions(tmp_path: Path) -> None:
    volume = body_volume()
    order = np.random.default_rng(1).permutation(len(volume))
    path = write_enhanced(tmp_path / "enhanced.dcm", volume, order=order)
    read = read_volume(path)
    np.testing.assert_array_equal(read.array, volume)
    np.testing.assert_allclose(read.grid.spacing, (0.8, 0.7, 2.5))
    np.testing.assert_allclose(read.grid.origin, (-120, -90, 40))


def test_each_frame_of_an_enhanced_file_has_its_own_rescale(tmp_path: Path) -> None:
    volume = body_volume() // 2 * 2
    path = write_enhanced(tmp_path / "enhanced.dcm", volume, slope=[1, 2] * 6, intercept=[-1024, -1026] * 6)
    np.testing.assert_array_equal(read_volume(path).array, volume)


def test_a_compressed_enhanced_file_is_read(tmp_path: Path) -> None:
    volume = body_volume()
    order = np.random.default_rng(2).permutation(len(volume))
    path = write_enhanced(tmp_path / "enhanced.dcm", volume, order=order, transfer_syntax=RLELossless)
    np.testing.assert_array_equal(read_volume(path).array, volume)


@pytest.mark.parametrize("codec", ["jpeg-ls", "rle"])
def test_a_compressed_enhanced_file_in_monochrome1_is_read(tmp_path: Path, codec: str) -> None:
    volume = body_volume()
    path = write_enhanced(
        tmp_path / "enhanced.dcm",
        volume,
        transfer_syntax=LOSSLESS[codec],
        edit=lambda ds: setattr(ds, "PhotometricInterpretation", "MONOCHROME1"),
    )
    np.testing.assert_array_equal(read_volume(path).array, volume)


@pytest.mark.parametrize("codec", ["jpeg-ls", "rle", "deflated"])
def test_a_compressed_enhanced_file_with_changing_rescale_is_read(tmp_path: Path, codec: str) -> None:
    volume = body_volume() // 2 * 2
    path = tmp_path / "enhanced.dcm"
    write_enhanced(path, volume, slope=[1, 2] * 6, intercept=-1024, transfer_syntax=LOSSLESS[codec])
    np.testing.assert_array_equal(read_volume(path).array, volume)


@pytest.mark.parametrize("codec", LOSSLESS)
def test_the_rescale_counts_whatever_the_class_of_the_file(tmp_path: Path, codec: str) -> None:
    def change(ds: Dataset, k: int) -> None:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.3.4"

    write_series(
        tmp_path, body_volume(), transfer_syntax=LOSSLESS[codec], signed=False, intercept=-1024, edit=change
    )
    np.testing.assert_array_equal(read_volume(tmp_path).array, body_volume())


def test_a_multi_frame_file_without_positions_is_refused(tmp_path: Path) -> None:
    def strip(ds: Dataset) -> None:
        del ds.PerFrameFunctionalGroupsSequence
        del ds.SharedFunctionalGroupsSequence

    path = write_enhanced(tmp_path / "frames.dcm", body_volume(), edit=strip)
    refusal(path, "no-position", "frames.dcm", "multi-frame")
