"""Model files, lists of models, lines of the worker's protocol, recipes: read or refused by their own errors.

READ WRONGLY is here what passes although the file's SHA-256 is another one, or holds values that the layers
behind cannot use.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from iuinet.errors import IUINetError
from iuinet.volume import Grid, Volume
from iuinet.weights import list_models, model_file
from iuinet.worker import protocol
from pipeline.fitting.recipe_file import read_recipe, recipe_from

from .children import REFUSED, RIGHT, UNDETECTABLE, WRONG, Report
from .damage import BY_CHANCE, IN_TEXT

Work = Callable[[Report], None]
NAMES = ("safetensors", "manifest", "worker protocol", "recipe")
VALUES = (
    None, True, -1, 0, 1, 2**31, 10**40, 0.5, -1e308, float("nan"), float("inf"), "", "a", "../../x", "%s%n",
    "x" * 3000, "\x00", "ä\ud800", [], {}, [[]], {"a": {}}, ["a", 1],
)  # fmt: skip
DEEP = b"[" * 100_000


def case(name: str, rng: random.Random) -> Work:
    """The work of one child."""
    return {
        "safetensors": _model_file,
        "manifest": _manifest,
        "worker protocol": _line,
        "recipe": _recipe,
    }[name](rng)


def _damaged(rng: random.Random, text: bytes) -> bytes:
    """JSON or TOML, damaged as text; JSON half the time by a value of it."""
    choice = rng.random()
    if choice < 0.02:
        return rng.choice((DEEP, text[:20] + DEEP + text[20:], b"", b"\xff\xfe" + text, b"null"))
    if choice < 0.5 and text.lstrip()[:1] == b"{":
        document = json.loads(text)
        place, key = rng.choice(list(_places(document)))
        if rng.random() < 0.2:
            del place[key]
        else:
            place[key] = rng.choice(VALUES)
        return json.dumps(document).encode()
    for _ in range(rng.choice((1, 1, 2))):
        text = rng.choice((*IN_TEXT, *BY_CHANCE))(rng, text or b"\0")
    return text


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of nested JSON."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in [(value, key), *_places(value[key])]]


def _attempt(report: Report, read: Callable[[], Any], right: Any, judge: Callable[[Any], str]) -> None:
    try:
        found = read()
        why = judge(found)
    except IUINetError as error:
        report(REFUSED, error.code)
        return
    if why:
        report(WRONG, why)
    else:
        report(RIGHT if repr(found) == repr(right) else UNDETECTABLE)


# Model files --------------------------------------------------------------------------------------------

_DOCUMENT = {
    "format": 1, "id": "a", "version": "1", "network": {"classes": 3, "width": 4, "size": 32},
    "organs": [{"name": "liver", "label": 6, "color": [9, 8, 7]}, {"name": "spleen", "label": 1}],
    "preprocessing": {"orientation": "LPS", "size": 32, "window": [-125, 275],
                      "second_pass": {"organs": ["liver"], "margin_mm": 5}},
    "training": {"data": "none"}, "metrics": {}, "license": "Apache-2.0", "attributions": [],
    "intended_use": "Tests.",
}  # fmt: skip


def _model_bytes(document: bytes) -> bytes:
    """A safetensors file with one tensor; the format's page: 8 bytes of length, JSON, data."""
    header = {
        "__metadata__": {"iuinet": document.decode("utf-8", "replace")},
        "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(range(16))


def _model_file(rng: random.Random) -> Work:
    document = json.dumps(_DOCUMENT).encode()
    good = _model_bytes(document)
    lies = rng.random() < 0.5
    data = _model_bytes(_damaged(rng, document)) if lies else rng.choice(BY_CHANCE)(rng, good)

    def work(report: Report) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "a.safetensors")
            path.write_bytes(good)
            sha256 = model_file.check_file(path).sha256
            damaged = Path(folder, "b.safetensors")
            damaged.write_bytes(data)
            if data != good:
                try:
                    model_file.check_file(damaged, sha256)
                    report(WRONG, "a file with another SHA-256 passes")
                    return
                except IUINetError:
                    pass
            _attempt(report, lambda: model_file.read_document(damaged), _DOCUMENT, _wrong_document)

    return work


