"""Asks a web server for a file, and says in plain words what came instead. Standard library only.

Proxies and certificates are those of the environment: HTTPS_PROXY and its relatives, SSL_CERT_FILE, and
REQUESTS_CA_BUNDLE, which hospitals set for inspecting proxies.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from . import __version__
from .errors import WeightsError

STALL_S = 20.0
BY_HAND = "Get the file on another computer and use 'Install from file' or 'iuinet weights import'."

Watch = Callable[[socket.socket], None]


class Unusable(Exception):
    """This address will not give the file, however often it is asked."""

    def __init__(self, error: WeightsError) -> None:
        super().__init__(error.message)
        self.error = error


class Interrupted(Exception):
    """The connection broke or the server is busy: worth another try. wait: seconds it asked for, or None."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def host_of(address: str) -> str:
    """The server's name in an address, without user name and password."""
    return urlsplit(address).hostname or address


def proxy_for(address: str) -> str | None:
    """The proxy that the environment sets for an address, without user name and password."""
    if urllib.request.proxy_bypass(host_of(address)):
        return None
    proxy = urllib.request.getproxies().get(urlsplit(address).scheme)
    return host_of(proxy if "//" in proxy else f"//{proxy}") if proxy else None


def open_address(address: str, start: int, watch: Watch) -> http.client.HTTPResponse:
    """The server's answer to a request for the file from byte ``start`` on.

    watch: is given every socket, so that another thread can shut it down.
    Raises Unusable or Interrupted.
    """
    if urlsplit(address).scheme not in ("http", "https"):
        raise Unusable(_error(f"the address {address!r} is no web address", "no-address"))
    headers = {"User-Agent": f"iuinet/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(address, headers=headers)
    try:
        return _opener(watch).open(request, timeout=STALL_S)
    except urllib.error.HTTPError as error:
        error.close()
        raise _for_status(error, address) from error
    except urllib.error.URLError as error:
        raise _for_reason(error.reason, address) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _for_reason(error, address) from error


def _opener(watch: Watch) -> urllib.request.OpenerDirector:
    certificates = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    try:
        # A file that the user names comes on top of those that the system trusts.
        context = ssl.create_default_context()
        if certificates:
            folder = os.path.isdir(certificates)
            context.load_verify_locations(
                cafile=None if folder else certificates, capath=certificates if folder else None
            )
    except OSError as error:
        text = f"the certificate file {certificates} of REQUESTS_CA_BUNDLE cannot be read: {error.strerror}"
        raise Unusable(_error(text, "download-certificate")) from error

    class Plain(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(partial(_Connection, watch=watch), request)

    class Secure(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(partial(_SecureConnection, watch=watch, context=context), request)

    return urllib.request.build_opener(Plain(), Secure(), _Redirects())


class _Connection(http.client.HTTPConnection):
    def __init__(self, *args: Any, watch: Watch, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watch = watch

    def connect(self) -> None:
        super().connect()
        self._watch(self.sock)


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, watch: Watch, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watch = watch

    def connect(self) -> None:
        super().connect()
        self._watch(self.sock)


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Follow a redirect, but never from an encrypted connection to an open one."""
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            text = f"{host_of(req.full_url)} leads from https to an address that is not encrypted"
            raise Unusable(_error(text, "download-status"))
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _for_status(error: urllib.error.HTTPError, address: str) -> Exception:
    host, code = host_of(address), error.code
    if code in (408, 429) or code >= 500:
        wait = None
        with suppress(TypeError, ValueError):
            wait = min(float(error.headers.get("Retry-After")), 60.0)
        return Interrupted(f"{host} answers with the status {code}", wait)
    meaning = {401: "wants a login", 403: "forbids the download", 404: "does not have the file"}.get(code)
    meaning = {407: "cannot be reached: the proxy wants a login", 410: "no longer has the file"}.get(
        code, meaning
    )
    text = f"{host} {meaning or 'refuses the download'} (status {code})"
    return Unusable(_error(text, "download-status"))


def _for_reason(reason: object, address: str) -> Exception:
    """What a failed connection means. A name that cannot be found or a refusal may pass, so it is retried."""
    host, proxy = host_of(address), proxy_for(address)
    through = f" through the proxy {proxy}" if proxy else ""
    if isinstance(reason, ssl.SSLCertVerificationError):
        text = f"the certificate of {host} is not trusted{through} ({reason.verify_message})"
        hint = "Set SSL_CERT_FILE to your network's certificates, or install the model from a file."
        return Unusable(WeightsError(text, code="download-certificate", hint=hint))
    if isinstance(reason, TimeoutError):
        return Interrupted(f"{host} does not answer{through}")
    if isinstance(reason, socket.gaierror):
        return Interrupted(f"the name {host} cannot be found{through}")
    if isinstance(reason, ConnectionRefusedError):
        return Interrupted(f"{proxy or host} refuses the connection")
    detail = reason.strerror if isinstance(reason, OSError) and reason.strerror else reason
    return Interrupted(f"no connection to {host}{through} ({detail})")


def _error(text: str, code: str) -> WeightsError:
    return WeightsError(text, code=code, hint=BY_HAND)
