"""Networks of others: built as MONAI builds them, given IUINet's interface, and counted without memory."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here")
pytest.importorskip("monai", reason="MONAI is not installed here")

import complexity  # noqa: E402
from torch import nn  # noqa: E402

from iuinet.errors import UsageError  # noqa: E402
from pipeline.experiments.costs import forward_bytes, measure, parameters, ptflops, training_bytes  # noqa: E402
from pipeline.experiments.jobs import configuration, default_names, find_networks  # noqa: E402
from pipeline.fitting import networks  # noqa: E402
from pipeline.fitting.networks import Config, build, config_from, full_peers, peers  # noqa: E402

TINY = {name: (64 if name.startswith("swin") else 32) for name in peers() if name.endswith("-tiny")}


def config(name: str, size: int, classes: int | None = None) -> Config:
    """Of a network by its name."""
    return configuration(find_networks([name])[name], size, classes)


def make(name: str, size: int, classes: int | None = None) -> nn.Module:
    """The network of this name."""
    return build(config(name, size, classes))


def outputs_of(net: nn.Module, size: int) -> list[torch.Tensor]:
    """Its outputs for a random volume, always as a list."""
    found = net(torch.rand(1, 1, size, size, size))
    return [found] if isinstance(found, torch.Tensor) else found


@pytest.mark.parametrize("name", TINY)
def test_every_peer_gives_logits_finest_first_and_learns_in_all_its_weights(name):
    size = TINY[name]
    net = make(name, size, 3).train()
    outputs = outputs_of(net, size)
    for scale, output in enumerate(outputs):
        assert output.shape == (1, 3, *(size // 2**scale,) * 3)
    sum(output.square().mean() for output in outputs).backward()
    without = [key for key, value in net.named_parameters() if value.grad is None]
    # MONAI's transformer has norms for a cross-attention that UNETR does not use.
    assert all("norm_cross_attn" in key for key in without), without


def test_kinds_are_all_tried_and_none_is_for_tests_alone():
    kinds = {peers()[name].kind for name in full_peers()}
    assert kinds == {"UNet", "SegResNet", "DynUNet", "UNETR", "SwinUNETR"}
    assert {peers()[name].kind for name in TINY} == kinds
    assert set(default_names()) >= {"iuinet-paper", "iuinet-tiny", *full_peers()}


@pytest.mark.parametrize(
    ("name", "millions"), [("segresnet-small", 4.7), ("dynunet-small", 3.2), ("swinunetr-small", 4.1)]
)
def test_small_peers_are_about_as_large_as_the_tiny_preset(name, millions):
    tiny = parameters(make("iuinet-tiny", 64, 14)) / 1e6
    assert parameters(make(name, 64, 14)) / 1e6 == pytest.approx(millions, abs=0.05)
    assert 0.9 < millions / tiny < 1.6


# As counted by ptflops 0.7.5 on MONAI 1.6.1's networks themselves, input 128^3, 14 classes; DynUNet by hand.
@pytest.mark.parametrize(
    ("name", "millions"), [("unet", 4.822), ("segresnet", 18.796), ("unetr", 93.030), ("swinunetr", 62.187)]
)
def test_full_peers_have_the_size_of_monais(name, millions):
    assert parameters(make(name, 128, 14)) / 1e6 == pytest.approx(millions, abs=6e-4)


def test_dynunet_is_monais_with_every_layer_once():
    from monai.networks.nets import DynUNet

    torch.manual_seed(1)
    ours = make("dynunet-tiny", 32, 3).eval()
    torch.manual_seed(1)
    strides = [1, 2, 2, 2]
    theirs = DynUNet(
        3, 1, 3, [3] * 4, strides, strides[1:], filters=[4, 8, 8, 16], deep_supervision=True, deep_supr_num=1
    ).eval()
    x = torch.rand(1, 1, 32, 32, 32)
    with torch.no_grad():
        finest, coarse = ours(x)
        assert torch.equal(finest, theirs(x))
        assert torch.equal(coarse, theirs.heads[0])
    assert len(ours.state_dict()) == len({value.data_ptr() for value in ours.state_dict().values()})
    assert len(theirs.state_dict()) > len(ours.state_dict())
    net = make("dynunet", 128, 14).to("meta")
    aten = ptflops(net, 128, "aten")
    assert ptflops(net, 128, "pytorch") == pytest.approx(aten, rel=0.01)
    assert 475e9 < aten < 481e9


def test_dynunet_has_no_more_levels_than_the_input_can_be_halved():
    with torch.device("meta"):
        counts = {size: len(make("dynunet", size).down) for size in (32, 64, 96, 128)}
    assert counts == {32: 3, 64: 4, 96: 4, 128: 5}


def test_what_does_not_fit_is_refused():
    for name, size in (("swinunetr", 32), ("unetr", 40), ("unet", 24)):
        with pytest.raises(UsageError) as refused:
            config(name, size)
        assert refused.value.code == "peer-size" and name in refused.value.message
    with pytest.raises(UsageError, match="swinunet'") as refused:
        find_networks(["swinunet"])
    assert refused.value.hint == "Did you mean swinunetr?"


def test_without_monai_the_extra_is_named(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "monai.networks", None)
    with pytest.raises(UsageError) as refused:
        make("unet-tiny", 32)
    assert refused.value.code == "no-monai" and "iuinet[baselines]" in refused.value.hint
    assert make("iuinet-tiny", 32).config.classes == 14
    assert complexity.main(["--models", "unet-tiny", "--size", "32"]) == 2
    assert "error[no-monai]" in capfd.readouterr().err


@pytest.mark.parametrize(("name", "size"), [("unetr-tiny", 32), ("swinunetr-tiny", 64)])
def test_without_what_monai_does_not_ask_for_the_extra_is_named_too(name, size, monkeypatch):
    monkeypatch.setitem(sys.modules, "einops", None)
    with pytest.raises(UsageError, match="einops is not installed") as refused:
        make(name, size)
    assert refused.value.code == "no-monai" and "iuinet[baselines]" in refused.value.hint
    assert make("unet-tiny", 32) is not None


@pytest.mark.parametrize("name", ["iuinet-tiny-no-shift", "dynunet-tiny"])
def test_a_checkpoint_tells_its_network_to_the_letter(name):
    written = json.loads(json.dumps(config(name, 32, 5).to_dict()))
    assert config_from(written) == config(name, 32, 5)
    with pytest.raises(UsageError, match="unknown kind 'Other'"):
        config_from({**config("unet-tiny", 32).to_dict(), "kind": "Other"})


class Hungry(nn.Module):
    """A network that wants more memory than there is."""

    def __init__(self, out_channels: int, **parameters) -> None:
        super().__init__()
        self.last = nn.Conv3d(1, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Allocates 2^60 bytes on the way."""
        torch.empty(2**60, dtype=torch.uint8, device=x.device)
        return self.last(x)


