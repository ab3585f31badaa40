"""IUINet on the CPU without gradients (here) and with them (``learning.py``): the plain path's numbers to
rounding, in less time.

The plain modules (``blocks.py``, ``dyfc.py``, ``shift.py``) stay the definition. This walks through the same
modules and their parameters, but moves less memory: features are kept in tiles (``features.py``),
normalisation is done in the cache in front of the product that reads it (``products.py``), a separable
convolution reads its neighbouring slices as one matrix (``windows.py``), and so does the shift
(``shifted.py``). Each tensor is dropped as soon as nobody reads it any more.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import avg_pool3d

from ..blocks import (
    DecoderStage,
    EncoderStage,
    SeparableBlock,
    ShiftBlock,
    StageInput,
    SubpixelUpsampling,
)
from ..dyfc import DyFC, NormActivation
from ..shift import Shift
from .features import Features, Source
from .gradients import Read
from .learning import Operations, learning_logits
from .products import dynamic, product, upsampled
from .shifted import shifted_product
from .threads import Advance, over_slices
from .windows import separable

__all__ = ["Operations", "Read", "calculated_type", "can_learn", "fast_logits", "is_usable", "knows"]
__all__ += ["learning_logits"]

# Where it stood before PyTorch 2.3.
_is_compiling = getattr(torch.compiler, "is_compiling", None) or torch._utils.is_compiling
_KNOWN = {EncoderStage, DecoderStage, SubpixelUpsampling, StageInput, ShiftBlock, SeparableBlock, DyFC, Shift}
_KNOWN |= {NormActivation, nn.Conv3d, nn.InstanceNorm3d, nn.LeakyReLU, nn.Linear, nn.Identity}
_KNOWN |= {nn.Sequential, nn.ModuleList}


def is_usable(net: nn.Module, x: torch.Tensor) -> bool:
    """Whether the fast path can stand for ``net(x)``: evaluation in float32 on the CPU, without gradients.

    >>> from iuinet.network import IUINet, IUINetConfig
    >>> is_usable(IUINet(IUINetConfig(width=4, size=32)), torch.zeros(1, 1, 32, 32, 32))  # in training
    False
    """
    return not (torch.is_grad_enabled() or net.training) and _on_cpu(net, x) and knows(net)


def can_learn(net: nn.Module, x: torch.Tensor) -> bool:
    """Whether ``learning_logits`` can stand for ``net(x)``: float32 on the CPU, with gradients.

    >>> from iuinet.network import IUINet, IUINetConfig
    >>> can_learn(IUINet(IUINetConfig(width=4, size=32)), torch.zeros(1, 1, 32, 32, 32))
    True
    """
    return torch.is_grad_enabled() and _on_cpu(net, x) and knows(net)


def _on_cpu(net: nn.Module, x: torch.Tensor) -> bool:
    """Whether all is float32 on the CPU, and will be calculated so."""
    every = (x, *net.parameters())
    known = all(t.device.type == "cpu" and t.dtype == torch.float32 for t in every)
    return known and calculated_type(x) == x.dtype


def knows(net: nn.Module) -> bool:
    """Whether all that happens in ``net(x)`` is what the layers of this package say.

    A hook wants to see a layer's own call, a compiler or a counter its operators, a layer or a method that
    was put in the place of another does something else. For these the plain path remains. A DyFC's attention
    is called as it is, whoever looks at it.

    >>> from iuinet.network import IUINet, IUINetConfig
    >>> net = IUINet(IUINetConfig(width=4, size=32))
    >>> knows(net), knows(nn.Sequential(nn.Conv3d(1, 1, 1), nn.ReLU()))
    (True, False)
    """
    attention = {m for layer in net.modules() if isinstance(layer, DyFC) for m in layer.attention.modules()}
    return (
        not (torch.jit.is_tracing() or _is_compiling() or _is_watched())
        and all(type(module) in _KNOWN for module in list(net.modules())[1:])
        and not any("forward" in vars(module) for module in net.modules())
        and not any(
            module._forward_hooks or module._forward_pre_hooks
            for module in net.modules()
            if module not in attention
        )
    )


def calculated_type(x: torch.Tensor) -> torch.dtype:
    """The type in which products are calculated, of autocast or x's; how torch itself is asked has changed.

    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     calculated_type(torch.zeros(1))
    torch.bfloat16
    """
    return (x.new_ones(1, 1) @ x.new_ones(1, 1)).dtype


def _is_watched() -> bool:
    """Whether a mode of torch looks at operators or replaces them; torch has no public name for it."""
    return bool(torch._C._len_torch_dispatch_stack() or torch._C._len_torch_function_stack())


def fast_logits(
    net: nn.Module, x: torch.Tensor, only_finest: bool = False, advance: Advance = lambda macs: None
) -> list[torch.Tensor]:
    """What ``net.plain(x)`` returns, or the finest of it alone, where ``is_usable``.

    x: (B, 1, H, W, D). advance: called many times with the multiply-adds done since.
    Raises: UsageError for a size that does not fit the network.

    >>> from iuinet.network import IUINet, IUINetConfig
    >>> net, x = IUINet(IUINetConfig(width=8, size=32)).eval(), torch.rand(1, 1, 32, 32, 32)
    >>> with torch.no_grad():
    ...     torch.allclose(fast_logits(net, x)[0], net.plain(x)[0], atol=1e-2)
    True
    """
    net.config.check_size(tuple(x.shape[2:]))
    samples = [_sample(net, sample, only_finest, advance) for sample in x]
    return [torch.stack(stage) if len(stage) > 1 else stage[0][None] for stage in zip(*samples, strict=True)]


def _sample(net: nn.Module, x: torch.Tensor, only_finest: bool, advance: Advance) -> list[torch.Tensor]:
    """(1, H, W, D) -> (classes, H / 2^s, W / 2^s, D / 2^s), finest first."""
    fused = _encode(net, x, advance)
    features, logits = fused.pop(), []
    for stage, head in reversed(list(enumerate(net.mapping))):
        if stage < len(net.decoder):
            features = _decode(net.decoder[stage], features, fused.pop(), advance)
        if not (only_finest and stage):
            logits.insert(0, _head(head, features, net.config.classes, advance))
    return logits


def _decode(stage: DecoderStage, coarse: Features, fused: Features, advance: Advance) -> Features:
    """A decoder stage: upsampling, skip layer, refinement."""
    fine = upsampled(_normed(coarse, stage.upsample.norm), _matrix(stage.upsample.expand), advance)
    sources = [_normed(f, norm) for f, norm in zip((fine, fused), stage.skip.norms, strict=True)]
    joined = dynamic(stage.skip, sources, advance)
    del fine, fused, coarse, sources
    return _separable_block(stage.refine, [joined], advance)


def _head(head: nn.Module, features: Features, classes: int, advance: Advance) -> torch.Tensor:
    """A mapping layer's logits (classes, H, W, D), channels first."""
    logits = torch.empty(classes, *features.size)
    out = Features(classes, features.size, logits.flatten(2).transpose(0, 1)[:, None])
    if isinstance(head, DyFC):
        dynamic(head, [_normed(features, head.norms[0])], advance, out)
    else:
        product([Source(features)], _matrix(head), None, out, advance, last=True)
    return logits


