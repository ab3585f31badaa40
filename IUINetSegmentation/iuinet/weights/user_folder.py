"""The per-user folder of models: bring one in, take one out.

A model there is a file and, beside it, a record in the form of a manifest entry. The record is written
last and deleted first, so that a cut copy never counts as a model. Needs no torch and no network.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from iuinet.errors import WeightsError

from . import PLAIN_NAME, Entry, find_entry, is_path, list_models, models_folder
from .model_file import SUFFIX, Weights, check_file, file_sha256
from .places import absolute


def import_file(path: Path) -> Entry:
    """Check a model file and copy it into the per-user folder, by one rename; then its id is known.

    A model that is already here is left as it is.
    Raises: WeightsError for a file that is refused, is not the listed one, or cannot be stored.

    >>> import_file(Path("abdomen13.safetensors")).id  # doctest: +SKIP
    'abdomen13'
    """
    weights = check_file(absolute(path))
    if not all(PLAIN_NAME.fullmatch(word) for word in (weights.id, weights.version)):
        raise WeightsError(
            f"the model's id {weights.id!r} or version {weights.version!r} is not a plain name",
            code="weights-metadata",
            hint="Export the model again with an id of letters, digits, '.', '_' and '-'.",
        )
    same = _listed(weights)
    if same and same.sha256 != weights.sha256:
        raise WeightsError(
            f"{path.name} calls itself {weights.id} {weights.version}, but that model has another SHA-256 "
            f"({same.sha256[:8]}... instead of {weights.sha256[:8]}...)",
            code="weights-hash",
            hint="Export it with another id or version, or remove the model of that name first.",
        )
    if same is None or same.path is None or file_sha256(same.path) != weights.sha256:
        name = same.file if same else f"{weights.id}-{weights.version}{SUFFIX}"
        _store(weights, models_folder() / name)
    return _listed(weights)


def record_of(weights: Weights, file: Path) -> dict[str, Any]:
    """The JSON record of a model, in the form of a manifest entry. file: where the model lies.

    >>> from iuinet.weights import resolve
    >>> record_of(resolve(), resolve().path)["organs"][:2]
    ['spleen', 'right kidney']
    """
    return {
        "id": weights.id,
        "version": weights.version,
        "file": file.name,
        "sha256": weights.sha256,
        "size": file.stat().st_size,
        "urls": [],
        "preset": str(weights.document["network"].get("preset", "")),
        "organs": [organ["name"] for organ in weights.document["organs"]],
    }


def write_record(weights: Weights, target: Path) -> None:
    """Make a file that lies in the folder of models a model: write its record, by one rename.

    >>> from tempfile import TemporaryDirectory
    >>> from iuinet.weights import resolve
    >>> with TemporaryDirectory() as folder:
    ...     copy = Path(shutil.copy(resolve().path, folder))
    ...     write_record(resolve(), copy)
    ...     json.loads(copy.with_suffix(".json").read_text())["id"]
    'starter-tiny'
    """
    draft = target.with_name(f"{target.name}.record")
    try:
        draft.write_text(json.dumps(record_of(weights, target), indent=2) + "\n", encoding="utf-8")
        os.replace(draft, target.with_suffix(".json"))
    finally:
        draft.unlink(missing_ok=True)


def _listed(weights: Weights) -> Entry | None:
    """The entry with this id and version."""
    wanted = (weights.id, weights.version)
    return next((entry for entry in list_models() if (entry.id, entry.version) == wanted), None)


def _store(weights: Weights, target: Path) -> None:
    """Copy the file and write its record. The record comes last: without it the model does not exist."""
    folder = target.parent
    part = target.with_name(target.name + ".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(weights.path, part)
        # The source may lie on a bad disk or drive: what counts is what arrived.
        check_file(part, sha256=weights.sha256)
        os.replace(part, target)
        write_record(weights, target)
    except OSError as error:
        raise WeightsError(
            f"the model cannot be stored in {folder}: {error.strerror}",
            code="weights-folder",
            hint="Free some space or set IUINET_HOME to a folder that you may write to.",
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()


def remove(identifier: str) -> Path:
    """Delete a model from the per-user folder; returns the deleted file.

    Raises: WeightsError for an unknown id, a model that came with IUINet, or a file that stays.

    >>> remove("abdomen13").name  # doctest: +SKIP
    'abdomen13-1.0.safetensors'
    """
    folder = models_folder()
    entry = find_entry(identifier)
    if entry.path is None or entry.path.parent != folder:
        raise WeightsError(
            f"the model {identifier} is not in your folder {folder}",
            code="weights-not-yours",
            hint="Only models that were imported can be removed.",
        )
    try:
        # The record goes first: a model without one does not exist.
        entry.path.with_suffix(".json").unlink(missing_ok=True)
        entry.path.unlink()
    except OSError as error:
        raise WeightsError(
            f"the model {entry.path} cannot be removed: {error.strerror}",
            code="weights-folder",
            hint="Check the rights of the folder, and that no program is using the model.",
        ) from error
    return entry.path


def set_aside(weights: str | None) -> None:
    """Move a listed model that proved damaged out of the folder of models, if it can be downloaded again.

    weights: id, None for the default model; a file of the user's own is never touched. The next look at the
    list finds the model absent. What cannot be moved stays: it is refused at each use.

    >>> set_aside(None)  # nothing happens: the default model came with IUINet
    """
    if weights is not None and is_path(weights):
        return
    wanted = (entry for entry in list_models() if (entry.default if weights is None else entry.id == weights))
    entry = next(wanted, None)
    if entry is None or entry.path is None or not entry.urls or entry.path.parent != models_folder():
        return
    refused = models_folder() / "refused"
    with suppress(OSError):
        refused.mkdir(exist_ok=True)
        entry.path.with_suffix(".json").unlink(missing_ok=True)
        os.replace(entry.path, refused / f"{entry.file}.{entry.sha256[:8]}.damaged.refused")
