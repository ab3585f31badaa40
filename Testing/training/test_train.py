"""A training learns, records what it did, goes on when asked, and refuses what would mix two trainings."""

from __future__ import annotations

import csv
import json
import math

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from training.small_anatomy import small_anatomy
from training.training_runs import assert_same, call, losses, small_recipe, steps, train

from iuinet.errors import UsageError
from iuinet.network import IUINet, IUINetConfig
from pipeline.fitting import recorder
from pipeline.fitting.checkpoint import NET, part, read_checkpoint, read_weights
from pipeline.fitting.curves import draw_curves
from pipeline.fitting.device import Processes, training_device
from pipeline.fitting.engine import Engine
from pipeline.fitting.recipe import Recipe
from pipeline.synthesis import save

pytestmark = pytest.mark.usefixtures("own_threads")


def test_a_training_leaves_all_that_is_promised(whole_run):
    run, said = whole_run
    names = {path.name for path in run.iterdir()}
    assert names >= {"last.safetensors", "best.safetensors", "run.json", "steps.jsonl", "epochs.csv"}
    assert names >= {"curves.png", "tensorboard"} and not [name for name in names if name.startswith(".")]
    entries = steps(run)
    assert [entry["step"] for entry in entries] == list(range(1, 16))
    assert [entry["phase"] for entry in entries] == ["first"] * 6 + ["second"] * 9
    for epoch in range(5):
        cases = [case for entry in entries[3 * epoch : 3 * epoch + 3] for case in entry["samples"]]
        assert len(set(cases)) == 6, "an epoch takes every case once"
    rows = list(csv.DictReader((run / "epochs.csv").read_text().splitlines()))
    assert len(rows) == 5 and all(0 <= float(row["mean_dsc"]) <= 1 for row in rows)
    assert {"dsc liver", "dsc spleen"} <= set(rows[0])
    document = json.loads((run / "run.json").read_text())
    assert (
        document["ended"]["step"] == 15 and "second ended after its 3 epochs" in document["ended"]["reason"]
    )
    assert "6 to train, 2 to select" in said and "second epoch 1/3" in said


def test_checkpoints_say_what_they_are(whole_run):
    run, _ = whole_run
    tensors, document = read_weights(run / "best.safetensors")
    IUINet(IUINetConfig.from_dict(document["network"])).load_state_dict(tensors)
    assert [organ["name"] for organ in document["organs"]] == ["liver", "spleen"]
    assert document["data"]["split"] == "fold-0" and len(document["data"]["train"]) == 6
    assert document["phase"] == "second" and document["selection"]["epoch"] == document["epoch"]
    assert document["environment"]["threads"] == 1 and document["seed"] == 1
    averaged, said = read_weights(run / "last.safetensors")
    last = part(read_checkpoint(run / "last.safetensors")[0], NET)
    assert said["step"] == 15 and not all(torch.equal(last[name], averaged[name]) for name in last)


def test_the_loss_falls(training_data, tmp_path):
    changes = ("phases.first.epochs=12", "optimiser.batch=1", "run.validate_every=20")
    train(small_recipe(tmp_path, *changes), training_data, tmp_path / "run", limit_steps=48)
    values = losses(tmp_path / "run")
    assert len(values) == 48 and sum(values[-6:]) < 0.85 * sum(values[:6])


