"""``iuinet segment``: its refusals, its files, and how it is stopped, each by a real process."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from helpers.command_tools import (
    PACKAGE_ROOT,
    Finished,
    environment,
    refusal,
    work_folder,
    write_ct,
    write_index,
)
from helpers.dicom_factory import write_series
from helpers.waiting import Movement
from helpers.worker_tools import make_volume
from pydicom.pixels import pixel_array

from iuinet.volume import Volume

# Refusals of segment ------------------------------------------------------------------------------------


def test_every_bad_output_is_refused_before_the_work_and_nothing_is_touched(
    iuinet: Callable[..., Finished], tmp_path: Path, ct: Path, small_model: Path
) -> None:
    folder = work_folder(tmp_path)
    (folder / "there.seg.nrrd").write_text("precious")
    (folder / "there.json").write_text("precious")
    (folder / "mine.labels.txt").write_text("precious")
    for code, options in [
        ("output-exists", ["-o", "there.seg.nrrd"]),
        ("output-exists", ["-o", "mine.nii.gz"]),
        ("same-file", ["-o", "new.mha", "--report", "new.labels.json"]),
        ("output-exists", ["-o", "new.nrrd", "--report", "there.json"]),
        ("unknown-ending", ["-o", "new.txt"]),
        ("unknown-ending", ["--report", "new.txt"]),
        ("unknown-ending", ["--preview", "new.jpg"]),
        ("no-output-folder", ["-o", "none/new.nrrd"]),
        ("same-file", ["-o", ct, "--overwrite"]),
    ]:
        assert refusal(iuinet("segment", ct, "--weights", small_model, *options), 2) == code
    assert sorted(path.name for path in folder.iterdir()) == [
        *("mine.labels.txt", "there.json", "there.seg.nrrd")
    ]
    assert {path.read_text() for path in folder.iterdir()} == {"precious"}


@pytest.mark.needs_torch
def test_the_default_output_is_not_overwritten_either(
    iuinet: Callable[..., Finished], tmp_path: Path, ct: Path, small_model: Path
) -> None:
    there = work_folder(tmp_path) / "Bauch CT.seg.nrrd"
    there.write_text("precious")
    assert refusal(iuinet("segment", ct, "--weights", small_model), 2) == "output-exists"
    assert there.read_text() == "precious"


def test_an_input_that_cannot_be_used_is_refused_with_3(
    iuinet: Callable[..., Finished], tmp_path: Path, ct: Path, small_model: Path
) -> None:
    (tmp_path / "empty.nii").write_bytes(b"")
    (tmp_path / "cut.nii.gz").write_bytes(ct.read_bytes()[:2000])
    (tmp_path / "text.txt").write_text("hello")
    for name in ("missing.nii", "empty.nii", "cut.nii.gz", "text.txt", "work"):
        refusal(iuinet("segment", tmp_path / name, "--weights", small_model), 3)
    assert not list(work_folder(tmp_path).iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_is_refused_rather_than_a_crash(
    iuinet: Callable[..., Finished], tmp_path: Path, ct: Path, small_model: Path
) -> None:
    old = os.fsdecode(b"M\xfcller.nii.gz")  # from a time of other encodings
    (tmp_path / old).write_bytes(ct.read_bytes())
    for arguments in ((tmp_path / old,), (ct, "-o", tmp_path / old)):
        assert refusal(iuinet("segment", *arguments, "--weights", small_model), 2) == "name-encoding"


@pytest.mark.needs_torch
def test_what_a_person_should_decide_waits_for_the_option(
    iuinet: Callable[..., Finished], tmp_path: Path, small_model: Path
) -> None:
    volume = make_volume()
    noise = np.random.default_rng(0).integers(0, 1200, volume.array.shape).astype(np.int16)
    path = write_ct(tmp_path / "mr.nrrd", Volume(noise, volume.grid))
    arguments = ("segment", path, "--weights", small_model, "--device", "cpu", "-o", "mr.mha")
    refused = iuinet(*arguments)
    refusal(refused, 3)
    assert "--accept-warnings" in refused.stderr
    assert not list(work_folder(tmp_path).iterdir())
    accepted = iuinet(*arguments, "--accept-warnings")
    assert (accepted.returncode, accepted.stderr) == (0, "")


def test_bad_weights_are_refused_with_4(
    iuinet: Callable[..., Finished], tmp_path: Path, ct: Path, small_model: Path
) -> None:
    index = write_index(tmp_path / "index.json")
    (tmp_path / "model.pt").write_bytes(b"\x80\x02")
    (tmp_path / "cut.safetensors").write_bytes(small_model.read_bytes()[:-1])
    for name, code in [
        ("toy", "weights-missing"),
        ("no-such-id", "weights-unknown"),
        (tmp_path / "none.safetensors", "weights-missing"),
        (tmp_path / "model.pt", "weights-pickle"),
        (tmp_path / "cut.safetensors", "weights-damaged"),
    ]:
        finished = iuinet("segment", ct, "--weights", name, IUINET_WEIGHTS_INDEX=str(index))
        assert refusal(finished, 4) == code


def test_an_unknown_organ_is_refused_with_2(
    iuinet: Callable[..., Finished], ct: Path, small_model: Path
) -> None:
    finished = iuinet("segment", ct, "--weights", small_model, "--organs", "liver,livr")
    refusal(finished, 2)
    assert "livr" in finished.stderr


@pytest.mark.needs_torch
def test_an_absent_device_is_refused_with_5(
    iuinet: Callable[..., Finished], tmp_path: Path, ct: Path, small_model: Path
) -> None:
    refusal(iuinet("segment", ct, "--weights", small_model, "--device", "cuda:77"), 5)
    assert not list(work_folder(tmp_path).iterdir())


def test_what_nobody_foresaw_is_1_and_only_debug_shows_the_traceback(
    iuinet: Callable[..., Finished], tmp_path: Path, ct: Path, small_model: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "torch.py").write_text("raise RuntimeError('symbol not found')")
    path = os.pathsep.join([str(PACKAGE_ROOT), str(broken)])
    arguments = ("segment", ct, "--weights", small_model)
    assert refusal(iuinet(*arguments, PYTHONPATH=path), 1) == "torch-broken"
    assert "Traceback" in iuinet(*arguments, "--debug", PYTHONPATH=path).stderr


# The work -----------------------------------------------------------------------------------------------


@pytest.mark.needs_torch
def test_all_files_are_written_and_named_in_a_plain_locale(
    iuinet: Callable[..., Finished], tmp_path: Path, ct: Path, small_model: Path
) -> None:
    arguments = ("segment", ct, "--weights", small_model, "--report", "r.json", "--preview", "p.png")
    finished = iuinet(*arguments, LC_ALL="C")
    assert (finished.returncode, finished.stderr) == (0, "")
    folder = work_folder(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["Bauch CT.seg.nrrd", "p.png", "r.json"]
    for name in ("Bauch CT.seg.nrrd", "p.png", "r.json", "liver"):
        assert name in finished.stdout
    image, labels = sitk.ReadImage(str(ct)), sitk.ReadImage(str(folder / "Bauch CT.seg.nrrd"))
    assert labels.GetSize() == image.GetSize()
    assert np.allclose(labels.GetOrigin(), image.GetOrigin())
    report = (folder / "r.json").read_text(encoding="utf-8")
    assert json.loads(report)["weights"]["id"] == "small-random"
    assert "Bauch" not in report and str(tmp_path) not in report
    assert (folder / "p.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.needs_torch
def test_overwrite_replaces_and_organs_chooses(
    iuinet: Callable[..., Finished], tmp_path: Path, ct: Path, small_model: Path
) -> None:
    output = work_folder(tmp_path) / "labels.nii.gz"
    output.write_text("old")
    arguments = ("segment", ct, "--weights", small_model, "-o", output.name, "--overwrite")
    finished = iuinet(*arguments, "--organs", "liver, left kidney")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert set(np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(output))))) <= {0, 3, 6}
    beside = [f"labels.labels{ending}" for ending in (".ctbl", ".json", ".txt")]
    assert sorted(path.name for path in output.parent.iterdir()) == [*beside, output.name]
    described = json.loads((output.parent / "labels.labels.json").read_text(encoding="utf-8"))
    names = {organ["label"]: organ["name"] for organ in described["organs"]}
    assert names == {6: "liver", 3: "left kidney"}
    lines = (output.parent / "labels.labels.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split('"')[1] for line in lines if '"' in line] == ["Clear Label", "left kidney", "liver"]


@pytest.mark.needs_torch
def test_a_dicom_folder_becomes_a_dicom_seg(
    iuinet: Callable[..., Finished], tmp_path: Path, small_model: Path
) -> None:
    files = write_series(tmp_path / "ct", make_volume().array, spacing=(7, 7, 7))
    arguments = ("segment", tmp_path / "ct", "--weights", small_model, "--accept-warnings")
    finished = iuinet(*arguments, "-o", "a.dcm")
    assert (finished.returncode, finished.stderr) == (0, "")
    finished = iuinet(*arguments, "-o", "a.nii.gz")
    assert (finished.returncode, finished.stderr) == (0, "")
    seg = pydicom.dcmread(work_folder(tmp_path) / "a.dcm")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(work_folder(tmp_path) / "a.nii.gz")))
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    assert seg.SegmentSequence[0].SegmentAlgorithmName == "IUINet small-random 1"
    (series,) = seg.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == headers[0].SeriesInstanceUID
    assert np.count_nonzero(pixel_array(seg)) == np.count_nonzero(labels) > 0


def test_a_dicom_seg_of_what_is_not_dicom_is_refused_before_the_work(
    iuinet: Callable[..., Finished], tmp_path: Path, ct: Path, small_model: Path
) -> None:
    finished = iuinet("segment", ct, "--weights", small_model, "-o", "a.dcm")
    assert refusal(finished, 2) == "seg-without-dicom"
    assert not list(work_folder(tmp_path).iterdir())


@pytest.mark.needs_torch
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_with_6_and_leaves_nothing(
    number: signal.Signals, tmp_path: Path, ct: Path, slow_model: Path
) -> None:
    folder = work_folder(tmp_path)
    arguments = ["segment", str(ct), "--weights", str(slow_model), "--report", "r.json"]
    # What a shell starts in the background has Ctrl-C ignored, and so has all that this process starts.
    before = signal.signal(number, signal.SIG_DFL)
    ours, theirs = pty.openpty()  # on a terminal the progress line says when the network is under way
    command = subprocess.Popen(
        [sys.executable, "-m", "iuinet", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    signal.signal(number, before)
    os.close(theirs)
    with command:
        shown = read_until(ours, "Segmenting")
        start = time.monotonic()
        command.send_signal(number)
        shown += read_until(ours, "hint: Nothing was written.")
        assert command.wait() == 6
        print(f"stopped after {time.monotonic() - start:.2f} s")
        assert command.stdout.read() == ""
    os.close(ours)
    assert "error[cancelled]: " in shown and "Traceback" not in shown
    assert not list(folder.iterdir())


def read_until(terminal: int, text: str) -> str:
    """What a terminal shows, up to a text."""
    shown = ""
    movement = Movement(lambda: shown)
    while text not in shown:
        try:
            if not select.select([terminal], [], [], 0.1)[0]:
                movement.check(f"{text!r} was not shown")
                continue
            shown += os.read(terminal, 4096).decode("utf-8", "replace")
        except OSError:  # the program has ended, and its terminal with it
            raise AssertionError(f"{text!r} was never shown, only: {shown}") from None
    return shown


def test_names_of_thousands_of_letters_are_refused(iuinet: Callable[..., Finished], ct: Path) -> None:
    long = "a" * 5000
    assert refusal(iuinet("segment", ct, "-o", f"{long}.nrrd"), 1) == "name-too-long"
    assert refusal(iuinet("segment", ct, "--report", f"{long}.json"), 1) == "name-too-long"
    assert refusal(iuinet("segment", f"{long}.nrrd"), 3) == "file-unreadable"
    assert refusal(iuinet("segment", ct, "--weights", f"{long}.safetensors"), 4) == "weights-missing"
