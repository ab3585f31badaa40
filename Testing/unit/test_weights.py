"""Models are found where they should be, brought in and taken out."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest
from helpers.model_factory import entry, refusal, write_model

from iuinet import weights
from iuinet.weights import user_folder as weights_folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty per-user folder."""
    monkeypatch.setenv("IUINET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def manifest(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest with one model beside it, in use."""
    folder = tmp_path / "Modèles de 肝"
    folder.mkdir()
    model = write_model(folder / "toy.safetensors")
    return use_manifest(folder / "index.json", monkeypatch, models=[entry(model)])


def use_manifest(path: Path, monkeypatch: pytest.MonkeyPatch, **changes: object) -> Path:
    """Write a manifest and put it in use."""
    path.write_text(json.dumps({"format": 1, "default": "toy", "models": [], **changes}), encoding="utf-8")
    monkeypatch.setenv("IUINET_WEIGHTS_INDEX", str(path))
    return path


GOOD = {"id": "a", "version": "1", "file": "a.safetensors", "sha256": "0" * 64, "size": 1}
BAD = [
    {"file": "x.json"},  # whose record would take its place
    {"file": "a" * 5000 + ".safetensors"},
    {"id": "a" * 5000},
    {"size": 10**400},
    {"size": True},
    {"urls": 5},
    {"urls": [5]},
    {"organs": 5},
    {"organs": "liver"},
    {"preset": {}},
]


# Finding ------------------------------------------------------------------------------------------------


def test_the_default_an_id_and_a_file_give_the_same_model(manifest: Path) -> None:
    file = manifest.parent / "toy.safetensors"
    default, by_id, by_file = weights.resolve(), weights.resolve("toy"), weights.resolve(file)
    assert default == by_id == by_file
    assert default.path == file
    assert default.summary() == {
        "id": "toy",
        "version": "1.0",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    assert default.document["organs"] == [{"name": "liver", "label": 6}]


def test_a_relative_path_is_found_from_the_current_folder(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(manifest.parent)
    assert weights.resolve("toy.safetensors").path == manifest.parent / "toy.safetensors"


def test_an_unknown_id_is_refused_and_the_known_ones_are_named(manifest: Path) -> None:
    error = refusal(weights.resolve, "tyo")
    assert error.code == "weights-unknown" and "'tyo'" in error.message and "toy" in error.hint


def test_a_listed_model_that_is_not_here_is_refused_with_its_file_name(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (manifest.parent / "toy.safetensors").unlink()
    error = refusal(weights.resolve)
    assert error.code == "weights-missing" and "toy.safetensors" in error.hint


def test_a_missing_file_is_refused_with_its_path(home: Path, tmp_path: Path) -> None:
    error = refusal(weights.resolve, tmp_path / "no.safetensors")
    assert error.code == "weights-missing" and str(tmp_path) in error.message


def test_a_model_that_differs_from_its_hash_in_the_list_is_refused(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = manifest.parent / "toy.safetensors"
    assert weights.resolve().path == file
    data = bytearray(file.read_bytes())
    data[-1] ^= 1  # one bit of a tensor
    file.write_bytes(data)
    os.utime(file, ns=(0, 0))
    assert refusal(weights.resolve).code == "weights-hash"


def test_a_list_that_calls_a_file_by_another_id_is_refused(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = manifest.parent / "toy.safetensors"
    use_manifest(manifest, monkeypatch, models=[entry(file, version="2.0")])
    assert refusal(weights.resolve).code == "weights-id"


def test_the_first_version_in_the_list_is_the_current_one(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = manifest.parent / "toy.safetensors"
    new = write_model(manifest.parent / "toy-2.safetensors", version="2.0")
    use_manifest(manifest, monkeypatch, models=[entry(new, version="2.0"), entry(old)])
    assert weights.resolve("toy").version == "2.0"
    assert [item.version for item in weights.list_models()] == ["2.0", "1.0"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"models": []}',
        '{"format": 2, "models": []}',
        '{"format": 1, "models": [{"id": "a"}]}',
        '{"format": 1, "models": [{"id": "a", "version": "1", "file": "../a"}]}',
        '{"format": 1, "models": [{"id": "a", "version": "1", "file": "a.safetensors", "sha256": "0"}]}',
        "[" * 100_000,
        *(json.dumps({"format": 1, "models": [{**GOOD, **change}]}) for change in BAD),
    ],
)
def test_a_wrong_list_is_refused_with_its_path(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = use_manifest(tmp_path / "index.json", monkeypatch)
    path.write_text(text, encoding="utf-8")
    error = refusal(weights.list_models)
    assert error.code == "weights-list" and str(path) in error.message
    assert len(error.message) < 300 + len(str(path))


def test_a_missing_list_and_one_that_was_never_fetched_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IUINET_WEIGHTS_INDEX", str(tmp_path / "no.json"))
    assert "No such file" in refusal(weights.list_models).message
    monkeypatch.setenv("IUINET_WEIGHTS_INDEX", "https://models.example/index.json")
    assert "not been fetched" in refusal(weights.list_models).message


def test_a_list_without_a_default_says_so(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_manifest(manifest, monkeypatch, default="other")
    assert refusal(weights.resolve).code == "weights-default"


@pytest.mark.parametrize(
    ("platform", "variable", "ending"),
    [
        ("linux", "XDG_DATA_HOME", "iuinet"),
        ("win32", "LOCALAPPDATA", "IUINet"),
        ("darwin", "HOME", "Library/Application Support/IUINet"),
    ],
)
def test_every_platform_has_its_place_for_the_models(
    platform: str, variable: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IUINET_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert weights.places.user_folder() == tmp_path / ending


# The per-user folder ------------------------------------------------------------------------------------


def test_an_imported_model_is_known_by_its_id_and_can_be_removed(
    manifest: Path, home: Path, tmp_path: Path
) -> None:
    source = write_model(tmp_path / "mine.safetensors", id="mine")
    imported = weights_folder.import_file(source)
    assert imported.source == "user" and imported.organs == ("liver",)
    source.unlink()
    assert weights.resolve("mine").path == home / "models" / "mine-1.0.safetensors"
    assert [item.id for item in weights.list_models()] == ["toy", "mine"]
    assert sorted(path.name for path in (home / "models").iterdir()) == [
        "mine-1.0.json",
        "mine-1.0.safetensors",
    ]
    weights_folder.remove("mine")
    assert not list((home / "models").iterdir())
    assert refusal(weights.resolve, "mine").code == "weights-unknown"


def test_a_listed_model_can_be_brought_in_by_hand(
    manifest: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried = (manifest.parent / "toy.safetensors").rename(tmp_path / "download (1).safetensors")
    assert refusal(weights.resolve).code == "weights-missing"
    weights_folder.import_file(carried)
    assert weights.resolve().path == home / "models" / "toy.safetensors"


def test_a_file_that_only_claims_to_be_a_listed_model_is_not_imported(
    manifest: Path, home: Path, tmp_path: Path
) -> None:
    impostor = write_model(tmp_path / "impostor.safetensors", tensor_bytes=16)
    assert refusal(weights_folder.import_file, impostor).code == "weights-hash"
    assert not list(home.glob("models/*"))


def test_importing_twice_changes_nothing_and_repairs_a_damaged_copy(
    manifest: Path, home: Path, tmp_path: Path
) -> None:
    source = write_model(tmp_path / "mine.safetensors", id="mine")
    first = weights_folder.import_file(source)
    assert weights_folder.import_file(source) == first
    first.path.write_bytes(b"damaged")
    assert refusal(weights.resolve, "mine").code == "weights-damaged"
    weights_folder.import_file(source)
    assert weights.resolve("mine").sha256 == first.sha256


def test_a_cut_import_leaves_no_model(manifest: Path, home: Path, tmp_path: Path) -> None:
    source = write_model(tmp_path / "mine.safetensors", id="mine")
    imported = weights_folder.import_file(source)
    imported.path.with_suffix(".json").unlink()  # the record is what a crash would have left out
    assert refusal(weights.resolve, "mine").code == "weights-unknown"


def test_a_damaged_record_hides_its_model_and_no_other(manifest: Path, home: Path, tmp_path: Path) -> None:
    weights_folder.import_file(write_model(tmp_path / "mine.safetensors", id="mine"))
    (home / "models" / "mine-1.0.json").write_text("{")
    assert [item.id for item in weights.list_models()] == ["toy"]


@pytest.mark.parametrize("text", ["[" * 100_000, *(json.dumps({**GOOD, **change}) for change in BAD)])
def test_a_bad_record_breaks_no_command_and_is_named(
    text: str, manifest: Path, home: Path, tmp_path: Path
) -> None:
    weights_folder.import_file(write_model(tmp_path / "mine.safetensors", id="mine"))
    (home / "models" / "bad.json").write_text(text)
    (home / "models" / "gone.json").symlink_to(tmp_path / "nowhere")
    assert [item.id for item in weights.list_models()] == ["toy", "mine"]
    named = weights.bad_records()
    assert [text.split()[0] for text in named] == ["bad.json", "gone.json"] and len(named[0]) < 300


def test_a_name_of_thousands_of_letters_is_no_file(manifest: Path) -> None:
    assert refusal(weights.resolve, "a" * 5000).code == "weights-unknown"
    assert refusal(weights.resolve, "folder/" + "a" * 5000).code == "weights-missing"


@pytest.mark.parametrize("variable", ["IUINET_HOME", "IUINET_WEIGHTS_INDEX"])
def test_the_home_of_a_user_that_does_not_exist_is_refused(variable: str, home: Path, monkeypatch) -> None:
    monkeypatch.setenv(variable, "~nosuchuser/x")
    error = refusal(weights.list_models)
    assert error.code == "weights-folder" and "~nosuchuser" in error.message


def test_a_name_that_reaches_out_of_the_folder_is_not_imported(
    manifest: Path, home: Path, tmp_path: Path
) -> None:
    source = write_model(tmp_path / "evil.safetensors", id="../../evil")
    assert refusal(weights_folder.import_file, source).code == "weights-metadata"


def test_a_model_that_came_with_iuinet_cannot_be_removed(manifest: Path) -> None:
    assert refusal(weights_folder.remove, "toy").code == "weights-not-yours"
    assert weights.resolve("toy")


def test_a_folder_that_cannot_be_written_is_refused(manifest: Path, home: Path, tmp_path: Path) -> None:
    home.write_text("a file where the folder should be")
    source = write_model(tmp_path / "mine.safetensors", id="mine")
    assert refusal(weights_folder.import_file, source).code == "weights-folder"
