"""How a new network starts, what its DyFC do, and at which rates its parts learn."""

from __future__ import annotations

import dataclasses
import json

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from training.run_files import small_net
from training.small_anatomy import small_anatomy
from training.training_runs import assert_same, small_recipe, steps, train

from iuinet.errors import UsageError
from iuinet.network import IUINet, IUINetConfig
from iuinet.network.blocks import SeparableBlock, ShiftBlock
from iuinet.weights.load import load_model, save_model
from pipeline.exporting.model import preset_of
from pipeline.fitting.attention import STATIC, IntervalFollower, dyfcs, dynamics, static, watched
from pipeline.fitting.checkpoint import NET, part, read_checkpoint
from pipeline.fitting.curves import make_figure, read_course
from pipeline.fitting.device import Processes
from pipeline.fitting.engine import Engine, make_optimiser
from pipeline.fitting.initial import class_shares, even_attention, make_linear, set_priors
from pipeline.fitting.loss import Loss
from pipeline.fitting.networks import build, config_from, peers
from pipeline.fitting.recipe import LossRecipe, OptimiserRecipe
from pipeline.fitting.task import make_task

pytestmark = pytest.mark.usefixtures("own_threads")

START = ("initial.linear=true", "initial.priors=true", "initial.even_attention=true")
SLOW = "optimiser.attention_scale=0.1"


# Looks linear -----------------------------------------------------------------------------------------------


def gradient_norms(net: IUINet) -> tuple[float, float]:
    """Of the shift stream's first stage and the finest decoder stage, for a loss of a training, 4 samples."""
    torch.manual_seed(5)
    net.zero_grad()
    x = torch.rand(4, 1, 32, 32, 32)
    labels = (x[:, 0] * 3).long().clamp(max=net.config.classes - 1)
    Loss(LossRecipe(scales=(1.0, 0.5, 0.25, 0.125)), [f"{n}" for n in range(net.config.classes - 1)])(
        net(x), labels
    ).mean().backward()
    return tuple(
        float(torch.stack([p.grad.norm() for p in module.parameters()]).norm())
        for module in (net.shift_stream[0], net.decoder[0])
    )


def test_gradients_no_longer_grow_on_their_way_to_the_encoder():
    ratios = []
    for linear in (False, True):
        net = small_net(seed=1)
        if linear:
            make_linear(net)
        encoder, decoder = gradient_norms(net)
        ratios.append(encoder / decoder)
    assert ratios[0] > 5 * ratios[1] and ratios[1] < 5, ratios


@torch.no_grad()
def test_every_block_is_linear_between_its_norms():
    """Of inputs in pairs, as the blocks before give them, the negative has the negative output."""
    net = small_net(seed=2)
    make_linear(net)
    even_attention(net)  # which would mix other weights for the negative
    blocks = [m for m in net.modules() if isinstance(m, ShiftBlock | SeparableBlock)]
    assert len(blocks) == 22
    for block in blocks:
        inputs = [torch.randn(1, channels, 6, 6, 6) for channels in block.input.channels]
        if block.input.norm is not None:
            inputs[0][:, 1::2] = -inputs[0][:, ::2]
        there, back = block(inputs), block([-x for x in inputs])
        scale = float(there.abs().max())
        assert float((there + back).abs().max()) < 1e-4 * scale
        assert float((there[:, ::2] + there[:, 1::2]).abs().max()) < 1e-4 * scale


def test_odd_widths_have_no_pairs(tmp_path):
    with pytest.raises(UsageError) as refused:
        small_recipe(tmp_path, "initial.linear=true", "network.width=6")
    assert "initial.linear" in refused.value.message and "multiple of 4" in refused.value.hint
    small_recipe(tmp_path, "initial.linear=true", "network.width=6", "network.kernels=[3]")


# Priors -----------------------------------------------------------------------------------------------------


def test_the_heads_begin_at_the_classes_weighted_shares():
    labels = torch.zeros(4, 4, 4, dtype=torch.uint8)
    labels[0] = 1
    labels[1, 0], labels[3, 3] = 2, 255
    weights = torch.tensor([0.5, 1.0, 4.0])
    counts = torch.tensor([64 - 16 - 4 - 4, 16.0, 4.0], dtype=torch.float64) * weights
    shares = class_shares([labels], weights)
    torch.testing.assert_close(shares, counts / counts.sum())
    net = small_net()
    set_priors(net, shares)
    for head in net.mapping:
        torch.testing.assert_close(head.biases.data, shares.log().float().expand(4, 3))


