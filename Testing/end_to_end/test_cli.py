"""The command as a user meets it: usage, models, and what it tells about the computer."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_tools import Finished, environment, refusal, write_index
from helpers.faulty_server import serve
from helpers.model_factory import entry, write_model


def test_the_version_and_the_help(iuinet: Callable[..., Finished]) -> None:
    version = iuinet("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert re.fullmatch(r"iuinet \d+\.\d+\.\d+\n", version.stdout)
    shown = iuinet("segment", "--help")
    assert shown.returncode == 0 and "--accept-warnings" in shown.stdout and shown.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("sing",),
        ("segment",),
        ("segment", ""),  # a variable that is not set: not the current folder
        ("segment", "a.nii", "-o", " "),
        ("segment", "a.nii", "--series", ""),
        ("segment", "a.nii", "--weights", ""),
        ("weights", "import", ""),
        ("weights", "verify", "a", ""),
        ("segment", "a.nii", "--devise", "cpu"),
        ("segment", "a.nii", "--device", "gpu"),
        ("segment", "a.nii", "--organs", "liver,,spleen"),
        ("segment", "a.nii", "--accept"),
        ("weights",),
        ("weights", "remove"),
    ],
)
def test_wrong_usage_is_two_lines_and_status_2(iuinet: Callable[..., Finished], arguments: tuple) -> None:
    assert refusal(iuinet(*arguments), 2) == "usage"


def test_models_are_imported_listed_checked_and_removed(
    iuinet: Callable[..., Finished], tmp_path: Path
) -> None:
    variables = {
        "IUINET_HOME": str(tmp_path / "home ü"),
        "IUINET_WEIGHTS_INDEX": str(tmp_path / "index.json"),
    }
    (tmp_path / "index.json").write_text('{"format": 1, "default": "none", "models": []}')
    model = write_model(tmp_path / "mine (1).safetensors", id="mine")

    def said(*arguments: object) -> str:
        finished = iuinet("weights", *arguments, **variables)
        assert (finished.returncode, finished.stderr) == (0, "")
        return finished.stdout

    assert "No models" in said("list")
    assert said("path").strip() == str(tmp_path / "home ü" / "models")
    kept = said("import", model).split(" is in ")[1].strip()
    assert said("path", "mine").strip() == kept
    assert "mine" in said("list") and kept in said("list")
    assert "good" in said("verify") and "good" in said("verify", model)
    assert "here already" in said("install", "mine")
    with open(kept, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    assert refusal(iuinet("weights", "verify", **variables), 4) == "weights-hash"
    assert kept in said("remove", "mine")
    assert refusal(iuinet("weights", "path", "mine", **variables), 4) == "weights-unknown"


def test_a_listed_model_without_an_address_is_not_installed_but_the_way_is_said(
    iuinet: Callable[..., Finished], tmp_path: Path
) -> None:
    index = write_index(tmp_path / "index.json")
    finished = iuinet("weights", "install", "toy", IUINET_WEIGHTS_INDEX=str(index))
    assert refusal(finished, 4) == "no-address"
    assert "iuinet weights import" in finished.stderr


def test_a_model_is_installed_from_a_server_that_also_has_the_list(
    iuinet: Callable[..., Finished], tmp_path: Path
) -> None:
    model = write_model(tmp_path / "toy.safetensors", tensor_bytes=1_200_000)
    with serve(model.read_bytes()) as files:
        document = {"format": 1, "default": "toy", "models": [entry(model, urls=[files.address("cuts")])]}
        with serve(json.dumps(document).encode()) as site:
            variables = {
                "IUINET_HOME": str(tmp_path / "home"),
                "IUINET_WEIGHTS_INDEX": site.address("good", "index.json"),
            }
            finished = iuinet("weights", "install", "toy", **variables)
            assert (finished.returncode, finished.stderr) == (0, ""), finished.stderr
            assert finished.stdout.startswith("toy 1.0 is in ")
            assert "good" in iuinet("weights", "verify", "toy", **variables).stdout


@pytest.mark.needs_torch
def test_info_tells_versions_devices_folders_and_models(
    iuinet: Callable[..., Finished], tmp_path: Path
) -> None:
    index = write_index(tmp_path / "index.json")
    as_text = iuinet("info", IUINET_WEIGHTS_INDEX=str(index))
    assert (as_text.returncode, as_text.stderr) == (0, "")
    for word in ("python", "torch", "SimpleITK", "cpu", str(index), "toy"):
        assert word in as_text.stdout
    # A list that cannot be read is something that info is for, not a reason to fail.
    index.write_text("{")
    as_json = iuinet("info", "--json", IUINET_WEIGHTS_INDEX=str(index))
    document = json.loads(as_json.stdout)
    assert as_json.returncode == 0 and "weights-list" in document["weights_error"]
    assert document["devices"]["cpu"]["cores"] >= 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [("weights", "list"), ("--help",), ("--version",)])
def test_an_output_that_takes_nothing_is_an_error_in_plain_words(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "iuinet", *arguments]
        finished = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment()
        )
        assert finished.returncode == 1
        assert finished.stderr.startswith("error[disk-full]: the standard output cannot be written")
        # With nowhere to say it the status still tells.
        command = [sys.executable, "-m", "iuinet", "weights", "path", "nosuch"]
        assert subprocess.run(command, stderr=full, check=False, env=environment()).returncode == 4


@pytest.mark.parametrize("command", [("weights", "list"), ("weights", "path"), ("weights", "verify")])
def test_a_home_that_does_not_exist_is_refused_with_4(iuinet: Callable[..., Finished], command) -> None:
    assert refusal(iuinet(*command, IUINET_HOME="~nosuchuser/x"), 4) == "weights-folder"


def test_a_list_over_http_is_used_with_a_word(iuinet: Callable[..., Finished], tmp_path: Path) -> None:
    model = write_model(tmp_path / "toy.safetensors")
    with serve(model.read_bytes()) as files:
        document = {"format": 1, "default": "toy", "models": [entry(model, urls=[files.address("good")])]}
        with serve(json.dumps(document).encode()) as site:
            variables = {
                "IUINET_HOME": str(tmp_path / "home"),
                "IUINET_WEIGHTS_INDEX": site.address("good", "index.json"),
            }
            finished = iuinet("weights", "install", "toy", **variables)
    assert finished.returncode == 0
    assert "warning: The list of models comes from 127.0.0.1 over http" in finished.stdout


def test_a_bad_record_is_named_and_stops_nothing(iuinet: Callable[..., Finished], tmp_path: Path) -> None:
    (tmp_path / "home" / "models").mkdir(parents=True)
    (tmp_path / "home" / "models" / "bad.json").write_text("[" * 100_000)
    finished = iuinet("weights", "list", IUINET_HOME=str(tmp_path / "home"))
    assert finished.returncode == 0 and "starter-tiny" in finished.stdout
    assert "warning: bad.json is no record of a model" in finished.stdout
