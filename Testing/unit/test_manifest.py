"""The list of models that ships with the module: its form, and that it tells the truth about the files."""

from __future__ import annotations

import copy
import hashlib
import json

import jsonschema
import pytest
from helpers.repository import MODULE, files, git

from iuinet.weights import read_manifest
from iuinet.weights.model_file import read_document

FOLDER = MODULE / "Resources" / "Weights"
SCHEMA = json.loads((FOLDER / "manifest.schema.json").read_text(encoding="utf-8"))
CHECKER = jsonschema.Draft202012Validator(SCHEMA)
MEGABYTE = 10**6

GOOD = {
    "format": 1,
    "default": "starter",
    "models": [
        {
            "id": "starter",
            "version": "1",
            "file": "starter-1.safetensors",
            "sha256": "0" * 64,
            "size": 5,
            "urls": ["https://example.org/starter-1.safetensors"],
            "preset": "tiny",
            "organs": ["spleen", "liver"],
            "metrics": {},
            "license": "Apache-2.0",
        }
    ],
}


@pytest.fixture(scope="module")
def manifest() -> dict:
    return json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))


def test_the_schema_is_a_schema_and_takes_a_good_list():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    CHECKER.validate(GOOD)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "../starter"),
        ("id", None),
        ("version", "1 beta"),
        ("file", "folder/starter.safetensors"),
        ("file", "starter.pt"),
        ("sha256", "0" * 63),
        ("size", 0),
        ("size", "5"),
        ("urls", ["ftp://example.org/starter"]),
        ("urls", ["https://example.org/a", "https://example.org/a"]),
        ("organs", []),
        ("organs", ["liver", "liver"]),
        ("license", ""),
        ("licence", "a word the list does not know"),
    ],
)
def test_the_schema_refuses_a_wrong_entry(key, value):
    wrong = copy.deepcopy(GOOD)
    wrong["models"][0][key] = value
    assert not CHECKER.is_valid(wrong)


@pytest.mark.parametrize("key", sorted(GOOD["models"][0]))
def test_the_schema_refuses_an_entry_that_leaves_something_out(key):
    wrong = copy.deepcopy(GOOD)
    del wrong["models"][0][key]
    assert not CHECKER.is_valid(wrong)


def test_the_program_reads_what_the_schema_takes(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    assert read_manifest(path) == GOOD


# The list that ships ------------------------------------------------------------------------------------


def test_the_shipped_list_has_the_right_form(manifest):
    CHECKER.validate(manifest)
    ids = [model["id"] for model in manifest["models"]]
    assert len(set(ids)) == len(ids)
    assert manifest["default"] in ids


def test_every_shipped_model_lies_beside_the_list_as_it_is_listed(manifest):
    for model in manifest["models"]:
        path = FOLDER / model["file"]
        content = path.read_bytes()
        assert len(content) == model["size"] <= 26 * MEGABYTE
        assert hashlib.sha256(content).hexdigest() == model["sha256"]
        document = read_document(path)
        described = (document["id"], document["version"], [organ["name"] for organ in document["organs"]])
        assert described == (model["id"], model["version"], model["organs"])
        given = document["license"]  # by the file; the list may add what it was made with
        assert model["license"] == given or model["license"].startswith(f"Weights: {given}; made with ")


def test_no_model_file_is_there_without_being_listed(manifest):
    there = {path.name for path in files() if path.suffix == ".safetensors" and path.is_relative_to(FOLDER)}
    assert there == {model["file"] for model in manifest["models"]}


def test_no_address_is_listed_before_a_release_serves_the_file(manifest):
    assert [model["urls"] for model in manifest["models"]] == [[]] * len(manifest["models"])


def test_all_models_ever_committed_stay_under_56_megabytes():
    if not (MODULE.parent / ".git").exists():
        pytest.skip("this is no git checkout")
    endings = (".safetensors", ".pt", ".pth", ".ckpt")
    models = [line for line in git("rev-list", "--objects", "HEAD").splitlines() if line.endswith(endings)]
    sizes = [int(git("cat-file", "-s", line.split()[0])) for line in models]
    assert sum(sizes) < 56 * MEGABYTE