def test_a_short_training_draws_its_curves_once(training_data, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(recorder, "CURVES_EVERY_S", 3600.0)
    monkeypatch.setattr(recorder, "draw_curves", lambda *about: drawn.append(draw_curves(*about)))
    short = small_recipe(tmp_path, "phases.first.epochs=1", "phases.second.epochs=1")
    train(short, training_data, tmp_path / "run")
    assert drawn == [tmp_path / "run" / "curves.png"]


def test_the_same_command_again_finds_it_finished(whole_run, training_data, tmp_path):
    run, _ = whole_run
    before = (run / "last.safetensors").read_bytes()
    done = call(tmp_path, training_data.folder, run)
    assert done.returncode == 0 and "This training is finished: 15 steps" in done.stdout
    assert (run / "last.safetensors").read_bytes() == before


def test_parts_make_the_same_training_as_the_whole(whole_run, training_data, tmp_path):
    recipe = small_recipe(tmp_path)
    for limit in (1, 6, 8, None):  # before any checkpoint was due, at a phase's end, within an epoch
        train(recipe, training_data, tmp_path / "run", limit_steps=limit)
    assert_same(whole_run[0] / "last.safetensors", tmp_path / "run" / "last.safetensors")
    assert_same(whole_run[0] / "best.safetensors", tmp_path / "run" / "best.safetensors")
    assert losses(whole_run[0]) == losses(tmp_path / "run")


def test_another_recipe_goes_on_only_when_asked(training_data, tmp_path):
    run = tmp_path / "run"
    train(small_recipe(tmp_path), training_data, run, limit_steps=2)
    changed = small_recipe(tmp_path, "phases.first.learning_rate=1e-4")
    with pytest.raises(UsageError) as refused:
        train(changed, training_data, run, limit_steps=3)
    assert refused.value.code == "run-other" and "was 0.003 and is now 0.0001" in refused.value.message
    train(changed, training_data, run, limit_steps=3, resume=True)
    assert steps(run)[-1]["learning_rate"] == 1e-4
    resumed = json.loads((run / "run.json").read_text())["resumed"][-1]
    assert resumed["step"] == 2 and any("learning_rate" in line for line in resumed["changed"])


def test_another_batch_keeps_the_epochs_that_are_done(training_data, tmp_path):
    """Epochs of 3 steps become epochs of 6: the one under way goes on where it was, and none passes empty."""
    run = tmp_path / "run"
    train(small_recipe(tmp_path), training_data, run, limit_steps=4)
    changes = ("optimiser.batch=1", "optimiser.micro_batch=1")
    recipe = small_recipe(tmp_path, *changes)
    train(recipe, training_data, run, resume=True, limit_steps=8)
    done = [(entry["phase"], entry["epoch"], len(entry["samples"])) for entry in steps(run)]
    assert done == [("first", 1, 2)] * 3 + [("first", 2, 2)] + [("first", 2, 1)] * 4
    assert len((run / "epochs.csv").read_text().splitlines()) == 3


def test_an_average_begins_with_the_weights_and_another_optimiser_without_moments(training_data, tmp_path):
    run = tmp_path / "run"
    first = small_recipe(tmp_path, "run.average=0", "optimiser.name='sgd'")
    train(first, training_data, run, limit_steps=4)
    before = read_weights(run / "last.safetensors")[0]
    changes = ("run.average=0.999", "optimiser.name='adam'", "phases.first.learning_rate=1e-9")
    later = small_recipe(tmp_path, *changes)
    train(later, training_data, run, resume=True, limit_steps=5)
    after = read_weights(run / "last.safetensors")[0]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)


def test_a_step_that_overflows_in_half_precision_is_left_out(tmp_path):
    recipe = small_recipe(tmp_path)
    engine = Engine(Overflowing(), recipe, ["liver", "spleen"], torch.device("cpu"), Processes())
    engine.precision.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)  # as on a GPU without bfloat16
    samples = [(torch.zeros(32, 32, 32), torch.zeros(32, 32, 32, dtype=torch.uint8))] * 2
    before = engine.net.bias.detach().clone()
    result = engine.step(samples, 1e-3, 0, False)
    assert not result.taken and not math.isfinite(result.loss)
    assert torch.equal(engine.net.bias, before) and engine.precision.scaler.get_scale() == 2.0


class Overflowing(torch.nn.Module):
    """A network whose logits are too large for their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Infinite logits (B, 3, S, S, S)."""
        return x.expand(-1, 3, -1, -1, -1) + (self.bias * torch.inf).view(1, 3, 1, 1, 1)


def test_apples_gpu_does_not_train(monkeypatch):
    monkeypatch.setattr("pipeline.fitting.device.choose_device", lambda name: torch.device("mps"))
    assert training_device("auto") == torch.device("cpu")
    with pytest.raises(UsageError, match="float64"):
        training_device("mps")


