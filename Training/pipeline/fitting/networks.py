"""The networks that a recipe can name: IUINet, and MONAI's that it is compared with (``networks.toml``).

MONAI's are given IUINet's interface: made from a configuration, returning logits, finest first. MONAI, with
einops for two of them, is needed only when one of them is built.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from iuinet.errors import UsageError
from iuinet.network import PRESETS, IUINet, IUINetConfig

OWN = "iuinet"
KINDS = ("UNet", "SegResNet", "DynUNet", "UNETR", "SwinUNETR")  # MONAI's classes
_FILE = Path(__file__).with_name("networks.toml")
# MONAI does not ask for einops: without it these fail when they are built or first used.
_WITH_EINOPS = ("UNETR", "SwinUNETR")
_COARSEST_EDGE = 4  # voxels; nnU-Net halves no further


@dataclass(frozen=True)
class PeerConfig:
    """What defines one of MONAI's networks, as IUINetConfig defines an IUINet; stored with every checkpoint.

    name: its table in networks.toml, which says what kind, step, smallest and parameters mean.
    size: edge of the input, voxels. classes: output channels, background included.
    Raises: UsageError "peer-size" for a size that the network cannot train at.
    """

    name: str
    kind: str
    step: int
    smallest: int
    parameters: dict[str, Any]
    size: int = PRESETS["paper"].size
    classes: int = PRESETS["paper"].classes

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            hint = f"Use one of {', '.join(KINDS)}."
            raise UsageError(f"{self.name} is of the unknown kind {self.kind!r}", hint=hint)
        if self.size % self.step or self.size < self.smallest:
            raise UsageError(
                f"{self.name} cannot be trained at an input of {self.size}^3 voxels",
                hint=f"Choose a multiple of {self.step} that is at least {self.smallest}.",
                code="peer-size",
            )

    def check_size(self, size: tuple[int, ...]) -> None:
        """Raises: UsageError "peer-size" for another input than it is built for: few can change it."""
        if any(edge != self.size for edge in size):
            raise UsageError(
                f"{self.name} is built for an input of {self.size}^3 voxels, and a phase has {size[0]}^3",
                hint=f"Set the size of all phases to 0 or {self.size}.",
                code="peer-size",
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return dataclasses.asdict(self)


Config = IUINetConfig | PeerConfig


def is_peer(values: Mapping[str, Any]) -> bool:
    """Whether a configuration's ``to_dict``, such as a checkpoint's "network", is one of MONAI's."""
    return "kind" in values


def config_from(values: Mapping[str, Any]) -> Config:
    """The inverse of ``to_dict`` of either configuration. Raises: UsageError."""
    return PeerConfig(**values) if is_peer(values) else IUINetConfig.from_dict(dict(values))


@cache
def peers() -> dict[str, PeerConfig]:
    """MONAI's networks by name."""
    tables = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {name: PeerConfig(name=name, **table) for name, table in tables.items()}


def full_peers() -> tuple[str, ...]:
    """Names of those in their published size, without the smaller ones and those for tests."""
    return tuple(name for name in peers() if "-" not in name)


def build(config: Config) -> nn.Module:
    """The network of a configuration.

    Returns logits (B, classes, S, S, S), or a list of logits, finest first. Raises: UsageError "no-monai".
    """
    if isinstance(config, IUINetConfig):
        return IUINet(config)
    nets, parameters = _monai(config.kind), dict(config.parameters)
    shared = {"spatial_dims": 3, "in_channels": 1, "out_channels": config.classes}
    if config.kind == "DynUNet":
        return DynUNet(nets.DynUNet(**shared, **_dynunet(config.size, **parameters)))
    if config.kind == "UNETR":
        parameters["img_size"] = (config.size,) * 3
    return getattr(nets, config.kind)(**shared, **parameters)


def _monai(kind: str) -> Any:
    """The module with MONAI's networks. Raises: UsageError "no-monai" if it or what it needs is absent."""
    try:
        from monai.networks import nets

        if kind in _WITH_EINOPS:
            import einops  # noqa: F401 - MONAI imports it itself
    except ImportError as error:
        missing = (error.name or "monai").partition(".")[0]
        raise UsageError(
            f"the package {missing} is not installed, and the network {kind} needs it",
            hint="Install it with 'pip install iuinet[baselines]', or name IUINet's own models alone.",
            code="no-monai",
        ) from error
    return nets


def _dynunet(edge: int, filters: list[int], outputs: int) -> dict[str, Any]:
    """MONAI's parameters for as many levels, of so many filters at most, as the edge can be halved for."""
    levels = 1
    while levels < len(filters) and edge % 2 == 0 and edge // 2 >= _COARSEST_EDGE:
        edge, levels = edge // 2, levels + 1
    outputs = min(outputs, levels - 1)
    strides = [1] + [2] * (levels - 1)
    return {
        "kernel_size": [3] * levels,
        "strides": strides,
        "upsample_kernel_size": strides[1:],
        "filters": filters[:levels],
        "deep_supervision": outputs > 1,
        "deep_supr_num": max(1, outputs - 1),
    }


class DynUNet(nn.Module):
    """MONAI's DynUNet with every layer registered once, and its outputs at their own sizes.

    MONAI keeps each layer in lists and again in nested skip layers: counters that walk the modules count it
    twice, and its weights have two names. It also enlarges the coarse outputs and stacks them; the loss here
    wants them as they are. The layers, their weights and the finest output are MONAI's.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.down = nn.ModuleList([net.input_block, *net.downsamples])
        self.bottleneck = net.bottleneck
        self.up = net.upsamples
        heads = list(net.deep_supervision_heads) if net.deep_supervision else []
        self.heads = nn.ModuleList([net.output_block, *heads])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Logits of x (B, 1, S, S, S) at 1/1, 1/2, ... of its edge."""
        kept = []
        for layer in self.down:
            x = layer(x)
            kept.append(x)
        x = self.bottleneck(x)
        outputs = []
        for number, layer in enumerate(self.up):
            x = layer(x, kept.pop())
            scale = len(self.up) - 1 - number
            if scale < len(self.heads):
                outputs.append(self.heads[scale](x))
        return outputs[::-1]
