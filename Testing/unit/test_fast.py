"""The fast path on the CPU against the plain one: kinds of network, offsets, inputs, the shipped model."""

import dataclasses
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from helpers.networks import CHANGES, lively
from torch.nn.utils import parametrizations

import iuinet
from iuinet.network import PRESETS, IUINet
from iuinet.network.complexity import count
from iuinet.network.fast import fast_logits, is_usable
from iuinet.network.fast.features import Features
from iuinet.weights.load import load_model

SHIPPED = sorted((Path(iuinet.__file__).parents[1] / "Resources" / "Weights").glob("*.safetensors"))


def assert_equal_but_for_rounding(net, x):
    """Both paths are as far from float64's result, and labels differ only where the lead is rounding."""
    exact = IUINet(net.config).double()
    exact.load_state_dict(net.state_dict())
    with torch.no_grad() if torch.is_grad_enabled() else nullcontext():
        assert is_usable(net, x)
        found, plain, exact = net(x), net.plain(x), exact.plain(x.double())
        finest = fast_logits(net, x, only_finest=True)[0]
    for fast, slow, true in zip(found, plain, exact, strict=True):
        assert fast.shape == slow.shape and fast.dtype == slow.dtype
        error, usual = (fast - true).abs().max(), (slow - true).abs().max()
        assert error <= 4 * usual + 1e-5 * true.abs().max()
        lead = true.topk(2, dim=1)[0].diff(dim=1).abs()[:, 0]
        clear = lead > 4 * usual + 1e-4
        assert clear.float().mean() > 0.9 or not true.std() > 1e-3
        assert torch.equal(fast.argmax(1)[clear], slow.argmax(1)[clear])
    assert torch.equal(finest, found[0])


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset(preset):
    net = lively(dataclasses.replace(PRESETS[preset], size=32)).eval()
    assert_equal_but_for_rounding(net, torch.rand(1, 1, 32, 32, 32))


@pytest.mark.parametrize("changes", CHANGES)
def test_every_kind_of_network_on_edges_that_differ_and_a_batch(changes):
    net = lively(dataclasses.replace(PRESETS["tiny"], size=32, **changes)).eval()
    assert_equal_but_for_rounding(net, torch.rand(2, 1, 32, 48, 64))


@pytest.mark.parametrize("reach", [0.9, 12.0, 200.0])
def test_offsets_up_to_far_outside_the_volume(reach):
    net = lively(dataclasses.replace(PRESETS["tiny"], size=32), reach).eval()
    assert_equal_but_for_rounding(net, torch.rand(1, 1, 48, 32, 32))


def test_tiles_of_two_rows_and_windows_of_few_slices(monkeypatch):
    monkeypatch.setattr("iuinet.network.fast.features._TILE", 96)
    for name in ("windows._WINDOW", "shifted._SLAB"):
        monkeypatch.setattr(f"iuinet.network.fast.{name}", 1)
    net = lively(dataclasses.replace(PRESETS["tiny"], size=32)).eval()
    assert_equal_but_for_rounding(net, torch.rand(1, 1, 32, 48, 48))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_two_threads_in_every_mode_without_gradients(mode):
    net, before = lively(dataclasses.replace(PRESETS["tiny"], size=32)).eval(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with mode():
            assert_equal_but_for_rounding(net, torch.rand(1, 1, 32, 48, 32))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5])
def test_a_blank_volume(value):
    net = lively(dataclasses.replace(PRESETS["tiny"], size=32)).eval()
    x = torch.full((1, 1, 32, 32, 32), value)
    with torch.no_grad():
        for fast, plain in zip(net(x), net.plain(x), strict=True):
            assert torch.isfinite(fast).all()
            torch.testing.assert_close(fast, plain, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_model(path):
    net, document = load_model(path)
    torch.manual_seed(0)
    x = torch.nn.functional.interpolate(torch.rand(1, 1, 6, 6, 6), size=64, mode="trilinear")
    assert document and SHIPPED
    assert_equal_but_for_rounding(net, x)


def test_the_variance_of_a_small_deviation_around_a_large_mean():
    torch.manual_seed(0)
    data = (1e3 + torch.randn(8, 3, 500)) * torch.tensor([1.0, 10.0, 1e-3])[:, None]
    mean, variance = Features(3, (8, 20, 25), data[:, None]).moments()
    expected = torch.var_mean(data.double(), (0, 2), correction=0)
    torch.testing.assert_close((variance, mean), expected, rtol=1e-5, atol=0)


def test_the_work_that_is_reported_is_the_work_that_was_counted():
    net, done = lively(dataclasses.replace(PRESETS["tiny"], size=32)).eval(), []
    with torch.no_grad():
        fast_logits(net, torch.rand(1, 1, 32, 32, 32), advance=done.append)
    assert min(done) > 0 and 0.8 < sum(done) / count(net, 32)[1].total < 1.1


@pytest.mark.parametrize("why", ["training", "float64", "hook", "autocast", "another layer"])
def test_what_it_does_not_know_goes_the_plain_way(why):
    net, x = IUINet(dataclasses.replace(PRESETS["tiny"], size=32)).eval(), torch.rand(1, 1, 32, 32, 32)
    assert not is_usable(net, x)  # gradients are wanted
    with torch.no_grad(), torch.autocast("cpu", enabled=why == "autocast"):
        if why == "training":
            net.train()
        elif why == "float64":
            net, x = net.double(), x.double()
        elif why == "hook":
            net.fusion[0].register_forward_hook(lambda *_: None)
        elif why == "another layer":
            parametrizations.weight_norm(net.shift_stream[0].blocks[0].expand)
        assert not is_usable(net, x)
        for found, plain in zip(net(x), net.plain(x), strict=True):
            assert torch.equal(found, plain)
