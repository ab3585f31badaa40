"""A model's entry in a list of models (manifest.json), as iuinet.weights reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iuinet.errors import UsageError
from iuinet.model_file import Weights, check_file
from iuinet.network import IUINetConfig
from iuinet.weights import MANIFEST_FORMAT, check_model, read_manifest
from iuinet.writing import write_json

from .model import preset_of


def entry_of(weights: Weights, urls: Sequence[str] = ()) -> dict[str, Any]:
    """The entry of a model file. urls: addresses that serve this very file."""
    return {
        "id": weights.id,
        "version": weights.version,
        "file": weights.path.name,
        "sha256": weights.sha256,
        "size": weights.path.stat().st_size,
        "urls": list(urls),
        "preset": preset_of(IUINetConfig.from_dict(weights.document["network"])),
        "organs": [organ["name"] for organ in weights.document["organs"]],
        "metrics": weights.document["metrics"],
        "license": weights.document["license"],
    }


def check_place(manifest: Path, folder: Path, urls: Sequence[str]) -> None:
    """Raise UsageError "manifest-place" for a list that would not find the model, WeightsError for one
    that cannot be read: before any work is done."""
    if manifest.exists():
        read_manifest(manifest)
    if manifest.absolute().parent.resolve() != folder.absolute().resolve() and not urls:
        raise UsageError(
            f"the list {manifest} would not find a model in {folder}",
            hint="Files lie beside their list: use the same folder, or give the file's address with --url.",
            code="manifest-place",
        )


def enter(manifest: Path, model: Path, default: bool = False, urls: Sequence[str] = ()) -> dict[str, Any]:
    """Put a model's entry into a list, in the place of an older one of its id; gives the entry.

    The first model of a new list becomes its default. Raises WeightsError, OutputError.
    """
    listed = {"format": MANIFEST_FORMAT, "default": "", "models": []}
    if manifest.exists():
        listed = read_manifest(manifest)
    entry = entry_of(check_file(model), urls)
    check_model(entry)
    others = [other for other in listed["models"] if other["id"] != entry["id"]]
    listed = {**listed, "models": [entry, *others]}
    if default or not listed["default"]:
        listed["default"] = entry["id"]
    write_json(manifest, listed, overwrite=True)
    return entry
