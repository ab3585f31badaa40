"""Which changes make another training of a run, and which do not; what a dry run says of it."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from safetensors import safe_open
from safetensors.torch import save_file
from training.training_runs import call, small_recipe, steps, train

from iuinet.errors import UsageError
from pipeline.fitting.checkpoint import KEY, read_checkpoint
from pipeline.fitting.task import make_task

pytestmark = pytest.mark.usefixtures("own_threads")


def make_older(run) -> None:
    """Take from a run what earlier versions did not write in recipe, data and organs."""

    def older(document: dict) -> None:
        del document["recipe"]["initial"], document["recipe"]["optimiser"]["attention_scale"]
        del document["recipe"]["data"]["enlarge"], document["data"]["atlases"]
        document["data"]["statement"] = "Said in the words of an earlier version."

    path = run / "last.safetensors"
    tensors, document = read_checkpoint(path)
    older(document)
    document["organs"] = [{key: organ[key] for key in ("name", "label")} for organ in document["organs"]]
    save_file(tensors, path, metadata={KEY: json.dumps(document)})
    with safe_open(path, framework="pt") as file:
        assert "initial" not in json.loads(file.metadata()[KEY])["recipe"]
    document = json.loads((run / "run.json").read_text())
    older(document)
    (run / "run.json").write_text(json.dumps(document))


def test_what_an_earlier_version_did_not_write_counts_as_its_default(training_data, tmp_path):
    run = tmp_path / "run"
    train(small_recipe(tmp_path), training_data, run, limit_steps=2)
    make_older(run)
    with pytest.raises(UsageError) as refused:
        train(small_recipe(tmp_path, "optimiser.attention_scale=0.5"), training_data, run)
    assert refused.value.code == "run-other"
    assert "recipe.optimiser.attention_scale was 1.0 and is now 0.5" in refused.value.message
    train(small_recipe(tmp_path), training_data, run, limit_steps=3)
    assert [entry["step"] for entry in steps(run)] == [1, 2, 3]
    resumed = json.loads((run / "run.json").read_text())["resumed"][-1]
    assert resumed["changed"] == []


def test_other_data_are_still_other_data(training_data, tmp_path):
    run = tmp_path / "run"
    train(small_recipe(tmp_path), training_data, run, limit_steps=1)
    with pytest.raises(UsageError) as refused:
        train(small_recipe(tmp_path, "data.split=fold-1"), training_data, run)
    assert refused.value.code == "run-other" and "fold-0" in refused.value.message


def test_data_are_not_enlarged_unasked(training_data, tmp_path):
    """Prepared at 32^3, a training at 48^3 would only seem to be one; in each phase by itself."""
    for change in ("network.size=48", "phases.second.size=64"):
        with pytest.raises(UsageError) as refused:
            make_task(small_recipe(tmp_path, change), training_data)
        assert refused.value.code == "prepared-smaller"
        assert "prepared at 32^3" in refused.value.message and "--size" in refused.value.hint
        make_task(small_recipe(tmp_path, change, "data.enlarge=true"), training_data)
    make_task(
        small_recipe(tmp_path, "network.size=48", "phases.first.size=32", "phases.second.size=32"),
        training_data,
    )


def test_a_dry_run_refuses_what_the_command_would_refuse(training_data, tmp_path):
    run = tmp_path / "run"
    before = call(tmp_path, training_data.folder, run, "--dry-run")
    assert before.returncode == 0 and "would begin" in before.stdout and not run.exists()
    train(small_recipe(tmp_path), training_data, run, limit_steps=2)
    kept = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    other = ("--dry-run", "--set", "optimiser.clip=1")
    done = [
        call(tmp_path, training_data.folder, run, *words)
        for words in (("--dry-run",), other, (*other, "--resume"))
    ]
    assert [each.returncode for each in done] == [0, 2, 0]
    assert "would go on after step 2" in done[0].stdout
    assert "error[run-other]" in done[1].stderr and "clip was 5.0 and is now 1.0" in done[1].stderr
    assert kept == {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    half = call(tmp_path, training_data.folder, tmp_path / "new", "--dry-run", "--set", "run.precision=bf16")
    assert half.returncode == 2 and "error[precision]" in half.stderr
