"""The training's path on the CPU against the plain one: outputs, gradients, memory; and its threads."""

import dataclasses
import itertools
import os
import threading

import pytest
import torch
from helpers.measures import saved_bytes
from helpers.networks import CHANGES, lively

from iuinet.network import PRESETS, IUINet
from iuinet.network.dyfc import NEGATIVE_SLOPE, NORM_EPS, DyFC
from iuinet.network.fast import can_learn, learning_logits
from iuinet.network.fast.gradients import Read, along_slices, moments, normed, product
from iuinet.network.fast.threads import over_slices
from pipeline.fitting.device import checkpoint_activations

TINY = dataclasses.replace(PRESETS["tiny"], size=32)


def results(call, net, x):
    """Outputs and the gradients of every parameter and of the input, of a loss that looks at all stages."""
    net.zero_grad()
    x = x.clone().requires_grad_()
    outputs = call(x)
    weights = torch.linspace(-1, 1, outputs[0].shape[1], dtype=x.dtype)[:, None, None, None]
    sum((output * weights).square().mean() for output in outputs).backward()
    gradients = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    parts = {f"gradient {name}": gradient for name, gradient in {**gradients, "input": x.grad}.items()}
    parts |= {f"output {number}": output for number, output in enumerate(outputs)}
    return {name: part.detach().clone() for name, part in parts.items()}


def assert_equal(net, x):
    """In float64 both paths have the same outputs and gradients; in float32 outputs are as far from them."""
    assert can_learn(net, x)
    exact = IUINet(net.config).double()
    exact.load_state_dict(net.state_dict())
    true = results(exact.plain, exact, x.double())
    for name, found in results(lambda x: learning_logits(exact, x), exact, x.double()).items():
        torch.testing.assert_close(found, true[name], rtol=1e-6, atol=1e-9)
    # In float32 a gradient depends on which side of an activation's kink a value falls by rounding.
    found, usual = results(net, net, x), results(net.plain, net, x)
    assert found.keys() == usual.keys() == true.keys()
    for name in (name for name in true if name.startswith("output")):
        error, allowed = ((part[name] - true[name]).norm() for part in (found, usual))
        assert error <= 4 * allowed + 1e-6 * true[name].norm()


@pytest.mark.parametrize("changes", CHANGES)
def test_every_kind_of_network_on_edges_that_differ_and_a_batch(changes):
    assert_equal(lively(dataclasses.replace(TINY, **changes)), torch.rand(2, 1, 32, 48, 32))


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads_and_twice_the_same_bits(threads):
    before, net, x = torch.get_num_threads(), lively(TINY), torch.rand(1, 1, 32, 32, 32)
    torch.set_num_threads(threads)
    try:
        assert_equal(net, x)
        first, second = results(net, net, x), results(net, net, x)
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_a_blank_volume_has_finite_gradients():
    net = lively(TINY)
    found = results(net, net, torch.zeros(1, 1, 32, 32, 32))
    assert all(torch.isfinite(part).all() for part in found.values())


def test_it_keeps_less_than_half_of_what_the_plain_path_keeps():
    net, x = IUINet(TINY), torch.rand(1, 1, 32, 32, 32)

    class Plain(torch.nn.Module):
        def forward(self, x):
            return net.plain(x)

    assert saved_bytes(net, x) < 0.5 * saved_bytes(Plain(), x)


@pytest.mark.parametrize("why", ["no gradients", "float64", "hook", "autocast", "checkpoints"])
def test_what_it_does_not_know_goes_the_plain_way(why):
    net, x = IUINet(TINY), torch.rand(1, 1, 32, 32, 32)
    with torch.set_grad_enabled(why != "no gradients"), torch.autocast("cpu", enabled=why == "autocast"):
        if why == "float64":
            net, x = net.double(), x.double()
        elif why == "hook":
            net.fusion[0].register_forward_hook(lambda *_: None)
        elif why == "checkpoints":
            checkpoint_activations(net)
        assert not can_learn(net, x)
        for found, plain in zip(net(x), net.plain(x), strict=True):
            assert torch.equal(found, plain)


def test_an_attention_that_is_watched_is_seen_by_its_watcher():
    net, x, seen = IUINet(TINY), torch.rand(1, 1, 32, 32, 32), []
    net.fusion[0].attention.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    assert can_learn(net, x)
    net(x)
    net.plain(x)
    torch.testing.assert_close(seen[0], seen[1], rtol=1e-3, atol=1e-3)


