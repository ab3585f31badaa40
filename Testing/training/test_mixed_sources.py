"""Phases that draw from prepared cases and synthetic CT: whose turn it is, which organs, what is said."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from prepare import main
from training.small_anatomy import small_anatomy
from training.test_dataset_declared import write_copy
from training.training_runs import assert_same, losses, small_recipe, steps, train

from iuinet.errors import UsageError
from iuinet.weights import resolve
from iuinet.weights.load import save_model
from pipeline.dataset.organs import organ_names, subsets
from pipeline.dataset.prepared import open_prepared
from pipeline.evaluation.exposure import PREDECESSOR, SELECTION, SYNTHESIS, TRAINING, exposure
from pipeline.exporting.model import model_document, read_trained
from pipeline.exporting.model_card import model_card
from pipeline.fitting import task as tasks
from pipeline.fitting.recipe import Phase
from pipeline.fitting.recipe_file import recipe_from
from pipeline.fitting.samples import MixedSamples
from pipeline.fitting.task import make_task

CPU = torch.device("cpu")
ALL = tuple(subsets()["all13"])
LABELLED = ("spleen", "liver", "stomach", "aorta")
ONE_EACH = ('data.organs="all13"', 'data.split="mine"', 'synthesis.anatomies=["small"]')
MIXED = (
    *ONE_EACH,
    'phases=[{name="both", data={cases=0.5, synthetic=0.5}, epochs=2, steps_per_epoch=2, augment=true, '
    'learning_rate=1e-3, schedule="constant"}]',
)
SPLIT = '[splits.mine]\ntrain = ["0005", "0027"]\nvalidation = ["0028"]\ntest = ["0028"]\n'


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three cases of which two train: clipped, and four organs labelled."""
    folder = tmp_path_factory.mktemp("mixed")
    raw = write_copy(folder / "raw")
    with (raw / "organs.toml").open("a") as file:
        file.write(SPLIT)
    assert main([str(raw), "--out", str(folder / "prepared"), "--size", "32", "--workers", "1"]) == 0
    return open_prepared(folder / "prepared")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A training on both."""
    folder = tmp_path_factory.mktemp("run")
    train(small_recipe(folder, *MIXED), data, folder / "run", (small_anatomy(),))
    return folder / "run"


def mixed_task(folder, data, *changes, start=None):
    return make_task(small_recipe(folder, *MIXED, *changes), data, (small_anatomy(),), start)


class Counting:
    """A source that tells its numbers."""

    def __init__(self, name):
        self.of = name

    def name(self, number):
        return f"{self.of}{number}"

    def sample(self, number, size):
        return number, size


# Whose turn it is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shares", [{"a": 1, "b": 1}, {"a": 0.3, "b": 0.7}, {"a": 5, "b": 0.1, "c": 2.4}])
def test_each_source_has_its_share_and_counts_its_own_samples(shares):
    mixed = MixedSamples({name: Counting(name) for name in shares}, shares)
    names = [mixed.name(number) for number in range(600)]
    for source, share in shares.items():
        own = [name for name in names if name[0] == source]
        assert own == [f"{source}{number}" for number in range(len(own))]
        for end in (60, 600):
            expected = end * share / sum(shares.values())
            assert abs(Counter(name[0] for name in names[:end])[source] - expected) <= 2
    assert mixed.name(321) == names[321] and mixed.sample(321, 32) == (int(names[321][1:]), 32)


def test_a_sample_is_a_function_of_seed_phase_and_number(tmp_path, data):
    task = mixed_task(tmp_path, data)
    one, other = task.samples(0, CPU), task.samples(0, CPU)
    other.sample(5, 32), other.sample(0, 32)
    for number in (2, 3):
        assert one.name(number) == other.name(number)
        for a, b in zip(one.sample(number, 32), other.sample(number, 32), strict=False):
            assert torch.equal(a, b)
    assert {one.name(number) for number in range(8)} == {"0005", "0027", "small"}
    again = mixed_task(tmp_path, data, "run.seed=2").samples(0, CPU)
    assert not torch.equal(again.sample(3, 32)[0], one.sample(3, 32)[0])


def test_a_source_gives_the_samples_that_it_gives_alone(tmp_path, data):
    mixed = mixed_task(tmp_path, data).samples(0, CPU)
    cases = ('phases.both.data="cases"', 'data.organs="all"')
    alone = mixed_task(tmp_path, data, *cases).samples(0, CPU)
    ours = [number for number in range(8) if mixed.name(number) != "small"]
    for own, number in enumerate(ours):
        assert mixed.name(number) == alone.name(own)
        assert torch.equal(mixed.sample(number, 32)[0], alone.sample(own, 32)[0])


@pytest.mark.parametrize(
    "wrong", [{}, {"cases": 0}, {"cases": float("inf")}, {"atlas": 1}, 3, {"cases": True}]
)
def test_shares_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError, match="phases") as caught:
        recipe_from({"phases": [{"data": wrong}]})
    assert caught.value.code == "recipe"


def test_a_recipe_says_its_sources_as_it_was_given_them():
    mixture = {"cases": 0.5, "pairs": 2.0}
    assert Phase(data=mixture).shares == mixture and Phase().shares == {"cases": 1.0}
    assert list(Phase(data={"pairs": 2.0, "cases": 0.5}).shares) == ["cases", "pairs"], "in whatever order"
    recipe = recipe_from({"phases": [{"data": mixture}]})
    assert recipe.to_dict()["phases"][0]["data"] == mixture and recipe_from(recipe.to_dict()) == recipe
    with pytest.raises(UsageError, match="steps_per_epoch"):
        recipe_from({"phases": [{"data": {"cases": 1, "synthetic": 1}}]})


# Which organs -----------------------------------------------------------------------------------------------


def test_organs_are_those_that_one_of_the_sources_labels(tmp_path, data):
    task = mixed_task(tmp_path, data)
    assert task.names == ALL and [organ["label"] for organ in task.organs] == list(range(1, 14))
    samples = task.samples(0, CPU)
    for number in range(4):
        _, labels, *mask = samples.sample(number, 32)
        if samples.name(number) == "small":
            assert not mask
        else:
            shown = {name for name, one in zip(ALL, mask[0][1:].tolist(), strict=True) if one}
            assert mask[0][0] and shown == set(LABELLED)
            assert set(labels.unique().tolist()) <= {0, 255, *(ALL.index(name) + 1 for name in LABELLED)}
    with pytest.raises(UsageError) as caught:
        mixed_task(tmp_path, data, 'phases.both.data="cases"')
    assert caught.value.code == "organ-unlabelled"
    assert organ_names(data, "all", ALL)[0] == "spleen" and set(organ_names(data, "all", ALL)) == set(ALL)


def test_generated_organs_are_found_by_name_whatever_their_numbers_in_the_data(tmp_path, data):
    organs = tuple(
        {**organ, "label": 40 - organ["label"]} for organ in data.organs if organ["name"] != "aorta"
    )
    own = replace(data, organs=(*organs, {"name": "tumour", "label": 8}), labelled_only=None)
    task = make_task(
        small_recipe(tmp_path, *MIXED, 'data.organs=["tumour", "liver", "aorta"]'), own, (small_anatomy(),)
    )
    labels = {organ["name"]: organ["label"] for organ in task.organs}
    assert labels["liver"] == 34 and len(set(labels.values())) == 3, "8 is the tumour's"
    generated = next(n for n in range(4) if task.samples(0, CPU).name(n) == "small")
    _, channels, shown = task.samples(0, CPU).sample(generated, 32)
    assert shown.tolist() == [True, False, True, True], "no generated CT shows tumours"
    whole = mixed_task(tmp_path, data).samples(0, CPU).sample(generated, 32)[1]
    assert torch.equal(channels == 2, whole == 6) and torch.equal(channels == 3, whole == 8)


def test_labels_of_all_organs_train_as_without_a_mask_to_the_bit(training_data, tmp_path, monkeypatch):
    recipe = small_recipe(tmp_path, "phases.second.epochs=1", "phases.first.epochs=1")
    train(recipe, training_data, tmp_path / "plain")
    monkeypatch.setattr(tasks, "shown_classes", lambda labelled, names: torch.ones(3, dtype=torch.bool))
    train(recipe, training_data, tmp_path / "masked")
    assert losses(tmp_path / "plain") == losses(tmp_path / "masked")
    assert_same(tmp_path / "plain/last.safetensors", tmp_path / "masked/last.safetensors")


def test_validation_and_the_choice_of_weights_leave_unlabelled_organs_out(run):
    row = next(csv.DictReader((run / "epochs.csv").read_text().splitlines()))
    scores = {name: row[f"dsc {name}"] for name in ALL}
    assert {name for name, score in scores.items() if score} == set(LABELLED)
    mean = sum(float(scores[name]) for name in LABELLED) / 4
    assert float(row["mean_dsc"]) == pytest.approx(mean, abs=1e-4)


# The window, and what is said -------------------------------------------------------------------------------


def test_a_window_beyond_the_images_clipping_is_refused_for_a_mixture(tmp_path, data):
    with pytest.raises(UsageError, match=r"clipped to -125 to 275 HU.*tell the network") as caught:
        mixed_task(tmp_path, data, "data.window=[-160.0, 240.0]")
    assert caught.value.code == "window-clipped"
    mixed_task(tmp_path, data, "data.window=[-100.0, 240.0]")
    alone = small_recipe(tmp_path, 'data.split="mine"', "data.window=[-160.0, 240.0]")
    assert make_task(alone, data).provenance["split"] == "mine", "alone all images are alike"


def test_a_checkpoint_says_on_what_it_was_trained_and_which_set_labels_what(run):
    trained = read_trained(run / "last.safetensors")
    said = trained.document["data"]
    assert said["train"] == ["0005", "0027"] and said["validation"] == ["0028"]
    assert said["synthetic"]["anatomies"] == ["small"] and len(said["synthetic"]["fingerprint"]) == 64
    assert set(said["labelled"]["synapse"]) == set(LABELLED) and said["labelled"]["synthetic"] == list(ALL)
    assert "synthetic CT made from the label maps small" in said["statement"]
    assert "does not label" in said["statement"] and "esophagus" in said["statement"]
    assert {name for step in steps(run) for name in step["samples"]} == {"0005", "0027", "small"}


# What a fold's model has met --------------------------------------------------------------------------------

CARD = {"id": "mixed", "version": "1", "license": "Apache-2.0", "attributions": [], "intended_use": "Tests."}


def test_a_fold_meets_its_own_cases_and_what_its_start_has_met(run, tmp_path, data):
    trained = read_trained(run / "last.safetensors")
    document = model_document(trained, CARD, {})
    save_model(tmp_path / "mixed.safetensors", trained.net(), document)
    met = {case: exposure(document["training"], case) for case in ("0005", "0027", "0028", "small", "0001")}
    assert met == {"0005": TRAINING, "0027": TRAINING, "0028": "", "small": SYNTHESIS, "0001": ""}

    card = model_card(resolve(tmp_path / "mixed.safetensors"))
    assert "* Labelled in synapse: spleen, liver, stomach, aorta." in card
    assert "* Also trained on synthetic CT made from the label maps small." in card

    folder = tmp_path / "next"
    other = replace(data, splits={"mine": {"train": ["0028"], "validation": ["0005"], "test": ["0005"]}})
    recipe, start = small_recipe(tmp_path, *MIXED), tmp_path / "mixed.safetensors"
    said = make_task(recipe, other, (small_anatomy(),), start).start.sentences
    assert said[-1].endswith("it was trained on cases that this split holds out: 0005.")
    train(recipe, other, folder, (small_anatomy(),), start=start)
    assert {name for step in steps(folder) for name in step["samples"]} == {"0028", "small"}
    after = read_trained(folder / "best.safetensors")
    assert after.document["start"]["trained_on"]["train"] == ["0005", "0027"]
    training = model_document(after, CARD, {})["training"]
    met = {case: exposure(training, case) for case in ("0005", "0027", "0028", "small")}
    assert met == {"0005": PREDECESSOR, "0027": PREDECESSOR, "0028": TRAINING, "small": SYNTHESIS}
    without_start = {**training, "start": None}
    assert exposure(without_start, "0005") == SELECTION, "it chose the best weights"


def test_what_goes_on_from_the_shipped_model_has_met_its_cases(tmp_path, data):
    recipe = (*MIXED, "network={preset='tiny', size=32}", "network.attention=plain")
    task = make_task(small_recipe(tmp_path, *recipe), data, (small_anatomy(),), "starter-tiny")
    said = " ".join(task.start.sentences)
    assert "it was trained on cases that this split holds out: 0028." in said
    training = {"data": task.provenance, "start": task.start.record}
    assert exposure(training, "0028") == PREDECESSOR and exposure(training, "0005") == TRAINING
