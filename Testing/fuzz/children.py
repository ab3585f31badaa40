"""One case in a child that is forked from a warm parent, with bounded memory and time."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

REFUSED, RIGHT, UNDETECTABLE = "refused", "read rightly", "undetectable"
CRASH, HANG, MEMORY, WRONG = "crashes", "hangs", "over memory", "READ WRONGLY"
KINDS = (REFUSED, RIGHT, UNDETECTABLE, CRASH, HANG, MEMORY, WRONG)
FAULTS = (CRASH, HANG, MEMORY, WRONG)

CPU_S = 10
MEMORY_BYTES = 256 << 20  # more than the parent has; the inputs are a few kB
_ADDRESS_BYTES = 2 << 30  # where an allocation fails, so that no case harms the machine
_STILL_S = 60.0  # without processor time: a child that waits for something


@dataclass(frozen=True)
class Outcome:
    """What became of a case. kind: one of KINDS. detail: why, for a person."""

    kind: str
    detail: str = ""


Report = Callable[[str, str], None]


def in_child(work: Callable[[Report], None]) -> Outcome:
    """Run ``work`` in a child; the last (kind, detail) that it reports counts, if it ends well or not.

    work may report REFUSED, RIGHT, UNDETECTABLE or WRONG. Before its first report an exception or a signal is
    a crash; after one, it came from a second reader and is no fault of the first.
    """
    process = psutil.Process()
    before = process.memory_info().rss
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        _be_child(work, writer, process.memory_info().vms)
    os.close(writer)
    lines, hung = _listen(reader, psutil.Process(pid))
    if hung:
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    os.close(reader)
    reports = [Outcome(*json.loads(line)) for line in lines]
    answered = [report for report in reports if report.kind != CRASH]
    if hung or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return answered[-1] if answered else Outcome(HANG, f"over {CPU_S} s of processor time, or still")
    if not answered and usage.ru_maxrss * 1024 - before > MEMORY_BYTES:
        return Outcome(MEMORY, f"{(usage.ru_maxrss * 1024 - before) >> 20} MB more than the parent")
    if not answered and os.WIFSIGNALED(status):
        return Outcome(CRASH, f"signal {signal.Signals(os.WTERMSIG(status)).name}")
    if not reports:
        return Outcome(CRASH, f"exit status {os.waitstatus_to_exitcode(status)} and no word")
    return answered[-1] if answered else reports[-1]


def _be_child(work: Callable[[Report], None], writer: int, address_bytes: int) -> None:
    """Never returns."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 2))
    resource.setrlimit(resource.RLIMIT_AS, (address_bytes + _ADDRESS_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    parent = psutil.Process().memory_info().rss

    def report(kind: str, detail: str = "") -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - parent
        if kind in (REFUSED, RIGHT, UNDETECTABLE) and peak > MEMORY_BYTES:
            kind, detail = MEMORY, f"{peak >> 20} MB; then {kind}: {detail}"
        os.write(writer, json.dumps([kind, detail[:500]]).encode() + b"\n")

    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what native libraries print
        work(report)
    except BaseException as error:
        report(CRASH, f"{type(error).__name__}: {error}")
    finally:
        os._exit(0)


def _listen(reader: int, child: psutil.Process) -> tuple[list[bytes], bool]:
    """The child's lines until it ends, and whether it stood still instead."""
    text, spent, since = b"", -1.0, time.monotonic()
    while True:
        if select.select([reader], [], [], 1.0)[0]:
            piece = os.read(reader, 1 << 16)
            if not piece:
                return text.splitlines(), False
            text += piece
            continue
        times = child.cpu_times()
        if times.user + times.system > spent:
            spent, since = times.user + times.system, time.monotonic()
        elif time.monotonic() - since > _STILL_S:
            return text.splitlines(), True
