"""A real web server on this computer that serves one file, in every way in which servers fail."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Answers with the behaviour that stands in the path: /<behaviour>/<name>."""

    protocol_version = "HTTP/1.1"
    server: FaultyServer

    def do_GET(self) -> None:
        """One request, also one to a proxy; it is written down first."""
        self.path = re.sub(r"^http://[^/]*", "", self.path)
        behaviour = self.path.split("/")[1]
        self.server.requests.append((behaviour, self.headers.get("Range")))
        getattr(self, f"_{behaviour.replace('-', '_')}")()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def _start(self) -> int:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        return int(asked[1]) if asked else 0

    def _head(self, start: int, length: int | None = None, total: int | None = None) -> None:
        """The head of an answer from byte start on; length and total may lie."""
        data = self.server.data
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{total or len(data)}")
        self.send_header("Content-Length", str(len(data) - start if length is None else length))
        self.end_headers()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _good(self) -> None:
        start = self._start()
        self._head(start)
        self.wfile.write(self.server.data[start:])

    def _slow(self) -> None:
        """Good, in small pieces with a pause between."""
        start = self._start()
        self._head(start)
        for first in range(start, len(self.server.data), 2**14):
            self.wfile.write(self.server.data[first : first + 2**14])
            time.sleep(0.02)

    def _in_pieces(self) -> None:
        """Good, in ten pieces with a pause between, whatever the size."""
        start, step = self._start(), len(self.server.data) // 10 + 1
        self._head(start)
        for first in range(start, len(self.server.data), step):
            self.wfile.write(self.server.data[first : first + step])
            time.sleep(0.05)

    def _cuts(self) -> None:
        """Hangs up after a third of the file, each time."""
        start = self._start()
        self._head(start)
        self.wfile.write(self.server.data[start : start + len(self.server.data) // 3])
        self._hang_up()

    def _cuts_at_half(self) -> None:
        """Gives the first half and not a byte more, however often it is asked."""
        start, half = self._start(), len(self.server.data) // 2
        self._head(start)
        self.wfile.write(self.server.data[start:half])
        self._hang_up()

    def _cuts_at_once(self) -> None:
        self._head(self._start())
        self._hang_up()

    def _stalls(self) -> None:
        """Sends a third, then nothing, and keeps the line open."""
        start = self._start()
        self._head(start)
        self.wfile.write(self.server.data[start : start + len(self.server.data) // 3])
        self.server.released.wait(30)
        self.close_connection = True

    def _silent(self) -> None:
        """Takes the request and never answers."""
        self.server.released.wait(30)
        self.close_connection = True

    def _ignores_range(self) -> None:
        """Always the whole file; the first time it is cut."""
        self._head(0)
        first = len(self.server.requests) == 1
        self.wfile.write(self.server.data[: len(self.server.data) // 2] if first else self.server.data)
        if first:
            self._hang_up()

    def _says_less(self) -> None:
        self._head(0, length=1000)
        self.wfile.write(self.server.data[:1000])

    def _says_another_total(self) -> None:
        self._head(self._start(), total=len(self.server.data) + 7)
        self.wfile.write(self.server.data[self._start() :])

    def _drips(self) -> None:
        """A byte now and then, for ever: never silent, never done."""
        start = self._start()
        self._head(start)
        for place in range(start, len(self.server.data)):
            self.wfile.write(self.server.data[place : place + 1])
            if self.server.released.wait(0.05):
                break
        self.close_connection = True

    def _drips_its_head(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self.server.released.wait(0.05):
            self.wfile.write(b"x")
        self.close_connection = True

    def _gives_a_byte(self) -> None:
        """One byte more with each request, then it hangs up."""
        start = self._start()
        self._head(start)
        self.wfile.write(self.server.data[start : start + 1])
        self._hang_up()

    def _cut_in_a_chunk(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n" % len(self.server.data) + self.server.data[: len(self.server.data) // 2])
        self._hang_up()

    def _bad_chunk(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"no length\r\n" + self.server.data)
        self._hang_up()

    def _lies_to_half(self) -> None:
        """The first half, with wrong bytes."""
        start, half = self._start(), len(self.server.data) // 2
        self._head(start)
        self.wfile.write(self.server.data[start:half].translate(bytes(byte ^ 1 for byte in range(256))))
        self._hang_up()

    def _endless(self) -> None:
        """No length, and more bytes than there should be."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(self.server.data + b"more")
        self.close_connection = True

    def _wrong_bytes(self) -> None:
        start = self._start()
        self._head(start)
        self.wfile.write(self.server.data[start:].translate(bytes(byte ^ 1 for byte in range(256))))

    def _redirects(self) -> None:
        self._lead_to(self.path.replace("redirects", "good"))

    def _redirects_to_itself(self) -> None:
        self._lead_to(self.path)

    def _redirects_to_a_file(self) -> None:
        self._lead_to("file:///etc/hostname")

    def _redirects_to_ftp(self) -> None:
        self._lead_to(f"FTP://127.0.0.1:{self.server.server_port}/model")

    def _redirects_to_a_hospital(self) -> None:
        self._lead_to("http://mirror.hospital.example/good/index.json")

    def _redirects_to_http(self) -> None:
        self._lead_to(f"http://127.0.0.1:{self.server.server_port}/good/model")

    def _lead_to(self, address: str) -> None:
        self.send_response(302)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _status(self) -> None:
        """/status/<number>/name"""
        self.send_response(int(self.path.split("/")[2]))
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _busy_first(self) -> None:
        if len(self.server.requests) == 1:
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._good()


class FaultyServer(ThreadingHTTPServer):
    """data: the file. certificate: with its key, for https. requests: (behaviour, Range) of each so far."""

    daemon_threads = True

    def __init__(self, data: bytes, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.data = data
        self.requests: list[tuple[str, str | None]] = []
        self.released = threading.Event()

    def address(self, behaviour: str, name: str = "model") -> str:
        """The address under which the file is served in this way."""
        return f"{self.scheme}://127.0.0.1:{self.server_port}/{behaviour}/{name}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is what the tests are about."""


@contextmanager
def serve(data: bytes, certificate: Path | None = None) -> Iterator[FaultyServer]:
    """The server, running in a thread for the block."""
    server = FaultyServer(data, certificate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def closed_port() -> int:
    """A port of this computer at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
