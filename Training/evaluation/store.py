"""Finished results on disk, one file per model and case, so that an evaluation that was stopped goes on.

A result is taken again only if everything that decides it is the same: the model's file, the data, the case's
own files and the settings. All that is in its key.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from iuinet.atomic import output_error
from iuinet.labels import Organ
from iuinet.reading import read_volume
from iuinet.volume import Grid
from iuinet.writing import image_on_grid, write_json, write_labels

# Raised whenever the same label maps would be scored otherwise than by an earlier version.
SCORING = 1
PARTS, LABELS = "parts", "labels"


def key_of(**settings: Any) -> str:
    """A short name for all that decides a result."""
    text = json.dumps({"scoring": SCORING, **settings}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Store:
    """Results and label maps in an output folder, which is made. Raises OutputError where it cannot be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, model: str, case: str, key: str) -> dict[str, Any] | None:
        """The result of a model on a case, None where there is none of this key."""
        try:
            document = json.loads(self._part(model, case).read_text(encoding="utf-8"))
            return document["result"] if document["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # a damaged result is computed again

    def write(self, model: str, case: str, key: str, result: dict[str, Any]) -> None:
        """Keep a result, completely or not at all."""
        path = self._part(model, case)
        make_folder(path.parent)
        write_json(path, {"key": key, "result": result}, overwrite=True)

    def labels(self, model: str, case: str) -> Path:
        """Where the label map of a model on a case lies."""
        return self.folder / LABELS / model / f"{case}.nii.gz"

    def read_labels(self, model: str, case: str) -> np.ndarray | None:
        """Kept labels (k, j, i), None where there are none."""
        path = self.labels(model, case)
        return read_volume(path).array.astype(np.uint8) if path.is_file() else None

    def write_labels(
        self, model: str, case: str, labels: np.ndarray, grid: Grid, organs: tuple[Organ, ...]
    ) -> None:
        """Keep a label map. labels: uint8 (k, j, i), ids of the organs."""
        path = self.labels(model, case)
        make_folder(path.parent)
        write_labels(path, image_on_grid(labels, grid), organs, overwrite=True)

    def _part(self, model: str, case: str) -> Path:
        return self.folder / PARTS / model / f"{case}.json"


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