def test_a_finished_training_is_prolonged_when_asked(training_data, tmp_path):
    run, few = tmp_path / "run", ("phases.first.epochs=1", "phases.second.epochs=1")
    train(small_recipe(tmp_path, *few), training_data, run)
    more = small_recipe(tmp_path, "phases.first.epochs=1", "phases.second.epochs=2")
    train(more, training_data, run, resume=True)
    assert [entry["step"] for entry in steps(run)] == list(range(1, 10))
    assert read_checkpoint(run / "last.safetensors")[1]["epoch"] == 2


@pytest.mark.parametrize("change", ["network.width=16", 'data.organs=["liver"]', "network.shift=false"])
def test_another_network_is_never_mixed_in(training_data, tmp_path, change):
    run = tmp_path / "run"
    train(small_recipe(tmp_path), training_data, run, limit_steps=1)
    with pytest.raises(UsageError) as refused:
        train(small_recipe(tmp_path, change), training_data, run, resume=True)
    assert refused.value.code == "run-other-network"


def test_restart_begins_anew_and_removes_nothing_else(training_data, tmp_path):
    run = tmp_path / "run"
    first = call(tmp_path, training_data.folder, run, "--limit-steps", "3")
    assert first.returncode == 0 and "Stopped after step 3" in first.stdout
    (run / "notes.txt").write_text("mine")
    again = call(
        tmp_path, training_data.folder, run, "--restart", "--limit-steps", "1", "--set", "run.seed=2"
    )
    assert again.returncode == 0, again.stderr
    assert len(steps(run)) == 1 and (run / "notes.txt").read_text() == "mine"


def test_a_dry_run_writes_nothing(training_data, tmp_path):
    done = call(tmp_path, training_data.folder, tmp_path / "run", "--dry-run")
    assert done.returncode == 0 and "up to 3 epochs of 3 steps" in done.stdout
    assert not (tmp_path / "run").exists()


def test_synthetic_phases_need_no_prepared_data(tmp_path):
    save(small_anatomy(), tmp_path / "cache")
    phase = '{name = "s", data = "synthetic", epochs = 1, steps_per_epoch = 2, schedule = "constant"}'
    recipe = small_recipe(tmp_path, f"phases=[{phase}]", 'synthesis.anatomies=["small"]', "optimiser.batch=1")
    path = train(recipe, None, tmp_path / "run", anatomies=[small_anatomy()])
    document = read_checkpoint(path)[1]
    assert path.name == "last.safetensors" and len(document["organs"]) == 13
    assert document["data"]["train"] == ["small"] and "synthetic CT alone" in document["data"]["statement"]
    assert [entry["samples"] for entry in steps(tmp_path / "run")] == [["small"], ["small"]]


def test_a_training_starts_from_a_model_with_other_organs(training_data, tmp_path, small_model):
    run, recipe = tmp_path / "run", small_recipe(tmp_path, "network={preset='tiny', size=32}")
    train(recipe, training_data, run, limit_steps=1, start=small_model)
    document = read_checkpoint(run / "last.safetensors")[1]
    assert document["start"]["id"] == "small-random" and document["start"]["left_out"]
    train(recipe, training_data, run, limit_steps=2)
    assert read_checkpoint(run / "last.safetensors")[1]["start"] == document["start"]


def test_what_cannot_be_trained_is_refused_before_anything_is_written(training_data, tmp_path):
    cases = [
        (["phases.first.data=pairs"], training_data, "empty-phase"),
        (["data.split=all"], training_data, "no-validation"),
        (["loss.class_weights={kidney=2}"], training_data, "recipe"),
        (["data.organs=[heart]"], training_data, "unknown-organ"),
        (["run.precision=bf16"], training_data, "precision"),
        ([], None, "no-data"),
    ]
    for changes, data, code in cases:
        with pytest.raises(UsageError) as refused:
            train(small_recipe(tmp_path, *changes), data, tmp_path / "run")
        assert refused.value.code == code, changes
    assert not (tmp_path / "run").exists()
    assert isinstance(small_recipe(tmp_path), Recipe)
