"""Runs one function over many jobs, with progress, in processes that end with their parent, however it ends.

Processes are spawned, not forked: torch and ITK hold threads that a fork would break. Each uses one thread.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self, TextIO, TypeVar

from iuinet.errors import DeviceError

Job = TypeVar("Job")
Result = TypeVar("Result")
MOST_WORKERS = 16
EVERY_S = 30.0  # between two lines of progress where no bar can be shown
_AHEAD = 2  # jobs per worker that wait in the queue


def usual_workers() -> int:
    """As many as there are cores for this process, within reason: each needs about 1 GB."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)


def run_all(
    what: str, function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, stream: TextIO | None
) -> list[Result]:
    """The results of all jobs in their order. what, stream: as ``Progress``. Raises as ``in_parallel``."""
    results = {}
    with (
        Progress(what, len(jobs), stream) as progress,
        closing(in_parallel(function, jobs, workers)) as running,
    ):
        for number, result in running:
            results[number] = result
            progress.step()
    return [results[number] for number in range(len(jobs))]


def in_parallel(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[int, Result]]:
    """(number of the job, its result) as they come. What a job raises ends the work and is raised here.

    With one worker everything runs in this process. Raises DeviceError "memory" where the system ended one.
    """
    if workers <= 1 or len(jobs) <= 1:
        yield from ((number, function(job)) for number, job in enumerate(jobs))
        return
    context = get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    # The children see the end of this pipe: when it is closed here, and when this process ends.
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_begin, initargs=(watched,))
    try:
        waiting: dict = {}
        rest = iter(enumerate(jobs))
        while True:
            while len(waiting) < workers * _AHEAD and (item := next(rest, None)) is not None:
                waiting[pool.submit(function, item[1])] = item[0]
            if not waiting:
                return
            for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(done), done.result()
    except BrokenProcessPool as error:
        raise DeviceError(
            "a worker process was ended by the system, most likely because the memory did not suffice",
            hint="Run the command again with fewer --workers: what is done stays done.",
            code="memory",
        ) from error
    finally:
        held.close()  # ends the workers in the middle of what they do
        pool.shutdown(wait=True, cancel_futures=True)
        watched.close()


def _begin(watched: Connection) -> None:
    """Prepare a worker: one thread, no interrupts of its own, and an end with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, args=(watched,), daemon=True).start()


def _end_with_parent(watched: Connection) -> None:
    with suppress(OSError):
        watched.poll(None)
    os._exit(1)


class Progress:
    """Counts cases; use it as a context. stream: where it shows, None for nowhere."""

    def __init__(self, what: str, total: int, stream: TextIO | None) -> None:
        self.what, self.total, self.stream = what, total, stream
        self.done = 0
        self._began = self._shown = time.monotonic()
        self._bar = None

    def __enter__(self) -> Self:
        if self.stream is not None and self.stream.isatty() and self.total:
            try:
                from tqdm import tqdm
            except ImportError:  # it belongs to the training extras
                return self
            self._bar = tqdm(total=self.total, desc=self.what, unit="case", file=self.stream, leave=False)
        return self

    def step(self) -> None:
        """One more case is done."""
        self.done += 1
        if self._bar is not None:
            self._bar.update()
            return
        now = time.monotonic()
        if self.stream is not None and now - self._shown >= EVERY_S:
            self._shown = now
            left = (now - self._began) / self.done * (self.total - self.done)
            self.stream.write(f"{self.what} {self.done} of {self.total}, about {_minutes(left)} left\n")
            self.stream.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