def test_constant_logits_at_the_shares_have_the_lowest_entropy():
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 8, 8, 8)).clamp(max=2)
    labels[0, :6] = 0
    loss = Loss(LossRecipe(scales=(1.0,), dice=0.0, class_weights={"a": 3.0}), ["a", "b"])
    best = class_shares(list(labels), loss.class_weights).log().float()

    def value(logits: torch.Tensor) -> float:
        return float(loss(logits.view(1, 3, 1, 1, 1).expand(2, 3, 8, 8, 8), labels).mean())

    for _ in range(20):
        assert value(best) <= value(best + 0.1 * torch.randn(3)) + 1e-6


@pytest.mark.parametrize("name", [name for name in peers() if name.endswith("-tiny")])
def test_a_peer_gets_the_same_priors(name):
    pytest.importorskip("monai", reason="MONAI is not installed here")
    size = 64 if name.startswith("swin") else 32
    net = build(dataclasses.replace(peers()[name], size=size, classes=3)).eval()
    shares = torch.tensor([0.7, 0.2, 0.1])
    x = torch.rand(1, 1, size, size, size)
    with torch.no_grad():
        set_priors(net, torch.ones(3) / 3)
        before = net(x)
        set_priors(net, shares)
        after = net(x)
    before, after = ([out] if isinstance(out, torch.Tensor) else out for out in (before, after))
    wanted = (3 * shares).log().view(1, 3, 1, 1, 1)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(other - one, wanted.expand_as(one), atol=1e-4, rtol=0)


def test_a_training_starts_as_its_recipe_says(training_data, tmp_path):
    """With the organs of the recipe, and the class weights in the power of its first phase."""
    weights = ("loss.class_weights={background=0.25}", "phases.first.class_weight_power=0.5")
    tiny = ("phases.first.learning_rate=1e-30", "run.average=0")
    recipe = small_recipe(tmp_path, *START, *weights, *tiny)
    train(recipe, training_data, tmp_path / "run", limit_steps=1)
    tensors, document = read_checkpoint(tmp_path / "run" / "last.safetensors")
    net = IUINet(IUINetConfig.from_dict(document["network"]))
    net.load_state_dict(part(tensors, NET))
    samples = make_task(recipe, training_data).samples(0, torch.device("cpu"))
    labels = [samples.sample(number, recipe.network.size)[1] for number in range(16)]
    shares = class_shares(labels, torch.tensor([0.5, 1.0, 1.0]))
    for head in net.mapping:
        torch.testing.assert_close(head.biases.data, shares.log().float().expand(4, 3))
    assert all((layer.attention[-1].weight.abs() < 1e-20).all() for layer in dyfcs(net).values())
    first = net.shift_stream[0].blocks[0].expand.weight.data
    assert torch.equal(first[1::2], -first[::2])


def test_a_peers_recipe_takes_the_priors_alone(training_data, tmp_path):
    pytest.importorskip("monai", reason="MONAI is not installed here")
    network = 'network={name="unet-tiny", size=32}'
    train(small_recipe(tmp_path, *START, SLOW, network), training_data, tmp_path / "run", limit_steps=1)
    document = read_checkpoint(tmp_path / "run" / "last.safetensors")[1]
    assert build(config_from(document["network"])) and not (tmp_path / "run" / "dyfc.jsonl").exists()


# Attention --------------------------------------------------------------------------------------------------


def test_attention_learns_at_its_own_rate(tmp_path):
    net = small_net()
    optimiser = make_optimiser(OptimiserRecipe(attention_scale=0.1), net)
    rest, attention = optimiser.param_groups
    names = {parameter: name for name, parameter in net.named_parameters()}
    assert attention["scale"] == 0.1 and rest["scale"] == 1.0
    assert {names[p] for p in attention["params"]} == {n for n in names.values() if ".attention." in n}
    assert len(rest["params"]) + len(attention["params"]) == len(names)
    assert len(make_optimiser(OptimiserRecipe(), net).param_groups) == 1
    engine = Engine(net, small_recipe(tmp_path, SLOW), ["a", "b"], torch.device("cpu"), Processes())
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    labels = torch.zeros(32, 32, 32, dtype=torch.uint8)
    labels[:16] = 1
    engine.step([(torch.rand(32, 32, 32) * 400 - 125, labels)] * 2, 1e-3, 0, False)
    # Adam's first step is the rate, for every number with a gradient.
    moved = {name: float((p.data - before[name]).abs().max()) for name, p in net.named_parameters()}
    assert moved["mapping.0.weights"] == pytest.approx(1e-3, rel=0.05)
    assert moved["mapping.0.attention.0.weight"] <= 1.01e-4


