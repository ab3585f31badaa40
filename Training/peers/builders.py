"""MONAI's networks with IUINet's interface: made from its configuration, giving logits, finest first.

Each gets one input channel, the configuration's classes and its input edge, and otherwise the parameters of
``peers.toml``. MONAI, with einops for two of them, is needed only here, and only when a network is built.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from iuinet.errors import UsageError
from iuinet.network import IUINetConfig

from .catalogue import Peer

Build = Callable[[IUINetConfig], nn.Module]
# MONAI does not ask for einops: without it these fail when they are built or first used.
_WITH_EINOPS = ("UNETR", "SwinUNETR")
_COARSEST_EDGE = 4  # voxels; nnU-Net halves no further


def builder(peer: Peer) -> Build:
    """What makes the network for a configuration, of which it takes ``classes`` and ``size`` alone.

    The network gives logits (B, classes, S, S, S), or a list of logits, finest first.
    It raises UsageError "no-monai", "peer-size".
    """

    def build(config: IUINetConfig) -> nn.Module:
        peer.check_size(config.size)
        return _MAKERS[peer.kind](_monai(peer.kind), config, dict(peer.parameters))

    return build


def _monai(kind: str) -> Any:
    """The module with MONAI's networks. Raises UsageError "no-monai" if it or what it needs is absent."""
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


def _unet(nets: Any, config: IUINetConfig, parameters: dict[str, Any]) -> nn.Module:
    return nets.UNet(spatial_dims=3, in_channels=1, out_channels=config.classes, **parameters)


def _segresnet(nets: Any, config: IUINetConfig, parameters: dict[str, Any]) -> nn.Module:
    return nets.SegResNet(spatial_dims=3, in_channels=1, out_channels=config.classes, **parameters)


def _unetr(nets: Any, config: IUINetConfig, parameters: dict[str, Any]) -> nn.Module:
    return nets.UNETR(in_channels=1, out_channels=config.classes, img_size=(config.size,) * 3, **parameters)


def _swinunetr(nets: Any, config: IUINetConfig, parameters: dict[str, Any]) -> nn.Module:
    return nets.SwinUNETR(in_channels=1, out_channels=config.classes, **parameters)


def _dynunet(nets: Any, config: IUINetConfig, parameters: dict[str, Any]) -> nn.Module:
    filters, outputs = parameters.pop("filters"), parameters.pop("outputs")
    edge, levels = config.size, 1
    while levels < len(filters) and edge % 2 == 0 and edge // 2 >= _COARSEST_EDGE:
        edge, levels = edge // 2, levels + 1
    outputs = min(outputs, levels - 1)
    strides = [1] + [2] * (levels - 1)
    net = nets.DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=config.classes,
        kernel_size=[3] * levels,
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=filters[:levels],
        deep_supervision=outputs > 1,
        deep_supr_num=max(1, outputs - 1),
        **parameters,
    )
    return DynUNet(net)


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


_MAKERS = {
    "UNet": _unet,
    "SegResNet": _segresnet,
    "DynUNet": _dynunet,
    "UNETR": _unetr,
    "SwinUNETR": _swinunetr,
}
