"""IUINet as a whole: shapes, gradients, and the paper's complexity tables to the unit."""

import dataclasses

import pytest
import torch
from helpers.measures import ROWS, ptflops

from iuinet.errors import UsageError
from iuinet.network import PRESETS, IUINet, IUINetConfig
from iuinet.network.complexity import count

TINY = dataclasses.replace(PRESETS["tiny"], size=32)


@pytest.mark.parametrize("row", ROWS)
def test_complexity_is_the_papers(row):
    changes, parameters, macs = ROWS[row]
    with torch.device("meta"):
        net = IUINet(dataclasses.replace(PRESETS["paper"], **changes))
    options = {"backend_specific_config": {"count_functional": False}}
    assert ptflops(net, "meta", **options) == (parameters, macs)
    own_parameters, cost = count(net)
    assert (own_parameters, cost.counted) == (parameters, macs)


def test_complexity_on_real_tensors_with_ptflops_defaults_is_the_papers():
    _, parameters, macs = ROWS["full"]
    assert ptflops(IUINet(PRESETS["paper"])) == (parameters, macs)


@pytest.mark.parametrize("row", ["full", "conv head"])
def test_meta_tensors_count_as_real_ones_do(row):
    net = IUINet(dataclasses.replace(TINY, **ROWS[row][0]))
    with torch.device("meta"):
        shadow = IUINet(net.config)
    options = {"backend_specific_config": {"count_functional": False}}
    assert ptflops(net) == ptflops(shadow, "meta", **options) == (count(net)[0], count(net)[1].counted)


def test_the_honest_count_adds_what_ptflops_cannot_see():
    with torch.device("meta"):
        net = IUINet(PRESETS["paper"])
    _, cost = count(net)
    shifted = sum(32 * 2**s * blocks * (128 // 2**s) ** 3 for s, blocks in enumerate(net.config.blocks))
    products = cost.hidden - 7 * shifted
    assert 39.5e9 < products < 39.7e9, "DyFC products, network size 128"


def test_the_output_is_five_logits_finest_first():
    outputs = IUINet(TINY)(torch.rand(2, 1, 32, 48, 64))
    assert [tuple(y.shape) for y in outputs] == [
        (2, 14, 32 // 2**s, 48 // 2**s, 64 // 2**s) for s in range(5)
    ]


@pytest.mark.parametrize("changes", [{}, {"head": "conv"}, {"shift": False}])
def test_every_parameter_learns(changes):
    torch.manual_seed(0)
    net = IUINet(dataclasses.replace(TINY, **changes))
    x = torch.rand(1, 1, 32, 32, 32)
    loss = sum((y * torch.randn_like(y)).sum() for y in net(x))
    loss.backward()
    for name, parameter in net.named_parameters():
        if not net.config.shift and name.endswith("offsets"):
            assert parameter.grad is None
            continue
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_blank_volume_gives_finite_outputs_and_gradients(seed, value):
    torch.manual_seed(seed)
    net = IUINet(TINY)
    outputs = net(torch.full((1, 1, 32, 32, 32), value))
    sum(y.sum() for y in outputs).backward()
    assert all(torch.isfinite(y).all() for y in outputs)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_a_batch_equals_its_samples_one_by_one():
    torch.manual_seed(0)
    net, x = IUINet(TINY).double(), torch.rand(3, 1, 32, 32, 32).double()
    with torch.no_grad():
        together, alone = net(x), [net(sample[None]) for sample in x]
    for stage, y in enumerate(together):
        torch.testing.assert_close(y, torch.cat([z[stage] for z in alone]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [(16, 32, 32), (32, 40, 32), (32, 32, 33), (128, 128, 100)])
def test_a_size_that_does_not_fit_is_refused_with_its_numbers(size):
    with pytest.raises(UsageError, match=" x ".join(map(str, size))) as error:
        IUINet(TINY)(torch.zeros(1, 1, *size))
    assert "16" in error.value.hint and "32" in error.value.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"head": "mlp"},
        {"attention": "free"},
        {"width": 7},
        {"kernels": (4, 8)},
        {"size": 100},
        {"classes": 0},
        {"blocks": (1,)},
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(changes):
    with pytest.raises(UsageError):
        dataclasses.replace(TINY, **changes)


def test_the_configuration_survives_json_and_refuses_unknown_fields():
    for changes in ({"head": "conv"}, {"attention": "standardised"}):
        config = dataclasses.replace(TINY, **changes)
        assert IUINetConfig.from_dict(config.to_dict()) == config
    with pytest.raises(UsageError, match="depth"):
        IUINetConfig.from_dict({**config.to_dict(), "depth": 3})


def test_presets_have_the_classes_they_promise():
    classes = {name: (config.classes, config.width, config.size) for name, config in PRESETS.items()}
    assert classes == {
        "paper": (4, 32, 128), "abdomen13": (14, 32, 128), "small": (14, 16, 128), "tiny": (14, 8, 128)
    }  # fmt: skip


def test_a_standardised_attention_has_no_parameter_and_no_multiplication_more():
    plain, other = (dataclasses.replace(PRESETS["paper"], attention=a) for a in ("plain", "standardised"))
    assert count(IUINet(other).to("meta")) == count(IUINet(plain).to("meta"))
    assert count(IUINet(other).to("meta"))[0] == 48_995_904
    assert "attention" not in plain.to_dict()  # what older versions of the program read stays as it is


def test_a_standardised_attention_reads_deviations_from_what_the_training_saw():
    torch.manual_seed(0)
    plain, other = IUINet(TINY), IUINet(dataclasses.replace(TINY, attention="standardised"))
    other.load_state_dict(plain.state_dict(), strict=False)
    x = 0.5 * torch.rand(1, 1, 32, 32, 32)
    with torch.no_grad():
        for one, two in zip(plain(x), other(x), strict=True):
            torch.testing.assert_close(one, two)  # around 0, with a spread of 1, nothing is changed
        layer, read = other.fusion[2], []
        layer.attention.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
        other(x)
        before = read[0].clone()
        layer.centre += 0.1
        layer.spread *= 0.01
        other(x)
    torch.testing.assert_close(read[1], ((before - 0.1) / 0.01).clamp(-4, 4), atol=1e-3, rtol=1e-3)
