"""The prepared arrays are what inference would see; every later run does only what is missing or changed."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from prepare import main
from training.dataset_files import FEW, LIVER, SPACING, body, tree, write, write_set

from iuinet.errors import InputRefused, OutputError, UsageError
from iuinet.preprocessing import resize
from pipeline.dataset.arrays import resize_labels
from pipeline.dataset.parallel import in_parallel
from pipeline.dataset.prepared import check_space, open_prepared, prepared_folder

SIZE = 32
SCRIPT = Path(__file__).parents[2] / "Training/prepare.py"


def prepare(raw: Path, out: Path, *more: str, size: int = SIZE) -> int:
    return main([str(raw), "--out", str(out), "--partial", "--workers", "1", "--size", str(size), *more])


@pytest.fixture
def raw(tmp_path) -> Path:
    return write_set(tmp_path / "raw")


@pytest.fixture
def out(raw, tmp_path) -> Path:
    assert prepare(raw, tmp_path / "out") == 0
    return tmp_path / "out"


def argmax_of_masks(labels: np.ndarray, size: int) -> torch.Tensor:
    """What resizing means, computed the long way."""
    numbers = np.unique(labels)
    shares = torch.stack([resize((labels == number).astype(np.float32), (size,) * 3) for number in numbers])
    return torch.from_numpy(numbers.astype(np.uint8))[shares.argmax(0)]


# Content ------------------------------------------------------------------------------------------------


def test_arrays_are_the_resized_scan_and_the_winning_labels(out):
    data = open_prepared(out)
    image, labels = data.arrays("0005")
    assert (image.dtype, labels.dtype) == (torch.float16, torch.uint8)
    volume, raw_labels = data.native("0005")
    assert torch.equal(image, resize(volume.array, (SIZE,) * 3).half())
    assert torch.equal(labels, argmax_of_masks(raw_labels, SIZE))
    assert set(labels.unique().tolist()) == {0, 1, 6, 7, 8}


@pytest.mark.parametrize("seed", range(6))
def test_labels_resize_as_the_plain_computation_does(seed):
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(5, 60, 3))
    coarse = random.choice([0, 0, 1, 2, 7, 255], size=(6, 6, 6)).astype(np.uint8)
    index = np.ix_(*(np.arange(n) * 6 // n for n in shape))
    labels = coarse[index]
    size = tuple(int(n) for n in random.integers(8, 40, 3))
    expected = torch.stack([resize((labels == n).astype(np.float32), size) for n in (0, 1, 2, 7, 255)])
    top = expected.topk(2, 0).values
    decided = top[0] - top[1] > 1e-4
    expected = torch.tensor([0, 1, 2, 7, 255], dtype=torch.uint8)[expected.argmax(0)]
    result = resize_labels(labels, size)
    assert decided.float().mean() > 0.5 and torch.equal(result[decided], expected[decided])


def test_a_tie_goes_to_the_lowest_label():
    halves = np.array([[[0, 3, 5, 5]]], np.uint8)  # 0 and 3 weigh the same in the first voxel
    assert resize_labels(halves, (1, 1, 2)).flatten().tolist() == [0, 5]
    assert resize_labels(halves[:, :, 1:3], (1, 1, 1)).item() == 3


def test_however_the_file_is_turned_the_arrays_are_the_same(tmp_path):
    image, labels = body(117)
    places = {
        "straight": (slice(None, None, 1), np.eye(3)),
        "turned": (slice(None, None, -1), np.diag([1, 1, -1])),
    }
    results = []
    for name, (step, direction) in places.items():
        raw = tmp_path / name / "RawData/Training"
        origin = (-180, -170, -300) if name == "straight" else (-180, -170, -300 + 116 * 3)
        for kind, array in (("img", image), ("label", labels)):
            path = raw / kind / f"{kind}0005.nii.gz"
            write(path, np.ascontiguousarray(array[step]), SPACING, origin, direction)
        assert prepare(tmp_path / name, tmp_path / f"out-{name}") == 0
        results.append(open_prepared(tmp_path / f"out-{name}").arrays("0005"))
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))


def test_the_index_says_what_is_there(raw, out):
    data = open_prepared(out)
    assert (data.name, data.size, data.root, data.splits) == ("synapse", SIZE, raw, {})
    assert [case.id for case in data.cases] == [*FEW, "0001-0061", "0005-0062"]
    assert data.organs[0] == {"name": "spleen", "label": 1} and len(data.organs) == 13
    pair = data.case("0005-0062")
    assert (pair.kind, pair.atlas) == ("pair", "0005")
    case = data.case("0005")
    volume, labels = data.native("0005")
    assert case.grid.size == volume.grid.size == labels.shape[::-1]
    assert case.grid.spacing == pytest.approx(SPACING)
    assert (
        case.voxels[LIVER] == np.count_nonzero(labels == LIVER) and sum(case.voxels.values()) == labels.size
    )
    assert len(data.fingerprint) == 64
    with pytest.raises(UsageError, match="'0099'"):
        data.case("0099")


# Later runs ---------------------------------------------------------------------------------------------


def test_a_second_run_makes_nothing_and_looks_at_nothing_again(raw, out, capfd):
    before, times = tree(out), {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    times |= {path: path.stat().st_mtime_ns for path in (out / "facts").iterdir()}
    capfd.readouterr()
    assert prepare(raw, out) == 0
    assert "prepared 0, already there 6" in capfd.readouterr().out
    assert tree(out) == before and all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_only_what_is_missing_or_damaged_is_made_anew(raw, out, capfd):
    before, data = tree(out), open_prepared(out)
    files = [out / "arrays" / case.arrays for case in data.cases]
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:-10])
    files[2].write_bytes(b"")
    capfd.readouterr()
    assert prepare(raw, out) == 0
    assert "prepared 3, already there 3" in capfd.readouterr().out
    assert tree(out) == before


def test_a_changed_file_and_a_changed_size_are_prepared_anew_and_old_arrays_stay(raw, out, capfd):
    before = open_prepared(out)
    image = sitk.ReadImage(str(raw / "RawData/Training/img/img0005.nii.gz"))
    sitk.WriteImage(image + 1, str(raw / "RawData/Training/img/img0005.nii.gz"))
    with pytest.raises(InputRefused, match=r"img0005\.nii\.gz has changed"):
        before.native("0005")
    capfd.readouterr()
    assert prepare(raw, out) == 0
    answer = capfd.readouterr().out
    assert "prepared 1, already there 5" in answer and "1 files" in answer
    after = open_prepared(out)
    assert after.fingerprint != before.fingerprint
    assert not torch.equal(before.arrays("0005")[0], after.arrays("0005")[0])
    assert prepare(raw, out, size=16) == 0
    assert "prepared 6, already there 0" in capfd.readouterr().out
    assert open_prepared(out).arrays("0005")[0].shape == (16,) * 3
    assert prepare(raw, out) == 0
    assert open_prepared(out).fingerprint == after.fingerprint


def test_the_fingerprint_does_not_depend_on_the_place(raw, out, tmp_path):
    raw.rename(tmp_path / "moved")
    with pytest.raises(InputRefused) as gone:
        open_prepared(out).native("0005")
    assert gone.value.code == "not-found"
    before = open_prepared(out).fingerprint
    assert prepare(tmp_path / "moved", out) == 0
    data = open_prepared(out)
    assert data.fingerprint == before and data.root == tmp_path / "moved"
    data.native("0005")


# Faults -------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_no_half_file_and_the_next_run_goes_on(raw, tmp_path, capfd):
    out = tmp_path / "out"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # the disk, seen from here
    try:
        status = prepare(raw, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capfd.readouterr().err
    assert status == 1 and "cannot be written" in error and len(error.splitlines()) == 2
    assert not list((out / "arrays").iterdir()) and not (out / "index.json").exists()
    assert prepare(raw, out) == 0


def test_a_lack_of_space_is_told_before_the_work(tmp_path):
    with pytest.raises(OutputError, match=r"600 cases need 10000000\.0 GB") as refused:
        check_space(tmp_path, 600, 10**16)
    assert refused.value.code == "disk-full"
    check_space(tmp_path, 0, 10**16)


def test_two_runs_do_not_work_in_one_folder(raw, out, capfd):
    with prepared_folder(out):
        assert prepare(raw, out) == 1
    assert "error[folder-busy]" in capfd.readouterr().err
    assert prepare(raw, out) == 0


def test_what_a_killed_run_left_is_cleared_and_nothing_else(raw, out):
    left = [out / "arrays/.iuinet-0123456789ab.safetensors", out / "facts/.iuinet-0123456789ab.json"]
    kept = [out / "arrays/notes.txt", out / "arrays/.iuinet-mine.txt", out / "mine.safetensors"]
    for path in (*left, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert prepare(raw, out) == 0
    assert not any(path.exists() for path in left) and all(path.exists() for path in kept)


def test_damaged_arrays_and_indexes_are_refused_with_what_to_do(out, tmp_path):
    data = open_prepared(out)
    file = out / "arrays" / data.case("0001").arrays
    for content in (file.read_bytes()[:-5], b"", b"no tensors", None):
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(InputRefused, match="0001") as refused:
            data.arrays("0001")
        assert refused.value.code == "cache-damaged" and "prepare.py" in refused.value.hint
        file.touch()
    other = out / "arrays" / data.case("0005").arrays
    file.write_bytes(other.read_bytes().replace(b"F16", b"I16"))
    with pytest.raises(InputRefused):
        data.arrays("0001")
    index = json.loads((out / "index.json").read_text())
    del index["cases"][0]["voxels"]
    for text, code in ((json.dumps(index), "index-damaged"), ("{", "index-damaged"), ("[]", "index-format")):
        (out / "index.json").write_text(text)
        with pytest.raises(InputRefused) as refused:
            open_prepared(out)
        assert refused.value.code == code
    with pytest.raises(InputRefused) as refused:
        open_prepared(tmp_path / "absent")
    assert refused.value.code == "not-prepared"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], "no-out"),
        (["--out", "x", "--size", "100"], "bad-size"),
        (["--out", "x", "--workers", "0"], "bad-workers"),
        (["--check-only", "--json", "absent/x.json"], "no-output-folder"),
    ],
)
def test_wrong_options_are_refused_in_two_lines(raw, options, code, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([str(raw), *options]) in (1, 2)
    error = capfd.readouterr().err.splitlines()
    assert len(error) == 2 and error[0].startswith(f"error[{code}]")


def test_a_file_in_the_place_of_the_folder_is_refused(raw, tmp_path, capfd):
    (tmp_path / "out").write_text("x")
    assert prepare(raw, tmp_path / "out") == 1
    assert "cannot be written" in capfd.readouterr().err


def test_the_help_explains_layouts_and_options(capfd):
    assert main(["--help"]) == 0
    text = capfd.readouterr().out
    for word in ("RawData.zip", "nnU-Net", "organs.toml", "--exclude", "--partial", "--check-only"):
        assert word in text


def test_progress_takes_one_line_on_a_terminal_and_a_line_now_and_then_elsewhere(raw, tmp_path, capfd):
    ours, theirs = os.openpty()
    words = [sys.executable, str(SCRIPT), str(raw), "--check-only", "--partial", "--workers", "1"]
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "\rchecking 6 of 6" in shown.replace("\x1b[K", "") and "\n" not in shown
    assert prepare(raw, tmp_path / "out") == 0
    assert 1 <= capfd.readouterr().out.count("checking ") < 6


def test_jobs_come_back_with_their_numbers():
    assert dict(in_parallel(str, [5, 6, 7], 1)) == {0: "5", 1: "6", 2: "7"}
