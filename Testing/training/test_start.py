"""A training that starts from a model: what is kept, what is initialised again, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from helpers.sample_ct import CHALLENGE
from training.training_runs import recipe_file, small_recipe

from iuinet.errors import UsageError, WeightsError
from iuinet.network import PRESETS, IUINet
from iuinet.weights.load import load_model, save_model
from pipeline.fitting.networks import peers
from pipeline.fitting.recipe_file import read_recipe
from pipeline.fitting.start import start_from
from pipeline.fitting.task import make_task

NAMES = [organ.name for organ in CHALLENGE]


@pytest.mark.parametrize("head", ["dyfc", "conv"])
def test_heads_of_organs_that_both_have_are_kept_by_name(small_model, tmp_path, head):
    """Background's and those of organs that both have are the model's, wherever they stand; a new organ's are
    new, those of an organ that is left out are gone, and everything else is kept."""
    net, document = load_model(small_model)
    torch.manual_seed(3)
    net = IUINet(dataclasses.replace(net.config, head=head))
    document = {**document, "network": net.config.to_dict()}
    save_model(tmp_path / "model.safetensors", net, document)
    organs = ["Liver", "my own structure", "spleen"]
    start = start_from(tmp_path / "model.safetensors", organs, seed=5)
    fresh = IUINet(start.config)
    fresh.load_state_dict(start.tensors)  # complete, and of the right shapes
    before = net.state_dict()
    dims = {"weights": 2, "biases": 1} if head == "dyfc" else {"weight": 0}
    of_classes = {f"mapping.{s}.{part}": dim for s in range(5) for part, dim in dims.items()}
    liver, spleen = 1 + NAMES.index("liver"), 1 + NAMES.index("spleen")
    for name, tensor in start.tensors.items():
        if name not in of_classes:
            assert torch.equal(tensor, before[name]), name
            continue
        dim = of_classes[name]
        for now, then in ((0, 0), (1, liver), (3, spleen)):
            assert torch.equal(tensor.select(dim, now), before[name].select(dim, then)), name
        new = tensor.select(dim, 2)
        assert not any(torch.equal(new, before[name].select(dim, n)) for n in range(14))
    assert start.record["made_anew"] == ["my own structure"]
    assert start.record["left_out"] == [name for name in NAMES if name not in ("liver", "spleen")]
    assert (
        "kept are the heads' numbers for Liver, spleen; new are my own structure; left out are right kid"
        in (start.sentences[0])
    )


def test_kept_organs_are_segmented_as_before(small_model):
    """With fewer organs, each one's logits are what the model gave it."""
    net, _ = load_model(small_model)
    start = start_from(small_model, ["stomach", "liver"], seed=5)
    fewer = IUINet(start.config).eval()
    fewer.load_state_dict(start.tensors)
    x = torch.rand(1, 1, 32, 32, 32)
    channels = [0, 1 + NAMES.index("stomach"), 1 + NAMES.index("liver")]
    with torch.no_grad():
        for whole, part in zip(net.float().eval()(x), fewer(x), strict=True):
            torch.testing.assert_close(part, whole[:, channels], atol=1e-4, rtol=1e-4)


def test_a_start_is_told_and_recorded(small_model):
    net, _ = load_model(small_model)
    start = start_from(small_model, ["liver", "my own structure"], seed=5)
    assert start.config == dataclasses.replace(net.config, classes=3)
    assert start.record["organs_before"] == NAMES
    assert start.record["organs_now"] == ["liver", "my own structure"]
    assert start.record["id"] == "small-random" and len(start.record["sha256"]) == 64
    assert json.loads(json.dumps(start.record)) == start.record
    assert len(start.sentences) == 1


def test_new_heads_are_a_function_of_the_seed_and_leave_chance_alone(small_model):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    starts = [start_from(small_model, ["my own"], seed=seed) for seed in (7, 7, 8)]
    assert torch.equal(torch.rand(3), expected)
    first, again, other = (s.tensors for s in starts)
    assert all(torch.equal(first[name], again[name]) for name in first)
    rows = [s["mapping.0.weights"][:, :, 1] for s in (first, other)]
    assert not torch.equal(*rows)