def _encode(net: nn.Module, x: torch.Tensor, advance: Advance) -> list[Features]:
    """Fused features of every stage, finest first."""
    image = _image(x)
    a, b, fused = [image], [image], []
    for stage, fusion in enumerate(net.fusion):
        for block in net.shift_stream[stage].blocks:
            a = [_shift_block(block, a, advance)]
        for block in net.separable_stream[stage].blocks:
            b = [_separable_block(block, b, advance)]
        sources = [_normed(f, norm) for f, norm in zip((*a, *b), fusion.norms, strict=True)]
        fused.append(dynamic(fusion, sources, advance))
        if stage + 1 < net.config.stages:
            x = avg_pool3d(x[None], 2)[0]
            image = _image(x)
            a, b = [_pooled(*a, advance), image], [_pooled(*b, advance), image]
        del sources
    return fused


def _shift_block(block: ShiftBlock, inputs: list[Features], advance: Advance) -> Features:
    weight, pointwise = _matrix(block.expand), _matrix(block.pointwise)
    if weight.shape[1] == 1:
        source = Source.expanded(*inputs, weight, block.norm)
    else:
        out = Features(weight.shape[0], inputs[0].size, tiled=False)
        source = _normed(product(_stage_input(block, inputs), weight, None, out, advance), block.norm)
        del out
    if block.shift.enabled:
        h = shifted_product(source, block.shift.offsets, pointwise, advance)
    else:
        h = product([source], pointwise, None, Features(pointwise.shape[0], inputs[0].size), advance)
    del source
    return _residual(block, inputs, h, advance)


def _separable_block(block: SeparableBlock, inputs: list[Features], advance: Advance) -> Features:
    h = separable(_stage_input(block, inputs), block.scales, advance)
    return _residual(block, inputs, h, advance)


def _residual(
    block: ShiftBlock | SeparableBlock, inputs: list[Features], h: Features, advance: Advance
) -> Features:
    """The block's DyFC over its inputs and the result of its branch; all scales are one result here."""
    norms = list(block.residual.norms)
    sources = [
        Source(f) if isinstance(norm, nn.Identity) else _normed(f, norm)
        for f, norm in zip(inputs, norms, strict=False)
    ]
    return dynamic(block.residual, [*sources, Source.normed(h, norms[len(inputs) :])], advance)


def _stage_input(block: ShiftBlock | SeparableBlock, inputs: list[Features]) -> list[Source]:
    """What a block's convolutions read (``blocks.StageInput``)."""
    if block.input.norm is None:
        return [Source(inputs[0])]
    return [_normed(inputs[0], block.input.norm), *map(Source, inputs[1:])]


def _normed(features: Features, norm: nn.Sequential) -> Source:
    return Source.normed(features, [norm])


def _matrix(convolution: nn.Conv3d) -> torch.Tensor:
    """Weight of a 1 x 1 x 1 convolution as (M, C)."""
    return convolution.weight.flatten(1)


def _image(x: torch.Tensor) -> Features:
    """(1, H, W, D) as features."""
    return Features(1, tuple(x.shape[1:]), x.flatten(2).transpose(0, 1)[:, None], tiled=False)


def _pooled(features: Features, advance: Advance) -> Features:
    """Each voxel the largest of 2 x 2 x 2."""
    out = Features(features.channels, tuple(edge // 2 for edge in features.size))
    pairs = features.data.unflatten(0, (-1, 2))

    def part(first: int, last: int) -> tuple[()]:
        for number in range(first, last):
            largest = torch.maximum(*pairs[number]).unflatten(2, (-1, features.size[2]))
            largest = torch.maximum(largest[..., ::2, :], largest[..., 1::2, :])
            largest = torch.maximum(largest[..., ::2], largest[..., 1::2]).transpose(0, 1).flatten(1)
            whole = largest.split(out.data.shape[3], 1)
            for tile, (piece, target) in enumerate(zip(whole, out.tiles(number), strict=True)):
                out.record(target.copy_(piece), number, tile)
        return ()

    over_slices(out.size[0], part, advance)
    return out
