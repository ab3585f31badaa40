"""prepare.py is really killed, stopped and starved, and the next run gives what an undisturbed one gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.waiting import communicate, is_running, wait_until

pytest.importorskip("torch", reason="torch is not installed here")

from prepare import main
from training.dataset_files import tree, write_set

from pipeline.dataset.splits import slices_per_case

SCRIPT = Path(__file__).parents[2] / "Training/prepare.py"
OPTIONS = ["--size", "96", "--no-pairs"]
CASES = 30

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return write_set(tmp_path_factory.mktemp("kill") / "raw", slices_per_case(), ())


@pytest.fixture(scope="module")
def undisturbed(raw) -> dict[str, bytes]:
    out = raw.parent / "undisturbed"
    assert main([str(raw), "--out", str(out), "--workers", "1", *OPTIONS]) == 0
    return tree(out)


def start(raw: Path, out: Path, workers: int) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), str(raw), "--out", str(out), "--workers", str(workers), *OPTIONS]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def while_running(process: subprocess.Popen, true: Callable[[], object]) -> Callable[[], object]:
    """The condition, and a failure if the process ends before it holds."""

    def condition() -> object:
        assert process.poll() is None, process.communicate()
        return true()

    return condition


def count(folder: Path) -> int:
    return sum(path.name[0] != "." for path in folder.glob("*"))


@pytest.mark.parametrize(
    ("stage", "least", "workers", "number"),
    [
        ("facts", 3, 1, signal.SIGKILL),
        ("arrays", 8, 2, signal.SIGKILL),
        ("arrays", 5, 1, signal.SIGINT),
    ],
)
def test_a_stopped_run_goes_on_to_the_same_result(
    raw, undisturbed, tmp_path, stage, least, workers, number, capfd
):
    out = tmp_path / "out"
    process = start(raw, out, workers)
    wait_until(while_running(process, lambda: count(out / stage) >= least))
    helpers = children(process.pid)
    process.send_signal(number)
    _, error = communicate(process)
    assert not (out / "index.json").exists() and count(out / stage) < CASES, (
        "it came too late to stop anything"
    )
    wait_until(lambda: not any(is_running(pid) for pid in helpers))
    if number == signal.SIGINT:
        assert process.returncode == 6 and error.startswith("error[cancelled]") and "goes on" in error
    there = {name: bytes_ for name, bytes_ in tree(out).items() if not Path(name).name.startswith(".")}
    assert all(undisturbed[name] == bytes_ for name, bytes_ in there.items() if name.startswith("arrays/"))
    capfd.readouterr()
    assert main([str(raw), "--out", str(out), "--workers", "1", *OPTIONS]) == 0
    done = sum(name.startswith("arrays/") for name in there)
    assert f"prepared {CASES - done}, already there {done}" in capfd.readouterr().out
    assert tree(out) == undisturbed


def test_a_worker_that_the_system_ends_is_told_and_nothing_is_lost(raw, undisturbed, tmp_path):
    out = tmp_path / "out"
    process = start(raw, out, 2)
    wait_until(while_running(process, lambda: count(out / "arrays") >= 2))
    # Among the children is Python's own tracker of resources; the workers run our code.
    workers = [
        pid for pid in children(process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(workers[0], signal.SIGKILL)
    _, error = communicate(process)
    assert process.returncode == 5 and error.startswith("error[memory]") and "--workers" in error
    assert not (out / "index.json").exists()
    assert all(
        undisturbed[name] == bytes_ for name, bytes_ in tree(out).items() if name.startswith("arrays/")
    )
