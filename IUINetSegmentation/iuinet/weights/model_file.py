"""Check one model file without torch: is it whole, is it ours, what does its document say.

A model is a safetensors file (8 bytes little-endian header length, a JSON header, the tensors) whose
metadata holds a JSON document under the key ``iuinet``. We read the header ourselves, so that a hostile
file meets nothing but a bounded JSON parser. Pickle (.pt, .pth, .ckpt) is never opened: unpickling runs
code of the file's choice.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iuinet.errors import WeightsError

FORMAT = 1
METADATA_KEY = "iuinet"
SUFFIX = ".safetensors"
PICKLE_SUFFIXES = frozenset({".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin"})

# Bytes. Ours have some 100 kB; the format allows 100 MB, which as Python's objects need 2.5 GB.
_LONGEST_HEADER = 4_000_000
_CONVERT = "Convert it where it was trained: 'python Training/export.py --help'. Only .safetensors is read."
_AGAIN = "Copy or download it again and compare its size and SHA-256 with the source."


@dataclass(frozen=True)
class Weights:
    """A model file that was found and checked.

    path: the file. id, version: as its document says. sha256: of the whole file, hexadecimal.
    document: the JSON document of the file (format, network, organs, preprocessing, ...).
    """

    path: Path
    id: str
    version: str
    sha256: str
    document: dict[str, Any]

    def summary(self) -> dict[str, str]:
        """The model in a report: no path."""
        return {"id": self.id, "version": self.version, "sha256": self.sha256}


def check_file(path: str | os.PathLike, sha256: str | None = None) -> Weights:
    """Check a model file and read its document.

    sha256: what the list of models promises; None for a file that stands on no list.
    Raises: those of read_document; WeightsError "weights-hash" for another file than the promised one.

    >>> from iuinet.weights import find_entry
    >>> check_file(find_entry("starter-tiny").path).id
    'starter-tiny'
    """
    path = Path(path)
    document = read_document(path)
    try:
        found = file_sha256(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if sha256 is not None and found != sha256.lower():
        raise WeightsError(
            f"the model file {path.name} is damaged or not the expected one: its SHA-256 is {found[:8]}... "
            f"instead of {sha256[:8].lower()}...",
            code="weights-hash",
            hint=_AGAIN,
        )
    return Weights(path, document["id"], document["version"], found, document)


def read_document(path: str | os.PathLike) -> dict[str, Any]:
    """The JSON document in a model file.

    Raises: WeightsError "weights-missing", "-unreadable", "-pickle", "-damaged", "-metadata" or "-newer".

    >>> from iuinet.weights import find_entry
    >>> read_document(find_entry("starter-tiny").path)["preprocessing"]["size"]
    96
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise WeightsError(
            f"there is no model file {path}",
            code="weights-missing",
            hint="'iuinet weights list' shows the models that are here.",
        )
    try:
        header = _read_header(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    metadata = header.get("__metadata__")
    text = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise WeightsError(
            f"the file {path.name} is safetensors, but says nothing about its network and organs",
            code="weights-metadata",
            hint="Export the model with Training/export.py, which writes this into the file.",
        )
    try:
        document = json.loads(text)
        if document["format"] > FORMAT:
            raise WeightsError(
                f"the model file {path.name} has format {document['format']}; "
                f"this version reads up to format {FORMAT}",
                code="weights-newer",
                hint="Update IUINet, or choose another model.",
            )
        _check_document(document)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise WeightsError(
            f"the description in the model file {path.name} is wrong: {reason}",
            code="weights-metadata",
            hint="Export the model again with Training/export.py.",
        ) from error
    return document


def _read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file, after checking that the file is as long as the header says."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(8)
        # A header's length may begin with the same bytes, but then the header itself follows.
        signed = start[:2] == b"PK" or start[:1] == b"\x80"
        first = file.read(1)
        if path.suffix.lower() in PICKLE_SUFFIXES or (signed and first != b"{"):
            raise WeightsError(
                f"{path.name} is a pickle or zip checkpoint, which is never opened, because loading one "
                "runs whatever program it contains",
                code="weights-pickle",
                hint=_CONVERT,
            )
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= min(_LONGEST_HEADER, size - 8):
            raise _damaged(path, "it is not a safetensors file, or only the beginning of one")
        text = first + file.read(length - 1)
    try:
        header = json.loads(text.decode("utf-8"))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        due = 8 + length + max(ends, default=0)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _damaged(path, "its header cannot be read") from error
    if size != due:
        raise _damaged(path, f"it has {size} bytes where {due} are due")
    return header


def _damaged(path: Path, reason: str) -> WeightsError:
    text = f"the model file {path.name} is damaged: {reason}"
    return WeightsError(text, code="weights-damaged", hint=_AGAIN)


def _unreadable(path: Path, error: OSError) -> WeightsError:
    return WeightsError(
        f"the model file {path} cannot be read: {error.strerror}",
        code="weights-unreadable",
        hint="Check the rights of the file, and the disk or network drive it lies on.",
    )


def _check_document(document: dict[str, Any]) -> None:
    """Raises: ValueError, TypeError or KeyError for a document that the other layers could not use."""
    for key in ("id", "version"):
        if not isinstance(document[key], str) or not document[key]:
            raise ValueError(f"{key} {document[key]!r} is not text")
    for key in ("network", "preprocessing"):
        if not isinstance(document[key], dict):
            raise ValueError(f"{key} is not an object")
    _check_organs(document["organs"])
    classes = document["network"].get("classes", wanted := 1 + len(document["organs"]))
    if classes != wanted:
        raise ValueError(f"its network has {classes} classes, its organs and the background are {wanted}")
    size, window = document["preprocessing"]["size"], document["preprocessing"]["window"]
    if type(size) is not int or not 1 <= size <= 4096:
        raise ValueError(f"its input size {size!r} is not a number of voxels")
    low, high = window
    if {type(low), type(high)} - {int, float} or not -1e5 < low < high < 1e5:
        raise ValueError(f"its window {window} is not two values in HU")
    second = document["preprocessing"].get("second_pass")
    if second is not None:
        names = {organ["name"] for organ in document["organs"]}
        if not second["organs"] or not set(second["organs"]) <= names or not 0 <= second["margin_mm"] <= 1000:
            raise ValueError(f"its second pass {second} names no organs of it, or no margin in mm")
        smallest = second.get("smallest_mm", [0, 0, 0])
        if len(smallest) != 3 or not all(type(n) in (int, float) and 0 <= n <= 2000 for n in smallest):
            raise ValueError(f"its smallest field of view {smallest} is not three lengths in mm")


def _check_organs(organs: Any) -> None:
    """Raises: ValueError, TypeError or KeyError for anything but a list of organs with names and labels."""
    if not isinstance(organs, list) or not organs:
        raise ValueError("organs is not a list of organs")
    names, labels = [organ["name"] for organ in organs], [organ["label"] for organ in organs]
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) != len(names):
        raise ValueError(f"the organs' names {names} are not distinct words")
    # Labels are stored in 8 bits, and 0 is the background.
    in_range = all(type(label) is int and 1 <= label <= 255 for label in labels)
    if not in_range or len(set(labels)) != len(labels):
        raise ValueError(f"the organs' labels {labels} are not distinct numbers from 1 to 255")


_hashes: dict[tuple[str, int, int], str] = {}
_SETTLED_S = 3.0  # file systems count time in steps of up to two seconds: before, a change may not show


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal; remembered in this process while its size and time stay the same.

    >>> from iuinet.weights import find_entry
    >>> entry = find_entry("starter-tiny")
    >>> file_sha256(entry.path) == entry.sha256
    True
    """
    status = os.stat(path)
    key = (str(path), status.st_size, status.st_mtime_ns)
    if key in _hashes:
        return _hashes[key]
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if abs(time.time() - status.st_mtime) > _SETTLED_S:
        _hashes[key] = found
    return found