def test_moments_of_a_small_deviation_around_a_large_mean_and_their_gradients():
    torch.manual_seed(0)
    x = (100 + torch.randn(2, 3, 4, 5, 6)).requires_grad_()
    exact = x.detach().double().requires_grad_()
    found, true = moments(x), torch.var_mean(exact, (2, 3, 4), correction=0)[::-1]
    torch.testing.assert_close(found, tuple(true), rtol=1e-5, atol=0)
    weights = torch.randn(2, 2, 3)
    (gradient,) = torch.autograd.grad((torch.stack(found) * weights).sum(), x)
    (wanted,) = torch.autograd.grad((torch.stack(true) * weights).sum(), exact)
    torch.testing.assert_close(gradient, wanted.float(), rtol=1e-3, atol=1e-5)


def test_a_product_of_normalised_and_raw_inputs_has_the_gradients_of_its_parts_in_float32():
    torch.manual_seed(0)
    layer = DyFC([3, 2], 4, 2, raw=[1])
    torch.nn.init.normal_(layer.norms[0][0].weight)
    layer.norms[0][0].weight.data[0] = 0.0
    x = (torch.randn(2, 3, 16, 24, 16) * 2 + 5).requires_grad_()
    raw = torch.randn(2, 2, 16, 24, 16, requires_grad=True)
    weight, bias = torch.randn(2, 4, 5, requires_grad=True), torch.randn(2, 4, requires_grad=True)
    wanted = weight @ torch.cat([layer.norms[0](x), raw], 1).flatten(2) + bias[..., None]
    mean, variance = moments(x)
    scale = layer.norms[0][0].weight / (variance + NORM_EPS).sqrt()
    read = Read(x, mean, scale, layer.norms[0][0].bias.double().expand_as(scale))
    found = product([read, Read(raw)], weight, bias, NEGATIVE_SLOPE).flatten(2)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(normed(read, NEGATIVE_SLOPE), layer.norms[0](x), rtol=1e-4, atol=1e-4)
    leaves = [x, raw, weight, bias, layer.norms[0][0].weight, layer.norms[0][0].bias]
    upstream = torch.randn_like(found)
    for gradient, right in zip(
        torch.autograd.grad(found, leaves, upstream),
        torch.autograd.grad(wanted, leaves, upstream),
        strict=True,
    ):
        torch.testing.assert_close(gradient, right, rtol=1e-3, atol=1e-3 * float(right.abs().max()))


@pytest.mark.parametrize("taps", [1, 3, 7])
def test_a_convolution_along_the_slices(taps):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 90, 90, requires_grad=True)
    weight = torch.randn(4, 3, taps, 1, 1, requires_grad=True)
    found = along_slices(x, weight)
    wanted = torch.nn.functional.conv3d(x, weight, padding=(taps // 2, 0, 0))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    upstream = torch.randn_like(found)
    for gradient, right in zip(
        torch.autograd.grad(found, (x, weight), upstream),
        torch.autograd.grad(wanted, (x, weight), upstream),
        strict=True,
    ):
        torch.testing.assert_close(gradient, right, rtol=1e-3, atol=2e-2)


def test_a_second_derivative_is_refused():
    x = torch.rand(1, 1, 4, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(moments(x)[1].square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.sum().backward()


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_parts_run_side_by_side_and_are_reported_in_the_callers_thread():
    met, reported = threading.Barrier(2, timeout=60), []

    def part(first, last):
        met.wait()  # passes only if another part runs at the same time
        yield from range(first, last)

    over_slices(10, part, lambda macs: reported.append((macs, threading.current_thread())), parts=1)
    assert sorted(macs for macs, _ in reported) == list(range(10))
    assert {thread for _, thread in reported} == {threading.current_thread()}


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("who", ["part", "advance"])
def test_what_is_raised_ends_all_parts(who):
    class Ended(Exception):
        pass

    def part(first, last):
        for number in itertools.count(first):  # without end
            if who == "part" and number == 3:
                raise Ended
            yield number

    def advance(macs):
        if who == "advance":
            raise Ended

    with pytest.raises(Ended):
        over_slices(100_000, part, advance)
    over_slices(4, lambda first, last: (), advance)  # and the threads go on to serve


@pytest.mark.usefixtures("two_threads")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_has_threads_of_its_own():
    over_slices(4, lambda first, last: (), print)
    child = os.fork()
    if not child:
        over_slices(4, lambda first, last: (), print)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
