"""IUINet, its ablations and its peers trained alike: resumption, one evaluation of all, tables."""

from __future__ import annotations

import csv
import json
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here")
pytest.importorskip("monai", reason="MONAI is not installed here")

import ablate  # noqa: E402
import compare  # noqa: E402
import evaluate  # noqa: E402
import export  # noqa: E402
import train as train_script  # noqa: E402
from torch import nn  # noqa: E402
from training.training_runs import losses, recipe_file, steps  # noqa: E402

from iuinet.console import Console  # noqa: E402
from iuinet.errors import Cancelled, UsageError  # noqa: E402
from pipeline.evaluation.candidates import find_members  # noqa: E402
from pipeline.evaluation.segmenters import segmenter  # noqa: E402
from pipeline.experiments.jobs import VARIANTS, Job, find_networks, make_jobs, recipe_of  # noqa: E402
from pipeline.experiments.report import check_failures, remarks, rows_of  # noqa: E402
from pipeline.experiments.trainings import train_all  # noqa: E402
from pipeline.fitting import networks  # noqa: E402
from pipeline.fitting.checkpoint import read_weights  # noqa: E402
from pipeline.fitting.networks import build, config_from  # noqa: E402

pytestmark = pytest.mark.usefixtures("own_threads")
# Some peers halve their input five times.
PEERS_SIZE = "network.size=32"
SMALL_NET = (PEERS_SIZE, "network.width=4", "network.blocks=[1,1,1]", "optimiser.batch=1", "data.split=mine")


def words(folder: Path, data: Path, *more: object) -> list[str]:
    """The options of a small experiment."""
    config = ["--config", recipe_file(folder), "--set", *SMALL_NET]
    given = [*config, "--data", data, "--run", folder / "run", "--device", "cpu", *more]
    return [str(word) for word in given]


def options(folder: Path, *changes: str, steps: int = 1, run: str = "run") -> Namespace:
    """The same without a command line."""
    changed = [*SMALL_NET, *changes]
    given = {"config": recipe_file(folder), "set": changed, "run": folder / run, "steps": steps}
    return Namespace(**given, minutes=None, size=None, seeds=None, device="cpu", partial=False)


def jobs_of(data, options: Namespace, *names: str) -> list[Job]:
    """The trainings of peers."""
    return make_jobs(find_networks(names), recipe_of(options), data, options)


def all_trained(data, options: Namespace, *names: str, asked=lambda: False) -> list[dict]:
    """What came of them."""
    return train_all(jobs_of(data, options, *names), options, asked, Console(silent=True))


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
    results = json.loads((run / "evaluation" / "results.json").read_text())
    dsc = {(e["model"], e["grid"], e["organ"]): e["mean"] for e in results["summary"] if e["metric"] == "dsc"}
    assert [row["model"] for row in table] == ["iuinet", "unet-tiny"]
    for row, training in zip(table, document["trainings"], strict=True):
        assert row["model"] == training["model"] and float(row["steps"]) == training["steps"] == 2
        assert float(row["dsc"]) == dsc[training["run"], "native", "mean"]
        assert float(row["dsc_network"]) == dsc[training["run"], "network", "mean"]
        assert float(row["dsc liver"]) == dsc[training["run"], "native", "liver"]
        assert f"{float(row['dsc']):.4f}" in said and int(row["training_bytes"]) > 4 * 32**3
    assert "last weights, which no validation chose: iuinet, unet-tiny" in said and "2 steps each" in said
    assert results["data"]["cases"] == [f"c{n}" for n in range(1, 8)] and results["paired"]
    # c1 selects and is tested on; but within a budget no weights are selected.
    assert not any("SELECTED" in warning for warning in results["warnings"])
    assert (run / "compare.md").read_text().startswith("| model | params M |")
    assert (run / "evaluation" / "index.html").is_file()

    before = {path: path.stat().st_mtime_ns for path in run.glob("*-seed1/*")}
    assert compare.main(command) == 0
    assert capfd.readouterr().out.count("This training is finished: 2 steps") == 2
    assert before == {path: path.stat().st_mtime_ns for path in run.glob("*-seed1/*")}
    other = words(tmp_path, training_data.folder, "--steps", 3, "--models", "unet-tiny")
    assert compare.main(other) == 2
    refusal = capfd.readouterr().err
    assert "error[comparison-other]" in refusal and "budget_steps was 2 and is now 3" in refusal


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
            "phases.second.stop_patience=0",
        ),
        "budget": ("--steps", 0),
        # IUINet would have been trained by then.
        "checkpoint-activations": (
            *("--models", "iuinet", "unet-tiny", "--steps", 1),
            *("--set", "run.checkpoint_activations=true"),
        ),
        "precision": ("--models", "unet-tiny", "--steps", 1, "--set", "run.precision='bf16'"),
        "usage": ("--steps", 1, "--minutes", 1),
        "recipe": ("--steps", 1, "--set", "network.name=unet-tiny"),
    }
    for code, more in cases.items():
        assert compare.main(words(tmp_path, training_data.folder, *more)) == 2, code
        assert f"error[{code}]" in capfd.readouterr().err or code in ("usage", "recipe")
    assert not (tmp_path / "run").exists()


