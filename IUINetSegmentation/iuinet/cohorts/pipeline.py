"""The stages of a worker side by side: while the network runs, the next case is read, the last one written.

Each stage has one thread, so the network always runs in the same one, and no more cases than there are stages
are in memory at once. Dask's own threads wait for them.
"""

from __future__ import annotations

import functools
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from iuinet import __version__
from iuinet.devices import require_torch
from iuinet.errors import (
    Cancelled,
    DeviceError,
    InputRefused,
    IUINetError,
    OutputError,
    UsageError,
    WeightsError,
)
from iuinet.leftovers import sweep_folders
from iuinet.memory import keep_memory

from .case import Case, Job, Work
from .ledger import DONE, FAILED, REFUSED, SET_ASIDE
from .marks import Marks

STOP = "stop"  # the whole run cannot go on: a full disk, a missing model
CANCELLED = "cancelled"
TWICE = 2  # workers that a case may end
CASES = 3  # in memory at once: one in each stage
AGAIN = ("not-found", "no-permission", "file-unreadable", "memory")  # not the scan's fault: tried again later
OWN_FAULT = ("seg-empty", "not-written")  # of an output: the case's, not the disk's
_LOOK_S = 1.0  # between two looks whether the run is still alive


class Turn:
    """Lets several cases in, or one alone. inside: places that are taken; one alone takes all.

    >>> turn = Turn(3)
    >>> with turn.taken(alone=True):
    ...     turn.inside
    3
    """

    def __init__(self, most: int) -> None:
        self._most, self.inside, self._waiting_alone = most, 0, 0
        self._condition = threading.Condition()

    @contextmanager
    def taken(self, alone: bool) -> Iterator[None]:
        """Inside for the block. alone: nobody else is meanwhile."""
        places = self._most if alone else 1
        with self._condition:
            self._waiting_alone += alone
            self._condition.wait_for(lambda: self._has_place(alone))
            self._waiting_alone -= alone
            self.inside += places
        try:
            yield
        finally:
            with self._condition:
                self.inside -= places
                self._condition.notify_all()

    def _has_place(self, alone: bool) -> bool:
        if alone:
            return self.inside == 0
        return self.inside < self._most and not self._waiting_alone


class Pipeline:
    """What one worker process has. There is one, see ``do_case``."""

    def __init__(self) -> None:
        warnings.simplefilter("ignore")  # the libraries' own; set by thread, they would be mixed up
        sweep_folders()
        self._turn = Turn(CASES)
        self._network_ended: float | None = None
        self._stages = {name: ThreadPoolExecutor(1, name) for name in ("read", "segment", "write")}

    def do(self, case: Case, job: Job) -> dict[str, Any]:
        """What became of a case; nothing is raised."""
        marks = Marks(job.out, job.run)
        if (job.out / case.id).is_dir():  # done by a worker that ended before it could say so
            return outcome_of(case, DONE)
        deaths = marks.deaths(case.id)
        if deaths >= TWICE:
            message = "Its worker ended twice while it had this case."
            hint = "The memory may not suffice for it. --retry tries it again."
            return outcome_of(case, SET_ASIDE, "killed-its-worker", message, hint)
        with self._turn.taken(alone=deaths > 0):
            try:
                marks.begin(case.id)
            except OSError as error:
                return _no_mark(case, marks, error)
            try:
                return self._go_through(case, job, marks)
            finally:
                marks.end(case.id)

    def _go_through(self, case: Case, job: Job, marks: Marks) -> dict[str, Any]:
        seconds: dict[str, float] = {}
        cancelled = _seldom(lambda: not marks.alive)
        work: Work | None = None
        try:
            check_version(job)
            work = Work(case, job)
            steps = {
                "read": work.read,
                "segment": lambda: self._network(job, lambda: work.segment(cancelled), seconds),
                "write": work.write,
            }
            for name, step in steps.items():
                if cancelled():
                    raise Cancelled()
                seconds[name] = self._stages[name].submit(_timed, step).result()
            return outcome_of(case, DONE, seconds=seconds)
        except Exception as error:
            return _failure(case, error, work, seconds)
        finally:
            if work is not None:
                work.close()

    def _network(self, job: Job, step: Callable[[], None], seconds: dict[str, float]) -> None:
        """In the network's thread. idle: seconds for which it had no case before this one."""
        began = time.perf_counter()
        seconds["idle"] = 0.0 if self._network_ended is None else began - self._network_ended
        try:
            _with_torch(job, step)
        finally:
            self._network_ended = time.perf_counter()


