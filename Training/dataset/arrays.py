"""Prepares one source: its image and labels at the network's size, in one file that is whole or not there."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from scipy import ndimage

import iuinet
from iuinet.atomic import atomic
from iuinet.errors import InputRefused
from iuinet.geometry import canonical_axes, to_canonical
from iuinet.preprocessing import resize
from iuinet.reading import read_volume

from .facts import finite
from .label_resize import resize_labels
from .places import on_disk
from .sources import UNKNOWN, Source

ARRAYS = "arrays"
# Raised whenever arrays of the same files and settings would differ from those of an earlier version.
RECIPE = 2
LEAST_OUTSIDE = 1000  # voxels
BYTES_PER_VOXEL = 3  # float16 and uint8
_NAME_LETTERS = 60
_UNSAFE = '/\\:*?"<>|'


@dataclass(frozen=True)
class ArrayJob:
    """What a worker needs to prepare one source. file: where the arrays go."""

    root: Path
    source: Source
    hashes: tuple[str, str]
    size: int
    ignore: int | None
    file: Path
    work: Path | None = None


def array_name(case: str, hashes: tuple[str, str], size: int, ignore: int | None) -> str:
    """The file name of a source's arrays: another one whenever its files, a setting or the version change."""
    what = [case, *hashes, size, ignore, RECIPE, iuinet.__version__]
    key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    readable = "".join("_" if letter in _UNSAFE else letter for letter in case)[:_NAME_LETTERS]
    return f"{readable}-{key}.safetensors"


def array_bytes(size: int) -> int:
    """Bytes that one file of arrays takes, its header generously counted."""
    return BYTES_PER_VOXEL * size**3 + 4096


def is_prepared(file: Path, size: int) -> bool:
    """Whether the file is there and holds arrays of this size; a damaged one is prepared anew."""
    if not file.is_file():
        return False
    try:
        with safe_open(file, "pt") as tensors:
            shapes = {name: list(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        return False
    return shapes == {"image": [size] * 3, "labels": [size] * 3}


def prepare_arrays(job: ArrayJob) -> None:
    """Read, resize and write one source. Raises InputRefused and OutputError, and then leaves no file."""
    with on_disk(job.root, job.source.image, job.work) as (path, sha256):
        _check_same(job.source.image, sha256, job.hashes[0])
        volume = read_volume(path)
    axes = canonical_axes(volume.grid.direction)
    array = finite(to_canonical(volume.array, axes))
    if job.source.kind == "pair":
        array = air_outside(array)
    image = resize(array, (job.size,) * 3).half()
    del volume
    labels = to_canonical(read_labels(job.root, job.source.label, job.hashes[1], job.ignore, job.work), axes)
    tensors = {"image": image, "labels": resize_labels(np.ascontiguousarray(labels), (job.size,) * 3)}
    with atomic(job.file, overwrite=True) as draft:
        draft.write_bytes(save(tensors, metadata={"case": job.source.id}))


def air_outside(array: np.ndarray) -> np.ndarray:
    """The array with air where a registration found nothing: exact zeros, in one piece, from a face inwards.

    A registration fills what it cannot see with NaN or 0, and ITK reads a NaN of a NIfTI file as 0: water,
    which no scan is surrounded by. Small pieces stay: single voxels of tissue may be 0 HU at a face, too.
    """
    pieces, count = ndimage.label(array == 0)
    if not count:
        return array
    faces = [np.unique(pieces.take(place, axis)) for axis in range(3) for place in (0, -1)]
    large = np.bincount(pieces.ravel(), minlength=count + 1) >= LEAST_OUTSIDE
    large[0] = False
    at_faces = np.zeros(count + 1, bool)
    at_faces[np.concatenate(faces)] = True
    outside = (large & at_faces)[pieces]
    return np.where(outside, np.float32(-1024), array) if outside.any() else array


def read_labels(
    root: Path, place: str, sha256: str, ignore: int | None, work: Path | None = None
) -> np.ndarray:
    """Raw labels uint8 (k, j, i) on their native grid; the data's number for unknown voxels becomes 255.

    Raises InputRefused "source-changed" where the file is not the one that was checked.
    """
    with on_disk(root, place, work) as (path, found):
        _check_same(place, found, sha256)
        labels = read_volume(path).array
    labels = labels.astype(np.uint8)
    if ignore is not None and ignore != UNKNOWN:
        labels[labels == ignore] = UNKNOWN
    return labels


def _check_same(place: str, found: str, expected: str) -> None:
    if found != expected:
        raise InputRefused(
            f"{place} has changed since it was checked.",
            hint="Run prepare.py again with the same folders.",
            code="source-changed",
        )
