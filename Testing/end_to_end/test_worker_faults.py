"""The real worker process is cancelled, killed, orphaned and shouted over; neither end hurts the other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from helpers.waiting import wait_for_end
from helpers.worker_tools import environment_without, make_volume, poll_end, start_slow_run

from iuinet.errors import Cancelled, IUINetError
from iuinet.options import Options
from iuinet.worker import WorkerClient, protocol
from iuinet.worker.child import WorkerStopped

pytestmark = [
    pytest.mark.needs_torch,
    pytest.mark.skipif(os.name != "posix", reason="looks at processes in the POSIX way"),
]

PACKAGE_ROOT = Path(protocol.__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_left(exchange: Path) -> Iterator[None]:
    """However a run ends, the patient's voxels are gone."""
    yield
    assert not list(exchange.glob("iuinet-*"))


# Cancelling and dying -----------------------------------------------------------------------------------


def test_a_cancel_is_obeyed_within_two_seconds_and_the_worker_stays(
    client: WorkerClient, model: Path, slow_model: Path
) -> None:
    run = start_slow_run(client, slow_model)
    pid = client.pid
    run.cancel()
    latency = poll_end(run)
    print(f"cancel latency: {1000 * latency:.0f} ms")
    assert latency < 2.0
    with pytest.raises(Cancelled):
        run.result()
    client.segment(make_volume(), Options(model, "cpu"))
    assert client.pid == pid


def test_a_worker_that_cannot_obey_is_killed(client: WorkerClient, model: Path, slow_model: Path) -> None:
    run = start_slow_run(client, slow_model)
    pid = client.pid
    os.kill(pid, signal.SIGSTOP)
    run.cancel()
    assert poll_end(run) < 2.0
    assert wait_for_end(pid) < 1
    with pytest.raises(Cancelled):
        run.result()
    client.segment(make_volume(), Options(model, "cpu"))
    assert client.pid != pid


def test_a_killed_worker_is_told_with_its_exit_code_and_log_and_replaced(
    client: WorkerClient, model: Path, slow_model: Path
) -> None:
    run = start_slow_run(client, slow_model)
    pid = client.pid
    os.kill(pid, signal.SIGKILL)
    poll_end(run)
    with pytest.raises(WorkerStopped, match="SIGKILL") as caught:
        run.result()
    assert caught.value.exit_code == -signal.SIGKILL
    assert caught.value.code == "worker-killed" and "memory" in caught.value.hint
    assert client.segment(make_volume(), Options(model, "cpu"))[0].any()
    assert client.pid != pid


def test_an_interrupted_wait_ends_the_worker(client: WorkerClient, slow_model: Path) -> None:
    client.warm_up()
    pid = client.pid

    def interrupt(stage: str, fraction: float) -> None:
        if stage == "segmenting":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.segment(make_volume(), Options(slow_model, "cpu"), progress=interrupt)
    assert wait_for_end(pid) < 1


PARENT = """
import sys, time
from pathlib import Path
from helpers.worker_tools import start_slow_run
from iuinet.worker import WorkerClient
client = WorkerClient()
run = start_slow_run(client, Path(sys.argv[1]))
print(client.pid, flush=True)
time.sleep(60)
"""


def test_a_worker_whose_parent_was_killed_ends_itself_and_removes_the_voxels(
    exchange: Path, slow_model: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(slow_model)], stdout=subprocess.PIPE, env=environment
    )
    with parent:
        pid = int(parent.stdout.readline())
        assert list(exchange.glob("iuinet-*"))
        parent.kill()
    gone = wait_for_end(pid)
    print(f"worker gone {gone:.2f} s after its parent")
    assert gone < 5


def test_closing_the_client_ends_the_worker(exchange: Path) -> None:
    client = WorkerClient()
    client.warm_up()
    pid = client.pid
    client.close()
    assert wait_for_end(pid) < 0.1
    assert client.pid is None


# The protocol under fire --------------------------------------------------------------------------------


