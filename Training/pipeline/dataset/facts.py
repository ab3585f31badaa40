"""Looks at one image with its labels and notes everything that the checks and the index need.

Runs in worker processes, and once only: what was found out about two files is kept under their hashes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

import iuinet
from iuinet.checks import judge
from iuinet.errors import InputRefused, IUINetError
from iuinet.report import measure
from iuinet.volume import Grid, Volume
from iuinet.writing import write_json

from .findings import Source
from .raw_files import read_raw, sha256_of

FORMAT = 2
OPEN_AIR = -1000  # HU, what is taken in the place of a set's own value for air
HIGHEST_LABEL = 255
_SHOWN = 5  # values that a message names
_SLAB = 1 << 24  # voxels looked at together


@dataclass(frozen=True)
class Facts:
    """What was found. grid, label_grid: native, as ``grid_as_json`` writes them.

    voxels: of each label 0 to 255. odd_values: some label values that are not whole numbers from 0 to 255.
    not_numbers: voxels that are NaN or infinite. zeros: voxels that are exactly 0. empty_slices: slices along
    the last axis of the file with one value only. lowest, highest: 0.1st and 99.9th percentile of the image;
    least, most: its extremes. looks_like_hu: whether the image's values can be Hounsfield units, once what
    stands for air in it (air, None for air itself) is -1000. centres: centroid of each label, LPS mm. edges:
    sides of the scan that each label touches, where there are any. error: why nothing was found out.
    """

    image_sha256: str = ""
    label_sha256: str = ""
    grid: dict = field(default_factory=dict)
    label_grid: dict = field(default_factory=dict)
    voxels: dict[int, int] = field(default_factory=dict)
    odd_values: list[float] = field(default_factory=list)
    not_numbers: int = 0
    zeros: int = 0
    empty_slices: int = 0
    lowest: float = 0.0
    highest: float = 0.0
    least: float = 0.0
    most: float = 0.0
    air: float | None = None
    centres: dict[int, list[float]] = field(default_factory=dict)
    edges: dict[int, list[str]] = field(default_factory=dict)
    looks_like_hu: bool = True
    notes: list[str] = field(default_factory=list)
    error: dict | None = None

    def to_json(self) -> dict:
        """A document that ``from_json`` reads."""
        return {"format": FORMAT, "software": iuinet.__version__, **asdict(self)}

    @classmethod
    def from_json(cls, document: dict) -> Facts:
        """The facts of such a document.

        Raises: ValueError, TypeError or KeyError for anything else, such as what another version noted.
        """
        if (document.pop("format"), document.pop("software")) != (FORMAT, iuinet.__version__):
            raise ValueError("another version")
        for key in ("voxels", "centres", "edges"):
            document[key] = {int(label): value for label, value in document[key].items()}
        return cls(**document)


def grid_as_json(grid: Grid) -> dict:
    """A grid as a JSON document."""
    document = {key: list(getattr(grid, key)) for key in ("size", "spacing", "origin")}
    return {**document, "direction": np.asarray(grid.direction, dtype=float).tolist()}


def grid_from_json(document: dict) -> Grid:
    """The grid of such a document."""
    size, spacing, origin = (tuple(document[key]) for key in ("size", "spacing", "origin"))
    return Grid(size, spacing, origin, np.array(document["direction"], dtype=float))


@dataclass(frozen=True)
class LookJob:
    """What a worker needs. kept: folder for what was found out, None to keep nothing. air: see ``Facts``."""

    root: Path
    source: Source
    kept: Path | None = None
    air: float | None = None


def look(job: LookJob) -> Facts:
    """Hash both files, and read them unless that was done before. Never raises for what the data have."""
    try:
        hashes = sha256_of(job.root, job.source.image), sha256_of(job.root, job.source.label)
        memory = job.kept and job.kept / "{:.24}-{:.24}.json".format(*hashes)
        if memory and (known := _known(memory, *hashes, job.air)):
            return known
        found = _found_out(job.root, job.source, job.air)
        facts = Facts(**found, image_sha256=hashes[0], label_sha256=hashes[1], air=job.air)
        if memory:
            write_json(memory, facts.to_json(), overwrite=True)
        return facts
    except InputRefused as error:
        return Facts(error={"code": error.code, "message": error.message, "hint": error.hint})


def _known(memory: Path, image_sha256: str, label_sha256: str, air: float | None) -> Facts | None:
    with suppress(OSError, ValueError, TypeError, KeyError):
        facts = Facts.from_json(json.loads(memory.read_text(encoding="utf-8")))
        if (facts.image_sha256, facts.label_sha256, facts.air) == (image_sha256, label_sha256, air):
            return facts
    return None


def _found_out(root: Path, source: Source, air: float | None) -> dict:
    volume = _read(root, source.image, "image")
    array = volume.array
    bad = 0
    if array.dtype.kind == "f":
        bad = sum(int(np.count_nonzero(~np.isfinite(part))) for part in _parts(array))
    whole = finite(array) if bad else array
    judgement = judge(whole)
    if air is not None:
        hu = judge(np.where(whole == air, OPEN_AIR, whole)).looks_like_hu
    else:
        hu = judgement.looks_like_hu
    found = {
        "grid": grid_as_json(volume.grid),
        "not_numbers": bad,
        "zeros": sum(int(np.count_nonzero(part == 0)) for part in _parts(array)),
        "empty_slices": sum(bool((part == part.flat[0]).all() or np.isnan(part.flat[0])) for part in array),
        "lowest": judgement.low,
        "highest": judgement.high,
        "least": float(whole.min()),
        "most": float(whole.max()),
        "looks_like_hu": hu,
        "notes": list(volume.notes),
    }
    del volume, array, whole
    labels = _read(root, source.label, "labels")
    found["label_grid"] = grid_as_json(labels.grid)
    found["voxels"], found["odd_values"] = _count(labels.array)
    if not found["odd_values"]:
        places = measure(labels, np.ascontiguousarray(labels.array, np.uint8))
        organs = [label for label in found["voxels"] if label]
        found["centres"] = {label: places.centroid[label].tolist() for label in organs}
        found["edges"] = {label: list(places.edges[label]) for label in organs if label in places.edges}
    return found


def _read(root: Path, place: str, what: str) -> Volume:
    try:
        return read_raw(root, place)
    except IUINetError as error:
        raise InputRefused(f"The {what}: {error.message}", hint=error.hint, code=error.code) from error


def _count(labels: np.ndarray) -> tuple[dict[int, int], list[float]]:
    """Voxels per label, and some values that no label can have."""
    counts = np.zeros(HIGHEST_LABEL + 1, np.int64)
    odd: set[float] = set()
    for part in _parts(labels):
        values = part.ravel()
        if part.dtype != np.uint8:
            good = (values >= 0) & (values <= HIGHEST_LABEL)
            if part.dtype.kind == "f":
                good &= values == np.floor(np.where(good, values, 0.5))
            if not good.all():
                odd.update(float(value) for value in np.unique(values[~good])[:_SHOWN])
                values = values[good]
            values = values.astype(np.uint8)
        counts += np.bincount(values, minlength=len(counts))
    # JSON knows neither NaN nor infinity.
    shown = [value if np.isfinite(value) else -1e9 for value in sorted(odd)[:_SHOWN]]
    return {int(label): int(counts[label]) for label in np.flatnonzero(counts)}, shown


def _parts(array: np.ndarray) -> Iterator[np.ndarray]:
    """Pieces along the first axis: what is computed about a whole scan at once takes much memory."""
    step = max(1, _SLAB // max(1, array[0].size))
    return (array[start : start + step] for start in range(0, len(array), step))


def finite(array: np.ndarray) -> np.ndarray:
    """The array with air in place of what is not a number (a registration leaves NaN outside the scan)."""
    if array.dtype.kind != "f":
        return array
    return np.nan_to_num(array, nan=-1024.0, posinf=3071.0, neginf=-1024.0)
