"""NIfTI, NRRD and MetaImage files are read exactly, or refused with a reason a user understands."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from helpers.dicom_factory import body_volume, oblique
from helpers.reading_helpers import assert_as_itk_reads, flipped, question, read_as_nobody, refusal

from iuinet.errors import InputRefused, UsageError
from iuinet.native_output import captured_native_output
from iuinet.reading import read_volume, volume_from_image

ENDINGS = ("nii", "nii.gz", "nrrd", "nhdr", "mha", "mhd")
TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")


def image_of(array: np.ndarray, **options: bool) -> sitk.Image:
    image = sitk.GetImageFromArray(array, **options)
    if image.GetDimension() == 3:
        image.SetSpacing((0.8, 0.7, 2.5))
        image.SetOrigin((-120, -90, 40))
    return image


def written(path: Path, array: np.ndarray | None = None, compress: bool = True) -> Path:
    sitk.WriteImage(image_of(body_volume() if array is None else array), str(path), useCompression=compress)
    return path


def cut(path: Path, keep: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


# What is read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_gives_voxels_place_and_name(tmp_path: Path, ending: str) -> None:
    image = image_of(body_volume())
    image.SetDirection(oblique().ravel())
    path = tmp_path / f"Lékař 中文 ü.{ending}"
    sitk.WriteImage(image, str(path))
    read = read_volume(path)
    np.testing.assert_array_equal(read.array, body_volume())
    np.testing.assert_allclose(read.grid.spacing, image.GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(read.grid.origin, image.GetOrigin(), rtol=1e-6)
    np.testing.assert_allclose(read.grid.direction, oblique(), atol=1e-6)
    assert (read.name, read.modality, read.notes) == ("Lékař 中文 ü", None, ())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
def test_every_number_type_keeps_its_values(tmp_path: Path, ending: str, dtype: str) -> None:
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    array = np.arange(6 * 7 * 8).reshape(6, 7, 8) % 120
    array = array.astype(dtype)
    array[0, 0, :2] = info.min, info.max
    read = read_volume(written(tmp_path / f"volume.{ending}", array))
    assert read.array.dtype == dtype
    np.testing.assert_array_equal(read.array, array)


def test_endings_may_be_upper_case(tmp_path: Path) -> None:
    path = written(tmp_path / "scan.nrrd").rename(tmp_path / "Scan.NRRD")
    assert read_volume(path).name == "Scan"


def test_a_fourth_axis_of_one_is_dropped(tmp_path: Path) -> None:
    image = sitk.JoinSeries([image_of(body_volume())])
    for ending in ("nii", "nrrd", "mha"):
        sitk.WriteImage(image, str(tmp_path / f"one.{ending}"))
        read = read_volume(tmp_path / f"one.{ending}")
        np.testing.assert_array_equal(read.array, body_volume())
        np.testing.assert_allclose(read.grid.spacing, (0.8, 0.7, 2.5), rtol=1e-6)


def test_an_image_in_memory_becomes_a_volume(tmp_path: Path) -> None:
    read = volume_from_image(image_of(body_volume()), "name", "CT", ["note"])
    assert (read.name, read.modality, read.notes) == ("name", "CT", ("note",))
    assert read.grid.size == (28, 24, 12)
    image = image_of(body_volume())
    image.SetMetaData("0008|0060", "MR ")
    assert volume_from_image(image).modality == "MR"
    with pytest.raises(InputRefused, match="28 x 24"):
        volume_from_image(image_of(body_volume()[0]))
    for other in ("ct.nrrd", body_volume(), None):
        with pytest.raises(UsageError, match=type(other).__name__) as caught:
            volume_from_image(other)
        assert caught.value.code == "not-an-image"


@pytest.mark.parametrize(("ending", "field"), [("nrrd", b"space directions:"), ("mha", b"ElementSpacing =")])
def test_a_file_without_spacing_is_read_with_a_question(tmp_path: Path, ending: str, field: bytes) -> None:
    path = written(tmp_path / f"bare.{ending}", compress=False)
    lines = path.read_bytes().split(b"\n")
    dropped = (field, b"space:", b"space origin:", b"kinds:") if ending == "nrrd" else (field,)
    path.write_bytes(b"\n".join(line for line in lines if not line.startswith(dropped)))
    volume = read_volume(path)
    assert "no spacing" in volume.notes[0]
    assert "no-spacing" in [doubt.code for doubt in volume.doubts]


def test_two_different_spacings_in_a_nifti_header_are_a_question(tmp_path: Path) -> None:
    path = written(tmp_path / "scan.nii")
    data = bytearray(path.read_bytes())
    struct.pack_into("<f", data, 76 + 4 * 3, 5.0)
    path.write_bytes(data)
    question(read_volume(path), "two-places", "0.8 x 0.7 x 5 mm", "0.8 x 0.7 x 2.5 mm")


@pytest.mark.parametrize("compress", [True, False], ids=["compressed", "plain"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_sound_files_are_read_as_itk_reads_them(tmp_path: Path, ending: str, compress: bool) -> None:
    image = image_of(body_volume())
    image.SetDirection(oblique().ravel())
    path = tmp_path / f"scan.{ending}"
    sitk.WriteImage(image, str(path), useCompression=compress)
    assert assert_as_itk_reads(path).notes == ()


# What is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "  "])
def test_an_empty_path_is_not_the_current_folder(path: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_volume(path)
    assert caught.value.code == "no-path"


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
def test_every_wrong_bit_of_compressed_voxels_is_seen(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"scan.{ending}")
    data = path.read_bytes()
    for damaged in flipped(data, len(data) - 5000):
        path.write_bytes(damaged)
        refusal(path, ("file-cut", "file-damaged"), path.name)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_follows_the_voxels_is_refused(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"scan.{ending}")
    data = next((file for file in tmp_path.iterdir() if "raw" in file.name), path)
    data.write_bytes(data.read_bytes() + b"junk")
    refusal(path, "file-damaged")


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refusal(Path("."), "no-dicom", tmp_path.name)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path / "nowhere" / "scan.nii.gz", "not-found", "scan.nii.gz")


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.nrrd", "scan.mha", "scan", "scan.dcm"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    refusal(tmp_path / name, "file-empty", name)


@pytest.mark.parametrize("name", ["picture.png", "notes.txt", "archive.zip", "scan"])
def test_another_kind_of_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x89PNG\r\n" + bytes(range(200)))
    assert "NIfTI" in refusal(tmp_path / name, "unknown-format", name).hint


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.999])
@pytest.mark.parametrize("compress", [True, False], ids=["compressed", "plain"])
@pytest.mark.parametrize("ending", ["nii", "nii.gz", "nrrd", "mha"])
def test_a_cut_file_is_refused_without_a_word_from_itk(
    tmp_path: Path, ending: str, compress: bool, keep: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = cut(written(tmp_path / f"scan.{ending}", compress=compress), keep)
    refusal(path, ("file-cut", "file-damaged"), path.name)
    assert capfd.readouterr().err == ""


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "scan.nii.gz")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    refusal(path, "file-cut", "scan.nii.gz")


def test_a_compressed_file_with_the_wrong_ending_is_refused_with_the_right_one(tmp_path: Path) -> None:
    path = written(tmp_path / "scan.nii.gz").rename(tmp_path / "scan.nii")
    assert "scan.nii.gz" in refusal(path, "file-damaged", "compressed").hint


@pytest.mark.parametrize("ending", ["nhdr", "mhd"])
def test_a_header_without_its_data_file_is_refused(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"scan.{ending}")
    for data in tmp_path.glob("*raw*"):
        data.unlink()
    refusal(path, "file-damaged", "belongs to it is missing")


@pytest.mark.parametrize("spacing", [0.0, -1.0, float("nan"), float("inf")], ids=str)
def test_an_impossible_spacing_in_a_nifti_header_is_refused(tmp_path: Path, spacing: float) -> None:
    data = bytearray(written(tmp_path / "scan.nii").read_bytes())
    struct.pack_into("<f", data, 76 + 4 * 3, spacing)
    (tmp_path / "scan.nii").write_bytes(data)
    with gzip.open(tmp_path / "scan.nii.gz", "wb") as file:
        file.write(data)
    for name in ("scan.nii", "scan.nii.gz"):
        refusal(tmp_path / name, "bad-spacing", name, f"0.8 x 0.7 x {spacing:g} mm")


@pytest.mark.parametrize("spacing", ["0", "-1", "nan"])
def test_an_impossible_spacing_in_a_metaimage_header_is_refused(tmp_path: Path, spacing: str) -> None:
    path = written(tmp_path / "scan.mha", compress=False)
    data = path.read_bytes()
    path.write_bytes(re.sub(rb"ElementSpacing = \S+", f"ElementSpacing = {spacing}".encode(), data))
    refusal(path, "bad-spacing", f"{float(spacing):g} x 0.7")


@pytest.mark.parametrize("direction", ["(0,0,0)", "(nan,nan,nan)", "none"])
def test_an_impossible_spacing_in_an_nrrd_header_is_refused(tmp_path: Path, direction: str) -> None:
    path = written(tmp_path / "scan.nrrd", compress=False)
    path.write_bytes(path.read_bytes().replace(b"(0,0,2.5)", direction.encode()))
    refusal(path, "bad-spacing", "scan.nrrd", "0.8 x 0.7")


@pytest.mark.parametrize(("ending", "size"), [("nrrd", b"sizes: 28"), ("mha", b"DimSize = 28")])
def test_a_file_without_voxels_is_refused(tmp_path: Path, ending: str, size: bytes) -> None:
    path = written(tmp_path / f"scan.{ending}", compress=False)
    path.write_bytes(path.read_bytes().replace(size, size[:-2] + b"0"))
    refusal(path, "no-image-data", "0 x 24 x 12 voxels")


@pytest.mark.parametrize("line", [b"ElementDataFile = LOCAL", b"DimSize = 28 24 12", b"NDims = 3"], ids=str)
def test_a_metaimage_header_that_would_end_itks_process_is_refused(tmp_path: Path, line: bytes) -> None:
    path = written(tmp_path / "scan.mha", compress=False)
    path.write_bytes(path.read_bytes().replace(line + b"\n", line + b"\1\2"))
    refusal(path, "file-damaged", "scan.mha")


def test_axes_that_are_not_at_right_angles_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "scan.nii")
    data = bytearray(path.read_bytes())
    struct.pack_into("<h", data, 252, 0)
    struct.pack_into("<f", data, 284, 0.5)
    path.write_bytes(data)
    refusal(path, "sheared-axes", "scan.nii")


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
def test_images_that_are_no_volume_of_numbers_are_refused(tmp_path: Path, ending: str) -> None:
    volume = body_volume()
    kinds = {
        "four-dimensional": (sitk.JoinSeries([image_of(volume)] * 5), "28 x 24 x 12 x 5"),
        "two-dimensional": (image_of(volume[0]), "28 x 24"),
        "vector-pixels": (image_of(np.stack([volume] * 3, -1), isVector=True), "3 values"),
    }
    if ending == "nii.gz":
        kinds["vector-pixels "] = (image_of(volume.astype(np.complex64)), "complex")
    for code, (image, named) in kinds.items():
        path = tmp_path / f"{code.strip()}.{ending}"
        sitk.WriteImage(image, str(path))
        refusal(path, code.strip(), named)


def test_a_series_can_only_be_chosen_in_a_dicom_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_volume(written(tmp_path / "scan.nrrd"), series="1.2.3")
    assert caught.value.code == "series-without-dicom" and "1.2.3" in caught.value.message


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs permissions as on Unix")
def test_a_volume_without_read_permission_is_refused() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        path = written(folder / "scan.nrrd")
        path.chmod(0)
        assert read_as_nobody(path)[:2] == ["no-permission", "There is no permission to read scan.nrrd."]
    finally:
        shutil.rmtree(folder)


# What is kept away ---------------------------------------------------------------------------------------


def test_what_native_code_prints_is_caught_and_standard_error_comes_back(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with captured_native_output() as caught:
        os.write(2, b"native words\n")
    os.write(2, b"after\n")
    assert caught.text == "native words\n"
    assert capfd.readouterr().err == "after\n"


def test_standard_error_comes_back_after_an_exception(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="inside"), captured_native_output():
        raise ValueError("inside")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_program_without_standard_error_can_read(tmp_path: Path) -> None:
    code = "import os, sys; os.close(2); from iuinet.reading import read_volume; read_volume(sys.argv[1])"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(written(tmp_path / "scan.mha"))], check=True, env=env)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_comma_locale_changes_no_number(tmp_path: Path, ending: str) -> None:
    if shutil.which("localedef") is None:
        pytest.skip("localedef, which makes a locale, is not installed")
    make = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.UTF-8")]
    subprocess.run(make, check=True, capture_output=True)
    code = (
        "import locale, sys; from iuinet.reading import read_volume; "
        "locale.setlocale(locale.LC_ALL, 'de_DE.UTF-8'); assert locale.localeconv()['decimal_point'] == ','; "
        "print(*read_volume(sys.argv[1]).grid.spacing)"
    )
    path = written(tmp_path / f"scan.{ending}")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "LOCPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=env, capture_output=True)
    np.testing.assert_allclose([float(word) for word in done.stdout.split()], (0.8, 0.7, 2.5), rtol=1e-6)


def test_without_nibabel_all_but_nifti_is_read(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['nibabel'] = None\n"
        "import SimpleITK, iuinet.reading, iuinet.errors\n"
        "for path in sys.argv[1:-1]: iuinet.reading.read_volume(path)\n"
        "iuinet.reading.volume_from_image(SimpleITK.ReadImage(sys.argv[1]))\n"
        "try: iuinet.reading.read_volume(sys.argv[-1])\n"
        "except iuinet.errors.InputRefused as error: print(error.code)"
    )
    paths = [str(written(tmp_path / f"scan.{ending}")) for ending in ("nrrd", "mha", "nii.gz")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, *paths], check=True, env=env, capture_output=True)
    assert done.stdout.split() == [b"no-nibabel"]


def test_reading_and_checking_need_no_torch() -> None:
    code = "import sys, iuinet.reading, iuinet.checks; assert 'torch' not in sys.modules"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