def test_moments_belong_to_their_parameters_whatever_the_groups(tmp_path):
    """A run goes on with another rate for its attention, and the moments do not change their owners."""
    device, net = torch.device("cpu"), small_net()
    engine = Engine(net, small_recipe(tmp_path), ["a", "b"], device, Processes())
    labels = torch.zeros(32, 32, 32, dtype=torch.uint8)
    labels[:16] = 1
    engine.step([(torch.rand(32, 32, 32) * 400 - 125, labels)] * 2, 1e-3, 0, False)
    tensors = engine.tensors()
    other = Engine(small_net(seed=9), small_recipe(tmp_path, SLOW), ["a", "b"], device, Processes())
    other.load(tensors, {})
    assert len(other.optimiser.param_groups) == 2
    state, found = engine.optimiser.state, other.optimiser.state
    for one, two in zip(engine.net.parameters(), other.net.parameters(), strict=True):
        assert torch.equal(state[one]["exp_avg"], found[two]["exp_avg"])
    again = other.tensors()
    assert again.keys() == tensors.keys() and all(torch.equal(again[name], tensors[name]) for name in again)


def test_dynamics_tell_a_dynamic_dyfc_from_a_static_one():
    one = [torch.tensor([[1.0, 0, 0, 0]])] * 3
    even = [torch.full((1, 4), 0.25)] * 3
    moving = [torch.tensor([[0.5 + d, 0.5 - d, 0, 0]]) for d in (-0.3, 0.0, 0.3)]
    found = dynamics({"one": one, "even": even, "moving": moving})
    assert found["one"].entropy == pytest.approx(0, abs=1e-6) and found["even"].entropy == pytest.approx(1)
    assert found["moving"].deviation == pytest.approx((2 * 0.09 / 3) ** 0.5)
    assert static(found) == ["one", "even"]


def test_what_is_watched_are_the_coefficients():
    net, x = small_net().eval(), torch.rand(2, 1, 32, 32, 32)
    kept = {}
    layer = net.fusion[1]
    layer.register_forward_hook(lambda module, inputs, output: kept.update(a=module.coefficients(inputs)))
    with torch.no_grad(), watched(net) as seen:
        net(x)
    assert len(seen) == 36 and torch.equal(seen["fusion.1"][0], kept["a"])
    handles = [len(layer.attention._forward_hooks) for layer in dyfcs(net).values()]
    assert not any(handles)


def test_an_even_attention_mixes_all_bases_alike():
    net = small_net()
    even_attention(net)
    with torch.no_grad(), watched(net) as seen:
        net(torch.rand(1, 1, 32, 32, 32))
    assert all(torch.equal(parts[0], torch.full((1, 4), 0.25)) for parts in seen.values())


def standardised(seed: int = 0) -> IUINet:
    """A small network whose attention reads deviations."""
    torch.manual_seed(seed)
    return IUINet(dataclasses.replace(small_net().config, attention="standardised"))


def test_centre_and_spread_are_those_of_the_scans_seen():
    net, scans = standardised(), torch.rand(5, 1, 32, 32, 32) * torch.linspace(0.2, 1, 5).view(5, 1, 1, 1, 1)
    even_attention(net)
    intervals = []
    layer = net.shift_stream[0].blocks[0].residual
    layer.attention.register_forward_pre_hook(lambda module, inputs: intervals.append(inputs[0]))
    follower = IntervalFollower(net.train(), Processes())
    with torch.no_grad():
        for scan in scans:
            net(scan[None])
    follower.update(memory=0)
    raw = torch.cat(intervals)  # centre 0 and spread 1 leave them as they are
    torch.testing.assert_close(layer.centre, raw.mean(0))
    torch.testing.assert_close(layer.spread, raw.std(0, correction=0).clamp(min=1e-3), atol=1e-5, rtol=1e-3)
    intervals.clear()
    with torch.no_grad():
        net(scans)
    torch.testing.assert_close(intervals[0].mean(0), torch.zeros(raw.shape[1]), atol=1e-2, rtol=0)
    assert float(intervals[0].std(0, correction=0).max()) == pytest.approx(1, abs=0.05)


