"""Recipes: the project's own are whole, changes reach their place, nothing unknown is taken in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from iuinet.errors import UsageError
from iuinet.network import PRESETS
from pipeline.fitting.recipe import Recipe
from pipeline.fitting.recipe_file import read_recipe, recipe_from

CONFIG = Path(__file__).resolve().parents[2] / "Training" / "config"
RECIPES = [path for path in sorted(CONFIG.glob("*.toml")) if "card" not in path.name]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_projects_recipes_are_whole_and_survive_a_checkpoint(path):
    recipe = read_recipe(path)
    assert recipe_from(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_the_papers_recipe_says_what_the_paper_says():
    recipe = read_recipe(CONFIG / "paper.toml")
    assert recipe.network.config(3) == PRESETS["paper"]
    first, second = recipe.phases
    assert (first.data, second.data) == ("pairs", "cases")
    assert second.epochs == 2000 and second.stop_patience == 100 and second.learning_rate == 1e-3
    assert (second.schedule, second.plateau_patience, second.plateau_factor) == ("plateau", 20, 0.2)
    assert recipe.optimiser.name == "adam" and recipe.optimiser.batch == 1
    assert recipe.loss.scales == (1.0,) * 5 and recipe.data.split == "transunet"


def test_a_recipe_without_a_file_is_the_papers_training_phase():
    assert read_recipe(None) == Recipe()


def test_changes_reach_every_kind_of_place():
    recipe = read_recipe(
        CONFIG / "paper.toml",
        [
            "run.seed=7",
            "phases.train.epochs=3",
            "phases.0.augment=true",
            "data.organs=transunet8",
            'loss.class_weights={liver=2, "right kidney"=3.5}',
            "network.width=16",
            "augmentation.scale=[0.9, 1.1]",
            "run.data_on_device=true",
            "optimiser.clip=12",
        ],
    )
    assert recipe.run.seed == 7 and recipe.phases[1].epochs == 3 and recipe.phases[0].augment
    assert recipe.data.organs == "transunet8" and recipe.network.config(8).width == 16
    assert recipe.loss.class_weights == {"liver": 2.0, "right kidney": 3.5}
    assert recipe.augmentation.scale == (0.9, 1.1) and recipe.run.data_on_device == "true"
    assert recipe.optimiser.clip == 12.0 and recipe.network.config(8).classes == 9


@pytest.mark.parametrize(
    ("change", "said", "hint"),
    [
        ("run.sed=1", "[run] has no 'sed'", "Did you mean seed?"),
        ("phases.train.epoch=3", "[phases.1] has no 'epoch'", "Did you mean epochs?"),
        ("optimizer.batch=2", "the recipe has no 'optimizer'", "Did you mean optimiser?"),
        ("phases.fine.epochs=3", "no such phase", "pre-train, train"),
        ("seed", "--set seed", "section.key=value"),
        ("seed=3", "--set seed=3", "section.key=value"),
        ("run.seed=fast", "run.seed is 'fast'", "whole number"),
        ("run.seed=true", "run.seed is True", "whole number"),
        ("data.window=[300.0, -100.0]", "data.window", "lower HU first"),
        ("data.window=[1.0]", "data.window", "2 values"),
        ("network.preset=huge", "network.preset is 'huge'", "paper"),
        ("network.size=100", "100 x 100 x 100", "multiple of 16"),
        ("phases.train.size=40", "40 x 40 x 40", "multiple of 16"),
        ("phases.train.schedule=step", "phases.train.schedule", "plateau"),
        ("phases.train.data=synthetic", "steps_per_epoch", "Synthetic scans have no end"),
        ("phases.train.epochs=0", "phases.train.epochs is 0", "above 0"),
        ("optimiser.micro_batch=2", "optimiser.batch is 1", "multiple of micro_batch 2"),
        ("run.average=1.0", "run.average is 1.0", "0.999"),
        ("loss.scales=[]", "loss.scales", "weight per output"),
        ("augmentation.noise_probability=2", "noise_probability is 2", "up to 1"),
        ("synthesis.weights=[1.0]", "synthesis.weights", "one weight per anatomy"),
        ("network.name=nnunet", "network.name is 'nnunet'", "iuinet, unet, segresnet, dynunet"),
        ("run.budget_steps=-1", "run.budget_steps is -1", "0 for no limit"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_place(change, said, hint):
    with pytest.raises(UsageError) as refused:
        read_recipe(CONFIG / "paper.toml", [change])
    assert said in refused.value.message and hint in refused.value.hint


def test_files_that_are_no_recipes_are_refused(tmp_path):
    (tmp_path / "broken.toml").write_text("[run\nseed = 1")
    for name, code in (("broken.toml", "recipe"), ("missing.toml", "recipe-missing")):
        with pytest.raises(UsageError) as refused:
            read_recipe(tmp_path / name)
        assert refused.value.code == code and name in refused.value.message


def test_a_recipe_can_name_the_network_of_another():
    recipe = read_recipe(CONFIG / "compare.toml", ["network.name=dynunet"])
    config = recipe.network.config(13)
    assert (config.kind, config.size, config.classes) == ("DynUNet", 64, 14)
    assert recipe_from(json.loads(json.dumps(recipe.to_dict()))) == recipe
    for change, said, hint in (
        ("network.width=16", "network.width is 16", "dynunet takes network.size alone"),
        ("phases.train.size=32", "built for an input of 64^3 voxels, and a phase has 32^3", "0 or 64"),
        ("network.size=80", "dynunet cannot be trained at an input of 80^3", "multiple of 32"),
    ):
        with pytest.raises(UsageError) as refused:
            read_recipe(CONFIG / "compare.toml", ["network.name=dynunet", change])
        assert said in refused.value.message and hint in refused.value.hint


def test_a_budget_is_one_of_steps_or_of_seconds():
    with pytest.raises(UsageError) as refused:
        read_recipe(CONFIG / "paper.toml", ["run.budget_steps=5", "run.budget_seconds=5"])
    assert "either steps or seconds" in refused.value.hint
