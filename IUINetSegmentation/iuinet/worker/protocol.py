"""The language between the program that has the CT (Slicer, a script) and the worker that has torch.

Both directions carry one JSON object per line behind ``@iuinet ``; whatever else comes out of the child
is log. A message has a ``kind`` and the fields of the tables below, nothing more and nothing less, so
that a mistake on either side is found at the border. Lines are pure ASCII (JSON escapes the rest), so no
locale can damage them. Voxels do not travel in the messages but in raw files (little-endian, C order)
whose paths stand inside the JSON, never on a command line. This module needs no torch.

Requests: ``segment``, ``probe``, ``cancel`` (of the run with that number), ``quit``.
Replies: ``hello`` once at the start; then for a run any number of ``stage``, ``progress``, ``warning`` and
``fallback``, and exactly one of ``result``, ``error``, ``cancelled``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from iuinet import errors
from iuinet.errors import InputRefused, IUINetError
from iuinet.options import Options
from iuinet.volume import Doubt, Grid, Volume

VERSION = 3
PREFIX = "@iuinet "

Message = dict[str, Any]

_TEXT = (str,)

REQUESTS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "segment": {
        "run": (int,),
        "volume": (dict,),  # see describe_volume
        "output": _TEXT,  # where the labels go: raw uint8, the shape of the volume
        "options": (dict,),  # ``Options`` as a dictionary
    },
    "probe": {"run": (int,), "options": (dict, type(None))},  # whose model is to be timed on whose device
    "cancel": {"run": (int,)},
    "quit": {},
}

REPLIES: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "hello": {"protocol": (int,), "pid": (int,), "versions": (dict,)},
    "stage": {"run": (int,), "stage": _TEXT},
    "progress": {"run": (int,), "stage": _TEXT, "fraction": (int, float)},
    "warning": {"run": (int,), "code": _TEXT, "text": _TEXT, "hint": _TEXT},
    "fallback": {"run": (int,), "text": _TEXT},
    "result": {"run": (int,), "report": (dict,)},
    "error": {"run": (int,), "code": _TEXT, "text": _TEXT, "hint": _TEXT, "family": _TEXT},
    "cancelled": {"run": (int,)},
}


def _types(hint: Any) -> tuple[type, ...]:
    """What isinstance wants for an annotation; JSON makes a list of a tuple."""
    kinds = [get_origin(kind) or kind for kind in get_args(hint) or (hint,)]
    return (*kinds, list) if tuple in kinds else tuple(kinds)


# From the dataclass itself, so that a new option is known here too.
_OPTIONS = {name: _types(hint) for name, hint in get_type_hints(Options).items()}


class ProtocolError(IUINetError):
    """A line with our prefix that is not a message of this protocol."""

    default_code = "protocol"

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="Restart the program; if it happens again, report it with the log.")


def encode(kind: str, **fields: Any) -> bytes:
    """One message as a line, ready to be written.

    Raises: ProtocolError for one that is not in the tables.

    >>> encode("cancel", run=1)
    b'@iuinet {"kind":"cancel","run":1}\\n'
    """
    message = {"kind": kind, **fields}
    _validate(message)
    try:
        # NaN and Infinity pass, as both sides are Python: whether they are refused is the checks' business.
        text = json.dumps(message, ensure_ascii=True, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"the message {kind!r} holds something that is not JSON: {error}") from error
    return (PREFIX + text + "\n").encode("ascii")


def decode(line: bytes) -> Message | None:
    """The message in a line, or None where the line is not ours (a library's own print).

    Raises: ProtocolError for a line with our prefix that cannot be read.

    >>> decode(encode("cancel", run=1)), decode(b"a library prints")
    ({'kind': 'cancel', 'run': 1}, None)
    """
    if not line.startswith(PREFIX.encode("ascii")):
        return None
    try:
        message = json.loads(line[len(PREFIX) :])
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a message cannot be read as JSON: {line[:80]!r}") from error
    if not isinstance(message, dict):
        raise ProtocolError(f"a message is not an object: {line[:80]!r}")
    _validate(message)
    return message


def _validate(message: Mapping[str, Any]) -> None:
    """Check kind, names and types of the fields."""
    kind = message.get("kind")
    fields = REQUESTS.get(kind, REPLIES.get(kind)) if isinstance(kind, str) else None
    if fields is None:
        raise ProtocolError(f"unknown kind of message: {kind!r}")
    _check_fields(f"the message {kind!r}", message, {"kind": (str,), **fields})
    if message.get("options") is not None:
        _check_fields("the field 'options'", message["options"], _OPTIONS)


def _check_fields(what: str, found: Mapping[str, Any], fields: Mapping[str, tuple[type, ...]]) -> None:
    """Raises: ProtocolError for other fields, or values of other types."""
    if set(found) != set(fields):
        wrong = ", ".join(sorted(set(found) ^ set(fields)))
        raise ProtocolError(f"{what} has missing or unknown fields: {wrong}")
    for name, types in fields.items():
        value = found[name]
        # bool is an int for Python, but true is not a run number.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ProtocolError(f"{name!r} of {what} has the wrong type: {value!r}")


# Errors over the border --------------------------------------------------------------------------------

_FAMILIES: Mapping[str, type[IUINetError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, IUINetError)
}


def describe_error(error: IUINetError) -> Message:
    """The fields code, text, hint and family of an ``error`` message.

    The family is the nearest class that errors.py names, so that the other side raises the same one.

    >>> describe_error(errors.UsageError("no organ"))["family"]
    'UsageError'
    """
    family = next(base.__name__ for base in type(error).__mro__ if base.__name__ in _FAMILIES)
    return {"code": error.code, "text": error.message, "hint": error.hint, "family": family}


def rebuild_error(message: Mapping[str, Any]) -> IUINetError:
    """The error that an ``error`` message describes, in its own class.

    >>> rebuild_error(describe_error(errors.UsageError("no organ")))
    UsageError('no organ')
    """
    family = _FAMILIES.get(message["family"], IUINetError)
    return family(message["text"], hint=message["hint"], code=message["code"])


# Volumes over the border -------------------------------------------------------------------------------


def grid_to_json(grid: Grid) -> Message:
    """A grid as plain lists; the numbers survive JSON to the last bit.

    >>> grid_to_json(Grid((2, 2, 2), (1, 1, 3), (0, 0, 0), np.eye(3)))["spacing"]
    [1.0, 1.0, 3.0]
    """
    return {
        "size": [int(n) for n in grid.size],
        "spacing": [float(v) for v in grid.spacing],
        "origin": [float(v) for v in grid.origin],
        "direction": [[float(v) for v in row] for row in np.asarray(grid.direction)],
    }


def grid_from_json(document: Mapping[str, Any]) -> Grid:
    """The grid that grid_to_json described, sensible or not.

    Raises: ProtocolError for other documents.

    >>> grid = Grid((2, 2, 2), (1, 1, 3), (0, 0, 0), np.eye(3))
    >>> grid_from_json(grid_to_json(grid)).spacing
    (1.0, 1.0, 3.0)
    """
    try:
        size = tuple(int(n) for n in document["size"])
        spacing = tuple(float(v) for v in document["spacing"])
        origin = tuple(float(v) for v in document["origin"])
        direction = np.array(document["direction"], dtype=np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(f"the volume's geometry cannot be read: {error!r}") from error
    if (len(size), len(spacing), len(origin), direction.shape) != (3, 3, 3, (3, 3)):
        raise ProtocolError("the volume's geometry is not three-dimensional")
    return Grid(size, spacing, origin, direction)  # type: ignore[arg-type]


def describe_volume(volume: Volume, path: Path) -> Message:
    """The ``volume`` field of a request: geometry, and how to read the voxels in the file at path.

    >>> grid = Grid((2, 2, 2), (1, 1, 3), (0, 0, 0), np.eye(3))
    >>> describe_volume(Volume(np.zeros((2, 2, 2), ">i2"), grid), Path("a.raw"))["dtype"]
    '<i2'
    """
    return {
        "path": str(path),
        "dtype": _little_endian(volume.array.dtype).str,
        "shape": [int(n) for n in volume.array.shape],
        "grid": grid_to_json(volume.grid),
        "name": volume.name,
        "modality": volume.modality,
        "notes": [volume.unnamed(note) for note in volume.notes],
        "doubts": [
            {key: volume.unnamed(text) for key, text in asdict(doubt).items()} for doubt in volume.doubts
        ],
    }


def read_volume(document: Mapping[str, Any]) -> Volume:
    """The volume of a request, its voxels in the raw file, which must stay until the volume is not used.

    Raises: ProtocolError for a description that cannot be read or does not fit the file.

    >>> from tempfile import TemporaryDirectory
    >>> scan = Volume(np.ones((2, 2, 2), "<i2"), Grid((2, 2, 2), (1, 1, 3), (0, 0, 0), np.eye(3)))
    >>> with TemporaryDirectory() as folder:
    ...     write_array(Path(folder, "a.raw"), scan.array)
    ...     int(read_volume(describe_volume(scan, Path(folder, "a.raw"))).array.sum())
    8
    """
    try:
        path, dtype, shape = Path(document["path"]), np.dtype(document["dtype"]), tuple(document["shape"])
        name, modality, notes = document["name"], document["modality"], tuple(document["notes"])
        doubts = tuple(Doubt(**doubt) for doubt in document["doubts"])
        if not all(type(count) is int for count in shape):
            raise TypeError(f"shape {shape}")
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"the volume's description cannot be read: {error!r}") from error
    grid = grid_from_json(document.get("grid"))
    # Mapped, the voxels are not copied; but Windows would not delete a mapped file.
    voxels = read_array(path, dtype, shape, mapped=os.name == "posix")
    return Volume(voxels, grid, name, modality, notes, doubts)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write raw voxels: little-endian, C order, no header; complete or absent.

    Raises: InputRefused "pixel-type" for voxels that are not plain numbers, OSError for a full disk.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_array(Path(folder, "a.raw"), np.arange(2, dtype=">i2"))
    ...     Path(folder, "a.raw").read_bytes()
    b'\\x00\\x00\\x01\\x00'
    """
    for _ in array_writer(path, array):
        pass


def array_writer(path: Path, array: np.ndarray) -> Iterator[float]:
    """write_array in steps of one slice (k, :, :), for callers that may not block; yields the share done.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     list(array_writer(Path(folder, "a.raw"), np.zeros((2, 2, 2))))
    [0.5, 1.0]
    """
    dtype = _little_endian(array.dtype)
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as file:
            # Slice by slice, so that a volume in another order or byte order is never copied whole.
            for done, piece in enumerate(array, start=1):
                file.write(np.ascontiguousarray(piece, dtype=dtype).data)
                yield done / len(array)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_array(path: Path, dtype: np.dtype, shape: tuple[int, ...], mapped: bool = False) -> np.ndarray:
    """Read what write_array wrote.

    mapped: leave the voxels in the file until they are looked at; changes of the array stay out of it.
    Raises: ProtocolError for a file that is missing or of another length.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_array(Path(folder, "a.raw"), np.arange(2, dtype=">i2"))
    ...     read_array(Path(folder, "a.raw"), np.dtype("i2"), (2,))
    array([0, 1], dtype=int16)
    """
    dtype = _little_endian(np.dtype(dtype))
    wanted = math.prod(shape) * dtype.itemsize
    found = path.stat().st_size if path.is_file() else 0
    if found != wanted:
        raise ProtocolError(f"a voxel file has {found} bytes where {wanted} are due")
    if mapped and wanted:  # an empty file cannot be mapped
        return np.memmap(path, dtype=dtype, mode="c", shape=shape)
    return np.fromfile(path, dtype=dtype).reshape(shape)


def _little_endian(dtype: np.dtype) -> np.dtype:
    """The same number type with its bytes in the protocol's order."""
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise InputRefused(
            f"the voxels are of type {dtype}",
            code="pixel-type",
            hint="Convert the volume to whole or decimal numbers of at most 64 bits.",
        )
    return dtype.newbyteorder("<")
