"""Prepares one source: its image and labels at the network's size, in one file that is whole or not there."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from scipy import ndimage

import iuinet
from iuinet.errors import InputRefused
from iuinet.files import atomic
from iuinet.geometry import canonical_axes, to_canonical
from iuinet.preprocessing import resize, resize_weights
from iuinet.volume import Volume

from .facts import finite
from .findings import UNKNOWN, Source
from .raw_files import read_raw, sha256_of

ARRAYS = "arrays"
# Raised whenever arrays of the same files and settings would differ from those of an earlier version.
RECIPE = 2
LEAST_OUTSIDE = 1000  # voxels
_TIE = 1e-5  # shares closer than this are equal: sums of rounded weights differ in their last digits
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
    """Whether the file is there and holds arrays of this size; a damaged one is prepared again."""
    if not file.is_file():
        return False
    try:
        with safe_open(file, "pt") as tensors:
            shapes = {name: list(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        return False
    return shapes == {"image": [size] * 3, "labels": [size] * 3}


def prepare_arrays(job: ArrayJob) -> None:
    """Read, resize and write one source, or leave no file.

    Raises: InputRefused and OutputError for what cannot be read or written.
    """
    volume = _read(job.root, job.source.image, job.hashes[0])
    array = finite(_canonical(volume))
    if job.source.kind == "pair":
        array = air_outside(array)
    image = resize(array, (job.size,) * 3).half()
    del volume
    labels = _canonical(read_labels(job.root, job.source.label, job.hashes[1], job.ignore))
    tensors = {"image": image, "labels": resize_labels(np.ascontiguousarray(labels), (job.size,) * 3)}
    with atomic(job.file, overwrite=True) as draft:
        draft.write_bytes(save(tensors, metadata={"case": job.source.id}))


def _canonical(volume: Volume) -> np.ndarray:
    return to_canonical(volume.array, canonical_axes(volume.grid.direction))


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


def read_labels(root: Path, place: str, sha256: str, ignore: int | None) -> Volume:
    """Raw labels uint8 (k, j, i) on their own grid; the data's number for unknown voxels becomes 255.

    Raises: InputRefused "source-changed" for a file that is not the one that was checked.
    """
    volume = _read(root, place, sha256)
    labels = volume.array.astype(np.uint8)
    if ignore is not None and ignore != UNKNOWN:
        labels[labels == ignore] = UNKNOWN
    return replace(volume, array=labels)


def _read(root: Path, place: str, sha256: str) -> Volume:
    if sha256_of(root, place) != sha256:
        raise InputRefused(
            f"{place} has changed since it was checked.",
            hint="Run prepare.py again with the same folders.",
            code="source-changed",
        )
    return read_raw(root, place)


def resize_labels(labels: np.ndarray, size: tuple[int, int, int]) -> torch.Tensor:
    """Canonical labels uint8 (k, j, i) -> uint8 (H, W, D).

    Each label's mask, and that of the background, is resized with the weights of
    ``iuinet.preprocessing.resize``; a voxel gets the label with the largest share, on a tie the lowest one.
    A mask's weights vanish outside its bounding box, so that only the box is computed.
    """
    weights = [resize_weights(n, m) for n, m in zip(labels.shape, size, strict=True)]
    total, best = torch.zeros(size), torch.zeros(size)
    winner = torch.zeros(size, dtype=torch.uint8)
    for index, box in enumerate(ndimage.find_objects(labels)):
        if box is None:
            continue
        mask = torch.from_numpy((labels[box] == index + 1).astype(np.float32))
        place, (along_k, along_j, along_i) = touched(weights, box)
        share = torch.tensordot(along_k, along_j @ (mask @ along_i.t()), dims=1)
        total[place] += share
        wins = share > best[place] + _TIE
        winner[place][wins] = index + 1
        best[place] = torch.maximum(best[place], share)
    winner[1 - total >= best - _TIE] = 0  # the weights of a voxel sum to 1: the rest is background
    return winner


def touched(
    weights: list[torch.Tensor], box: tuple[slice, ...]
) -> tuple[tuple[slice, ...], list[torch.Tensor]]:
    """The stretch of the result that a box reaches on each axis, and the weights between both."""
    parts = [matrix[:, stretch] for matrix, stretch in zip(weights, box, strict=True)]
    rows = [torch.nonzero(part.sum(1)).flatten().tolist() or [0, -1] for part in parts]
    places = tuple(slice(row[0], row[-1] + 1) for row in rows)
    return places, [part[place] for part, place in zip(parts, places, strict=True)]
