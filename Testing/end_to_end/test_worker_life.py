"""How long the worker lives, what it leaves behind, and what it tells while a device fails it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.waiting import is_running, wait_for_end, wait_until
from helpers.worker_tools import make_volume, poll_end, poll_until, same, start_slow_run

from iuinet.errors import Cancelled
from iuinet.options import Options
from iuinet.weights import resolve
from iuinet.worker import WorkerClient
from iuinet.worker.child import WorkerStopped, child_environment

pytestmark = [
    pytest.mark.needs_torch,
    pytest.mark.skipif(os.name != "posix", reason="looks at processes in the POSIX way"),
]

TESTING = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def nothing_left(exchange: Path) -> Iterator[None]:
    """However a run ends, the patient's voxels are gone."""
    yield
    assert not list(exchange.glob("iuinet-*"))


def resident_mb(pid: int) -> float:
    """Memory of its own that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


# The end ------------------------------------------------------------------------------------------------


def test_an_idle_worker_ends_by_itself_and_the_next_request_starts_another(
    exchange: Path, model: Path
) -> None:
    with WorkerClient(idle_s=0.5) as client:
        expected = client.segment(make_volume(), Options(model, "cpu"))[0]
        pid = client.pid
        gone = wait_for_end(pid)
        print(f"idle worker gone after {gone:.2f} s of 0.5 s")
        assert gone < 5
        while client.pid is not None:  # its last thread may be on its way out
            time.sleep(0.005)
        assert same(client.segment(make_volume(), Options(model, "cpu"))[0], expected)
        assert client.pid != pid


def test_a_request_that_crosses_with_the_idle_end_is_done_by_another_worker(
    exchange: Path, model: Path
) -> None:
    with WorkerClient(idle_s=0.3) as client:
        expected = client.segment(make_volume(), Options(model, "cpu"))[0]
        run = client.start(make_volume(), Options(model, "cpu"))  # sends nothing before it is polled
        assert wait_for_end(client._child.pid) < 10
        poll_end(run)
        assert same(run.result()[0], expected)


def test_a_worker_that_ends_whenever_it_is_asked_is_not_asked_for_ever(exchange: Path, in_worker) -> None:
    in_worker("import os, sys\nos.read(0, 1)\nos._exit(0)")
    with WorkerClient() as client, pytest.raises(WorkerStopped) as caught:
        client.probe()
    assert caught.value.exit_code == 0


ORPHANING_PARENT = """
import os, sys, time
from pathlib import Path
from helpers.worker_tools import start_slow_run
from iuinet.worker import WorkerClient
client = WorkerClient()
run = start_slow_run(client, Path(sys.argv[1]))
holder = os.fork()  # keeps the other end of the worker's standard input open
if holder:
    print(client.pid, holder, flush=True)
time.sleep(60)
"""


def test_a_worker_notices_that_its_parent_is_gone_even_while_another_process_holds_its_input(
    exchange: Path, slow_model: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHANING_PARENT, str(slow_model)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    pid, holder = map(int, parent.stdout.readline().split())
    try:
        parent.kill()
        parent.wait()
        assert is_running(holder)
        gone = wait_for_end(pid)
        print(f"worker gone {gone:.2f} s after its parent")
        assert gone < 6
    finally:
        os.kill(holder, signal.SIGKILL)
        parent.stdout.close()


# Does not look at its run any more when the labels are written.
UNREADING_PARENT = """
import sys, time
from pathlib import Path
from helpers.worker_tools import make_volume
from iuinet.worker import WorkerClient
from iuinet.options import Options
client = WorkerClient()
run = client.start(make_volume(), Options(Path(sys.argv[1]), "cpu"))
folder = Path(sys.argv[2])
while run.stage != "segmenting":
    run.poll()
    time.sleep(0.002)
while not list(folder.glob("iuinet-*/*labels*")):
    time.sleep(0.01)
