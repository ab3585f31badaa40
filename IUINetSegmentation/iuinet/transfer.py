"""Brings one file of known size from one of several addresses into a part file, piece by piece.

The part file outlives whatever stops the work: a cut connection, a cancelled download, a killed program.
The next transfer goes on at its end. Nothing here looks at the content; the caller compares the SHA-256.
"""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import Cancelled, WeightsError
from .web import BY_HAND, Interrupted, Unusable, host_of, open_address

ATTEMPTS = 5
CHUNK = 2**18  # bytes
LONGEST_WAIT_S = 30.0
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
    """

    def __init__(
        self, addresses: Sequence[str], part: Path, size: int, report: Callable[[DownloadProgress], None]
    ) -> None:
        self.addresses = deque(addresses)
        self.part, self.size, self._report = part, size, report
        self._stopped = threading.Event()
        self._socket: socket.socket | None = None
        self._times: deque[tuple[float, int]] = deque()
        self._attempt = 1

    def cancel(self) -> None:
        """Make run raise Cancelled at once, even while it waits for the server."""
        self._stopped.set()
        self._hang_up()

    def run(self) -> str:
        """Receive until the part file has its whole size; gives the address that gave the end.

        Raises WeightsError download-cut, download-status, download-size or download-certificate when no
        address is left or patience ends; Cancelled; OSError from the part file.
        """
        while True:
            address, before = self.addresses[0], self._received()
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
                self._attempt = 1 if self._received() > before else self._attempt + 1
                if self._attempt > ATTEMPTS:
                    raise self._lost(failure) from failure
                self.addresses.rotate(-1)
                self._wait(failure)

    def drop_address(self, address: str) -> bool:
        """Leave out a mirror whose bytes proved wrong; gives whether others are left."""
        self.addresses = deque(other for other in self.addresses if other != address)
        return bool(self.addresses)

    def _receive(self, address: str) -> None:
        """Append what one connection gives."""
        start = self._received()
        if start >= self.size:
            if start > self.size:
                self.part.write_bytes(b"")  # some other file's rest
                return self._receive(address)
            return None
        with open_address(address, start, self._watch) as response:
            append = self._check_answer(response, address, start)
            with open(self.part, "ab" if append else "wb") as file:
                while self._received_is_short(file.tell()):
                    self._check()
                    piece = self._read(response, address)
                    if file.tell() + len(piece) > self.size:
                        raise Unusable(_wrong_size(address, "more", self.size))
                    file.write(piece)
                    self._tell(file.tell())
        return None

    def _received_is_short(self, received: int) -> bool:
        return received < self.size

    def _read(self, response: http.client.HTTPResponse, address: str) -> bytes:
        try:
            piece = response.read1(CHUNK)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Interrupted(f"{host_of(address)} stopped sending") from error
        if not piece:
            raise Interrupted(f"{host_of(address)} ended the connection")
        return piece

    def _check_answer(self, response: http.client.HTTPResponse, address: str, start: int) -> bool:
        """Whether the answer continues the part file (else it is the whole file). Raises Unusable."""
        if response.status == 206:
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if not found or int(found[1]) != start:
                raise Unusable(_wrong_size(address, "another part", self.size))
            if found[2] not in ("*", str(self.size)):
                raise Unusable(_wrong_size(address, found[2], self.size))
            return True
        length = response.headers.get("Content-Length")
        if length is not None and length != str(self.size):
            raise Unusable(_wrong_size(address, length, self.size))
        return False

    def _wait(self, failure: Interrupted) -> None:
        usual = min(2.0 ** (self._attempt - 1), LONGEST_WAIT_S)
        seconds = usual if failure.wait is None else failure.wait
        received = self._received()
        text = (
            f"Connection lost at {received / self.size:.0%}: {failure}. "
            f"Retrying in {seconds:.0f} s ({self._attempt} of {ATTEMPTS})."
        )
        self._times.clear()
        self._report(DownloadProgress(received, self.size, attempt=self._attempt, note=text))
        self._stopped.wait(seconds)
        self._check()

    def _tell(self, received: int) -> None:
        now = time.monotonic()
        self._times.append((now, received))
        while now - self._times[0][0] > _SPEED_WINDOW_S:
            self._times.popleft()
        began, first = self._times[0]
        speed = (received - first) / (now - began) if now > began else 0.0
        left = (self.size - received) / speed if speed else None
        self._report(DownloadProgress(received, self.size, speed, left, self._attempt))

    def _received(self) -> int:
        try:
            return self.part.stat().st_size
        except FileNotFoundError:
            return 0

    def _watch(self, connection: socket.socket) -> None:
        self._socket = connection
        if self._stopped.is_set():
            self._hang_up()

    def _hang_up(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Cancelled("the download was cancelled", hint="What has come so far is kept.")

    def _lost(self, failure: Interrupted) -> WeightsError:
        received = self._received()
        if not received:
            text, code = f"the model cannot be downloaded: {failure}", "download-offline"
        else:
            text = f"the download stopped at {received / self.size:.0%}: {failure}"
            code = "download-cut"
        return WeightsError(text, code=code, hint=f"Try again later: it goes on where it stopped. {BY_HAND}")


def _wrong_size(address: str, found: str, size: int) -> WeightsError:
    amount = f"{found} bytes" if found.isdigit() else found
    return WeightsError(
        f"{host_of(address)} offers {amount} where {size} bytes are due",
        code="download-size",
        hint=f"The address serves another file. {BY_HAND}",
    )
