"""One request to the worker, from the writing of the voxels to the labels, driven by polling.

Nothing here waits, so that a window's timer can drive a run as well as a loop can.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from iuinet.errors import Cancelled, IUINetError
from iuinet.leftovers import PrivateFolder, no_place
from iuinet.volume import Volume

from . import protocol
from .child import Child, WorkerStopped
from .protocol import Message

_SHARE_S = 0.015  # how long one poll may write voxels
# For the worker to obey a cancel; then it is killed, so that the user has it within two seconds. Only the
# longest layers of the largest model on a slow processor take as long.
_PATIENCE_S = 1.5
_LONGEST_SILENCE_S = 600.0  # without a single message during a run, then it is taken for dead


class Run:
    """One request under way. Call ``poll`` until it returns True, then ``result`` once.

    stage, fraction: where it stands. warnings: messages with code, text and hint. fallbacks: sentences.
    """

    def __init__(
        self, child: Child, request: Message, files: Files | None, fresh_child: Callable[[], Child]
    ) -> None:
        self.stage, self.fraction = "", 0.0
        self.warnings: list[Message] = []
        self.fallbacks: list[str] = []
        self.done = False
        self._steps: list[tuple[str, float]] = []
        self._child, self._fresh_child = child, fresh_child
        self._heard = False  # whether the worker has reported anything about this run
        self._number: int = request["run"]
        self._request = request
        self._files = files
        # Until this has come to its end the request is not sent.
        self._writing: Iterator[float] | None = files.write() if files else iter(())
        self._cancel_time: float | None = None
        self._silence, self._last_poll = 0.0, time.monotonic()
        self._outcome: Any = None
        self._error: Exception | None = None

    def poll(self) -> bool:
        """Take the run as far as it goes without waiting; True when it has ended, well or badly."""
        if self.done:
            return True
        try:
            if self._writing is not None:
                self._write_some()
            self._take_messages()
            self._check_child()
        except IUINetError as error:
            if self._writing is None:
                self._child.kill()  # it is at work on something that is not understood any more
            self._end(error)
        except BaseException:
            self.abandon()
            raise
        return self.done

    def cancel(self) -> None:
        """Ask the worker to stop; poll ends the run within two seconds, if need be by force."""
        if self.done or self._cancel_time is not None:
            return
        self._cancel_time = time.monotonic()
        if self._writing is not None:
            self._end(Cancelled())
        else:
            self._child.send("cancel", run=self._number)

    def drop(self) -> None:
        """End the run at once; the worker, which will soon stop to work on it, is left to the next one."""
        if not self.done:
            self.cancel()
            if not self.done:
                self._end(Cancelled())

    def abandon(self) -> None:
        """End the run and its process at once."""
        if not self.done:
            self._child.kill()
            self._end(Cancelled())

    def result(self) -> Any:
        """What the run returned, for a segmentation (labels, report).

        Raises: IUINetError for what went wrong.
        """
        if not self.done:
            raise IUINetError("the run has not ended yet", code="not-done", hint="Go on calling poll.")
        if self._error is not None:
            raise self._error
        return self._outcome

    def take_steps(self) -> list[tuple[str, float]]:
        """Every (stage, fraction) since the last call: also the stages that were over between two polls."""
        steps, self._steps = self._steps, []
        return steps

    @property
    def hands_over(self) -> bool:
        """Whether voxels are still to be written: then polling again at once is worth it."""
        return not self.done and self._writing is not None

    def _step(self, stage: str, fraction: float) -> None:
        self.stage, self.fraction = stage, fraction
        self._steps.append((stage, fraction))

    def _write_some(self) -> None:
        """Write voxels for a moment; when all are there, send the request."""
        end = time.monotonic() + _SHARE_S
        for fraction in self._writing:
            self._step("reading", fraction)
            if time.monotonic() > end:
                return
        self._writing = None
        self._child.send(**self._request)

    def _take_messages(self) -> None:
        now = time.monotonic()
        # A computer that slept, or a program that was busy, does not count as the worker's silence.
        self._silence += min(now - self._last_poll, 1.0)
        self._last_poll = now
        for message in self._child.messages():
            self._silence = 0.0
            if message["kind"] == "hello":
                _check_version(message)
            elif message.get("run") == self._number or (message["kind"] == "error" and message["run"] == 0):
                self._take(message)

    def _take(self, message: Message) -> None:
        kind, self._heard = message["kind"], True
        if kind == "stage":
            self._step(message["stage"], 0.0)
        elif kind == "progress":
            self._step(message["stage"], message["fraction"])
        elif kind == "warning":
            self.warnings.append(message)
        elif kind == "fallback":
            self.fallbacks.append(message["text"])
        elif kind == "cancelled" or self._cancel_time is not None:
            self._end(Cancelled())
        elif kind == "error":
            self._end(protocol.rebuild_error(message))
        elif kind == "result":
            report = message["report"]
            self._outcome = (self._files.read_labels(), report) if self._files else report
            self._end(None)

    def _check_child(self) -> None:
        """Notice a child that died, does not obey, or has fallen silent."""
        if self.done:
            return
        exit_code = self._child.exit_code
        if exit_code is not None:
            self._take_messages()  # its last words
            if exit_code == 0 and not self._heard and self._cancel_time is None:
                self._begin_again()
            elif not self.done:
                stopped = WorkerStopped(exit_code, tuple(self._child.last_lines))
                self._end(stopped if self._cancel_time is None else Cancelled())
        elif self._cancel_time is not None and time.monotonic() - self._cancel_time > _PATIENCE_S:
            self.abandon()
        elif self._silence > _LONGEST_SILENCE_S:
            raise IUINetError(
                f"the segmentation program has not answered for {_LONGEST_SILENCE_S / 60:.0f} minutes",
                code="worker-hung",
                hint="Try again, or try the device 'cpu'.",
            )

    def _begin_again(self) -> None:
        """The worker had ended for want of work just as this request was sent to it: send it to another."""
        self._heard = True  # once only
        self._child = self._fresh_child()
        if self._writing is None:
            self._child.send(**self._request)

    def _end(self, error: Exception | None) -> None:
        self.done = True
        self._error = error
        if self._files:
            self._files.remove()


class Files:
    """The private folder through which the voxels of one run travel.

    Should this process be killed, the worker or the next client removes it, see ``leftovers``.
    description: the fields of the request that describe them.
    Raises: InputRefused for voxels that are not plain numbers, OutputError for want of a place.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._folder = PrivateFolder()
        self._voxels = self._folder.path / "volume.raw"
        self._labels = self._folder.path / "labels.raw"
        try:
            described = protocol.describe_volume(volume, self._voxels)
        except BaseException:
            self.remove()
            raise
        self.description = {"volume": described, "output": str(self._labels)}

    def write(self) -> Iterator[float]:
        """Write the voxels bit by bit; yields the share that is done.

        Raises: OutputError for a full disk.
        """
        try:
            yield from protocol.array_writer(self._voxels, self._volume.array)
        except OSError as error:
            raise no_place(self._folder.path.parent, error) from error

    def read_labels(self) -> np.ndarray:
        """The labels that the worker left: uint8, the volume's shape.

        Mapped where a file may be removed all the same: then they are not copied once more.
        Raises: ProtocolError for their absence.
        """
        shape, mapped = self._volume.array.shape, os.name == "posix"
        return protocol.read_array(self._labels, np.dtype(np.uint8), shape, mapped)

    def remove(self) -> None:
        """Delete the folder."""
        self._folder.remove()


def _check_version(hello: Message) -> None:
    """Raises: IUINetError "worker-version" for a worker of another version of IUINet."""
    if hello["protocol"] != protocol.VERSION:
        raise IUINetError(
            f"the segmentation program speaks protocol {hello['protocol']} instead of {protocol.VERSION}",
            code="worker-version",
            hint="Install IUINet again, so that all its parts have one version.",
        )
