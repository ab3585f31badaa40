"""A list of models that lies on a web server: a hospital's mirror, a researcher's own.

``IUINET_WEIGHTS_INDEX`` may hold its address. It is fetched only when a user has a model installed;
whatever else reads the list reads the copy that was kept then. Needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from urllib.parse import urljoin

from iuinet.errors import WeightsError
from iuinet.files import atomic

from .places import user_folder
from .transfer import Interrupted, Unusable, host_of, open_address, read_pieces

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
    try:
        text = b""
        with open_address(address) as answer:
            base = answer.url
            for piece in read_pieces(answer, address):
                text += piece
                if len(text) > LARGEST_LIST:
                    break
    except Unusable as failure:
        raise failure.error from failure
    except (Interrupted, OSError) as failure:
        raise WeightsError(
            f"the list of models cannot be fetched: {failure}",
            code="download-offline",
            hint="Check the address in IUINET_WEIGHTS_INDEX, or set it to a copy of the list.",
        ) from failure
    document = _parse(text, base, address)
    copy = kept_copy(address)
    copy.parent.mkdir(parents=True, exist_ok=True)
    with atomic(copy, overwrite=True) as draft:
        draft.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return copy


def _parse(text: bytes, base: str, address: str) -> dict:
    """The list with whole addresses."""
    try:
        document = json.loads(text) if len(text) <= LARGEST_LIST else {}
        for model in document["models"]:
            addresses = model.get("urls") or [model["file"]]
            model["urls"] = [urljoin(base, other) for other in addresses]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"what {host_of(address)} sent is not a list of models",
            code="weights-list",
            hint="Check the address in IUINET_WEIGHTS_INDEX: a login page may have come instead.",
        ) from error
    return document
