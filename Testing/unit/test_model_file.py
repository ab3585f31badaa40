"""A model file that cannot be trusted is refused in plain words, and never opened further than its header."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from helpers.model_factory import refusal, write_model

from iuinet import weights
from iuinet.weights import model_file


def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    whole = write_model(tmp_path / "whole.safetensors").read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        assert refusal(model_file.read_document, cut).code == "weights-damaged"
    cut.write_bytes(whole + b"\0")
    assert refusal(model_file.read_document, cut).code == "weights-damaged"


def test_a_header_that_claims_an_absurd_length_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "absurd.safetensors"
    path.write_bytes(struct.pack("<Q", 2**63) + b"{}")
    assert refusal(model_file.read_document, path).code == "weights-damaged"


def test_a_header_of_many_megabytes_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    """As Python's objects it would take 25 times its size."""
    path = write_model(tmp_path / "long.safetensors", text=json.dumps([{}] * 1_300_000))
    tracemalloc.start()
    assert refusal(model_file.read_document, path).code == "weights-damaged"
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize("header", [b"[]", b"{]", b'{"a": 1}', b'{"a": {}}', b"\xff\xfe", b"[" * 100_000])
def test_a_header_that_is_no_safetensors_header_is_refused(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    assert refusal(model_file.read_document, path).code == "weights-damaged"


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".pkl"])
def test_a_checkpoint_by_its_name_is_refused_with_the_reason_and_the_way(suffix: str, tmp_path: Path) -> None:
    path = write_model(tmp_path / f"model{suffix}")
    error = refusal(weights.resolve, str(path))
    assert error.code == "weights-pickle" and "runs" in error.message and "export.py" in error.hint


def test_a_pickle_or_zip_under_a_false_name_is_refused_unopened(tmp_path: Path) -> None:
    pickled = tmp_path / "pickled.safetensors"
    pickled.write_bytes(b"\x80\x04\x95" + bytes(100))
    zipped = tmp_path / "zipped.safetensors"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("data.pkl", b"\x80\x02")
    for path in (pickled, zipped):
        assert refusal(model_file.read_document, path).code == "weights-pickle"


@pytest.mark.parametrize("lowest", [b"\x80", b"PK"])
def test_a_header_whose_length_begins_like_a_pickle_or_zip_is_read(lowest: bytes, tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.safetensors")
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    wanted = 2**16 * (1 + length // 2**16) + int.from_bytes(lowest, "little")
    padding = b" " * (wanted - length)  # the format pads its header with spaces
    path.write_bytes(struct.pack("<Q", wanted) + whole[8 : 8 + length] + padding + whole[8 + length :])
    assert path.read_bytes().startswith(lowest)
    assert model_file.read_document(path)["format"] == model_file.FORMAT


def test_a_file_that_was_changed_just_now_is_looked_at_again(tmp_path: Path) -> None:
    """The same size and, on a coarse clock, the same time: the content decides."""
    path = tmp_path / "model"
    hashes = []
    for content in (b"one", b"two"):
        path.write_bytes(content)
        second = int(time.time()) * 10**9
        os.utime(path, ns=(second, second))
        hashes.append(model_file.file_sha256(path))
    assert hashes == [hashlib.sha256(content).hexdigest() for content in (b"one", b"two")]


def test_a_safetensors_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    for header in (b"{}", b'{"__metadata__":{"format":"pt"}}', b'{"__metadata__":[]}'):
        path.write_bytes(struct.pack("<Q", len(header)) + header)
        assert refusal(model_file.read_document, path).code == "weights-metadata"


def test_a_newer_format_asks_for_an_update(tmp_path: Path) -> None:
    error = refusal(model_file.read_document, write_model(tmp_path / "new.safetensors", format=2))
    assert error.code == "weights-newer" and "Update" in error.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "no json"},
        {"text": "[]"},
        {"text": "{}"},
        {"text": "null"},
        {"id": ""},
        {"version": 1},
        {"network": None},
        {"network": {"classes": 3}},
        {"preprocessing": {"window": [-125, 275]}},
        {"preprocessing": {"size": 32, "window": [-125]}},
        {"preprocessing": {"size": 32, "window": [275, -125]}},
        {"preprocessing": {"size": 32, "window": [-125, float("nan")]}},
        {"preprocessing": {"size": 0, "window": [-125, 275]}},
        {"preprocessing": {"size": 10**40, "window": [-125, 275]}},
        {"preprocessing": {"size": 32, "window": {"a": 1, "b": 2}}},
        {"preprocessing": {"size": 32, "window": [10**400, 275]}},
        {"organs": []},
        {"organs": ["liver"]},
        {"organs": [{"name": "liver"}]},
        {"organs": [{"name": "liver", "label": 0}]},
        {"organs": [{"name": "liver", "label": 256}]},
        {"organs": [{"name": "liver", "label": True}]},
        {"organs": [{"name": "liver", "label": 1}, {"name": "spleen", "label": 1}]},
        {"organs": [{"name": "liver", "label": 1}, {"name": "liver", "label": 2}]},
    ],
)
def test_a_wrong_document_is_refused(changes: dict, tmp_path: Path) -> None:
    path = write_model(tmp_path / "wrong.safetensors", **changes)
    assert refusal(model_file.read_document, path).code == "weights-metadata"


@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="needs Linux's /proc")
def test_a_file_that_the_system_does_not_let_us_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "unreadable.safetensors"
    path.symlink_to("/proc/self/mem")  # its first byte cannot be read by anybody, root included
    assert refusal(model_file.read_document, path).code == "weights-unreadable"