time.sleep(0.5)
print(client.pid, flush=True)
time.sleep(100)
"""


def test_voxels_that_nobody_has_taken_go_with_the_parent(exchange: Path, model: Path) -> None:
    path = os.pathsep.join([str(TESTING), *(path for path in sys.path if path)])
    parent = subprocess.Popen(
        [sys.executable, "-c", UNREADING_PARENT, str(model), str(exchange)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        pid = int(parent.stdout.readline())
        assert list(exchange.glob("iuinet-*/*"))
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert wait_for_end(pid) < 6


OWN_CHILD = """
import pathlib, subprocess, sys
child = subprocess.Popen(["sleep", "100"])
pathlib.Path({path!r}).write_text(str(child.pid))
"""


def test_a_worker_that_does_not_obey_is_killed_within_two_seconds_with_all_that_it_started(
    exchange: Path, slow_model: Path, tmp_path: Path, in_worker
) -> None:
    in_worker(OWN_CHILD.format(path=str(tmp_path / "pid")))
    with WorkerClient() as client:
        run = start_slow_run(client, slow_model)
        grandchild = int((tmp_path / "pid").read_text())
        assert is_running(grandchild)
        os.kill(client.pid, signal.SIGSTOP)
        pid = client.pid
        run.cancel()
        latency = poll_end(run)
        print(f"cancel of a worker that hangs: {latency:.2f} s")
        assert latency < 2.0
        with pytest.raises(Cancelled):
            run.result()
        assert wait_for_end(pid) < 0.5
        assert wait_for_end(grandchild) < 0.5


# Beside Slicer ------------------------------------------------------------------------------------------


def test_the_memory_of_a_run_is_given_back_after_it(client: WorkerClient, slow_model: Path) -> None:
    client.segment(make_volume(), Options(slow_model, "cpu"))
    run = client.start(make_volume(), Options(slow_model, "cpu"))
    highest = 0.0

    def look() -> bool:
        nonlocal highest
        highest = max(highest, resident_mb(client.pid))
        return run.stage == "finishing"

    poll_until(run, look)
    poll_end(run)
    wait_until(lambda: resident_mb(client.pid) < highest - 300, what="the worker keeps its memory")
    print(f"worker: {highest:.0f} MB in a run of 128^3, {resident_mb(client.pid):.0f} MB at rest")


def test_threads_sleep_while_they_wait_unless_the_user_wants_otherwise() -> None:
    assert child_environment({})["OMP_WAIT_POLICY"] == "PASSIVE"
    assert child_environment({"OMP_WAIT_POLICY": "ACTIVE"})["OMP_WAIT_POLICY"] == "ACTIVE"


def test_a_dropped_probe_leaves_the_worker_to_the_run(exchange: Path, model: Path) -> None:
    with WorkerClient() as client:
        probe = client.start_probe()
        assert not probe.poll()
        pid = client.pid
        probe.drop()
        assert probe.done
        assert client.segment(make_volume(), Options(model, "cpu"))[0].any()
        assert client.pid == pid


def test_the_probe_measures_the_models_that_are_here(client: WorkerClient) -> None:
    start = time.monotonic()
    seconds = client.probe(Options())["network_seconds"]
    print(f"probe of a warm worker: {time.monotonic() - start:.2f} s, {seconds}")
    assert 0 < seconds["cpu"][resolve(None).sha256] < 600


# Devices ------------------------------------------------------------------------------------------------

FAKE_GPU = """
from helpers.fake_gpu import FakeGpu
FakeGpu({options}).__enter__()
"""


def test_a_short_gpu_is_told_while_the_run_goes_on_and_noted_in_the_report(model: Path, in_worker) -> None:
    in_worker(FAKE_GPU.format(options="limit=14e6"))  # the model fits, its features do not
    with WorkerClient() as other:
        expected = other.segment(make_volume(), Options(model, "cpu"))[0]  # on the same path
        run = other.start(make_volume(), Options(model, "auto"))
        poll_until(run, lambda: bool(run.fallbacks))
        assert run.stage == "segmenting"
        poll_until(run, lambda: len(run.fallbacks) == 4)
        assert "the CPU is used" in run.fallbacks[-1]
        poll_end(run)
        labels, report = run.result()
    assert same(labels, expected)
    assert report["fallbacks"] == run.fallbacks and report["device"] == "cpu"
    assert all("Fake GPU 9000" in text for text in run.fallbacks)


def test_a_gpu_that_does_not_compute_is_told_by_the_probe_and_by_the_run(model: Path, in_worker) -> None:
    in_worker(FAKE_GPU.format(options="wrong=True"))
    with WorkerClient() as other:
        expected = other.segment(make_volume(), Options(model, "cpu"))[0]  # on the same path
        found = other.probe(Options())
        labels, report = other.segment(make_volume(), Options(model, "auto"))
    assert not found["gpus"][0]["usable"] and "wrong result" in found["gpus"][0]["reason"]
    assert set(found["network_seconds"]) == {"cpu"}
    assert same(labels, expected)
    assert len(report["fallbacks"]) == 1 and "cannot be used" in report["fallbacks"][0]
