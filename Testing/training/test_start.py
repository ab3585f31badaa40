"""A training that starts from a model: what is kept, what is initialised again, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from helpers.sample_ct import CHALLENGE

from iuinet.errors import UsageError, WeightsError
from iuinet.network import PRESETS, IUINet
from iuinet.weights.load import load_model, save_model
from pipeline.fitting.networks import peers
from pipeline.fitting.start import start_from

NAMES = [organ.name for organ in CHALLENGE]


def test_other_organs_get_new_heads_and_the_rest_is_kept(small_model):
    net, _ = load_model(small_model)
    start = start_from(small_model, ["liver", "my own structure"], seed=5)
    assert start.config == dataclasses.replace(net.config, classes=3)
    fresh = IUINet(start.config)
    fresh.load_state_dict(start.tensors)  # complete, and of the right shapes
    before = net.state_dict()
    assert set(start.tensors) == set(fresh.state_dict())
    for name, tensor in start.tensors.items():
        if name.startswith("mapping."):
            assert name in start.record["made_anew"]
        else:
            assert torch.equal(tensor, before[name]), name
    heads = [name for name in fresh.state_dict() if name.startswith("mapping.")]
    assert sorted(heads) == start.record["made_anew"] and len(heads) >= 5
    assert start.record["kept"] == len(start.tensors) - len(heads)
    assert start.record["organs_before"] == NAMES
    assert start.record["organs_now"] == ["liver", "my own structure"]
    assert start.record["id"] == "small-random" and len(start.record["sha256"]) == 64
    assert json.loads(json.dumps(start.record)) == start.record
    assert len(start.sentences) == 1
    assert "initialised again" in start.sentences[0] and "kept" in start.sentences[0]


def test_new_heads_are_a_function_of_the_seed_and_leave_chance_alone(small_model):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    starts = [start_from(small_model, ["liver"], seed=seed) for seed in (7, 7, 8)]
    assert torch.equal(torch.rand(3), expected)
    first, again, other = ([s.tensors[name] for name in s.record["made_anew"]] for s in starts)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_same_organs_keep_their_heads(small_model):
    net, _ = load_model(small_model)
    start = start_from(small_model, [name.upper() for name in NAMES], seed=5)
    assert start.record["made_anew"] == [] and "All" in start.sentences[0]
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in start.tensors.items())
    other_order = start_from(small_model, NAMES[::-1], seed=5)
    assert other_order.record["made_anew"], "heads in another order belong to other organs"


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
