"""Prepared training data: the index that ``prepare.py`` wrote, its arrays, and the raw data behind them.

The second half is the folder while it is written: its lock, its space, and what may be cleared away.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from iuinet.errors import InputRefused, OutputError, UsageError
from iuinet.files import output_error, require_space
from iuinet.leftovers import lock as lock_file
from iuinet.volume import Grid, Volume

from .arrays import ARRAYS, read_labels
from .facts import grid_as_json, grid_from_json
from .raw_files import read_raw, sha256_of

INDEX = "index.json"
FORMAT = 1
FACTS, LOCK, CHECKS = "facts", ".lock", "checks.json"
_AGAIN = "Run prepare.py again with the same folders: it does only what is missing."
_DRAFT = re.compile(r"\.iuinet-[0-9a-f]{12}(\.safetensors|\.json|\.owner)")
_SPARE = 200 * 2**20  # bytes that must stay free beside what is written


@dataclass(frozen=True)
class Case:
    """One prepared image with labels.

    id: "0001"; a pair: "0001-0061" (labelled case moved onto 0061); own data: its name.
    kind: "case" or "pair". atlas: of a pair the labelled case whose image and labels were warped.
    image, label: where they were found, relative to the raw root.
    grid: the image's native grid. label_grid: the labels', None where it is the same.
    arrays: file name of the prepared arrays.
    voxels: native voxels per raw label (the data's own number for unknown as 255).
    """

    id: str
    kind: str
    atlas: str | None
    image: str
    label: str
    image_sha256: str
    label_sha256: str
    grid: Grid
    arrays: str
    voxels: dict[int, int]
    label_grid: Grid | None = None

    def to_json(self) -> dict:
        """A document that ``from_json`` reads."""
        own = None if self.label_grid is None else grid_as_json(self.label_grid)
        return {**asdict(self), "grid": grid_as_json(self.grid), "label_grid": own}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Case:
        """The case of such a document.

        Raises: TypeError, KeyError or ValueError for anything else.
        """
        voxels = {int(label): int(count) for label, count in document["voxels"].items()}
        own = document.get("label_grid")
        grids = {"grid": grid_from_json(document["grid"]), "label_grid": own and grid_from_json(own)}
        return cls(**{**document, **grids, "voxels": voxels})


@dataclass(frozen=True)
class PreparedData:
    """A prepared folder.

    size: the arrays' edge. root: of the raw data.
    organs: {"name", "label"[, "color", "terminology", "pieces"]}, all that the labels may hold, raw ids.
    splits: named splits that came with own data, else {}.
    fingerprint: sha256 over everything that decides the content.
    ignore: the raw labels' own number for unknown voxels.
    labelled_only: names of the organs that the labels show where there are any: of all others a voxel without
    a label says nothing. None for all organs. clipped: lowest and highest HU of the images, None where no
    limit is known. millimetres: whether the size of the voxels is known; else grids have 1 mm for unknown.
    generated: whether a program drew the images, so that they say nothing of patients.
    """

    folder: Path
    name: str
    size: int
    root: Path
    organs: tuple[dict, ...]
    cases: tuple[Case, ...]
    splits: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    fingerprint: str = ""
    ignore: int | None = None
    labelled_only: tuple[str, ...] | None = None
    clipped: tuple[float, float] | None = None
    millimetres: bool = True
    generated: bool = False

    @property
    def labelled(self) -> tuple[str, ...]:
        """Names of the organs that the labels show where there are any, in the order of the organs."""
        only = self.labelled_only
        return tuple(organ["name"] for organ in self.organs if only is None or organ["name"] in only)

    @cached_property
    def _by_id(self) -> dict[str, Case]:
        return {case.id: case for case in self.cases}

    def case(self, id: str) -> Case:
        """The case or pair of this id.

        Raises: UsageError "unknown-case" for another one.
        """
        if id not in self._by_id:
            hint = f"They hold {len(self.cases)} cases; see {INDEX} in {self.folder}."
            raise UsageError(f"the prepared data hold no case {id!r}", hint=hint, code="unknown-case")
        return self._by_id[id]

    def arrays(self, id: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Image float16 HU (S, S, S), not windowed, and labels uint8 (S, S, S), raw ids, 255 unknown.

        Canonical axes.
        Raises: InputRefused "cache-damaged" for a file that is missing or damaged.
        """
        file = self.folder / ARRAYS / self.case(id).arrays
        try:
            tensors = load_file(file)
            image, labels = tensors["image"], tensors["labels"]
            good = image.shape == labels.shape == (self.size,) * 3
            good = good and (image.dtype, labels.dtype) == (torch.float16, torch.uint8)
        except (OSError, SafetensorError, KeyError) as error:
            raise self._damaged(id, file) from error
        if not good:
            raise self._damaged(id, file)
        return image, labels

    def native(self, id: str) -> tuple[Volume, np.ndarray]:
        """Raw image, and raw labels uint8 (k, j, i) on their own grid, read where they were found.

        Both grids fill one box, and have one direction; ``Case.label_grid`` tells whether they differ.

        Raises: InputRefused "source-changed" for a file that is not the one prepared, "not-found" without it.
        """
        case = self.case(id)
        if not self.root.exists():
            raise InputRefused(
                f"The raw data of {self.name} are no longer at {self.root}; "
                "scores on the scans' own grids need them.",
                hint="Bring them back there, or run prepare.py with the place where they are now.",
                code="not-found",
            )
        if sha256_of(self.root, case.image) != case.image_sha256:
            text = f"{case.image} has changed since it was prepared."
            raise InputRefused(text, hint=_AGAIN, code="source-changed")
        volume = read_raw(self.root, case.image)
        return volume, read_labels(self.root, case.label, case.label_sha256, self.ignore).array

    def _damaged(self, id: str, file: Path) -> InputRefused:
        text = f"The prepared arrays of {id} ({file.name}) are missing or damaged."
        return InputRefused(text, hint=_AGAIN, code="cache-damaged")


def open_prepared(folder: Path | str) -> PreparedData:
    """The prepared data in a folder.

    Raises: InputRefused "not-prepared", "index-damaged" or "index-format" for any other folder.
    """
    folder = Path(folder)
    try:
        document = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "Prepare them first with prepare.py."
        raise InputRefused(f"{folder} holds no prepared data.", hint=hint, code="not-prepared") from error
    except (OSError, ValueError) as error:
        raise InputRefused(f"{folder / INDEX} cannot be read.", hint=_AGAIN, code="index-damaged") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputRefused(f"{folder / INDEX} has another format.", hint=_AGAIN, code="index-format")
    try:
        plain = {key: document[key] for key in ("name", "size", "splits", "fingerprint", "ignore")}
        organs, root = tuple(document["organs"]), Path(document["root"])
        cases = tuple(Case.from_json(entry) for entry in document["cases"])
        # Written only where the set declares them.
        told = {key: tuple(document[key]) for key in ("labelled_only", "clipped") if key in document}
        told["millimetres"] = document.get("millimetres", True)
        told["generated"] = document.get("generated", False)
        return PreparedData(folder=folder, root=root, organs=organs, cases=cases, **plain, **told)
    except (KeyError, TypeError, ValueError) as error:
        raise InputRefused(f"{folder / INDEX} is damaged.", hint=_AGAIN, code="index-damaged") from error


# Writing: lock, space, and what may be cleared away -----------------------------------------------------


def check_space(out: Path, cases: int, needed: int) -> None:
    """Refuse to begin what the disk cannot hold: so many cases, so many bytes.

    Raises: OutputError "disk-full" for too little space.
    """
    if cases:
        hint = "Free some space, choose another folder with --out, or prepare fewer cases (--no-pairs)."
        require_space(out, needed, f"{cases} cases need", hint, _SPARE)


@contextmanager
def prepared_folder(out: Path) -> Iterator[None]:
    """Make the folder, hold it against other runs, and take away what an earlier run left half-done.

    Raises: OutputError "folder-busy" for a folder where another run works, and for what the disk refuses.
    """
    try:
        for folder in (out, out / ARRAYS, out / FACTS):
            folder.mkdir(parents=True, exist_ok=True)
        lock = open(out / LOCK, "a+b")  # noqa: SIM115
    except OSError as error:
        raise output_error(Path(error.filename or out), error) from error
    with lock:
        _hold(lock.fileno(), out)
        _clear(out)
        try:
            yield
        finally:
            _clear(out)


def _hold(descriptor: int, out: Path) -> None:
    """The system gives the lock back however the process ends. Drives that know no locks are used without."""
    for attempt in range(20):  # the workers of a run that was just killed need a moment to end
        try:
            lock_file(descriptor)
            return
        except BlockingIOError:
            if attempt < 19:
                time.sleep(0.1)
        except OSError:
            return
    raise OutputError(
        f"another run of prepare.py works in {out}",
        hint="Wait for it, or choose another folder.",
        code="folder-busy",
    )


def _clear(out: Path) -> None:
    """Remove drafts: no other run works here, and nothing else is touched."""
    for folder in (out, out / ARRAYS, out / FACTS):
        for path in list(folder.glob(".iuinet-*")):
            if _DRAFT.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()


def unused_arrays(out: Path) -> tuple[int, int]:
    """Number and bytes of array files of earlier settings or files, which the index does not name."""
    used = {entry["arrays"] for entry in json.loads((out / INDEX).read_text(encoding="utf-8"))["cases"]}
    sizes = [path.stat().st_size for path in (out / ARRAYS).glob("*.safetensors") if path.name not in used]
    return len(sizes), sum(sizes)


def writable_json(path: Path) -> None:
    """Refuse a place for a JSON file before the work starts.

    Raises: OutputError "no-output-folder" for a folder that is missing or read-only.
    """
    folder = path.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OutputError(
            f"{path} cannot be written: its folder does not exist or may not be written to",
            hint="Create the folder first, or choose another place.",
            code="no-output-folder",
        )
