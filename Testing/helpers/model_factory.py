"""Invented model files and manifest entries, made by hand: no torch, no safetensors."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest

from iuinet.errors import WeightsError


def document(**changes: object) -> dict:
    """The JSON document of a small invented model."""
    return {
        "format": 1,
        "id": "toy",
        "version": "1.0",
        "network": {"classes": 2},
        "organs": [{"name": "liver", "label": 6}],
        "preprocessing": {"orientation": "LPS", "size": 32, "window": [-125, 275]},
        **changes,
    }


def write_model(path: Path, text: str | None = None, tensor_bytes: int = 8, **changes: object) -> Path:
    """A valid safetensors file, made by hand; text replaces the document as it stands in the file."""
    header = {
        "__metadata__": {"iuinet": json.dumps(document(**changes)) if text is None else text},
        "weight": {"dtype": "F32", "shape": [tensor_bytes // 4], "data_offsets": [0, tensor_bytes]},
    }
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + bytes(tensor_bytes))
    return path


def entry(path: Path, **changes: object) -> dict:
    """The manifest entry of a model file."""
    data = path.read_bytes()
    return {
        "id": "toy",
        "version": "1.0",
        "file": path.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "urls": [],
        "preset": "tiny",
        "organs": ["liver"],
        "metrics": {},
        "license": "Apache-2.0",
        **changes,
    }


def refusal(function, *arguments: object) -> WeightsError:
    """The refusal that a call ends in; it has both sentences."""
    with pytest.raises(WeightsError) as caught:
        function(*arguments)
    assert caught.value.message and caught.value.hint
    assert caught.value.code.startswith("weights-")
    return caught.value
