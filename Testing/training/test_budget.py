"""Budgets of steps and of seconds: shared by the phases, used up, and kept to through every stop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here")

from training.training_runs import assert_same, losses, small_recipe, steps, train  # noqa: E402

from iuinet.errors import UsageError  # noqa: E402
from pipeline.fitting.checkpoint import read_checkpoint, write_checkpoint  # noqa: E402
from pipeline.fitting.progress import Budget  # noqa: E402
from pipeline.fitting.task import make_task  # noqa: E402

pytestmark = pytest.mark.usefixtures("own_threads")
LAST = "last.safetensors"


def trained(folder: Path, data, run: str, *changes: str, **options) -> Path:
    """The folder of a small training: 6 steps of its first phase and 9 of its second without a budget."""
    train(small_recipe(folder, *changes), data, folder / run, **options)
    return folder / run


def rates(run: Path) -> list[float]:
    """The learning rate of every step."""
    return [entry["learning_rate"] for entry in steps(run)]


def ended(run: Path) -> dict:
    """The progress in a run's last checkpoint, which is finished."""
    progress = read_checkpoint(run / LAST)[1]["progress"]
    assert progress["finished"]
    return progress


@pytest.mark.parametrize(
    ("budget", "first", "second"), [(5, 2, 3), (7, 3, 4), (20, 8, 12), (1, 1, 0), (2, 1, 1)]
)
def test_phases_share_a_budget_of_steps_as_their_steps_are(budget, first, second, training_data, tmp_path):
    run = trained(tmp_path, training_data, "run", f"run.budget_steps={budget}")
    assert [entry["phase"] for entry in steps(run)] == ["first"] * first + ["second"] * second
    progress = ended(run)
    assert progress["step"] == budget and progress["phase"] == (1 if second else 0)
    reason = json.loads((run / "run.json").read_text())["ended"]["reason"]
    assert "ended with its share of the budget" in reason


def test_a_falling_rate_falls_within_the_budget(training_data, tmp_path):
    changes = ["phases.second.schedule=cosine", "phases.first.warm_up_steps=4"]
    whole = rates(trained(tmp_path, training_data, "whole", *changes))
    same = rates(trained(tmp_path, training_data, "same", *changes, "run.budget_steps=15"))
    assert same == pytest.approx(whole)
    third = rates(trained(tmp_path, training_data, "third", *changes, "run.budget_steps=5"))
    assert third == pytest.approx([whole[0], whole[3], whole[6], whole[9], whole[12]])


def test_the_weights_at_the_end_are_the_result_and_no_validation_chose_them(training_data, tmp_path):
    run = trained(tmp_path, training_data, "run", "run.budget_steps=5", "phases.second.stop_patience=1")
    assert not (run / "best.safetensors").exists()
    assert read_checkpoint(run / LAST)[1]["selection"] is None
    # The phase of 3 steps was validated at its end.
    assert (run / "epochs.csv").read_text().splitlines()[-1].startswith("second,")


def test_a_training_within_a_budget_goes_on_as_if_it_had_not_been_stopped(training_data, tmp_path):
    budget = "run.budget_steps=7"
    whole = trained(tmp_path, training_data, "whole", budget)
    for limit in (2, 3, 5, 7, None):
        parts = trained(tmp_path, training_data, "parts", budget, limit_steps=limit)
    assert_same(whole / LAST, parts / LAST)
    assert losses(whole) == losses(parts) and ended(parts)["step"] == 7


def test_a_budget_of_seconds_is_used_up_and_little_more(training_data, tmp_path):
    change = ("run.budget_seconds=2", "phases.second.schedule=linear")
    run = trained(tmp_path, training_data, "run", *change)
    progress = ended(run)
    # At most the step that was under way when the time was up is too much.
    slowest = max(entry["seconds"] for entry in steps(run))
    assert 2 <= progress["seconds"] <= 2 + slowest + 0.01 and progress["phase"] == 1
    second = [entry["learning_rate"] for entry in steps(run) if entry["phase"] == "second"]
    assert second == sorted(second, reverse=True)
    before = (run / LAST).stat().st_mtime_ns
    trained(tmp_path, training_data, "run", *change)
    assert (run / LAST).stat().st_mtime_ns == before, "nothing is left to train"


def test_clocks_of_several_processes_share_no_budget(training_data, tmp_path):
    task = make_task(small_recipe(tmp_path, "run.budget_seconds=5"), training_data)
    with pytest.raises(UsageError, match="5 seconds is for one process, and there are 2") as refused:
        Budget.of(task, 2)
    assert refused.value.code == "processes"
    assert Budget.of(make_task(small_recipe(tmp_path, "run.budget_steps=5"), training_data), 2).steps == 5


def test_a_training_begun_before_there_were_budgets_goes_on(training_data, tmp_path):
    whole = trained(tmp_path, training_data, "whole", limit_steps=4)
    run = trained(tmp_path, training_data, "run", limit_steps=2)
    tensors, document = read_checkpoint(run / LAST)
    del document["recipe"]["network"]["name"]
    del document["recipe"]["run"]["budget_steps"], document["recipe"]["run"]["budget_seconds"]
    write_checkpoint(run / LAST, tensors, document)
    trained(tmp_path, training_data, "run", limit_steps=4)
    assert_same(whole / LAST, run / LAST)
