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
from typing import TypeVar

from iuinet.console import Console, duration
from iuinet.devices import cpu_count
from iuinet.errors import DeviceError

Job = TypeVar("Job")
Result = TypeVar("Result")
MOST_WORKERS = 16
EVERY_S = 30.0  # between two lines of progress where they cannot take each other's place
_AHEAD = 2  # jobs per worker that wait in the queue


def usual_workers() -> int:
    """As many as there are cores for this process, within reason: each needs about 1 GB."""
    return min(cpu_count(), MOST_WORKERS)


def run_all(
    what: str, function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, console: Console
) -> list[Result]:
    """The results of all jobs in their order; the console shows progress.

    Raises: what a job raises, and DeviceError as ``in_parallel`` does.
    """
    results, left = {}, TimeLeft(len(jobs), min(workers, len(jobs)))
    with closing(in_parallel(function, jobs, workers)) as running:
        for number, result in running:
            results[number] = result
            console.status(f"{what} {len(results)} of {len(jobs)}{left.after(len(results))}", EVERY_S)
    console.clear()
    return [results[number] for number in range(len(jobs))]


class TimeLeft:
    """How long the rest of equal jobs takes, by the pace of what was done.

    at_once: how many are worked on together. Before the first results lie imports, processes, models and full
    caches, which the rest does not need: nothing is foretold before as many again are there.
    """

    def __init__(self, total: int, at_once: int = 1) -> None:
        self.total, self.at_once = total, max(1, at_once)
        self._begin: tuple[int, float] | None = None

    def after(self, done: int) -> str:
        """Words for the end of a line of progress, "" while nothing can be said. done: how many are done."""
        now = time.monotonic()
        if self._begin is None and done >= self.at_once:
            self._begin = done, now
        if self._begin is None or done < self._begin[0] + self.at_once:
            return ""
        first, began = self._begin
        return f", about {duration((now - began) / (done - first) * (self.total - done))} left"


def in_parallel(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[int, Result]]:
    """(number of the job, its result) as they come; with one worker everything runs in this process.

    Raises: what a job raises, which ends the work, and DeviceError "memory" for a worker that was ended.
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