def test_a_budget_takes_the_place_of_the_recipes_own(tmp_path):
    given = options(tmp_path, "run.budget_seconds=5", "phases.first.size=48", steps=7)
    recipe = recipe_of(given)
    assert (recipe.run.budget_steps, recipe.run.budget_seconds) == (7, 0)
    # Not every network can change the size of its input.
    assert recipe.network.size == 32 and all(phase.size == 0 for phase in recipe.phases)
    given.steps, given.minutes, given.size = None, 1.5, 64
    recipe = recipe_of(given)
    assert (recipe.run.budget_steps, recipe.run.budget_seconds, recipe.network.size) == (0, 90, 64)
    given.minutes = None
    assert recipe_of(given).run.budget_seconds == 5


def test_a_stopped_training_goes_on_and_ends_as_if_it_had_not_been(training_data, tmp_path):
    calls = []

    def asked() -> bool:
        calls.append(1)
        return len(calls) > 2

    parts, whole = (options(tmp_path, steps=4, run=name) for name in ("parts", "whole"))
    with pytest.raises(Cancelled):
        all_trained(training_data, parts, "dynunet-tiny", asked=asked)
    part = parts.run / "dynunet-tiny-seed1"
    assert 0 < len(losses(part)) < 4
    (result,) = all_trained(training_data, parts, "dynunet-tiny")
    all_trained(training_data, whole, "dynunet-tiny")
    assert losses(part) == losses(whole.run / "dynunet-tiny-seed1") and result["steps"] == 4


