"""Marked names of a patient go in by every way there is; nothing that the program leaves behind holds one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import SimpleITK as sitk
from helpers.command_tools import environment, work_folder
from helpers.dicom_factory import body_volume, write_series
from helpers.worker_tools import make_volume
from pydicom.dataset import Dataset

from iuinet.options import Options
from iuinet.reading import read_volume
from iuinet.weights import resolve
from iuinet.worker import WorkerClient

pytestmark = pytest.mark.needs_torch

MARKS = ("ZZNAME", "ZZIDENT", "19470823", "ZZACCESSION", "ZZHOSPITAL", "ZZDOCTOR", "ZZCOMMENT", "ZZFILE")


def mark(ds: Dataset, k: int) -> None:
    """Everything that names a patient in a slice of a DICOM series."""
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "ZZNAME^Jane", "ZZIDENT", "19470823"
    ds.AccessionNumber, ds.InstitutionName = "ZZACCESSION", "ZZHOSPITAL"
    ds.ReferringPhysicianName, ds.StationName = "ZZDOCTOR", "ZZHOSPITAL"
    ds.PatientComments = ds.SeriesDescription = ds.StudyDescription = ds.ProtocolName = "ZZCOMMENT"


def dicom_folder(folder: Path) -> Path:
    """A marked series with a marked localizer and an empty file beside it, which make notes."""
    volume = body_volume((30, 48, 40))
    write_series(folder / "ZZFILE ct", volume, spacing=(6, 6, 6), edit=mark, name="ZZFILE{:03d}.dcm".format)
    write_series(folder / "ZZFILE scout", volume[:1], spacing=(6, 6, 6), edit=mark)
    (folder / "ZZFILE stray.dcm").write_bytes(b"")
    return folder


def image_file(path: Path) -> Path:
    """A marked image file; the comment lies where its format has a place for it."""
    volume = make_volume()
    image = sitk.GetImageFromArray(volume.array)
    image.SetSpacing(volume.grid.spacing)
    for key in ("descrip", "aux_file", "intent_name", "comment", "PatientName", "ITK_FileNotes"):
        image.SetMetaData(key, "ZZCOMMENT")
    sitk.WriteImage(image, str(path))
    assert any(b"ZZCOMMENT" in data for data in unpacked(path.read_bytes()))
    return path


SOURCES = {
    "dicom": lambda folder: dicom_folder(folder / "ZZFILE ZZNAME 19470823"),
    "nifti": lambda folder: image_file(folder / "ZZFILE ZZNAME.nii"),
    "nrrd": lambda folder: image_file(folder / "ZZFILE ZZNAME.nrrd"),
}


def unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes, and every zlib or gzip stream in them: PNG's text and pixels, NRRD's and NIfTI's voxels."""
    yield data
    for start in (b"\x1f\x8b\x08", b"\x78\x9c", b"\x78\xda", b"\x78\x01", b"\x78\x5e"):
        place = data.find(start)
        while place >= 0:
            with suppress(zlib.error):
                yield zlib.decompressobj(wbits=47).decompress(memoryview(data)[place:])
            place = data.find(start, place + 1)


def assert_unmarked(what: str, data: bytes) -> None:
    for text in unpacked(data):
        found = [word for word in MARKS if word.lower().encode() in text.lower()]
        found += [word for word in MARKS if word.encode("utf-16-le") in text]
        assert not found, f"{what} holds {found}"


def assert_tree_unmarked(folder: Path) -> int:
    """Looks at every file's name and bytes; returns how many there were."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        assert_unmarked(path.name, str(path.relative_to(folder)).encode())
        assert_unmarked(path.name, path.read_bytes())
    return len(files)


@pytest.mark.parametrize(
    ("source", "ending"), [("dicom", ".seg.nrrd"), ("nifti", ".nii.gz"), ("nrrd", ".mha")]
)
def test_what_the_command_leaves_behind_names_no_patient(
    source: str, ending: str, tmp_path: Path, model: Path
) -> None:
    places = {name: tmp_path / name for name in ("temporary", "home")}
    for place in (*places.values(), tmp_path / "in"):
        place.mkdir()
    ct, out = SOURCES[source](tmp_path / "in"), work_folder(tmp_path)
    names = ["-o", f"out{ending}", "--report", "report.json", "--preview", "preview.png"]
    command = [sys.executable, "-m", "iuinet", "segment", str(ct), "--weights", str(model)]
    variables = {"TMPDIR": str(places["temporary"]), "IUINET_HOME": str(places["home"])}
    finished = subprocess.run(
        [*command, "--accept-warnings", *names],
        cwd=out,
        env=environment(**variables),
        capture_output=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    # A file that was left out is named to the person at the terminal, and nowhere else.
    assert_unmarked("the terminal", (finished.stdout + finished.stderr).replace(b"ZZFILE stray.dcm", b""))
    beside = 0 if ending == ".seg.nrrd" else 3  # what the label map's numbers mean
    assert assert_tree_unmarked(out) == 3 + beside
    assert_tree_unmarked(places["home"])
    assert not list(places["temporary"].iterdir())
    report = json.loads((out / "report.json").read_text())
    assert len(report["notes"]) == (2 if source == "dicom" else 0)
    if source == "dicom":
        assert "Taken" in report["notes"][0] and "[file]" in report["notes"][1]
        assert f"note: {report['notes'][0]}" in finished.stdout.decode()
        assert "ZZFILE stray.dcm" in finished.stdout.decode()


def test_the_preview_does_not_show_what_the_input_is_called(tmp_path: Path, model: Path, iuinet) -> None:
    pictures = []
    for name in ("ZZFILE ZZNAME.nrrd", "another.nrrd"):
        ct = image_file(tmp_path / name)
        out = f"{len(pictures)}.png"
        assert (
            iuinet("segment", ct, "--weights", model, "--preview", out, "--accept-warnings").returncode == 0
        )
        pictures.append((work_folder(tmp_path) / out).read_bytes())
    assert pictures[0] == pictures[1]


def test_what_the_worker_leaves_behind_and_says_names_no_patient(
    exchange: Path, tmp_path: Path, model: Path
) -> None:
    volume = read_volume(dicom_folder(tmp_path / "ZZFILE ZZNAME"))
    assert len(volume.notes) == 2 and "ZZFILE stray.dcm" in volume.notes[1]
    log: list[str] = []
    with WorkerClient(log=log.append) as client:
        run = client.start(volume, Options(model, "cpu", accept_warnings=True))
        while run._writing is not None:
            run.poll()
        on_its_way = [path for path in exchange.rglob("*") if path.is_file()]
        for path in on_its_way:
            assert_unmarked(path.name, str(path.relative_to(exchange)).encode() + path.read_bytes())
        while not run.poll():
            pass
        _, report = run.result()
    assert on_its_way and not [path for path in exchange.iterdir() if path.name.startswith("iuinet-")]
    assert_unmarked("the report", json.dumps(report, ensure_ascii=False).encode())
    assert_unmarked("the log", os.linesep.join(log).encode())
    assert report["notes"] == [volume.unnamed(note) for note in volume.notes]
    assert report["weights"]["id"] == resolve(model).id