def test_a_network_too_large_for_the_device_is_counted_all_the_same(monkeypatch):
    monkeypatch.setattr(networks, "_monai", lambda kind: SimpleNamespace(UNet=Hungry))
    found = measure("hungry", config("unet-tiny", 32), torch.device("cpu"))
    assert found.seconds is None and found.untimed == "does not fit into the memory of cpu"
    assert found.parameters == 8 and found.forward_bytes > 2**60
    assert complexity.untimed([dataclasses.asdict(found)]) == ["hungry does not fit into the memory of cpu."]


def test_living_tensors_are_counted_to_the_byte():
    net = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 2, 1))
    volume = 16**3 * 4
    for device in ("cpu", "meta"):
        net.to(device)
        assert forward_bytes(net, 16) == 9 * volume, "input, convolution, activation"
        # Backward: input and activation are kept, and two gradients of the hidden layer follow.
        assert training_bytes(net, 16) >= 13 * volume
        assert all(value.grad is None for value in net.parameters()) and net.training


def test_counts_on_tensors_without_memory_are_those_on_real_ones():
    net = make("unet-tiny", 32).eval()
    real = ptflops(net, 32, "pytorch"), forward_bytes(net, 32)
    found = measure("unet-tiny", config("unet-tiny", 32))
    assert found.macs_pytorch == real[0] and found.parameters == parameters(net)
    assert found.forward_bytes == pytest.approx(real[1], rel=0.05)
    assert found.training_bytes > found.forward_bytes and found.seconds is None


def test_the_command_writes_what_it_prints(tmp_path, capfd):
    files = ["--json", tmp_path / "c.json", "--csv", tmp_path / "c.csv"]
    words = ["--models", "iuinet-tiny-no-shift", "unet-tiny", "--size", 32, "--classes", 5, "--device", "cpu"]
    assert complexity.main([str(word) for word in (*words, "--repeats", 1, *files)]) == 0
    said = capfd.readouterr().out
    document = json.loads((tmp_path / "c.json").read_text())
    rows = list(csv.DictReader((tmp_path / "c.csv").read_text().splitlines()))
    assert [row["model"] for row in rows] == ["iuinet-tiny-no-shift", "unet-tiny"]
    for row, model in zip(rows, document["models"], strict=True):
        assert model["classes"] == 5 and model["seconds"] > 0 and f"{model['parameters'] / 1e6:.2f}" in said
        assert int(row["parameters"]) == model["parameters"]
    assert document["models"][1]["macs_true"] is None and rows[1]["macs_true"] == ""
    assert set(document["libraries"]) == {"ptflops", "monai"}
    # What was counted with what, and what was timed where.
    about = document["environment"]
    assert f"torch {about['torch']}" in said and f"on {about['processor']} (" in said
    assert said.splitlines()[2].split()[1] == "5" and all(note in said for note in document["notes"])
    assert complexity.main(["--size", "0"]) == 2