class Broken(nn.Module):
    """A network whose logits are no numbers."""

    def __init__(self, out_channels: int, **parameters) -> None:
        super().__init__()
        self.last = nn.Conv3d(1, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """NaN."""
        return self.last(x) * float("nan")


class Hungry(Broken):
    """A network that wants more memory than there is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Allocates 2^60 bytes on the way."""
        torch.empty(2**60, dtype=torch.uint8)
        return self.last(x)


def test_one_network_that_fails_does_not_end_the_others(training_data, tmp_path, monkeypatch):
    own, given = networks._monai, options(tmp_path)
    names = ("unet-tiny", "unetr-tiny", "segresnet-tiny")
    with monkeypatch.context() as patch:
        broken = SimpleNamespace(UNet=Broken, UNETR=Hungry)
        patch.setattr(networks, "_monai", lambda kind: broken if hasattr(broken, kind) else own(kind))
        failed, hungry, done = all_trained(training_data, given, *names)
    assert "loss of step 1 is nan" in failed["failed"] and done["steps"] == 1
    assert hungry["failed"] == "out of memory"
    with pytest.raises(Exception, match="1 of 2 trainings failed"):
        check_failures([failed, done])

    rows = rows_of({name: {"parameters": 1} for name in names}, [failed, hungry, done], None)
    assert [row["failed"] for row in rows] == [1, 1, 0] and rows[0]["steps"] is None and rows[2]["steps"] == 1

    # Nothing was kept of the failed training, so that a corrected recipe may take its place.
    (mended,) = all_trained(training_data, options(tmp_path, "optimiser.clip=1.0"), "unet-tiny")
    assert mended["steps"] == 1 and len(losses(given.run / "unet-tiny-seed1")) == 1
    # Of the one that was done, all is kept.
    with pytest.raises(UsageError, match=r"optimiser\.clip was"):
        all_trained(training_data, options(tmp_path, "optimiser.clip=1.0"), "segresnet-tiny")


def test_a_reader_is_told_how_the_weights_were_chosen_and_where_a_budget_ended(tmp_path):
    common = {"seed": 1, "environment": {"device": "cpu", "devices": 1}}
    whole = {**common, "model": "iuinet", "weights": "best", "reached_last_phase": True}
    short = {**common, "model": "unet", "weights": "last", "reached_last_phase": False}
    said = " ".join(remarks([whole, short], recipe_of(options(tmp_path, steps=7))))
    assert "no validation chose: unet." in said and "Budget: 7 steps each" in said and "One seed" in said
    assert "ended before the recipe's last phase: unet." in said
    other = {**whole, "seed": 2, "environment": {"device": "cuda", "devices": 1}}
    said = " ".join(remarks([whole, other], recipe_of(options(tmp_path, steps=7))))
    assert "One seed" not in said and "different devices" in said and "last phase" not in said


# Networks of others, by train.py and evaluate.py --------------------------------------------------------


def test_any_network_is_trained_and_measured_but_only_iuinet_becomes_a_model(training_data, tmp_path, capfd):
    run, data = tmp_path / "dynunet", str(training_data.folder)
    network = ("network={size=32}", "network.name=dynunet-tiny")
    chosen = [*network, "data.split=mine", "run.budget_steps=2"]
    command = ["--config", str(recipe_file(tmp_path)), "--data", data, "--run", str(run), "--device", "cpu"]
    assert train_script.main([*command, "--set", *chosen]) == 0
    said = capfd.readouterr().out
    assert "network   dynunet-tiny, input 32^3" in said and "budget    2 steps" in said
    assert evaluate.main(["--data", data, "--run", str(run), "--out", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["models"][0]["training"]["recipe"]["network"]["name"] == "dynunet-tiny"
    assert {row["grid"] for row in results["rows"]} == {"native", "network", "ceiling"}

    # What is scored at the network's size is what the network says.
    (member,) = find_members([], [run], tmp_path, training_data)
    model = segmenter(member.weights, "cpu")
    tensors, document = read_weights(run / "last.safetensors")
    net = build(config_from(document["network"])).eval()
    net.load_state_dict(tensors)
    inputs = []
    model.net.register_forward_pre_hook(lambda module, arguments: inputs.append(arguments[0]))
    model(training_data.native("c3")[0])
    with torch.no_grad():
        channels = net(inputs[0])[0][0].argmax(0)
    assert torch.equal(model.logits.argmax(0), channels) and channels.any()

    capfd.readouterr()
    words = ["--run", str(run), "--out", str(tmp_path / "model"), "--id", "a", "--version", "1"]
    assert export.main([*words, "--license", "x"]) == 4
    refusal = capfd.readouterr().err
    assert "error[checkpoint]" in refusal and "trained dynunet-tiny, and only IUINet is a model" in refusal
    assert not list((tmp_path / "model").glob("*"))


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
    kept = {}
    for title, _, changes in VARIANTS:
        network = read_weights(run / f"{title.replace(' ', '-')}-seed1" / "last.safetensors")[1]["network"]
        kept[title] = (network["shift"], network["head"])
        assert kept[title] == (changes["shift"], changes["head"])
    assert len(set(kept.values())) == 4
    said = capfd.readouterr().out
    table = {row["model"]: row for row in csv.DictReader((run / "ablate.csv").read_text().splitlines())}
    assert list(table)[:4] == [title for title, *_ in VARIANTS]
    assert 0 <= float(table["without shift"]["dsc liver"]) <= 1 and "Published: on the 12 test cases" in said
    assert float(table["published: full model"]["dsc liver"]) == 0.9546
    assert table["full model"]["classes"] == "3"
    assert ablate.main(command) == 0
    assert capfd.readouterr().out.count("This training is finished") == 4
    for wrong, code in ((["--data", str(training_data.folder)], "no-run"), (["--steps", "5"], "no-data")):
        assert ablate.main(wrong) == 2 and f"error[{code}]" in capfd.readouterr().err