def test_hello_comes_before_torch_and_a_broken_torch_is_told_in_plain_words(
    exchange: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("import time; time.sleep(1); raise OSError('DLL load failed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    log: list[str] = []
    with WorkerClient(log=log.append) as client:
        client.warm_up()
        start, hello = time.monotonic(), []
        while not hello:
            hello = client._child.messages()
        print(f"hello after {1000 * (time.monotonic() - start):.0f} ms")
        assert hello[0]["kind"] == "hello" and hello[0]["pid"] == client.pid
        with pytest.raises(IUINetError, match="DLL load failed") as caught:
            client.probe()
        assert caught.value.code == "torch-broken"
        assert any("DLL load failed" in line for line in log)


NOISE = """
import os, threading, time
os.write(1, b"printed before the worker began\\n")
def shout():
    while not os.path.sameopenfile(1, 2):  # until the worker has taken its descriptors
        time.sleep(0.001)
    while True:
        os.write(1, b'@iuinet {"kind": broken\\n\\xff\\xfe half a line')
        os.system("echo a native library talks")
        time.sleep(0.01)
threading.Thread(target=shout, daemon=True).start()
"""


def test_what_libraries_print_is_log_and_never_breaks_the_protocol(
    exchange: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NOISE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    lines: list[str] = []
    with WorkerClient(log=lines.append) as client:
        assert client.segment(make_volume(), Options(model, "cpu"))[0].any()
    assert any("before the worker began" in line for line in lines)
    assert any("a native library talks" in line for line in lines)


@pytest.fixture
def bare_worker(exchange: Path) -> Iterator[subprocess.Popen]:
    """A worker whose requests the test writes itself."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "iuinet.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**environment_without("PYTHONPATH"), "PYTHONPATH": str(PACKAGE_ROOT)},
    )
    with worker:
        yield worker
        worker.kill()


def replies(worker: subprocess.Popen, requests: bytes, count: int) -> list[tuple]:
    """What a worker answers: (kind, run, code) of so many messages."""
    worker.stdin.write(requests)
    worker.stdin.flush()
    messages = [protocol.decode(worker.stdout.readline()) for _ in range(count)]
    return [(message["kind"], message.get("run"), message.get("code")) for message in messages]


HELLO, PROBE = ("hello", None, None), protocol.encode("probe", run=5, options=None)
SEGMENT = {"kind": "segment", "run": 4, "output": "/nowhere", "options": asdict(Options())}


@pytest.mark.parametrize(
    "line, run",
    [
        (b"nonsense\n@iuinet {", 0),
        (b"@iuinet " + b"[" * 100_000, 0),
        (b'@iuinet {"kind":"probe","run":1,"options":' + b"[" * 900 + b"]" * 900 + b"}", 0),
        (b"@iuinet " + json.dumps({**SEGMENT, "volume": {}}).encode(), 4),
        (b"@iuinet " + json.dumps({**SEGMENT, "volume": {"path": 5}}).encode(), 4),
    ],
    ids=["no JSON", "deep", "deep options", "no path", "path of another type"],
)
def test_a_request_that_nobody_understands_is_answered_and_the_worker_goes_on(
    bare_worker: subprocess.Popen, line: bytes, run: int
) -> None:
    expected = [HELLO, ("error", run, "protocol"), ("result", 5, None)]
    assert replies(bare_worker, line + b"\n" + PROBE, 3) == expected
    bare_worker.stdin.close()
    assert bare_worker.wait(5) == 0


def test_a_second_request_of_one_number_is_refused_and_the_first_one_is_done(
    bare_worker: subprocess.Popen,
) -> None:
    said = replies(bare_worker, PROBE + PROBE, 3)
    assert said == [HELLO, ("error", 0, "protocol"), ("result", 5, None)]
    assert replies(bare_worker, PROBE, 1) == [("result", 5, None)]  # the number is free again


def test_a_worker_hears_that_it_should_end_after_a_request_without_a_path(
    bare_worker: subprocess.Popen,
) -> None:
    line = b"@iuinet " + json.dumps({**SEGMENT, "volume": {}}).encode() + b"\n"
    bare_worker.stdin.write(line + protocol.encode("quit"))
    bare_worker.stdin.flush()
    assert bare_worker.wait(30) == 0


def test_a_python_that_is_none_is_told_in_plain_words(exchange: Path) -> None:
    with pytest.raises(IUINetError) as caught:
        WorkerClient(python="/no/such/python").probe()
    assert caught.value.code == "worker-start"
    with WorkerClient(python=shutil.which("false")) as client, pytest.raises(WorkerStopped) as stopped:
        client.probe()
    assert stopped.value.exit_code == 1 and stopped.value.code == "worker-crashed"
