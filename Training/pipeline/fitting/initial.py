"""How a new network starts (the recipe's [initial]): only the first values of its parameters are chosen.

"Looks linear" (Balduzzi et al., "The shattered gradients problem", ICML 2017): channels come in pairs of
opposite sign, and since LeakyReLU(a) - LeakyReLU(-a) is a multiple of a, blocks are linear between their
norms. Gradients then do not grow from block to block on their way back through this network, whose blocks
have no path around their activations. The pairs part as soon as they learn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from iuinet.network import DyFC, IUINet
from iuinet.network.blocks import SeparableBlock, ShiftBlock, SubpixelUpsampling
from iuinet.network.dyfc import NormActivation
from iuinet.preprocessing import apply_window

from .attention import IntervalFollower, dyfcs
from .device import Processes
from .loss import UNKNOWN, Loss
from .networks import DynUNet
from .recipe import Recipe
from .samples import Sample

COUNTED = 16  # samples in which classes are counted, and statistics taken: the first of the training
LEAST_SHARE = 1e-4  # of a class that they do not hold
# With the classes' shares in its bias a head has nothing to unlearn but its noise, so there is less of it.
HEAD_SCALE = 0.3


def begin(net: nn.Module, recipe: Recipe, loss: Loss, samples: Iterable[Sample]) -> None:
    """Give a new network the start that the recipe asks for.

    loss: with the first phase's class weights. samples: some of the first phase's, looked at only where the
    start needs them. A network of others (``networks.toml``) has its last biases set alone.
    """
    initial, own = recipe.initial, isinstance(net, IUINet)
    if own and initial.linear:
        make_linear(net)
    if own and initial.even_attention:
        even_attention(net)
    standardised = any(layer.standardised for layer in dyfcs(net).values())
    if not (initial.priors or standardised):
        return
    samples = list(samples)
    if initial.priors:
        labels, masks = [sample[1] for sample in samples], [sample[2:] for sample in samples]
        set_priors(net, class_shares(labels, loss.class_weights, masks))
    if standardised:
        follower = IntervalFollower(net, Processes())
        with torch.no_grad():
            for image, *_ in samples:
                net(apply_window(image, recipe.data.window)[None, None])
        follower.update(memory=0)
        follower.leave()


# Looks linear -----------------------------------------------------------------------------------------------


@torch.no_grad()
def make_linear(net: IUINet) -> None:
    """Let a new network's channels come in pairs; its heads only read them. Widths must be even."""
    heads = set(net.mapping)
    for module in net.modules():
        if isinstance(module, ShiftBlock):
            _pair_inputs(module.expand.weight, module.input.norm)
            _pair(module.expand.weight, 0)
            module.shift.offsets[1::2] = module.shift.offsets[::2]  # a pair moves together
            _pair(module.pointwise.weight, 1)
            _pair(module.pointwise.weight, 0)
        elif isinstance(module, SeparableBlock):
            for along_slices, in_plane in module.scales:
                _pair_inputs(along_slices.weight, module.input.norm)
                _pair(in_plane.weight, 0)
        elif isinstance(module, SubpixelUpsampling):
            _pair(module.expand.weight, 1)
            _pair(module.expand.weight.unflatten(0, (-1, 8)), 0)
        elif isinstance(module, DyFC):
            parts = module.weights.split(module.in_channels, dim=1)
            for part, norm in zip(parts, module.norms, strict=True):
                if isinstance(norm, NormActivation):
                    _pair(part, 1)
            if module not in heads:
                _pair(module.weights, 2)
                module.biases.zero_()


def _pair(weight: torch.Tensor, dim: int) -> None:
    """Every second channel along a dimension takes the negative of the one before, in place."""
    pairs = weight.unflatten(dim, (-1, 2))
    pairs.select(dim + 1, 1).copy_(-pairs.select(dim + 1, 0))


def _pair_inputs(weight: torch.Tensor, norm: NormActivation | None) -> None:
    """The same for a convolution's inputs, of which those that no activation changes (the image) are none."""
    if norm is not None:
        _pair(weight[:, : norm[0].num_features], 1)


# Attention and heads ----------------------------------------------------------------------------------------


@torch.no_grad()
def even_attention(net: nn.Module) -> None:
    """All bases of every DyFC weigh alike at first, whatever the scan: its attention's last layer is zero."""
    for layer in dyfcs(net).values():
        for parameter in layer.attention[-1].parameters():
            parameter.zero_()


def class_shares(
    labels: Sequence[torch.Tensor], weights: torch.Tensor, masks: Sequence[Sequence[torch.Tensor]] = ()
) -> torch.Tensor:
    """Each class's share of the cross-entropy, float64 (classes,), mean over the samples.

    labels: channels of a sample, 255 where unknown. weights: of the classes in the cross-entropy. Constant
    logits that are the logarithm of these shares have the lowest cross-entropy that constants can have.
    masks: of each sample none, or one bool (classes,): the classes that it shows. A class's share is the mean
    over the samples that show it.
    """
    shares = torch.zeros(len(weights), dtype=torch.float64)
    shown = torch.zeros(len(weights), dtype=torch.float64)
    for sample, mask in zip(labels, masks or [()] * len(labels), strict=True):
        shown += mask[0].double().cpu() if mask else 1
        counts = torch.bincount(sample[sample != UNKNOWN].long().cpu(), minlength=len(weights))
        weighted = counts * weights.double().cpu()
        shares += weighted / weighted.sum().clamp(min=1e-6)
    shares = shares * (len(labels) / shown.clamp(min=1))
    shares = (shares / shares.sum().clamp(min=1e-6)).clamp(min=LEAST_SHARE)
    return shares / shares.sum()


@torch.no_grad()
def set_priors(net: nn.Module, shares: torch.Tensor) -> None:
    """Let a new network's outputs begin at the classes' shares (classes,).

    An IUINet's heads also get weaker weights. Heads without a bias (``head = "conv"``) stay as they are.
    """
    own = isinstance(net, IUINet)
    for head in net.mapping if own else _last_layers(net, len(shares)):
        bias = head.biases if isinstance(head, DyFC) else head.bias
        if bias is not None:
            bias.copy_(shares.log().to(bias).expand_as(bias))
            if own:
                head.weights.mul_(HEAD_SCALE)


def _last_layers(net: nn.Module, classes: int) -> list[nn.Module]:
    """The convolutions of a peer that return logits."""
    found = []
    for part in net.heads if isinstance(net, DynUNet) else [net]:
        convolutions = [m for m in part.modules() if isinstance(m, nn.Conv3d | nn.ConvTranspose3d)]
        found.append([m for m in convolutions if m.out_channels == classes][-1])
    return found