def do_case(case: Case, job: Job) -> dict[str, Any]:
    """What a worker is asked to do; gives an outcome, see ``outcome_of``.

    >>> do_case(case, job)["state"]  # doctest: +SKIP
    'done'
    """
    return _pipeline().do(case, job)


_making = threading.Lock()


def _pipeline() -> Pipeline:
    with _making:
        return _only_pipeline()


@functools.cache
def _only_pipeline() -> Pipeline:
    return Pipeline()


def outcome_of(
    case: Case, state: str, code: str = "", message: str = "", hint: str = "", seconds: dict | None = None
) -> dict[str, Any]:
    """What became of a case, in JSON's types, for the ledger.

    >>> from .source import Source
    >>> outcome_of(Case("case-0123456789", Source(("a.nii",))), "done")["state"]
    'done'
    """
    rounded = {name: round(value, 3) for name, value in (seconds or {}).items()}
    told = {"code": code, "message": message, "hint": hint} if code else {}
    return {"case": case.id, "state": state, **told, "seconds": rounded, "time": round(time.time(), 3)}


def check_version(job: Job) -> None:
    """Refuse to work for a coordinator of another version.

    Raises: UsageError "worker-version".

    >>> from iuinet.options import Options
    >>> check_version(Job(Path(), "", Options(), ""))
    """
    if job.version != __version__:
        raise UsageError(
            f"a worker has IUINet {__version__}, and the command has {job.version}",
            hint="Install the same version for all workers.",
            code="worker-version",
        )


def _with_torch(job: Job, step: Callable[[], None]) -> None:
    """In the network's thread. The model is checked first: a shared disk may hold another one meanwhile."""
    require_torch()
    _set_up(job.threads)
    if job.options.find_model().sha256 != job.sha256:
        raise WeightsError(
            "the model of a worker is not the one that the run began with",
            hint="Give the model as a file that all workers see.",
            code="weights-hash",
        )
    step()


@functools.cache
def _set_up(threads: int | None) -> None:
    import torch

    keep_memory()
    if threads is not None:
        torch.set_num_threads(threads)


def _timed(step: Callable[[], None]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def _seldom(look: Callable[[], bool]) -> Callable[[], bool]:
    """The same, looked up at most once in a while; it stays true."""
    last, answer = -_LOOK_S, False

    def asked() -> bool:
        nonlocal last, answer
        now = time.monotonic()
        if not answer and now - last >= _LOOK_S:
            last, answer = now, look()
        return answer

    return asked


def _no_mark(case: Case, marks: Marks, error: OSError) -> dict[str, Any]:
    if not marks.alive:
        return outcome_of(case, CANCELLED)
    text = f"the output folder takes nothing: {error.strerror}"
    return outcome_of(case, STOP, "output", text, "Check the disk, and start again: it goes on.")


def _failure(case: Case, error: Exception, work: Work | None, seconds: dict[str, float]) -> dict[str, Any]:
    """Sorts an error: the scan's, the moment's, or one that stops the whole run."""
    if isinstance(error, Cancelled):
        return outcome_of(case, CANCELLED)
    if not isinstance(error, IUINetError):
        return outcome_of(case, FAILED, "failed", _where(error), "Please report it.", seconds)
    state, message, hint = _state_of(error), error.message, error.hint
    if work and state != STOP:  # what stops the run is about the user's own folders, and in no file
        message, hint = work.unnamed(message), work.unnamed(hint)
    return outcome_of(case, state, error.code, message, hint, seconds)


def _state_of(error: IUINetError) -> str:
    if error.code in AGAIN:
        return FAILED
    if isinstance(error, InputRefused) or error.code in (*OWN_FAULT, "seg-without-dicom"):
        return REFUSED
    whole_run = isinstance(error, OutputError | WeightsError | DeviceError | UsageError)
    return STOP if whole_run or error.code.startswith("torch-") else FAILED


def _where(error: Exception) -> str:
    """Type and place of an error that was not foreseen. Its text may hold a name, so it is left out."""
    place = ""
    with suppress(Exception):
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "iuinet" in Path(frame.filename).parts] or frames
        path = Path(ours[-1].filename)
        place = f" ({path.parent.name}/{path.name}, line {ours[-1].lineno})"
    if isinstance(error, MemoryError):
        return f"the memory of the computer did not suffice{place}"
    return f"an unexpected {type(error).__name__} stopped the work{place}"
