"""The worker process: ``python -m iuinet.worker``, where torch lives.

It reads requests from standard input and answers on standard output (``protocol.py``), keeps torch and the
model loaded between runs, and ends itself when its parent is gone (its standard input ends, or its parent's
number changes, should another process hold the other end) or when no request came for a while.

* Descriptors 0 and 1 are moved away first: whatever a native library prints lands in the log (standard
  error), never in the protocol, and none can swallow a request.
* A crash writes its name and the Python stack to the log: behind Slicer's launcher, which makes every such
  end exit code 1, that tells it from a kill for want of memory.
* A thread reads the requests, so that a cancel is seen while a run is going. The run looks at it between
  the network's blocks; a client that cannot wait kills the process.
* One core is left free where there are more than two, and the priority is lowered a little (``nice`` 5):
  the person at the screen goes on working in Slicer, and on an idle machine it costs nothing.
* Memory is kept during a run, which saves much time (``memory.py``), and given back a moment after it.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from iuinet import __version__
from iuinet.errors import Cancelled, plain_error
from iuinet.leftovers import MARK, sweep_folders
from iuinet.memory import give_back_memory, keep_memory
from iuinet.options import Options

from . import protocol
from .protocol import Message

IDLE_S = 600.0  # without a request

_DETAILS = "The log has the details."
_NICENESS = 5
_GRACE_S = 2.0  # for a run to end by itself after its parent is gone
_LAST_MOMENT_S = 1.0  # for a parent that is being killed to be gone
_PROGRESS_INTERVAL_S = 0.05
_MOMENT_S = 3.0  # after a run, so that a second volume right after the first is faster
_PARENT_INTERVAL_S = 1.0  # between two looks at whether the parent is still there


class Run:
    """What the two threads share about one request that takes time."""

    def __init__(self, request: Message) -> None:
        self.request = request
        self.number: int = request["run"]
        self.cancelled = threading.Event()

    def remove_files(self) -> None:
        """Delete the voxels of a run whose parent is gone: no one else will."""
        if self.request["kind"] == "segment" and isinstance(self.request["volume"].get("path"), str):
            voxels = Path(self.request["volume"]["path"])
            for path in (voxels, Path(self.request["output"]), voxels.with_name(MARK)):
                with suppress(OSError):  # Windows keeps what is still being read
                    path.unlink()
            with suppress(OSError):  # the folder is the client's own and now empty; else it is left alone
                voxels.parent.rmdir()


class Worker:
    """The loop over requests.

    requests: descriptor to read from. replies: descriptor to write to. idle_s: seconds without a request
    after which the process ends.
    """

    def __init__(self, requests: int, replies: int, idle_s: float) -> None:
        self._requests = requests
        self._parent = os.getppid()
        self._idle_s = idle_s
        self._replies = replies
        self._writing = threading.Lock()
        self._waiting: queue.SimpleQueue[Run] = queue.SimpleQueue()
        self._runs: dict[int, Run] = {}
        self._last: Run | None = None  # the last one that was done, whose voxels may not have been taken

    def serve(self) -> NoReturn:
        """Say hello, then work off the requests; the reading thread ends the process."""
        versions = {"iuinet": __version__, "python": sys.version.split()[0]}
        self._say("hello", protocol=protocol.VERSION, pid=os.getpid(), versions=versions)
        threading.Thread(target=self._read_requests, name="requests", daemon=True).start()
        _warm_up()
        while True:
            run = self._next()
            kind, fields = self._answer(run)
            self._last = run
            del self._runs[run.number]  # first: whoever reads the last message may use the number again
            self._say(kind, run=run.number, **fields)

    def _next(self) -> Run:
        """Wait for the next request; free the memory after a moment, and end the process at last."""
        moment = min(_MOMENT_S, self._idle_s)
        with suppress(queue.Empty):
            return self._waiting.get(timeout=moment)
        give_back_memory()
        with suppress(queue.Empty):
            return self._waiting.get(timeout=self._idle_s - moment)
        os._exit(0)  # the client starts another one, also for a request that crosses with this

    # Reading, in its own thread

    def _read_requests(self) -> None:
        told = False
        try:
            for line in _lines(self._requests):
                try:
                    told = self._take(line)
                except Exception as error:
                    refusal = plain_error(error, _DETAILS)
                    print(refusal.message, file=sys.stderr, flush=True)
                    self._say("error", run=0, **protocol.describe_error(refusal))
                if told:
                    break
        finally:  # without this thread nobody would hear the end
            self._leave(told)

    def _take(self, line: bytes) -> bool:
        """Take in one line; returns whether it tells the process to end.

        Raises: ProtocolError for a line that is not understood.
        """
        request = protocol.decode(line)
        kind = None if request is None else request["kind"]
        if kind == "cancel":
            run = self._runs.get(request["run"])
            if run is not None:
                run.cancelled.set()
        elif kind in protocol.REQUESTS and kind != "quit":
            run = Run(request)
            if run.number in self._runs:
                raise protocol.ProtocolError(f"a run of the number {run.number} is under way already")
            self._runs[run.number] = run
            self._waiting.put(run)
        return kind == "quit"

    def _leave(self, told: bool) -> None:
        """End the process, also in the middle of a run, after a moment for the run to end by itself.

        told: by a client that goes on, and removes its files itself.
        """
        unfinished = list(self._runs.values())
        for run in unfinished:
            run.cancelled.set()
        end = time.monotonic() + _GRACE_S
        while self._runs and time.monotonic() < end:
            time.sleep(0.02)
        for run in (*unfinished, *([self._last] if self._last else ())):
            run.remove_files()
        if not told:
            self._sweep()
        # Not sys.exit: this is not the main thread, taking torch down costs time, and nothing is to be saved.
        os._exit(0)

    def _sweep(self) -> None:
        """Remove what a killed client has left, such as voxels that it was still writing.

        Its locks are free once it is gone altogether, a moment after the end of its pipe.
        """
        end = time.monotonic() + _LAST_MOMENT_S
        while os.getppid() == self._parent and time.monotonic() < end:
            time.sleep(0.01)
        sweep_folders()

    # Answering, in the main thread

    def _answer(self, run: Run) -> tuple[str, Message]:
        """Do one request; every way it can end is exactly one last message, its kind and fields."""
        try:
            if run.cancelled.is_set():
                raise Cancelled()
            report = self._segment(run) if run.request["kind"] == "segment" else _probe(run)
            # A cancel that came too late to stop the work still means that its result is not wanted.
            if run.cancelled.is_set():
                raise Cancelled()
            return "result", {"report": report}
        except Cancelled:
            return "cancelled", {}
        except Exception as error:
            traceback.print_exc()
            return "error", protocol.describe_error(plain_error(error, _DETAILS))

    def _segment(self, run: Run) -> Message:
        """Segment the volume of a request and leave the labels at its output; returns the report."""
        request = run.request
        output = Path(request["output"])
        volume, options = protocol.read_volume(request["volume"]), Options(**request["options"])
        segment_volume = _import_segmentation()
        result = segment_volume(
            volume,
            options.find_model(),
            options,
            progress=self._progress(run.number),
            cancelled=run.cancelled.is_set,
            notice=lambda text: self._say("fallback", run=run.number, text=text),
        )
        for finding in result.findings:
            fields = {"code": finding.code, "text": finding.message, "hint": finding.hint}
            self._say("warning", run=run.number, **fields)
        protocol.write_array(output, result.labels.astype("uint8", copy=False))
        return result.report

    def _progress(self, number: int) -> Callable[[str, float], None]:
        """A callback that reports to the parent, but not more often than a person can see."""
        last_stage, last_time = None, 0.0

        def progress(stage: str, fraction: float) -> None:
            nonlocal last_stage, last_time
            now = time.monotonic()
            if stage != last_stage:
                self._say("stage", run=number, stage=stage)
            elif fraction < 1 and now - last_time < _PROGRESS_INTERVAL_S:
                return
            last_stage, last_time = stage, now
            self._say("progress", run=number, stage=stage, fraction=min(max(float(fraction), 0.0), 1.0))

        return progress

    def _say(self, kind: str, **fields: Any) -> None:
        """Send one message. A parent that no longer listens is the reading thread's business."""
        line = protocol.encode(kind, **fields)
        with self._writing, suppress(OSError):
            while line:
                line = line[os.write(self._replies, line) :]


