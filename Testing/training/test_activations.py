"""Computing activations twice changes memory, and nothing else."""

from __future__ import annotations

import copy
import dataclasses

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from helpers.measures import saved_bytes
from torch import nn

from iuinet.errors import UsageError
from iuinet.network import PRESETS, IUINet
from pipeline.fitting.device import checkpoint_activations

CONFIG = dataclasses.replace(PRESETS["tiny"], size=32)


class LayerByLayer(IUINet):
    """What checkpoints are compared with; the CPU's own path keeps less by itself."""

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return self.plain(x)


def nets() -> tuple[IUINet, IUINet]:
    torch.manual_seed(0)
    plain, twice = LayerByLayer(CONFIG), IUINet(CONFIG)
    twice.load_state_dict(plain.state_dict())
    checkpoint_activations(twice)
    return plain, twice


def test_outputs_and_gradients_are_the_same():
    plain, twice = nets()
    x = torch.rand(1, 1, 32, 32, 32)
    outputs = [net(x) for net in (plain, twice)]
    assert all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))
    for each in outputs:
        sum(output.square().mean() for output in each).backward()
    twin = dict(twice.named_parameters())
    assert all(torch.equal(p.grad, twin[name].grad) for name, p in plain.named_parameters())
    assert plain.state_dict().keys() == twice.state_dict().keys()


def test_a_copy_and_a_second_call_are_safe():
    net = nets()[1]
    x = torch.rand(1, 1, 32, 32, 32)
    kept = saved_bytes(net, x)
    checkpoint_activations(net)
    assert saved_bytes(net, x) == kept
    twin = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert twin(x)[0].abs().max() == 0, "the copy computes with weights of its own"
    twin(x)[0].sum().backward()
    assert all(parameter.grad is None for parameter in net.parameters())


def test_it_keeps_far_less():
    plain, twice = nets()
    x = torch.rand(1, 1, 32, 32, 32)
    assert saved_bytes(twice, x) < 0.4 * saved_bytes(plain, x)


def test_other_networks_are_refused():
    with pytest.raises(UsageError) as refused:
        checkpoint_activations(nn.Conv3d(1, 2, 1))
    assert refused.value.code == "checkpoint-activations" and "Conv3d" in refused.value.message
