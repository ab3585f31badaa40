"""The worker behind Slicer's launcher, which makes every violent end exit code 1 with one last line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.launcher import child_of, write_launcher
from helpers.waiting import wait_for_end
from helpers.worker_tools import make_volume, poll_end, same, start_slow_run

from iuinet.errors import Cancelled
from iuinet.options import Options
from iuinet.worker import WorkerClient
from iuinet.worker.child import WorkerStopped

pytestmark = [
    pytest.mark.needs_torch,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]
LAST_LINE = "error: [bin/PythonSlicer-real] exit abnormally - Report the problem."
NO_MEMORY = ("terminate called after throwing 'std::bad_alloc'", "Fatal Python error: Aborted")


@pytest.fixture
def behind(exchange: Path, tmp_path: Path) -> Iterator[WorkerClient]:
    """A client whose worker has the launcher as its parent; the voxels are gone at the end."""
    with WorkerClient(python=str(write_launcher(tmp_path))) as client:
        yield client
    assert not list(exchange.glob("iuinet-*"))


def test_it_works_as_without_one(behind: WorkerClient, client: WorkerClient, model: Path) -> None:
    expected = client.segment(make_volume(), Options(model, "cpu"))[0]
    assert same(behind.segment(make_volume(), Options(model, "cpu"))[0], expected)


def test_a_kill_for_want_of_memory_is_told_from_a_crash(
    behind: WorkerClient, model: Path, slow_model: Path
) -> None:
    for number, code, words in (
        (signal.SIGKILL, "worker-killed", "it was killed"),
        (signal.SIGSEGV, "worker-crashed", "Segmentation fault"),
        (signal.SIGABRT, "worker-crashed", "Aborted"),
    ):
        run = start_slow_run(behind, slow_model)
        os.kill(child_of(behind.pid), number)
        poll_end(run)
        with pytest.raises(WorkerStopped) as caught:
            run.result()
        assert (caught.value.exit_code, caught.value.code) == (1, code), caught.value.log
        assert words in caught.value.message and LAST_LINE in caught.value.log
        assert ("memory was short" in caught.value.hint) is (code == "worker-killed")
    assert behind.segment(make_volume(), Options(model, "cpu"))[0].any(), "the next run has a new worker"


def test_an_end_by_itself_is_no_kill(behind: WorkerClient, in_worker) -> None:
    in_worker("import os\nos.read(0, 1)\nos._exit(1)")
    with pytest.raises(WorkerStopped, match="exit code 1") as caught:
        behind.probe()
    assert caught.value.code == "worker-crashed"


def test_a_worker_that_stands_still_is_killed_with_its_launcher(
    behind: WorkerClient, slow_model: Path
) -> None:
    run = start_slow_run(behind, slow_model)
    launcher, worker = behind.pid, child_of(behind.pid)
    os.kill(worker, signal.SIGSTOP)
    run.cancel()
    assert poll_end(run) < 2.0
    with pytest.raises(Cancelled):
        run.result()
    assert wait_for_end(launcher) < 1 and wait_for_end(worker) < 1


@pytest.mark.parametrize(
    ("code", "log", "killed"),
    [
        (-9, (), True),
        (137, (), True),
        (-11, ("Fatal Python error: Segmentation fault",), False),
        (1, ("a warning", LAST_LINE), True),
        (1, ("Fatal Python error: Bus error", '  File "x.py", line 1 in run', LAST_LINE), False),
        (1, ("Windows fatal exception: code 0xc0000017", LAST_LINE), True),
        (1, ("Windows fatal exception: access violation", LAST_LINE), False),
        (1, (*NO_MEMORY, LAST_LINE), True),
        (-6, NO_MEMORY, True),
        (1, ("Traceback (most recent call last):", "ImportError: no torch"), False),
        (1, (), False),
    ],
)
def test_what_the_last_words_tell(code: int, log: tuple[str, ...], killed: bool) -> None:
    assert WorkerStopped(code, log).code == ("worker-killed" if killed else "worker-crashed")
