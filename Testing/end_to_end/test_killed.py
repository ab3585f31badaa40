"""The client and the command are really killed, at every stage: nothing of a patient stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_tools import environment, work_folder
from helpers.waiting import wait_for_end, wait_until

from iuinet.errors import OutputError
from iuinet.leftovers import PrivateFolder, sweep_drafts, sweep_folders
from iuinet.reading import read_volume
from iuinet.worker import WorkerClient
from iuinet.writing import write_json

pytestmark = [
    pytest.mark.needs_torch,
    pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals"),
]

TESTING = Path(__file__).resolve().parents[1]
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP]

# Stops where it is asked to: while it writes the voxels, or while the worker works on them.
CLIENT = """
import sys, time
from pathlib import Path
from helpers.worker_tools import make_volume, start_slow_run
from iuinet.reading import read_volume
from iuinet.worker import WorkerClient
client = WorkerClient()
if sys.argv[1] == "writing":
    run = client.start(make_volume())
    next(run._writing)
else:
    run = start_slow_run(client, Path(sys.argv[2]))
print(client.pid, flush=True)
time.sleep(100)
"""


@pytest.fixture
def own_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of this test alone."""
    folder = tmp_path / "exchange"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield folder
    monkeypatch.undo()
    monkeypatch.setattr("tempfile.tempdir", None)


@pytest.fixture
def start_client(own_exchange: Path, slow_model: Path) -> Callable[[str], tuple[subprocess.Popen, int]]:
    """A program with a scan on its way to a worker; (process, the worker's number)."""
    started: list[subprocess.Popen] = []

    def start(stage: str) -> tuple[subprocess.Popen, int]:
        paths = os.pathsep.join([str(TESTING), *(path for path in sys.path if path)])
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, stage, str(slow_model)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )
        started.append(client)
        return client, int(client.stdout.readline())

    yield start
    for client in started:
        client.kill()
        client.wait()
        client.stdout.close()


# The voxels on their way to the worker ------------------------------------------------------------------


@pytest.mark.parametrize("number", SIGNALS)
def test_the_worker_removes_what_a_client_left_that_was_killed_while_it_wrote(
    number: signal.Signals, own_exchange: Path, start_client
) -> None:
    client, worker = start_client("writing")
    assert list(own_exchange.glob("iuinet-*/volume.raw.part"))
    client.send_signal(number)
    client.wait()
    wait_for_end(worker)
    assert not list(own_exchange.iterdir())


@pytest.mark.parametrize("stage", ["writing", "segmenting"])
@pytest.mark.parametrize("begin", ["client", "worker"])
def test_the_next_start_removes_what_stayed_when_client_and_worker_were_killed(
    stage: str, begin: str, own_exchange: Path, start_client
) -> None:
    waiting = WorkerClient()  # was there before
    client, worker = start_client(stage)
    os.kill(worker, signal.SIGSTOP)  # so that it cannot tidy up
    client.kill()
    client.wait()
    os.kill(worker, signal.SIGKILL)
    wait_for_end(worker)
    assert list(own_exchange.glob("iuinet-*/volume.raw*"))
    with WorkerClient() if begin == "client" else waiting as next_client:
        if begin == "worker":
            next_client.warm_up()
        assert not list(own_exchange.iterdir())


def test_no_one_removes_what_a_living_program_or_a_user_has_there(own_exchange: Path, start_client) -> None:
    start_client("segmenting")
    voxels = next(own_exchange.glob("iuinet-*/volume.raw"))
    mine = [own_exchange / name for name in ("iuinet-results/ct.nrrd", "iuinet-abcd1234/ct.nrrd")]
    for path in mine:
        path.parent.mkdir()
        path.write_bytes(b"voxels")
        os.utime(path.parent, (0, 0))
    (own_exchange / "iuinet-ffff0000").symlink_to(mine[0].parent)
    with PrivateFolder() as own:
        WorkerClient().close()
        assert own.exists() and voxels.exists() and all(path.exists() for path in mine)
    assert not own.exists()