def test_processes_that_share_the_scans_agree_on_centre_and_spread():
    """As one that saw all of it does; that each sees its scans twice, as recomputation does, is the same."""
    scans = torch.rand(4, 1, 32, 32, 32)
    alone, one, other = (standardised().train() for _ in range(3))

    class Shared(Processes):
        def add(self, values: torch.Tensor) -> torch.Tensor:
            return values + torch.cat(followers[1]._sums)

    followers = [IntervalFollower(one, Shared()), IntervalFollower(other, Processes())]
    whole = IntervalFollower(alone, Processes())
    with torch.no_grad():
        for net, seen in ((alone, scans), (one, scans[2:]), (other, scans[:2])):
            for scan in (*seen, *seen) if net is not alone else seen:
                net(scan[None])
    whole.update()
    followers[0].update()
    for (name, a), (_, b) in zip(alone.named_buffers(), one.named_buffers(), strict=True):
        torch.testing.assert_close(a, b, msg=name)


def test_a_model_keeps_centre_and_spread_and_segments_with_them(tmp_path):
    """Through a model file; the export calls it by no preset's name."""
    net = standardised().eval()
    for layer in dyfcs(net).values():
        layer.centre += 0.25
        layer.spread *= 0.5
    organs = [{"name": "liver", "label": 6}, {"name": "spleen", "label": 1}]
    document = {"format": 1, "id": "a", "version": "1", "network": net.config.to_dict(), "organs": organs}
    preprocessing = {"orientation": "LPS", "size": 32, "window": [-125.0, 275.0]}
    save_model(tmp_path / "a.safetensors", net, {**document, "preprocessing": preprocessing})
    loaded, _ = load_model(tmp_path / "a.safetensors")
    assert loaded.config.attention == "standardised" and preset_of(loaded.config) == "custom"
    x = torch.rand(1, 1, 32, 32, 32)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(net(x), loaded(x), strict=True))


def test_what_is_not_finite_moves_nothing():
    net = standardised()
    follower = IntervalFollower(net.train(), Processes())
    with torch.no_grad():
        net(torch.full((1, 1, 32, 32, 32), float("nan")))
    before = {name: tensor.clone() for name, tensor in net.named_buffers()}
    follower.update()
    assert before and all(torch.equal(tensor, before[name]) for name, tensor in net.named_buffers())


# Whole trainings --------------------------------------------------------------------------------------------


def test_all_of_it_trains_goes_on_and_is_recorded(training_data, tmp_path):
    pytest.importorskip("matplotlib")
    more = (*START, SLOW, "network.attention=standardised")
    train(small_recipe(tmp_path, *more), training_data, tmp_path / "whole")
    for limit in (4, None):
        train(small_recipe(tmp_path, *more), training_data, tmp_path / "parts", limit_steps=limit)
    assert_same(tmp_path / "whole" / "last.safetensors", tmp_path / "parts" / "last.safetensors")
    text = [(tmp_path / name / "dyfc.jsonl").read_text() for name in ("whole", "parts")]
    assert text[0] == text[1]
    lines = [json.loads(line) for line in text[0].splitlines()]
    assert [line["step"] for line in lines] == [3, 6, 9, 12, 15]
    assert all(set(layer) == {"entropy", "deviation"} for layer in lines[-1]["layers"].values())
    count = len(lines[0]["layers"])
    assert count == 16
    figure = make_figure(read_course(tmp_path / "whole"))
    (panel,) = [axes for axes in figure.axes if axes.get_ylabel() == "DyFC: deviation"]
    deviations = [layer["deviation"] for layer in lines[-1]["layers"].values()]
    said = f"{sum(value < STATIC for value in deviations)} of {count} DyFC answer all cases alike"
    assert said in panel.texts[0].get_text() and panel.get_yscale() == "log"
    assert len(panel.lines) == count + 2  # the limit, and where a phase ends
    assert list(panel.lines[0].get_xdata()) == [3, 6, 9, 12, 15]


def test_a_synthetic_training_can_be_measured_on_scans_of_its_own(tmp_path):
    phase = '{name = "s", data = "synthetic", epochs = 1, steps_per_epoch = 2, schedule = "constant"}'
    changes = (f"phases=[{phase}]", 'synthesis.anatomies=["small"]', "optimiser.batch=1", *START)
    recipe = small_recipe(tmp_path, *changes, "synthesis.validation=3")
    path = train(recipe, None, tmp_path / "run", anatomies=[small_anatomy()])
    document = read_checkpoint(path)[1]
    assert path.name == "best.safetensors" and document["selection"]["epoch"] == 1
    assert "Selected on 3 further scans" in document["data"]["statement"]
    assert len(steps(tmp_path / "run")) == 2 and (tmp_path / "run" / "dyfc.jsonl").is_file()