def _wrong_document(document: dict[str, Any]) -> str:
    from iuinet.labels import organs_of_model

    organs = organs_of_model(document)  # must not fail for what read_document let through
    window = document["preprocessing"].get("window", [-125, 275])
    if not all(0 <= part <= 255 for organ in organs for part in organ.color):
        return f"colours {[organ.color for organ in organs]}"
    if len(window) != 2 or not window[0] < window[1]:
        return f"the window is {window}"
    return ""


# Lists of models ----------------------------------------------------------------------------------------

_MANIFEST = {
    "format": 1, "default": "a",
    "models": [{
        "id": "a", "version": "1", "file": "a-1.safetensors", "sha256": "ab" * 32, "size": 4096,
        "urls": ["https://models.example.org/a-1.safetensors"], "preset": "tiny",
        "organs": ["liver", "spleen"],
        "metrics": {"dice": {"liver": 0.9}}, "license": "CC-BY-4.0",
    }],
}  # fmt: skip


def _manifest(rng: random.Random) -> Work:
    data = _damaged(rng, json.dumps(_MANIFEST).encode())

    def work(report: Report) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "manifest.json")
            path.write_bytes(data)
            os.environ["IUINET_WEIGHTS_INDEX"], os.environ["IUINET_HOME"] = str(path), folder
            _attempt(report, list_models, None, _wrong_entries)

    return work


def _wrong_entries(entries: tuple) -> str:
    for entry in entries:
        if not re.fullmatch(r"[\w.+-]+", entry.file) or not entry.file.endswith(".safetensors"):
            return f"the file {entry.file!r}"
        if not re.fullmatch("[0-9a-f]{64}", entry.sha256) or not 0 < entry.size < 2**40:
            return f"size {entry.size}, SHA-256 {entry.sha256}"
        if not all(isinstance(text, str) for text in (*entry.urls, *entry.organs)):
            return f"addresses {entry.urls}, organs {entry.organs}"
    return ""


# Lines of the protocol ----------------------------------------------------------------------------------


def _messages() -> list[bytes]:
    from iuinet.options import Options

    scan = Volume(np.zeros((2, 3, 4), "<i2"), Grid((4, 3, 2), (1.0, 1.0, 2.0)), "a")
    volume = protocol.describe_volume(scan, Path("a.raw"))
    options = dataclasses.asdict(Options())
    return [
        protocol.encode("segment", run=1, volume=volume, output="b.raw", options=options),
        protocol.encode("cancel", run=1),
        protocol.encode("error", run=1, code="a", text="b", hint="c", family="UsageError"),
        protocol.encode("progress", run=1, stage="a", fraction=0.5),
    ]


def _line(rng: random.Random) -> Work:
    prefix = protocol.PREFIX.encode()
    message = rng.choice(_messages())
    data = prefix + _damaged(rng, message[len(prefix) :].strip()) + b"\n"

    def work(report: Report) -> None:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            Path("a.raw").write_bytes(bytes(48))
            _attempt(report, lambda: _obey(data), _obey(message), lambda found: "")

    return work


def _obey(line: bytes) -> Any:
    """What the worker does with a line before any work."""
    message = protocol.decode(line)
    if message is not None and message["kind"] == "segment":
        return message, protocol.read_volume(message["volume"]).array.tolist()
    return protocol.rebuild_error(message) if message is not None and message["kind"] == "error" else message


# Recipes ------------------------------------------------------------------------------------------------


def _recipe(rng: random.Random) -> Work:
    root = Path(__file__).resolve().parents[2] / "Training" / "config"
    path = rng.choice(sorted(path for path in root.glob("*.toml") if "card" not in path.name))
    data = _damaged(rng, path.read_bytes())

    def work(report: Report) -> None:
        with tempfile.TemporaryDirectory() as folder:
            damaged = Path(folder, "recipe.toml")
            damaged.write_bytes(data)
            _attempt(report, lambda: read_recipe(damaged), read_recipe(path), _wrong_recipe)

    return work


def _wrong_recipe(recipe: Any) -> str:
    again = recipe_from(recipe.to_dict())  # a run must find its own recipe again
    return "" if repr(again) == repr(recipe) else "its own dictionary makes another recipe"
