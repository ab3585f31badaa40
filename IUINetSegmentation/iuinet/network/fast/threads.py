"""Parts of a layer side by side: a thread for each core, and in each of them operators of one thread.

An operator that is split over the cores ends when the last of them ends. On small tiles, or beside other
work, that is most of its time. Here every core goes through slices of its own, and waits once a layer.
"""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise

import torch

Advance = Callable[[int], None]
_LOOK_S = 0.05  # between two looks of the caller, which takes a core from the others to look


def over_slices(
    height: int, part: Callable[[int, int], Iterable[int]], advance: Advance, parts: int = 2
) -> None:
    """Go through ``part(first, last)`` for slices that make up 0 ... height, side by side.

    part: yields the multiply-adds done since, now and then; they are handed to ``advance`` in the caller's
    thread. parts: number of them per thread, so that no thread waits long for another. What a part or
    ``advance`` raises ends all parts.

    >>> done = []
    >>> over_slices(4, lambda first, last: range(first, last), done.append)
    >>> sorted(done)
    [0, 1, 2, 3]
    """
    threads = torch.get_num_threads()
    cuts = sorted({height * number // (parts * threads) for number in range(parts * threads + 1)})
    if threads == 1 or len(cuts) == 2:
        for macs in part(0, height):
            advance(macs)
        return
    # A thread begins without the caller's mode: in inference mode it may not write into its tensors.
    mode = torch.inference_mode if torch.is_inference_mode_enabled() else torch.no_grad
    done: deque[int] = deque()
    ended = threading.Event()

    def run(first: int, last: int) -> None:
        try:
            with mode():
                for macs in () if ended.is_set() else part(first, last):
                    done.append(macs)
                    if ended.is_set():
                        return
        except BaseException:
            ended.set()
            raise

    pool = _pool(threads, os.getpid())
    running = [pool.submit(run, first, last) for first, last in pairwise(cuts)]
    try:
        going = True
        while going:
            going = bool(wait(running, _LOOK_S).not_done)
            while done:
                advance(done.popleft())
    finally:
        ended.set()
        wait(running)
    for future in running:
        future.result()


@functools.cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that last, because each keeps buffers of its own; a forked process needs new ones."""
    pool, all_there = ThreadPoolExecutor(threads, "iuinet"), threading.Barrier(threads)

    def prepare() -> None:
        torch.get_num_threads()  # torch looks at its setting for all threads once in each, now
        torch.set_num_threads(1)
        all_there.wait()

    wait([pool.submit(prepare) for _ in range(threads)])
    torch.set_num_threads(threads)  # a thread also sets what threads begin with later
    return pool