def test_voxels_of_versions_without_marks_go_when_they_are_a_day_old(own_exchange: Path) -> None:
    folders = [own_exchange / f"iuinet-abcd123{number}" for number in range(2)]
    for folder in folders:
        folder.mkdir()
        (folder / "volume.raw.part").write_bytes(b"voxels")
    day_ago = time.time() - 90_000
    os.utime(folders[0], (day_ago, day_ago))
    sweep_folders()
    assert [folder.exists() for folder in folders] == [False, True]


# Drafts beside the outputs ------------------------------------------------------------------------------

WRITER = """
import sys, time
from pathlib import Path
from iuinet.files import atomic
with atomic(Path(sys.argv[1])) as draft:
    draft.write_bytes(b"voxels")
    print(draft, flush=True)
    time.sleep(100)
"""


def test_drafts_of_killed_programs_go_with_the_next_write_and_nothing_else_does(tmp_path: Path) -> None:
    folder = work_folder(tmp_path)
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder / name)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for name in ("dead.seg.nrrd", "alive.nii.gz")
    ]
    dead, alive = (Path(program.stdout.readline().strip()) for program in programs)
    kept = [folder / name for name in (".iuinet-notes.txt", ".iuinet-0123456789ab.png", "ct.nrrd")]
    for path in kept:
        path.write_bytes(b"of a user, or of a version without marks")
    programs[0].kill()
    programs[0].wait()
    assert dead.exists()
    write_json(folder / "report.json", {})
    try:
        assert not dead.exists() and alive.exists() and all(path.exists() for path in kept)
        assert len(list(folder.glob(".iuinet-*.owner"))) == 1
        os.utime(kept[1], (0, 0))
        wait_until(lambda: not kept[1].exists(), lambda: sweep_drafts(folder))  # which is not always done
        assert kept[0].exists()
    finally:
        for program in programs:
            program.kill()
            program.wait()
            program.stdout.close()


def stopped_while_it_writes(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    """The command, held by SIGSTOP while drafts lie in the folder; tried again where it was too quick."""
    while True:
        command = subprocess.Popen(
            [sys.executable, "-m", "iuinet", *arguments],
            cwd=folder,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        while command.poll() is None and not list(folder.glob(".iuinet-*.*.*")):
            time.sleep(0.001)
        command.send_signal(signal.SIGSTOP)
        if list(folder.glob(".iuinet-*")):
            return command
        command.send_signal(signal.SIGCONT)
        command.communicate()
        for path in folder.iterdir():
            path.unlink()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_while_it_writes_leaves_nothing(
    number: signal.Signals, tmp_path: Path, ct: Path, model: Path
) -> None:
    folder = work_folder(tmp_path)
    arguments = ["segment", str(ct), "--weights", str(model), "--preview", "p.png", "--report", "r.json"]
    with stopped_while_it_writes(arguments, folder) as command:
        command.send_signal(number)
        command.send_signal(signal.SIGCONT)
        assert command.wait() == 6
        assert command.stderr.read().startswith("error[cancelled]: ")
    assert not list(folder.iterdir())


def test_a_killed_command_leaves_drafts_that_the_next_one_removes(
    tmp_path: Path, ct: Path, model: Path, iuinet
) -> None:
    folder = work_folder(tmp_path)
    arguments = ["segment", str(ct), "--weights", str(model), "-o", "out.seg.nrrd"]
    with stopped_while_it_writes(arguments, folder) as command:
        command.kill()
    assert list(folder.glob(".iuinet-*"))
    assert iuinet(*arguments).returncode == 0
    assert [path.name for path in folder.iterdir()] == ["out.seg.nrrd"]


def test_no_place_for_temporary_files_is_said_as_it_is(
    tmp_path: Path, ct: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(OutputError, match="absent") as caught:
        PrivateFolder()
    assert caught.value.code == "temporary-folder" and "TMPDIR" in caught.value.hint
    assert read_volume(ct).array.any()  # which needs none
