"""Segment volumes in a worker process: what Slicer's Logic, scripts and tests use. Needs no torch.

    with WorkerClient() as client:
        labels, report = client.segment(volume, Options(fast=True), progress=show, cancelled=stop)

The process stays warm between calls and is replaced if it dies. ``segment`` blocks; an event loop calls
``start`` and then the run's ``poll`` from a timer, which never waits. The voxels travel through a private
temporary folder, which is removed however a run ends; what a killed program left there, a new client and a
new worker remove.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from iuinet.errors import IUINetError
from iuinet.leftovers import sweep_folders
from iuinet.options import Options
from iuinet.volume import Volume

from .child import Child
from .protocol import Message
from .run import Files, Run

Progress = Callable[[str, float], None]

_POLL_S = 0.02


class WorkerClient:
    """Starts worker processes as they are needed, and hands them one run at a time.

    python: the interpreter that has torch; None for this one (Slicer's own where Slicer embeds it).
    log: called with every line that the worker writes to its log. idle_s: seconds without a request after
    which a worker ends by itself, None for the usual ten minutes; the next request starts another one.
    """

    def __init__(
        self, python: str | None = None, log: Callable[[str], None] | None = None, idle_s: float | None = None
    ) -> None:
        self._python = python
        self._log = log
        self._idle_s = idle_s
        self._child: Child | None = None
        self._run: Run | None = None
        self._runs = 0
        sweep_folders()

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The worker's process number, None if none is running."""
        return self._child.pid if self._child and self._child.exit_code is None else None

    def _fresh_child(self) -> Child:
        """A running worker in the place of one that ended."""
        self.warm_up()
        return self._child

    def warm_up(self) -> None:
        """Start the worker, if it is not running, so that it imports torch before it is needed."""
        if self._child is not None and self._child.exit_code is not None:
            self._child.kill()  # it is dead already; this closes its pipes
            self._child = None
        if self._child is None:
            sweep_folders()
            self._child = Child(self._python, self._log, self._idle_s)

    def start(self, volume: Volume, options: Options | None = None) -> Run:
        """Start a segmentation; see ``segment`` for the arguments. The run's result is (labels, report).

        Raises: IUINetError "worker-start", or "busy" for a second run; InputRefused for voxels that are not
        plain numbers; OutputError for want of a place for temporary files.
        """
        return self._start("segment", volume, options or Options())

    def start_probe(self, options: Options | None = None) -> Run:
        """Request the worker's devices; a run may begin after ``drop``.

        options: of a run whose time is to be estimated, None for none. The run's result is the dictionary of
        ``probe.probe``, and as its "network_seconds" what ``self_check.calibrate`` returns for the options.
        """
        return self._start("probe", None, options)

    def _start(self, kind: str, volume: Volume | None, options: Options | None) -> Run:
        if self._run is not None and not self._run.done:
            raise IUINetError("a segmentation is under way", code="busy", hint="Wait for it, or cancel it.")
        self.warm_up()
        self._runs += 1
        described = None if options is None else asdict(options)
        request: Message = {"kind": kind, "run": self._runs, "options": described}
        files = None
        if volume is not None:
            files = Files(volume)
            request |= files.description
        self._run = Run(self._child, request, files, self._fresh_child)
        return self._run

    def segment(
        self,
        volume: Volume,
        options: Options | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> tuple[np.ndarray, Message]:
        """Segment a volume and wait for it.

        options: None for the defaults.
        progress(stage, fraction), cancelled(): called in this thread, at least every 40 ms.
        Returns labels (uint8, the volume's shape) and the report.
        Raises: those of ``segmentation.segment``; WorkerStopped for a worker that died; OutputError for a
        temporary folder that cannot take the voxels.
        """
        return wait(self.start(volume, options), progress, cancelled)

    def probe(self, options: Options | None = None) -> Message:
        """Request the worker's devices, see ``start_probe``, and wait.

        Raises: those of ``probe.probe``; WorkerStopped for a worker that died.
        """
        return wait(self.start_probe(options))

    def close(self) -> None:
        """End the worker; a run under way is abandoned."""
        if self._run is not None:
            self._run.abandon()
        if self._child is not None:
            self._child.quit()
            self._child = None


def wait(run: Run, progress: Progress | None = None, cancelled: Callable[[], bool] | None = None) -> Any:
    """Poll a run until it ends, and return its result or raise its error.

    >>> wait(WorkerClient().start_probe())["cpu"]  # doctest: +SKIP
    {'cores': 8, 'threads': 7}
    """
    try:
        while True:
            done = run.poll()
            for step in run.take_steps():
                if progress is not None:
                    progress(*step)
            if done:
                return run.result()
            if cancelled is not None and cancelled():
                run.cancel()
            if not run.hands_over:
                time.sleep(_POLL_S)
    except BaseException:
        run.abandon()  # does nothing to a run that has ended
        raise
