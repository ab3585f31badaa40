"""Brings one file of known size from one of several addresses into a part file, piece by piece.

The part file outlives whatever stops the work: a cut connection, a cancelled download, a killed program.
The next transfer goes on at its end. Nothing here looks at the content; the caller compares the SHA-256.

How a server is asked, and what its failures mean, is in server.py.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iuinet.errors import Cancelled, WeightsError

from .server import BY_HAND, LEAST_RATE, Interrupted, Unusable, ask, host_of

if TYPE_CHECKING:
    from requests import Response

ATTEMPTS = 5
LONGEST_WAIT_S = 30.0
_PAUSE_S = 1.0  # before the next attempt, doubled with each that brings nothing
_SPEED_WINDOW_S = 5.0


@dataclass(frozen=True)
class DownloadProgress:
    """Where a download stands.

    received, total: bytes. bytes_per_second: over the last seconds. seconds_left: None while unknown.
    attempt: 1, 2, ... since the last byte that came. note: a sentence while the connection is lost, else "".
    """

    received: int
    total: int
    bytes_per_second: float = 0.0
    seconds_left: float | None = None
    attempt: int = 1
    note: str = ""


class Transfer:
    """One transfer; ``run`` in one thread, ``cancel`` from any other.

    addresses: mirrors of the same file, the first one preferred. part: the file to write to, whose bytes are
    kept and continued. size: of the whole file, bytes. report: called with the progress, in run's thread.
    in_one_go: whether the part file came from one connection, and so from one mirror.
    """

    def __init__(
        self, addresses: Sequence[str], part: Path, size: int, report: Callable[[DownloadProgress], None]
    ) -> None:
        self.addresses = deque(addresses)
        self.part, self.size, self._report = part, size, report
        self._stopped = threading.Event()
        self._times: deque[tuple[float, int]] = deque()
        self._attempt = 1
        self.in_one_go = False

    def cancel(self) -> None:
        """Make run raise Cancelled at once, even while it waits for the server."""
        self._stopped.set()

    def run(self) -> str:
        """Receive until the part file has its whole size; returns the address that sent the end.

        Raises: WeightsError "download-cut", "-offline", "-status", "-size" or "-certificate" for the last
        address or attempt; Cancelled; OSError for the part file.
        """
        while True:
            address, before, began = self.addresses[0], self._received(), time.monotonic()
            try:
                self._receive(address)
                return address
            except Unusable as failure:
                self._check()
                self.addresses.popleft()
                if not self.addresses:
                    raise failure.error from failure
            except Interrupted as failure:
                self._check()
                # A few bytes each time are no progress: else a server could keep the user waiting for ever.
                enough = LEAST_RATE * (time.monotonic() - began + _PAUSE_S)
                self._attempt = 1 if self._received() - before > enough else self._attempt + 1
                if self._attempt > ATTEMPTS:
                    raise self._lost(failure) from failure
                self.addresses.rotate(-1)
                self._wait(failure)

    def drop_address(self, address: str) -> bool:
        """Leave out a mirror whose bytes proved wrong; returns whether others are left."""
        self.addresses = deque(other for other in self.addresses if other != address)
        return bool(self.addresses)

    def _receive(self, address: str) -> None:
        """Append what one connection sends."""
        start = self._received()
        if start == self.size:
            self.in_one_go = False  # another program brought it, or an earlier attempt
            return
        if start > self.size:
            self.part.write_bytes(b"")  # some other file's rest
            start = 0
        with closing(ask(address, start, self._check)) as answer:
            append = self._check_answer(next(answer), address, start)
            self.in_one_go = not append
            with open(self.part, "ab" if append else "wb") as file:
                for piece in answer:
                    if file.tell() + len(piece) > self.size:
                        raise _wrong_size(address, "more", self.size)
                    file.write(piece)
                    self._report_received(file.tell())
                    if file.tell() == self.size:
                        return
        raise Interrupted(f"{host_of(address)} ended the connection")

    def _check_answer(self, answer: Response, address: str, start: int) -> bool:
        """Whether the answer continues the part file (else it is the whole file)."""
        if answer.status_code == 206:
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
            if not found or int(found[1]) != start:
                raise _wrong_size(address, "another part", self.size)
            if found[2] not in ("*", str(self.size)):
                raise _wrong_size(address, found[2], self.size)
            return True
        length = answer.headers.get("Content-Length")
        if length is not None and length != str(self.size):
            raise _wrong_size(address, length, self.size)
        return False

    def _wait(self, failure: Interrupted) -> None:
        seconds = failure.wait
        if seconds is None:
            seconds = min(_PAUSE_S * 2.0 ** (self._attempt - 1), LONGEST_WAIT_S)
        received = self._received()
        text = (
            f"Connection lost at {received / self.size:.0%}: {failure}. "
            f"Retrying in {seconds:.0f} s ({self._attempt} of {ATTEMPTS})."
        )
        self._times.clear()
        self._report(DownloadProgress(received, self.size, attempt=self._attempt, note=text))
        self._stopped.wait(seconds)
        self._check()

    def _report_received(self, received: int) -> None:
        now = time.monotonic()
        self._times.append((now, received))
        while now - self._times[0][0] > _SPEED_WINDOW_S:
            self._times.popleft()
        began, first = self._times[0]
        speed = (received - first) / (now - began) if now > began else 0.0
        left = (self.size - received) / speed if speed else None
        self._report(DownloadProgress(received, self.size, speed, left, self._attempt))

    def _received(self) -> int:
        with suppress(FileNotFoundError):
            return self.part.stat().st_size
        return 0

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Cancelled("the download was cancelled", hint="What has come so far is kept.")

    def _lost(self, failure: Interrupted) -> WeightsError:
        text, code = f"the model cannot be downloaded: {failure}", "download-offline"
        if received := self._received():
            text, code = f"the download stopped at {received / self.size:.0%}: {failure}", "download-cut"
        return WeightsError(text, code=code, hint=f"Try again later: it goes on where it stopped. {BY_HAND}")


def _wrong_size(address: str, found: str, size: int) -> Unusable:
    text = f"{host_of(address)} offers {found}{' bytes' * found.isdigit()} where {size} bytes are due"
    return Unusable(text, "download-size", f"The address serves another file. {BY_HAND}")