def test_the_same_organs_keep_their_heads(small_model):
    net, _ = load_model(small_model)
    start = start_from(small_model, [name.upper() for name in NAMES], seed=5)
    assert start.record["made_anew"] == start.record["left_out"] == []
    assert start.sentences[0] == "Of small-random everything is kept."
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in start.tensors.items())
    other_order = start_from(small_model, NAMES[::-1], seed=5)
    turned, before = other_order.tensors["mapping.0.biases"], net.state_dict()["mapping.0.biases"]
    assert torch.equal(turned[:, 1:], before[:, 1:].flip(1)) and torch.equal(turned[:, 0], before[:, 0])


def test_class_weights_and_rate_of_a_start_are_gentle_where_the_recipe_says_nothing(training_data, tmp_path):
    """Those that the model's heads are used to, for the training's organs; a low rate that rises first."""
    phases = 'phases=[{name="first", epochs=1}, {name="second", epochs=1, learning_rate=1e-2}]'
    silent = (phases, "network={preset='tiny', size=32}")
    recipe = read_recipe(recipe_file(tmp_path), silent, started=True)
    assert (recipe.phases[0].learning_rate, recipe.phases[0].warm_up_steps) == (3e-4, 50)
    assert (recipe.phases[1].learning_rate, recipe.phases[1].warm_up_steps) == (1e-2, 0)
    assert read_recipe(recipe_file(tmp_path), silent).phases[0].learning_rate == 1e-3
    task = make_task(recipe, training_data, start="starter-tiny")
    assert task.recipe.loss.class_weights == {"background": 0.3, "liver": 0.7, "spleen": 2.0}
    assert "class weights" in task.start.sentences[-1] and "spleen 2" in task.start.sentences[-1]
    own = small_recipe(tmp_path, *silent, "loss.class_weights={liver=5}")
    assert make_task(own, training_data, start="starter-tiny").recipe.loss.class_weights == {"liver": 5.0}
    assert make_task(recipe, training_data).recipe.loss.class_weights == {}


def test_another_attention_is_another_network(small_model):
    with pytest.raises(UsageError) as refused:
        start_from(small_model, ["liver"], 1, dataclasses.replace(PRESETS["tiny"], attention="standardised"))
    assert "attention plain (the recipe: standardised)" in refused.value.message


def test_a_started_network_learns_in_all_its_parts(small_model):
    start = start_from(small_model, ["liver"], seed=5)
    net = IUINet(start.config)
    net.load_state_dict(start.tensors)
    sum(output.square().mean() for output in net(torch.rand(1, 1, 32, 32, 32))).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_a_shipped_model_starts_by_its_id():
    start = start_from("starter-tiny", ["liver"], seed=1, window=(-160.0, 240.0))
    assert start.record["id"] == "starter-tiny" and start.config.width == 8
    assert start.sentences[1] == (
        "It was trained with the window -125 to 275 HU, this training uses -160 to 240 HU."
    )
    assert "synthetic CT" in start.record["trained_on"]["statement"]


def test_a_model_in_half_precision_starts_in_full(small_model, tmp_path):
    net, document = load_model(small_model)
    save_model(tmp_path / "half.safetensors", net.half(), document)
    start = start_from(tmp_path / "half.safetensors", ["liver"], seed=5)
    assert {tensor.dtype for tensor in start.tensors.values() if tensor.is_floating_point()} == {
        torch.float32
    }


def test_another_network_is_refused_by_its_fields_but_size_and_classes_are_free(small_model):
    with pytest.raises(UsageError) as refused:
        start_from(small_model, ["liver"], 1, dataclasses.replace(PRESETS["small"], head="conv"))
    assert refused.value.code == "start-network"
    assert "width 8 (the recipe: 16)" in refused.value.message and "head dyfc" in refused.value.message
    assert "size" not in refused.value.message and "classes" not in refused.value.message
    start = start_from(small_model, ["liver"], 1, dataclasses.replace(PRESETS["tiny"], size=48))
    assert (start.config.size, start.config.classes) == (48, 2)
    assert start.sentences[1] == "It was made for an input of 32^3 voxels, this training uses 48^3."


def test_another_kind_of_network_does_not_start_from_a_model(small_model):
    with pytest.raises(UsageError) as refused:
        start_from(small_model, ["liver"], 1, peers()["unet"])
    assert refused.value.code == "start-network"
    assert "is an IUINet, and the recipe's network is unet" in refused.value.message


def test_what_is_no_model_is_refused(tmp_path):
    for name, code in (("no-such-model", "weights-unknown"), (tmp_path / "x.pt", "weights-missing")):
        with pytest.raises(WeightsError) as refused:
            start_from(name, ["liver"], 1)
        assert refused.value.code == code
