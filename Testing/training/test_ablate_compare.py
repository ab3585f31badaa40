"""IUINet, its ablations and its peers trained alike: budgets, resumption, measurement, tables."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here")
pytest.importorskip("monai", reason="MONAI is not installed here")

import ablate  # noqa: E402
import compare  # noqa: E402
from augmentation import Augmentation  # noqa: E402
from fitting.checkpoint import read_weights  # noqa: E402
from fitting.loss import Loss  # noqa: E402
from fitting.precision import Precision  # noqa: E402
from fitting.processes import Processes  # noqa: E402
from fitting.recipe import Phase  # noqa: E402
from fitting.recorder import Silent  # noqa: E402
from fitting.samples import PreparedSamples  # noqa: E402
from fitting.task import make_task  # noqa: E402
from fitting.validation import validate  # noqa: E402
from peers.budget import Budget, alike, cut  # noqa: E402
from peers.jobs import Job, Setting  # noqa: E402
from peers.models import VARIANTS, find_models  # noqa: E402
from peers.report import check_failures, summarise  # noqa: E402
from peers.runs import run_all  # noqa: E402
from peers.scores import score  # noqa: E402
from torch import nn  # noqa: E402
from training.training_runs import losses, recipe_file, small_recipe, steps  # noqa: E402

from iuinet.errors import Cancelled, UsageError  # noqa: E402

pytestmark = pytest.mark.usefixtures("own_threads")
SMALL_NET = ("network.width=4", "network.blocks=[1,1,1]", "optimiser.batch=1", "data.split=mine")
CPU = torch.device("cpu")


def words(folder: Path, data: Path, *more: object) -> list[str]:
    """The options of a small comparison."""
    config = ["--config", recipe_file(folder), "--set", *SMALL_NET]
    given = [*config, "--data", data, "--run", folder / "run", "--device", "cpu", *more]
    return [str(word) for word in given]


def setting(data, folder: Path, budget: Budget, asked=lambda: False) -> Setting:
    """Of jobs that are run without a command."""
    return Setting(data, folder, budget, "cpu", False, asked, Silent())


def job(folder: Path, name: str, budget: Budget, *changes: str, **values) -> Job:
    """A job of a peer."""
    (model,) = find_models([name])
    recipe = alike(small_recipe(folder, *SMALL_NET, *changes), 32, 1, budget)
    recipe = dataclasses.replace(recipe, network=model.network(32))
    return Job(
        **({"model": name, "build": model.build, "recipe": recipe, "described": model.describe()} | values)
    )


# Budgets ------------------------------------------------------------------------------------------------


def test_a_recipe_is_cut_in_proportion(tmp_path):
    phases = (
        Phase("a", epochs=20, warm_up_steps=100, schedule="constant", stop_patience=3, size=48),
        Phase("b", epochs=60, schedule="cosine"),
    )
    whole = dataclasses.replace(small_recipe(tmp_path), phases=phases)
    whole = alike(whole, 64, 7, Budget(steps=40))
    assert whole.run.seed == 7 and whole.network.size == 64
    assert all(phase.size == 0 and phase.stop_patience == 0 for phase in whole.phases)
    # 20 x 10 and 60 x 10 steps become 10 and 30; of b's epochs none is lost to rounding.
    found = cut(whole, 40, (10, 10))
    assert [phase.epochs for phase in found.phases] == [1, 3] and found.phases[0].warm_up_steps == 5
    assert [phase.epochs for phase in cut(whole, 45, (10, 10)).phases] == [1, 4]
    assert [phase.epochs for phase in cut(whole, 1600, (10, 10)).phases] == [40, 120]
    assert cut(whole, 1, (10, 10)).phases[1].epochs == 1
    rare = dataclasses.replace(whole, run=dataclasses.replace(whole.run, validate_every=50))
    assert cut(rare, 160, (10, 10)).run.validate_every == 3


def test_a_budget_is_spent_by_steps_or_by_time():
    assert Budget(steps=5).spent(1e9, 5) and not Budget(steps=5).spent(1e9, 4)
    assert Budget(seconds=2.0).spent(2.0, 1) and not Budget(seconds=2.0).spent(1.9, 10**6)
    assert not Budget().limited and not Budget().spent(1e9, 10**9)
    with pytest.raises(UsageError, match="0 steps"):
        Budget(steps=0)


def test_without_a_budget_the_recipe_is_left_alone(tmp_path):
    recipe = small_recipe(tmp_path)
    same = alike(recipe, 32, recipe.run.seed, Budget())
    assert same.phases == recipe.phases


# Comparisons --------------------------------------------------------------------------------------------


def test_a_comparison_trains_alike_once_and_tells_what_it_found(training_data, tmp_path, capfd):
    command = words(tmp_path, training_data.folder, "--steps", 2, "--models", "iuinet", "unet-tiny")
    assert compare.main(command) == 0
    said = capfd.readouterr().out
    run = tmp_path / "run"
    mine, peer = run / "iuinet-seed1", run / "unet-tiny-seed1"
    assert [entry["samples"] for entry in steps(mine)] == [entry["samples"] for entry in steps(peer)]
    assert [e["learning_rate"] for e in steps(mine)] == [e["learning_rate"] for e in steps(peer)]
    assert losses(mine) != losses(peer) and len(losses(mine)) == 2

    document = json.loads((run / "compare.json").read_text())
    table = list(csv.DictReader((run / "compare.csv").read_text().splitlines()))
    for row, result in zip(table, document["results"], strict=True):
        assert row["model"] == result["model"] and result["steps"] == 2
        assert (
            float(row["dsc"])
            == result["dsc"]
            == json.loads((run / f"{row['model']}-seed1/result.json").read_text())["dsc"]
        )
        assert f"{result['dsc']:.4f}" in said and len(result["cases"]) == 7
        assert result["peak_bytes"] is None and row["peak_bytes"] == ""
        assert int(row["training_bytes"]) == result["training_bytes"] > 4 * 32**3
    assert "last weights, which no validation chose: iuinet, unet-tiny" in said and "2 steps each" in said
    assert "selected on cases" not in said
    assert document["data"]["test"] == [f"c{n}" for n in range(1, 8)]
    assert (run / "compare.md").read_text().startswith("| model | params M |")

    before = {path: path.stat().st_mtime_ns for path in run.glob("*/*")}
    assert compare.main(command) == 0
    assert "unet-tiny-seed1 is done already" in capfd.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in run.glob("*/*")}
    other = words(tmp_path, training_data.folder, "--steps", 3, "--models", "unet-tiny")
    assert compare.main(other) == 2
    refusal = capfd.readouterr().err
    assert "error[comparison-other]" in refusal and "budget.steps was 2 and is now 3" in refusal


def test_what_cannot_be_compared_is_refused_before_any_training(training_data, tmp_path, capfd):
    cases = {
        "peer-size": ("--models", "unet-tiny", "swinunetr", "--steps", 1),
        "unknown-model": ("--models", "u-net", "--steps", 1),
        "no-test": (
            "--models",
            "unet-tiny",
            "--steps",
            1,
            "--set",
            "data.split=all",
            "phases.second.schedule=constant",
        ),
        "budget": ("--steps", 0),
        # IUINet would have been trained by then.
        "checkpoint-activations": (
            *("--models", "iuinet", "unet-tiny", "--steps", 1),
            *("--set", "run.checkpoint_activations=true"),
        ),
        "precision": ("--models", "unet-tiny", "--steps", 1, "--set", "run.precision='bf16'"),
        "usage": ("--steps", 1, "--minutes", 1),
    }
    for code, more in cases.items():
        assert compare.main(words(tmp_path, training_data.folder, *more)) == 2, code
        assert f"error[{code}]" in capfd.readouterr().err or code == "usage"
    assert not (tmp_path / "run").exists()


def test_a_stopped_training_goes_on_and_ends_as_if_it_had_not_been(training_data, tmp_path):
    budget, calls = Budget(steps=4), []

    def asked() -> bool:
        calls.append(1)
        return len(calls) > 2

    own = job(tmp_path, "dynunet-tiny", budget)
    with pytest.raises(Cancelled):
        run_all([own], setting(training_data, tmp_path / "parts", budget, asked))
    part = tmp_path / "parts" / own.name
    assert 0 < len(losses(part)) < 4 and not (part / "result.json").exists()
    (result,) = run_all([own], setting(training_data, tmp_path / "parts", budget))
    (whole,) = run_all([own], setting(training_data, tmp_path / "whole", budget))
    assert losses(part) == losses(tmp_path / "whole" / own.name)
    assert result["cases"] == whole["cases"] and result["steps"] == 4


def test_time_is_turned_into_steps_and_then_kept_to(training_data, tmp_path):
    budget = Budget(seconds=0.4)
    own = job(tmp_path, "unet-tiny", budget)
    (result,) = run_all([own], setting(training_data, tmp_path, budget))
    plan = json.loads((tmp_path / own.name / "plan.json").read_text())
    assert 1 <= result["steps"] <= plan["steps"] + 1
    # At most the step that was under way when the time was up is too much.
    slowest = max(entry["seconds"] for entry in steps(tmp_path / own.name))
    assert result["seconds"] <= 0.4 + slowest and not (tmp_path / own.name / "pace").exists()


class Broken(nn.Module):
    """A network whose logits are no numbers."""

    def __init__(self, config) -> None:
        super().__init__()
        self.last = nn.Conv3d(1, config.classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """NaN."""
        return self.last(x) * float("nan")


class Hungry(Broken):
    """A network that wants more memory than there is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Allocates 2^60 bytes on the way."""
        torch.empty(2**60, dtype=torch.uint8)
        return self.last(x)


def test_one_network_that_fails_does_not_end_the_others(training_data, tmp_path):
    budget = Budget(steps=1)
    jobs = [
        job(tmp_path, "unet-tiny", budget, model="broken", build=Broken),
        job(tmp_path, "unet-tiny", budget, model="hungry", build=Hungry),
        job(tmp_path, "unet-tiny", budget),
    ]
    failed, hungry, done = run_all(jobs, setting(training_data, tmp_path, budget))
    assert "loss of step 1 is nan" in failed["failed"] and done["steps"] == 1
    assert hungry["failed"] == "out of memory"
    assert not (tmp_path / "broken-seed1" / "result.json").exists(), "it is tried again next time"

    rows = summarise([failed, done])
    assert rows[0]["failed"] == 1 and "dsc" not in rows[0] and rows[1]["dsc"] == done["dsc"]
    with pytest.raises(Exception, match="1 of 2 trainings failed"):
        check_failures([failed, done])

    # Nothing was kept of the failed training, so that a corrected recipe may take its place.
    again = job(tmp_path, "unet-tiny", budget, "optimiser.clip=1.0", model="broken")
    (mended,) = run_all([again], setting(training_data, tmp_path, budget))
    assert mended["steps"] == 1 and len(losses(tmp_path / "broken-seed1")) == 1
    # Of the one that was done, all is kept.
    again = job(tmp_path, "unet-tiny", budget, "optimiser.clip=1.0")
    with pytest.raises(UsageError, match=r"optimiser\.clip was"):
        run_all([again], setting(training_data, tmp_path, budget))


def test_the_dsc_are_those_of_the_validation(training_data, tmp_path):
    budget = Budget(steps=1)
    own = job(tmp_path, "unet-tiny", budget)
    (result,) = run_all([own], setting(training_data, tmp_path, budget))
    task = make_task(own.recipe, training_data)
    path = tmp_path / own.name / "last.safetensors"  # where the budget ended
    net = own.build(task.config).eval()
    net.load_state_dict(read_weights(path)[0])
    samples = PreparedSamples(training_data, task.split.test, task.channels, Augmentation.off())
    loss, precision = Loss(own.recipe.loss, task.names), Precision("auto", CPU)
    window = own.recipe.data.window
    found = validate(net, samples, 32, window, task.names, loss, precision, Processes())
    assert found.organs == pytest.approx(result["organs"]) and found.dsc == pytest.approx(result["dsc"])
    assert score(task, own.build, path, CPU)["cases"] == result["cases"]


# Ablations ----------------------------------------------------------------------------------------------


def test_the_counts_are_the_papers(tmp_path, capfd):
    assert ablate.main(["--run", str(tmp_path / "run")]) == 0
    rows = {row["model"]: row for row in json.loads((tmp_path / "run" / "ablate.json").read_text())["rows"]}
    for title, *_ in VARIANTS:
        row, paper = rows[title], rows[f"published: {title}"]
        # The paper prints one decimal of the full model's figures, and two of the others.
        assert round(row["parameters"] / 1e6, 1) == round(paper["parameters"] / 1e6, 1)
        assert round(row["macs_pytorch"] / 1e9, 1) == round(paper["macs_pytorch"] / 1e9, 1)
        assert row["macs_true"] > 1.2 * row["macs_pytorch"]
    assert rows["full model"]["macs_true"] > rows["without shift"]["macs_true"]
    said = [line.split()[-3:] for line in capfd.readouterr().out.splitlines()]
    assert ["48.63", "153.89", "193.81"] in said


def test_the_variants_are_trained_and_told_apart(training_data, tmp_path, capfd):
    command = words(tmp_path, training_data.folder, "--steps", 1)
    assert ablate.main(command) == 0
    run = tmp_path / "run"
    networks = {}
    for title, _, changes in VARIANTS:
        network = read_weights(run / f"{title.replace(' ', '-')}-seed1" / "best.safetensors")[1]["network"]
        networks[title] = (network["shift"], network["head"])
        assert networks[title] == (changes.get("shift", True), changes.get("head", "dyfc"))
    assert len(set(networks.values())) == 4
    said = capfd.readouterr().out
    table = {row["model"]: row for row in csv.DictReader((run / "ablate.csv").read_text().splitlines())}
    assert list(table)[:4] == [title for title, *_ in VARIANTS]
    assert 0 <= float(table["without shift"]["dsc liver"]) <= 1 and "Published: on the 12 test cases" in said
    assert float(table["published: full model"]["dsc liver"]) == 0.9546
    assert table["full model"]["classes"] == "3"
    assert ablate.main(command) == 0
    assert capfd.readouterr().out.count("is done already") == 4
    for wrong, code in ((["--data", str(training_data.folder)], "no-run"), (["--steps", "5"], "no-data")):
        assert ablate.main(wrong) == 2 and f"error[{code}]" in capfd.readouterr().err
