"""Which models there are and where they lie.

Models come from three places:

* the manifest that ships with the module (``Resources/Weights/manifest.json``, the starter model beside
  it), or the one that ``IUINET_WEIGHTS_INDEX`` names: a hospital's mirror, a researcher's own;
* the per-user folder (``IUINET_HOME`` overrides its place): each model with a record beside it that has
  the form of a manifest entry;
* any file whose path is given.

Needs no torch and never uses the network: that is download.py's work.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from iuinet.errors import WeightsError

from .index import index_address, kept_copy
from .model_file import PICKLE_SUFFIXES, SUFFIX, Weights, check_file
from .places import absolute, models_folder

__all__ = [
    "Entry",
    "Weights",
    "bad_records",
    "check_entry",
    "check_file",
    "find_entry",
    "list_models",
    "models_folder",
    "resolve",
]

MANIFEST_FORMAT = 1
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LONGEST_NAME = 215  # of a file: a download's part file adds some letters, and drives take 255
_LARGEST_SIZE = 2**63  # bytes
# What a list may say of a file anew: it may be measured and its sources be known after it was made.
_STATED = ("metrics", "license", "sources")


@dataclass(frozen=True)
class Entry:
    """One model that a list names, whether its file is here or not.

    file: plain file name. sha256, size (bytes): of that file. path: where it lies, None if it is not on
    this computer. source: "manifest" or "user". default: taken when the user names none.
    stated: what the list says of metrics, licence and sources, which goes before the file's own words.
    """

    id: str
    version: str
    file: str
    sha256: str
    size: int
    urls: tuple[str, ...]
    preset: str
    organs: tuple[str, ...]
    source: str
    path: Path | None
    default: bool = False
    stated: Mapping[str, Any] = field(default_factory=dict, compare=False)


# Places -------------------------------------------------------------------------------------------------


def manifest_path() -> Path:
    """The manifest in use: ``IUINET_WEIGHTS_INDEX``, else the one that ships with the module.

    >>> manifest_path().name
    'manifest.json'
    """
    named = os.environ.get("IUINET_WEIGHTS_INDEX")
    if not named:
        return Path(__file__).resolve().parents[2] / "Resources" / "Weights" / "manifest.json"
    address = index_address()
    if address:
        copy = kept_copy(address)
        if not os.path.exists(copy):
            raise WeightsError(
                f"the list of models at {address} has not been fetched yet",
                code="weights-list",
                hint="Run 'iuinet weights install' with a model's id, which fetches it.",
            )
        return copy
    return absolute(named)


# Finding ------------------------------------------------------------------------------------------------


def resolve(weights: str | Path | None = None) -> Weights:
    """Find and check a model: the default (None), an id, or a file. Its document is the one in its file, with
    what the list in use says of this very file in the place of the file's own words, see ``Entry.stated``.

    Raises: WeightsError for a model that is absent, damaged, or not readable by this version.

    >>> resolve().id
    'starter-tiny'
    """
    if weights is None:
        return check_entry(_default_entry())
    if is_path(weights):
        return _as_stated(check_file(absolute(weights)))
    return check_entry(find_entry(str(weights)))


def _as_stated(found: Weights, entry: Entry | None = None) -> Weights:
    """The model with what a list says of it. entry: None for the one of the same SHA-256, if there is one."""
    if entry is None:
        with suppress(WeightsError):  # a file of the user's own works without a list, too
            entry = next((one for one in list_models() if one.stated and one.sha256 == found.sha256), None)
    return found if entry is None else replace(found, document={**found.document, **entry.stated})


def is_path(weights: str | Path) -> bool:
    """Whether a user's word names a file rather than an id.

    >>> is_path("abdomen13"), is_path("./model.safetensors")
    (False, True)
    """
    path = Path(weights)
    if isinstance(weights, Path) or len(path.parts) > 1 or path.is_absolute():
        return True
    return path.suffix.lower() in {SUFFIX, *PICKLE_SUFFIXES} or os.path.isfile(path)


def _default_entry() -> Entry:
    for entry in list_models():
        if entry.default:
            return entry
    raise WeightsError(
        f"the list of models {manifest_path()} names no default model",
        code="weights-default",
        hint="Choose a model by its id or file; 'iuinet weights list' shows what there is.",
    )


def find_entry(identifier: str) -> Entry:
    """The first model with this id, the manifest before the per-user folder.

    Raises: WeightsError "weights-unknown" for an id that no list names.

    >>> find_entry("starter-tiny").organs[:2]
    ('spleen', 'right kidney')
    """
    models = list_models()
    for entry in models:
        if entry.id == identifier:
            return entry
    known = ", ".join(dict.fromkeys(entry.id for entry in models)) or "none"
    raise WeightsError(
        f"there is no model with the id {identifier!r}",
        code="weights-unknown",
        hint=f"Known ids: {known}. A file is named with its folder, such as ./model{SUFFIX}.",
    )


def check_entry(entry: Entry) -> Weights:
    """Check the file of a listed model: it is here, whole, ours, and the one that the list means.

    Raises: WeightsError "weights-missing" or "weights-id" for another one, and those of ``check_file``.

    >>> len(check_entry(find_entry("starter-tiny")).sha256)
    64
    """
    if entry.path is None:
        raise WeightsError(
            f"the model {entry.id} {entry.version} is not on this computer",
            code="weights-missing",
            hint=f"Get the file {entry.file} and run 'iuinet weights import FILE'.",
        )
    found = check_file(entry.path, sha256=entry.sha256)
    if (found.id, found.version) != (entry.id, entry.version):
        raise WeightsError(
            f"the list of models calls the file {entry.file} {entry.id} {entry.version}, "
            f"but the file says that it is {found.id} {found.version}",
            code="weights-id",
            hint="Correct the list of models, or export the model again.",
        )
    return _as_stated(found, entry)


def list_models() -> tuple[Entry, ...]:
    """All models that the manifest and the per-user folder name, in the order in which ids are searched.

    Among the user's own, the latest import goes first. A record that cannot be read is left out, see
    ``bad_records``: its model counts as not imported.

    >>> [entry.id for entry in list_models() if entry.default]
    ['starter-tiny']
    """
    path = manifest_path()
    manifest = read_manifest(path)
    default = manifest.get("default")
    entries = [_entry(model, path.parent, "manifest", model["id"] == default) for model in manifest["models"]]
    listed = {(entry.id, entry.version) for entry in entries}
    folder = models_folder()
    for model in _records()[0]:
        if (model["id"], model["version"]) not in listed:
            entries.append(_entry(model, folder, "user"))
    return tuple(entries)


def bad_records() -> list[str]:
    """A sentence on every record in the per-user folder that cannot be read, so that its model is left out.

    >>> bad_records()
    []
    """
    return _records()[1]


def _records() -> tuple[list[dict[str, Any]], list[str]]:
    """The models of the per-user folder, the latest first, and sentences on the records left out."""
    models, bad = {}, []
    folder = models_folder()
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            model = json.loads(path.read_text(encoding="utf-8"))
            check_model(model)
            models[path] = (os.path.getmtime(path), model)
        except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
            bad.append(f"{path.name} is no record of a model and was left out: {_reason(error)}")
    return [model for _, model in sorted(models.values(), key=lambda item: -item[0])], bad


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, OSError):
        return error.strerror or "the drive reports an error"
    return str(error) or type(error).__name__


def read_manifest(path: Path) -> dict[str, Any]:
    """Read and check a list of models.

    Raises: WeightsError "weights-list" for one that cannot be used.

    >>> read_manifest(manifest_path())["format"]
    1
    """
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] > MANIFEST_FORMAT:
            raise ValueError(f"its format {manifest['format']} is newer than this version of IUINet")
        for model in manifest["models"]:
            check_model(model)
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"the list of models {path} cannot be used: {_reason(error)}",
            code="weights-list",
            hint="Correct or unset IUINET_WEIGHTS_INDEX, or install IUINet again.",
        ) from error
    return manifest


def check_model(model: Mapping[str, Any]) -> None:
    """Check one entry.

    Raises: ValueError, TypeError or KeyError for one that could not be used safely.

    >>> check_model({"id": "a", "version": "1", "file": "a.safetensors", "sha256": "0" * 64, "size": 5})
    """
    for key in ("id", "version"):
        if not isinstance(model[key], str) or not PLAIN_NAME.fullmatch(model[key]):
            raise ValueError(f"{key} {_shortened(model[key])} is not a plain name of at most 100 letters")
    # A file name with a folder in it could reach out of the models' folder, and the record beside a model
    # has its name with another ending.
    file = model["file"]
    plain = isinstance(file, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", file)
    if not plain or not file.endswith(SUFFIX) or len(file) > _LONGEST_NAME:
        raise ValueError(f"file {_shortened(file)} is not a plain name that ends with {SUFFIX}")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", str(model["sha256"])):
        raise ValueError(f"sha256 {_shortened(model['sha256'])} is not a SHA-256")
    if type(model["size"]) is not int or not 0 < model["size"] < _LARGEST_SIZE:
        raise ValueError(f"size {_shortened(model['size'])} is not a number of bytes")
    for key in ("urls", "organs"):
        words = model.get(key, [])
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise TypeError(f"{key} {_shortened(words)} is not a list of words")
    if not isinstance(model.get("preset", ""), str):
        raise TypeError(f"preset {_shortened(model['preset'])} is not a word")


def _shortened(value: object) -> str:
    """A value for a message, which should stay one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _entry(model: Mapping[str, Any], folder: Path, source: str, default: bool = False) -> Entry:
    """An Entry from its JSON form; its file lies beside the list or in the per-user folder."""
    places = [folder / model["file"], models_folder() / model["file"]]
    return Entry(
        id=model["id"],
        version=model["version"],
        file=model["file"],
        sha256=model["sha256"].lower(),
        size=model["size"],
        urls=tuple(model.get("urls", ())),
        preset=model.get("preset", ""),
        organs=tuple(model.get("organs", ())),
        source=source,
        path=next((place for place in places if os.path.isfile(place)), None),
        default=default,
        stated={key: model[key] for key in _STATED if model.get(key)},
    )
