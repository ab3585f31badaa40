"""Asks a web server for a file, and says what its failures mean: try again, or give the address up.

Proxies and certificates are those of the environment: HTTPS_PROXY and its relatives, SSL_CERT_FILE, and
REQUESTS_CA_BUNDLE, which hospitals set for inspecting proxies. requests comes with Slicer; it is imported
when the first byte is requested, so that Slicer's start does not wait for it.
"""

from __future__ import annotations

import os
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from iuinet import __version__
from iuinet.errors import WeightsError
from iuinet.files import size_text

if TYPE_CHECKING:
    from requests import Response
    from requests.adapters import HTTPAdapter

CHUNK = 2**18  # bytes
STALL_S = 20.0  # without a byte
LEAST_RATE = 1000.0  # bytes per second on average over SLOW_S: below, a model of 10 MB takes three hours
SLOW_S = 30.0
BY_HAND = "Get the file on another computer and use 'Install from file' or 'iuinet weights import'."
_POLL_S = 0.05  # how soon a cancel is noticed


class Unusable(Exception):
    """This address will not send the file, however often it is tried."""

    def __init__(self, text: str, code: str, hint: str = BY_HAND) -> None:
        super().__init__(text)
        self.error = WeightsError(text, code=code, hint=hint)


class Interrupted(Exception):
    """The connection broke or the server is busy: worth another try. wait: seconds it requested, or None."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@contextmanager
def open_address(address: str, start: int = 0) -> Iterator[Response]:
    """The server's answer to a request for the file from byte ``start`` on; its body is still to be read.

    Raises: Unusable for an address that is given up, Interrupted for one worth another try.

    >>> with open_address("https://example.org/a") as answer: answer.status_code  # doctest: +SKIP
    200
    """
    import requests
    from urllib3.exceptions import HTTPError

    if _scheme_of(address) not in ("http", "https"):
        raise Unusable(f"the address {address!r} is not a web address", "no-address")
    headers = {"User-Agent": f"iuinet/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        session.max_redirects = 10
        session.mount("https://", _adapter())
        session.hooks["response"].append(_check_redirect)
        # requests takes a proxy that is set as name:port, without http://, for one of the scheme "name".
        found = requests.utils.get_environ_proxies(address).items()
        proxies = {kind: f"http://{proxy}" for kind, proxy in found if "//" not in proxy}
        try:
            answer = session.get(address, headers=headers, proxies=proxies, stream=True, timeout=STALL_S)
        except requests.TooManyRedirects as error:
            raise _for_status(error.response, address) from error
        except (OSError, ValueError, HTTPError, HTTPException) as error:
            raise _for_reason(error, address) from error
        stack.enter_context(answer)
        if not 200 <= answer.status_code < 300:
            raise _for_status(answer, address)
        answer.raw.enforce_content_length = False  # the caller knows the size, and counts
        yield answer


def read_pieces(answer: Response, address: str) -> Iterator[bytes]:
    """The body as it comes, until the server ends it.

    Raises: Interrupted for one that breaks off or stalls.

    >>> b"".join(read_pieces(answer, "https://example.org"))  # doctest: +SKIP
    b'voxels'
    """
    from urllib3.exceptions import HTTPError

    while True:
        try:
            piece = answer.raw.read1(CHUNK)  # what is there; a full chunk would be lost in part by a stall
        except (OSError, ValueError, HTTPError, HTTPException) as error:
            raise Interrupted(f"{host_of(address)} stopped sending") from error
        if not piece:
            return
        yield piece


def host_of(address: str) -> str:
    """The server's name in an address, without user name and password.

    >>> host_of("https://me:secret@example.org/a.safetensors")
    'example.org'
    """
    try:
        return urlsplit(address).hostname or address
    except ValueError:  # such as half an IPv6 address
        return address


def _scheme_of(address: str) -> str:
    """http, https, ...; nothing for what has no form of an address."""
    try:
        found = urlsplit(address)
    except ValueError:
        return ""
    return found.scheme if found.hostname else ""


def ask(address: str, start: int = 0, check: Callable[[], None] = lambda: None) -> Iterator[Any]:
    """The answer to a request for the file from byte ``start`` on, then its pieces, read in their own thread.

    requests cannot be interrupted while it waits, and a connection that has timed out once cannot be read
    again. So the thread is left alone when ``check``, called many times a second, raises: it ends when the
    server sends on or STALL_S are over, and touches no file.
    Raises: Unusable for an address that is given up; Interrupted for one worth another try, such as one that
    sends less than LEAST_RATE: a byte now and then would keep the user waiting for ever.

    >>> answer, *pieces = ask("https://example.org/a")  # doctest: +SKIP
    """
    items: queue.Queue[Any] = queue.Queue(maxsize=4)
    left = threading.Event()

    def read() -> None:
        try:
            with open_address(address, start) as answer:
                items.put(answer)
                for piece in read_pieces(answer, address):
                    items.put(piece)
                    if left.is_set():
                        return
            items.put(None)
        except BaseException as error:
            items.put(error)

    threading.Thread(target=read, name="model download: server", daemon=True).start()
    began, received = time.monotonic(), 0
    try:
        while True:
            check()
            seconds = time.monotonic() - began
            if seconds > SLOW_S:
                if received < LEAST_RATE * seconds:
                    raise Interrupted(f"{host_of(address)} sends less than {size_text(LEAST_RATE)} a second")
                began, received = began + seconds, 0
            try:
                item = items.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, bytes):
                received += len(item)
            yield item
    finally:
        left.set()
        with suppress(queue.Empty):
            items.get_nowait()  # room for what the thread still puts


def _adapter() -> HTTPAdapter:
    """Trusts what the system trusts, what requests brings, and on top of that a file that the user names."""
    from requests.adapters import HTTPAdapter

    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    try:
        context = ssl.create_default_context()
        if named:
            context.load_verify_locations(**{"capath" if os.path.isdir(named) else "cafile": named})
    except OSError as error:
        text = f"the certificate file {named} of REQUESTS_CA_BUNDLE cannot be read: {error.strerror}"
        raise Unusable(text, "download-certificate") from error

    class Trusting(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
            return super().init_poolmanager(*args, ssl_context=context, **kwargs)

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            return super().proxy_manager_for(proxy, ssl_context=context, **kwargs)

    return Trusting()


def _check_redirect(answer: Response, **_: Any) -> None:
    """Follow a redirect, but only to the web, and never from an encrypted connection to an open one."""
    target = urljoin(answer.url, answer.headers.get("Location", ""))
    old, new, host = urlsplit(answer.url).scheme, urlsplit(target).scheme, host_of(answer.url)
    if answer.is_redirect and new not in ("https", old):
        answer.close()
        raise Unusable(f"{host} leads from {old} to {new}, which is not followed", "download-status")


# What a failure means -----------------------------------------------------------------------------------


def _for_status(answer: Response, address: str) -> Exception:
    host, code = host_of(address), answer.status_code
    if code in (408, 429) or code >= 500:
        wait = None
        with suppress(TypeError, ValueError):
            wait = min(float(answer.headers.get("Retry-After")), 60.0)
        return Interrupted(f"{host} answers with the status {code}", wait)
    meaning = {
        401: "wants a login",
        403: "forbids the download",
        404: "does not have the file",
        407: "cannot be reached: the proxy wants a login",
        410: "no longer has the file",
    }.get(code, "refuses the download")
    return Unusable(f"{host} {meaning} (status {code})", "download-status")


def _for_reason(failure: BaseException, address: str) -> Exception:
    """What a failed connection means. A name that cannot be found or a refusal may pass, so it is retried."""
    host, proxy = host_of(address), _proxy_for(address)
    through = f" through the proxy {proxy}" if proxy else ""
    causes = _causes(failure)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            text = f"the certificate of {host} is not trusted{through} ({cause.verify_message})"
            hint = "Set SSL_CERT_FILE to your network's certificates, or install the model from a file."
            return Unusable(text, "download-certificate", hint)
        if isinstance(cause, TimeoutError):
            return Interrupted(f"{host} does not answer{through}")
        if isinstance(cause, socket.gaierror):
            return Interrupted(f"the name {host} cannot be found{through}")
        if isinstance(cause, ConnectionRefusedError):
            return Interrupted(f"{proxy or host} refuses the connection")
    words = (cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror)
    detail = re.sub(r"//[^/\s]*@", "//", str(next(words, causes[-1])))  # without user name and password
    return Interrupted(f"no connection to {host}{through} ({detail})")


def _causes(failure: BaseException) -> list[BaseException]:
    """An exception and all that it was made of, outermost first: requests wraps what urllib3 wrapped."""
    found = [failure]
    for each in found:
        inner = (each.__cause__, each.__context__, *each.args)
        found += [other for other in inner if isinstance(other, BaseException) and other not in found]
    return found


def _proxy_for(address: str) -> str | None:
    """The proxy that the environment sets for an address, without user name and password."""
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(address, get_environ_proxies(address))
    return host_of(proxy if "//" in proxy else f"//{proxy}") if proxy else None
