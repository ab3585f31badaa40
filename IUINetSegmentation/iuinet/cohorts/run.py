"""One run over a cohort: what is asked for, what it comes to, and the order in which it is done."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from iuinet import __version__
from iuinet.console import duration
from iuinet.devices import cpu_count
from iuinet.dicom_seg import ENDING as DICOM_SEG
from iuinet.dicom_seg import check_dicom_seg
from iuinet.errors import Cancelled, IUINetError, UsageError
from iuinet.files import Busy, file_lock, output_error
from iuinet.leftovers import sweep_folders
from iuinet.options import Options
from iuinet.weights.model_file import Weights
from iuinet.writing import ENDINGS, SEGMENTATION

from .case import DRAFTS, Case, Job, can_draw, check_place, remove_drafts
from .engine import connected, outcomes, require_dask
from .figures import figures_of
from .find import Finder, no_input
from .ledger import DONE, Ledger
from .ledger import FILE as LEDGER
from .marks import begin_run, end_runs
from .names import Names
from .page import write_page
from .pipeline import CANCELLED, STOP
from .source import Odd, Source
from .table import write_table

LOCK = ".lock"
_TELL_S = 0.5  # between two lines of progress
_PACE_S = 30.0  # after so long the pace is known well enough to say how much time is left


@dataclass(frozen=True)
class Choice:
    """What a user chooses about a cohort, beside ``Options``.

    ending: of the results, one of ``iuinet segment``. previews: draw pictures. workers: processes of one's
    own; scheduler: address of Dask's scheduler instead. memory_limit: of each own worker, as "8GB".
    retry: try again what was refused or set aside. loud: let Dask's warnings through.
    """

    ending: str = SEGMENTATION
    previews: bool = True
    workers: int = 1
    scheduler: str | None = None
    memory_limit: str | None = None
    retry: bool = False
    loud: bool = False


@dataclass
class Summary:
    """What a run came to. counts: cases by state, of all runs into this folder. odd: what made no case.

    made: cases that this run did. seconds: that it took with the workers there. cancelled: it was stopped.
    """

    folder: Path
    counts: Counter[str] = field(default_factory=Counter)
    odd: int = 0
    made: int = 0
    seconds: float = 0.0
    cancelled: bool = False

    @property
    def page(self) -> Path:
        """The page for people."""
        return self.folder / "index.html"

    @property
    def table(self) -> Path:
        """The table, a row per case and organ."""
        return self.folder / "organs.csv"

    @property
    def complete(self) -> bool:
        """Whether every case was done."""
        return not self.cancelled and set(self.counts) <= {DONE}


def cohort(
    source: str | os.PathLike,
    out: str | os.PathLike,
    *,
    progress: Callable[[str], None] = lambda line: None,
    asked: Callable[[], bool] = lambda: False,
    **chosen: Any,
) -> Summary:
    """Segment every CT in a folder of DICOM studies and volume files, or in a CSV list with a column "path".

    out: folder for the results, made if it is not there. A run that was stopped or killed goes on.
    progress(line): called with a sentence, often. asked(): True stops the run; what was done stays.
    chosen: fields of ``Options`` and of ``Choice``.
    Raises: UsageError for what cannot work, WeightsError, OutputError for a disk that takes nothing more.
    A script needs ``if __name__ == "__main__":`` around the call, as for all that starts processes.

    >>> summary = cohort("studies", "results", workers=2)  # doctest: +SKIP
    >>> summary.counts["done"], summary.page.name  # doctest: +SKIP
    (212, 'index.html')
    """
    ours = {name: chosen.pop(name) for name in list(chosen) if name in Choice.__dataclass_fields__}
    choice, options = Choice(**ours), Options(**chosen)
    out = Path(os.path.abspath(out))
    require_dask()
    _check(choice, Path(source), out)
    weights = options.find_model()
    options = replace(options, weights=str(weights.path))
    check_place(out)
    try:
        with file_lock(out / LOCK):
            return _Run(Path(source), out, choice, options, weights, progress, asked).go()
    except Busy as error:
        raise UsageError(
            f"another run works in {out} at this moment",
            hint="Wait for its end, or choose another output folder.",
            code="output-in-use",
        ) from error
    except OSError as error:
        raise output_error(out, error) from error


def _check(choice: Choice, source: Path, out: Path) -> None:
    known = (*ENDINGS, DICOM_SEG)
    if choice.ending not in known:
        raise UsageError(
            f"{choice.ending} is none of the endings that can be written: {', '.join(known)}",
            hint="The ending chooses the format.",
            code="unknown-ending",
        )
    if choice.ending == DICOM_SEG:
        check_dicom_seg()
    if choice.workers < 1:
        message = f"{choice.workers} workers do nothing"
        raise UsageError(message, hint="Give a number from 1 on.", code="workers")
    if choice.previews and not can_draw():
        raise UsageError(
            "previews need matplotlib, which is not installed",
            hint="Install it with 'pip install iuinet[preview]', or leave the previews out.",
            code="no-matplotlib",
        )
    if os.path.realpath(source) == os.path.realpath(out):
        raise UsageError(
            "the output folder is the input folder", hint="Choose another one.", code="same-file"
        )
    if not source.exists():
        raise no_input(source)
    if out.is_dir() and not (out / LEDGER).exists() and any(name[0] != "." for name in os.listdir(out)):
        raise UsageError(
            f"the output folder {out} holds other files",
            hint="Choose an empty one, or one of an earlier run.",
            code="output-not-empty",
        )


class _Run:
    """One run in an output folder that nobody else works in."""

    def __init__(
        self,
        source: Path,
        out: Path,
        choice: Choice,
        options: Options,
        weights: Weights,
        progress: Callable[[str], None],
        asked: Callable[[], bool],
    ) -> None:
        self._source, self._out, self._choice, self._options = source, out, choice, options
        self._weights, self._progress, self._asked = weights, progress, asked
        made = {
            "iuinet": __version__,
            "model": {"id": weights.id, "version": weights.version, "sha256": weights.sha256},
            "output": choice.ending,
            "organs": None if options.organs is None else list(options.organs),
            "pieces": options.islands,
            "fast": options.fast,
            "region": None if options.region is None else [list(edges) for edges in options.region],
        }
        self._ledger, self._names = Ledger(out, made), Names(out)
        if self._ledger.done and not len(self._names):
            raise UsageError(
                f"{out} holds results, but not the mapping file that tells where they came from",
                hint="Put mapping.csv back, or choose another output folder.",
                code="mapping",
            )
        self._summary = Summary(out)
        self._line, self._told = "", -_TELL_S

    def go(self) -> Summary:
        """Find, work, write table and page."""
        sweep_folders()
        sweep_folders(self._out / DRAFTS)
        sources, odd = self._find()
        self._names.learn([*sources, *odd])
        cases = [Case(self._names.id_of(source), source) for source in sources]
        due = [case for case in cases if self._ledger.is_open(case.id, self._choice.retry)]
        told = [case.id for case in cases], odd
        try:
            self._work(due)
        except BaseException:
            with suppress(IUINetError, OSError):  # the first error says what is wrong
                self._tell_results(*told)
            raise
        self._tell_results(*told)
        return self._summary

    def _find(self) -> tuple[list[Source], list[Odd]]:
        def tell(files: int) -> None:
            if self._asked():
                raise Cancelled("stopped before the cases were known")
            self._tell(f"Finding: {files} files looked at")

        finder = Finder(self._out, tell)
        finder.search(self._source)
        return finder.sources, finder.odd

    def _tell(self, line: str) -> None:
        """A line of progress, where there is a new one, and not more often than somebody can read."""
        now = time.monotonic()
        if line != self._line and now - self._told >= _TELL_S:
            self._line, self._told = line, now
            self._progress(line)

    def _work(self, due: list[Case]) -> None:
        if not due:
            return
        choice = self._choice
        job = Job(
            self._out,
            begin_run(self._out),
            self._options,
            self._weights.sha256,
            choice.ending,
            choice.previews,
            threads=_threads(choice),
        )
        try:
            where = choice.workers, choice.scheduler, choice.memory_limit
            with connected(*where, loud=choice.loud) as client:
                try:
                    self._take(outcomes(client, due, job, self._asked, self._pace(len(due))))
                finally:
                    end_runs(self._out)  # what is still under way stops
        finally:
            end_runs(self._out)
            sweep_folders()  # what workers left that were killed
            sweep_folders(self._out / DRAFTS)
            remove_drafts(self._out)

    def _take(self, ended: Any) -> None:
        for outcome in ended:
            if outcome["state"] == STOP:
                raise IUINetError(outcome["message"], hint=outcome["hint"], code=outcome["code"])
            if outcome["state"] != CANCELLED:
                self._ledger.add(outcome)
                self._summary.made += 1
        self._summary.cancelled = self._asked()

    def _pace(self, due: int) -> Callable[[int], None]:
        """Tells how far the run is."""
        began = time.monotonic()

        def tell(workers: int) -> None:
            done, seconds = self._summary.made, time.monotonic() - began
            self._summary.seconds = seconds
            left = f", {duration((due - done) * seconds / done)} left" if done and seconds > _PACE_S else ""
            crew = f"{workers} worker{'s' * (workers != 1)}" if workers else "waiting for workers"
            self._tell(f"{done} of {due} cases, {crew}{left}")

        return tell

    def _tell_results(self, cases: list[str], odd: list[Odd]) -> None:
        """Table and page of all cases that this folder has, and the counts."""
        self._tell("Writing the table and the page")
        states = {case: self._ledger.outcomes.get(case, {}).get("state") for case in cases}
        states |= dict.fromkeys((case for case in cases if case in self._ledger.done), DONE)
        self._summary.counts = Counter(state for state in states.values() if state)
        self._summary.odd = len(odd)
        found = figures_of(self._out, sorted(self._ledger.done))
        ended = [self._ledger.outcomes[case] for case in sorted(self._ledger.outcomes)]
        strange = [(self._names.id_of(one), one) for one in odd]
        write_table(self._out, found, ended, strange)
        write_page(self._out, found, ended, strange, self._weights)


def _threads(choice: Choice) -> int | None:
    """Of the network in each of our own workers; None where the user, or the cluster's, has said it."""
    if choice.scheduler is not None or os.environ.get("OMP_NUM_THREADS"):
        return None
    return max(1, cpu_count() // choice.workers)
