"""Generated folders: the same arguments give the same bytes, kills lose little, nothing else is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.waiting import wait_until

pytest.importorskip("torch", reason="torch is not installed here")

import phantom

from iuinet.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--matrix", "32", "--cases", "0022", "0025", "0027", "--testing", "2", "--pairs", "4"]


def generate(folder: Path, *more: str, workers: int = 1) -> int:
    return phantom.main(["--synapse", str(folder), *SMALL, "--workers", str(workers), *more])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole") / "set"
    assert generate(folder) == 0
    return contents(folder)


def test_the_same_arguments_give_the_same_files_with_any_number_of_processes(whole, tmp_path):
    assert generate(tmp_path / "again", workers=2) == 0
    assert contents(tmp_path / "again") == whole
    assert generate(tmp_path / "other", "--seed", "1", "--cases", "0022", "--pairs", "0") == 0
    name = "RawData/Training/img/img0022.nii.gz"
    assert (tmp_path / "other" / name).read_bytes() != whole[name]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system knows no SIGKILL")
def test_a_killed_call_goes_on_and_leaves_nothing_half(whole, tmp_path):
    folder, files = tmp_path / "set", 7
    words = ["--synapse", str(folder), *SMALL, "--workers", "1"]
    process = subprocess.Popen([sys.executable, str(ROOT / "Training" / "phantom.py"), *words])
    wait_until(lambda: len(list(folder.rglob("[il]*.nii.gz"))) >= files or process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    done = {name: data for name, data in contents(folder).items() if ".iuinet-" not in name}
    assert files <= len(done) - 1 < len(whole) - 1
    assert all(whole[name] == data for name, data in done.items())
    kept = {name: (folder / name).stat().st_mtime_ns for name in done if "/Testing/" in name}
    assert generate(folder) == 0
    assert contents(folder) == whole
    assert all((folder / name).stat().st_mtime_ns == when for name, when in kept.items())


def test_more_cases_and_pairs_are_added_to_what_is_there(whole, tmp_path):
    folder = tmp_path / "set"
    assert generate(folder, "--cases", "0022", "--pairs", "0") == 0
    first = (folder / "RawData/Training/img/img0022.nii.gz").stat().st_mtime_ns
    assert generate(folder) == 0
    assert (folder / "RawData/Training/img/img0022.nii.gz").stat().st_mtime_ns == first
    assert whole.items() <= contents(folder).items()


def test_generated_files_are_never_mixed_with_others(tmp_path, capfd):
    (tmp_path / "img0001.nii.gz").write_bytes(b"a patient")
    assert generate(tmp_path) == 2
    assert "error[not-generated]" in capfd.readouterr().err
    assert os.listdir(tmp_path) == ["img0001.nii.gz"]


def test_a_folder_keeps_its_settings(tmp_path, capfd):
    folder = tmp_path / "set"
    assert generate(folder, "--cases", "0025", "--pairs", "0") == 0
    before = contents(folder)
    assert generate(folder, "--seed", "2") == 2
    error = capfd.readouterr().err
    assert "error[other-settings]" in error and "another seed" in error
    assert contents(folder) == before


@pytest.mark.skipif(sys.platform == "win32", reason="the limit of a file's size is Unix's")
@pytest.mark.parametrize("limit", [100_000, 16_100, 400])
def test_a_full_disk_is_said_and_leaves_no_file(tmp_path, limit):
    code = f"""
import resource, signal, sys
import numpy as np
from pathlib import Path
from iuinet.errors import OutputError
from iuinet.volume import Grid
from pipeline.generated.files import write_nifti
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
noise = np.random.default_rng(0).integers(0, 4000, (20, 20, 20)).astype(np.int16)
try:
    write_nifti(Path(sys.argv[1]) / "image.nii.gz", noise, Grid((20, 20, 20), (1, 1, 1)))
except OutputError:
    sys.exit(7)
"""
    paths = os.pathsep.join(str(ROOT / name) for name in ("IUINetSegmentation", "Training"))
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=False)
    enough = limit >= 100_000
    assert done.returncode == (0 if enough else 7)
    assert os.listdir(tmp_path) == (["image.nii.gz"] if enough else [])


def test_a_real_download_is_not_mistaken_for_generated_data(tmp_path):
    from pipeline.generated.files import claim

    (tmp_path / "RawData").mkdir()
    with pytest.raises(UsageError, match="that no call of"):
        claim(tmp_path, {"layout": "synapse"})