def _lines(descriptor: int) -> Iterator[bytes]:
    """Lines from a descriptor until it ends, or the parent process does.

    Without Python's buffered reader, whose lock would block the exit.
    """
    rest = b""
    parent = os.getppid()
    while True:
        if os.name == "posix" and not select.select([descriptor], [], [], _PARENT_INTERVAL_S)[0]:
            if os.getppid() != parent:
                return
            continue
        chunk = os.read(descriptor, 65536)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _import_segmentation() -> Callable[..., Any]:
    """Import torch and all that needs it, only now."""
    from iuinet.devices import require_torch

    require_torch()
    from iuinet.segmentation import segment_volume

    return segment_volume


def _warm_up() -> None:
    """Import torch before the first request; what goes wrong here is reported when a request needs it."""
    try:
        _import_segmentation()
        _use_spare_cores()
    except Exception:
        traceback.print_exc()


def _use_spare_cores() -> None:
    """Leave one core free where there are more than two; a smaller number set by the user stands."""
    import torch

    from iuinet.devices import cpu_count

    cores = cpu_count()
    torch.set_num_threads(min(torch.get_num_threads(), cores - 1 if cores > 2 else cores))


def _probe(run: Run) -> Message:
    """What there is, and how long the network takes in a run with the request's options."""
    from iuinet.devices import probe

    found = probe()  # reports where torch is missing, which the next line would not
    from .calibration import calibrate

    options = run.request["options"]
    if options is None or run.cancelled.is_set():
        return {**found, "network_seconds": {}}
    return {**found, "network_seconds": calibrate(found, Options(**options))}


def _take(descriptor: int, replacement: int) -> int:
    """Move a standard descriptor away and put another in its place; returns the moved one."""
    taken = os.dup(descriptor)
    os.dup2(replacement, descriptor)
    return taken


def main() -> NoReturn:
    """Serve the parent on the standard descriptors. Arguments: --idle SECONDS."""
    idle_s = float(sys.argv[sys.argv.index("--idle") + 1]) if "--idle" in sys.argv else IDLE_S
    null = os.open(os.devnull, os.O_RDONLY)
    requests = _take(0, null)
    replies = _take(1, 2)
    if hasattr(os, "nice"):  # Windows gets its priority from the client
        os.nice(_NICENESS)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    faulthandler.enable(all_threads=False)  # a crash has last words, which tell it from a kill
    keep_memory()
    Worker(requests, replies, idle_s).serve()


if __name__ == "__main__":
    main()
