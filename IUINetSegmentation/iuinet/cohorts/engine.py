"""Dask's workers and what they are given: embedded ones, or those of a cluster that is there already.

Only a few cases for each worker are handed out at a time: a million of them are no burden for the scheduler.
Dask gives the case of a worker that ended to another one; ``pipeline`` sees which of them ends workers.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from iuinet.errors import IUINetError, UsageError
from iuinet.leftovers import PrivateFolder

from .case import Case, Job
from .ledger import SET_ASIDE
from .pipeline import CASES, STOP, do_case, outcome_of

if TYPE_CHECKING:
    from distributed import Client

AHEAD = 2  # cases handed out for each thread of a worker: one that runs, one that is there when it ends
# Cases of one GPU at a time; a third could not be added up exactly. How many of them run, ``pipeline`` says.
GPU_SHARE = 0.25
_KILLS = 10  # workers that may end under a case before Dask itself gives it up: our own count is lower
_GIVEN_UP = 3  # times that Dask may give up a case of which its workers never began
_LOOK_S = 0.2  # between two looks whether the user wants to stop
_CONNECT_S = 20
_CLOSE_S = 5
_RESULT_S = 1  # for an outcome, which is small, to come from its worker
_PATIENCE_S = 60  # without any of our own workers, then they are replaced
_SETTINGS = {
    "distributed.scheduler.allowed-failures": _KILLS,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.diagnostics.nvml": False,
    # Dask gives a worker up for good of which it sees nothing so long after its end, also where it was begun
    # again and ended again meanwhile. Workers that cannot be begun again are replaced below.
    "distributed.deploy.lost-worker-timeout": "1 day",
    # Nobody is to look in from outside, not even from this computer.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


def require_dask() -> None:
    """Raises: UsageError "no-distributed" where dask.distributed is not installed.

    >>> require_dask()  # doctest: +SKIP
    """
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "many scans are worked through with dask.distributed, which is not installed",
            hint="Install it with 'pip install iuinet[cohort]'.",
            code="no-distributed",
        ) from error


@contextmanager
def connected(workers: int, scheduler: str | None, memory_limit: str | None, loud: bool) -> Iterator[Client]:
    """A client of Dask for the block.

    workers: embedded worker processes. scheduler: address of one that is there, then there are none of these.
    memory_limit: of each embedded worker, such as "8GB", None for no limit. loud: let Dask log warnings.
    Raises: UsageError "scheduler" for an address where none answers, and for a limit that is none.

    >>> with connected(2, None, None, loud=False) as client:  # doctest: +SKIP
    ...     len(client.nthreads())
    2
    """
    import dask
    from distributed import Client

    level = logging.WARNING if loud else logging.CRITICAL
    logging.getLogger("distributed").setLevel(level)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_SETTINGS))
        if scheduler is None:
            cluster = stack.enter_context(_embedded(workers, memory_limit, level))
            client = Client(cluster, timeout=_CONNECT_S)
        else:
            try:
                client = Client(scheduler, timeout=_CONNECT_S)
            except (OSError, ValueError, TimeoutError) as error:
                raise UsageError(
                    f"no scheduler of Dask answers at {scheduler}",
                    hint="Give its address as 'dask scheduler' prints it, such as tcp://10.0.0.1:8786.",
                    code="scheduler",
                ) from error
        try:
            yield client
        finally:
            client.close(timeout=_CLOSE_S)


@contextmanager
def _embedded(workers: int, memory_limit: str | None, level: int) -> Iterator[Any]:
    """Worker processes of our own. Their port takes calls of this program alone, by certificates."""
    from dask.utils import parse_bytes
    from distributed import LocalCluster
    from distributed.security import Security

    try:
        limit = parse_bytes(memory_limit) if memory_limit else 0
    except ValueError as error:
        message = f"{memory_limit!r} is no amount of memory"
        raise UsageError(message, hint="Write it as 8GB or 500MB.", code="memory-limit") from error
    with PrivateFolder() as scratch:
        try:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=CASES,
                processes=True,
                host="127.0.0.1",
                protocol="tls://",
                security=Security.temporary(),
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                memory_limit=limit,
                local_directory=str(scratch / "dask"),
                silence_logs=level,
            )
        except (RuntimeError, OSError, TimeoutError) as error:
            raise IUINetError(
                "the workers could not be started",
                hint="Look for free memory, and for free space in the folder for temporary files.",
                code="workers",
            ) from error
        try:
            yield cluster
        finally:
            cluster.close(timeout=_CLOSE_S)


def outcomes(
    client: Client, cases: Iterable[Case], job: Job, asked: Callable[[], bool], tell: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    """Give the cases to the workers; yields what became of each, in the order in which they end.

    asked(): whether the user wants to stop; then it ends at once. tell(workers): called now and then.
    Raises: IUINetError "scheduler-lost".

    >>> for outcome in outcomes(client, cases, job, lambda: False, print):  # doctest: +SKIP
    ...     print(outcome["case"], outcome["state"])
    """
    hand = _Hand(client, job)
    rest = iter(cases)
    while not asked():
        tell(hand.workers)
        for case in islice(rest, hand.room):
            hand.submit(case)
        if not hand.under_way:
            return
        if outcome := hand.next():
            yield outcome


class _Hand:
    """The cases that are handed out."""

    def __init__(self, client: Client, job: Job) -> None:
        self.under_way: dict[str, tuple[Case, Any]] = {}
        self._client, self._job = client, job
        self._ended: SimpleQueue[str] = SimpleQueue()
        self._given_up: Counter[str] = Counter()
        self._replaced = False
        self._number = 0
        self._seen = time.monotonic()  # a worker, the last time
        self._look()

    def _look(self) -> None:
        """How many workers there are now; they come and go."""
        found = self._client.scheduler_info(n_workers=-1)["workers"].values()
        self.workers = len(found)
        if found:
            self._seen, self._replaced = time.monotonic(), False
        elif self._client.cluster is not None:
            self._replace_workers()
        threads = sum(worker["nthreads"] for worker in found)
        self._most = max(AHEAD * threads, AHEAD * CASES)
        has_gpu = any("GPU" in worker["resources"] for worker in found)
        self._resources = {"GPU": GPU_SHARE} if has_gpu else None

    def _replace_workers(self) -> None:
        """Our own ones, where none is left: Dask begins a worker again that ended, but may fail in that.

        Raises: IUINetError "workers", if that does not help either.
        """
        gone = time.monotonic() - self._seen
        if gone > 2 * _PATIENCE_S:
            raise IUINetError(
                "the workers have ended and could not be started again",
                hint="Look for free memory and disk space, and start again: it goes on.",
                code="workers",
            )
        if gone > _PATIENCE_S and not self._replaced:
            self._replaced = True
            wanted = len(self._client.cluster.workers)
            self._client.cluster.scale(0)
            self._client.cluster.scale(wanted)

    @property
    def room(self) -> int:
        """How many more may be handed out."""
        return max(0, self._most - len(self.under_way))

    def submit(self, case: Case) -> None:
        """Hand out a case. Its key is all that Dask's own logs show of it."""
        self._number += 1
        key = f"{case.id}-{self._number}"
        future = self._client.submit(do_case, case, self._job, key=key, pure=False, resources=self._resources)
        self.under_way[key] = case, future
        future.add_done_callback(lambda ended: self._ended.put(ended.key))

    def next(self) -> dict[str, Any] | None:
        """What became of the next case that ends; None if none does for a moment, or it is tried again."""
        try:
            key = self._ended.get(timeout=_LOOK_S)
        except Empty:
            self._check_scheduler()
            self._look()
            return None
        case, future = self.under_way[key]
        if future.status == "cancelled":
            raise _lost()
        if future.status == "error":
            del self.under_way[key]
            return self._after(case, future.exception())
        try:
            outcome = future.result(timeout=_RESULT_S)
        except Exception:  # it was lost with its worker, and Dask has another one do it again
            self._check_scheduler()
            self._ended.put(key)
            return None
        del self.under_way[key]
        return outcome

    def _after(self, case: Case, error: BaseException) -> dict[str, Any] | None:
        from distributed import KilledWorker

        if not isinstance(error, KilledWorker):  # such as a worker without IUINet
            return outcome_of(
                case,
                STOP,
                "worker",
                f"a worker could not begin: {type(error).__name__}",
                "Check that all workers have the same IUINet and Python.",
            )
        self._given_up[case.id] += 1
        if self._given_up[case.id] < _GIVEN_UP:
            self.submit(case)
            return None
        message = "Its workers ended again and again."
        hint = "Look at the logs of the workers; the memory may not suffice. --retry tries it again."
        return outcome_of(case, SET_ASIDE, "killed-its-worker", message, hint)

    def _check_scheduler(self) -> None:
        if self._client.status != "running":
            raise _lost()


def _lost() -> IUINetError:
    return IUINetError(
        "the scheduler has ended, or cannot be reached any more",
        hint="Start it, and then the same command again: it goes on.",
        code="scheduler-lost",
    )
