"""A list of models that lies on a web server: a hospital's mirror, a researcher's own.

``IUINET_WEIGHTS_INDEX`` may hold its address. It is fetched only when a user has a model installed;
whatever else reads the list reads the copy that was kept then. Needs no torch.

The list holds the models' SHA-256 sums: who can change it chooses what is installed. So it comes over https;
over http only from this computer, or where ``IUINET_ALLOW_HTTP=1`` says that the network is trusted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import closing
from pathlib import Path
from urllib.parse import urljoin

from iuinet.errors import OutputError, WeightsError
from iuinet.files import atomic, output_error

from .places import user_folder
from .server import Interrupted, Unusable, ask, host_of

LARGEST_LIST = 2**20  # bytes


def index_address() -> str | None:
    """The web address that IUINET_WEIGHTS_INDEX holds, None where it holds a path or nothing.

    >>> index_address() is None  # unless IUINET_WEIGHTS_INDEX holds an address
    True
    """
    named = os.environ.get("IUINET_WEIGHTS_INDEX", "")
    return named if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", named) else None


def kept_copy(address: str) -> Path:
    """Where the last fetched copy of a list lies.

    >>> kept_copy("https://example.org/models.json").name
    'd18c9eed25aa5a85.json'
    """
    return user_folder() / "lists" / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.json"


def fetch_list() -> Path:
    """Fetch the list of index_address() and keep it; returns the copy.

    A model's addresses may be relative to the list's own; one without any lies beside the list.
    Raises: WeightsError for a list that cannot be fetched or read; an earlier copy then stays.

    >>> fetch_list()  # doctest: +SKIP
    """
    address = index_address() or ""
    _check_way(address)
    try:
        text, answers = b"", ask(address)
        with closing(answers):
            answer = next(answers)
            _check_way(answer.url)  # where redirects have led to
            for piece in answers:
                text += piece
                if len(text) > LARGEST_LIST:
                    break
        due = answer.headers.get("Content-Length", "")
        if due.isdigit() and len(text) < min(int(due), LARGEST_LIST):
            raise Interrupted(f"{host_of(address)} ended the connection")
    except Unusable as failure:
        raise failure.error from failure
    except (Interrupted, OSError) as failure:
        raise WeightsError(
            f"the list of models cannot be fetched: {failure}",
            code="download-offline",
            hint="Check the address in IUINET_WEIGHTS_INDEX, or set it to a copy of the list.",
        ) from failure
    document = _parse(text, answer.url, address)
    copy = kept_copy(address)
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with atomic(copy, overwrite=True) as draft:
            draft.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except (OSError, OutputError) as failure:
        refused = failure if isinstance(failure, OutputError) else output_error(copy, failure)
        raise WeightsError(
            f"the list of models cannot be kept: {refused.message}",
            code="disk-full" if refused.code == "disk-full" else "weights-folder",
            hint="Free some space or set IUINET_HOME to a folder that you may write to.",
        ) from failure
    return copy


def open_way(address: str) -> str:
    """A warning about a list that anyone on its way can change, "" for one over https.

    >>> open_way("https://example.org/models.json")
    ''
    """
    if address.lower().startswith("https:"):
        return ""
    return (
        f"The list of models comes from {host_of(address)} over http, not https: whoever can change it on "
        "its way chooses which models are installed."
    )


def _check_way(address: str) -> None:
    """Raises: WeightsError "weights-list" for http from another computer on a network that is not trusted."""
    here = host_of(address) in ("localhost", "127.0.0.1", "::1")
    if open_way(address) and not here and os.environ.get("IUINET_ALLOW_HTTP") != "1":
        raise WeightsError(
            f"the list of models is not fetched. {open_way(address)}",
            code="weights-list",
            hint="Use https or a copy of the list, or set IUINET_ALLOW_HTTP=1 for a network that you trust.",
        )


def _parse(text: bytes, base: str, address: str) -> dict:
    """The list with whole addresses."""
    try:
        document = json.loads(text) if len(text) <= LARGEST_LIST else {}
        for model in document["models"]:
            addresses = model.get("urls") or [model["file"]]
            model["urls"] = [urljoin(base, other) for other in addresses]
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"what {host_of(address)} sent is not a list of models",
            code="weights-list",
            hint="Check the address in IUINET_WEIGHTS_INDEX: a login page may have come instead.",
        ) from error
    return document
