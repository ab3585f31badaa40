"""IUINet: two encoder streams over one image, DyFC fusion, decoder, five mapping layers (figure 2)."""

from __future__ import annotations

import torch
from torch import nn

# By name, not as attributes: complexity counters patch the attributes, and pooling is not in their sums.
from torch.nn.functional import avg_pool3d, max_pool3d

from .blocks import DecoderStage, EncoderStage, SeparableBlock, ShiftBlock
from .config import IUINetConfig
from .dyfc import DyFC
from .fast import can_learn, fast_logits, is_usable, learning_logits
from .gpu import can_fuse, fused_logits


class IUINet(nn.Module):
    """The network; ``net(x)`` maps (B, 1, H, W, D) to five logits, finest first.

    H is the slice axis.
    Raises: UsageError for an edge that is not a multiple of 16, or below 32.
    """

    def __init__(self, config: IUINetConfig) -> None:
        super().__init__()
        self.config = config
        stages = range(config.stages)
        self.shift_stream = nn.ModuleList(self._stage(stage, self._shift_block) for stage in stages)
        self.separable_stream = nn.ModuleList(self._stage(stage, self._separable_block) for stage in stages)
        self.fusion = nn.ModuleList(DyFC([c, c], c, config.basis) for c in config.widths)
        self.decoder = nn.ModuleList(DecoderStage(c, config.basis) for c in config.widths[:-1])
        self.mapping = nn.ModuleList(self._head(c) for c in config.widths)
        if config.attention == "standardised":
            for module in self.modules():
                if isinstance(module, DyFC):
                    module.standardise()

    def _shift_block(self, features: int, image: int, out: int) -> nn.Module:
        return ShiftBlock(features, image, out, self.config.basis, self.config.shift)

    def _separable_block(self, features: int, image: int, out: int) -> nn.Module:
        return SeparableBlock(features, image, out, self.config.kernels, self.config.basis)

    def _stage(self, stage: int, block) -> EncoderStage:
        out = self.config.widths[stage]
        features = self.config.widths[stage - 1] if stage else 0
        rest = [block(out, 0, out) for _ in range(self.config.blocks[stage] - 1)]
        return EncoderStage(block(features, 1, out), rest)

    def _head(self, channels: int) -> nn.Module:
        if self.config.head == "conv":
            return nn.Conv3d(channels, self.config.classes, 1, bias=False)
        return DyFC([channels], self.config.classes, self.config.basis)

    def encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Fused features of every stage, finest first. Each stream pools its own features (figure 2)."""
        shift_input, separable_input = [x], [x]
        fused = []
        for stage, fusion in enumerate(self.fusion):
            a = self.shift_stream[stage](shift_input)
            b = self.separable_stream[stage](separable_input)
            fused.append(fusion(a, b))
            if stage + 1 < self.config.stages:
                x = avg_pool3d(x, 2)
                shift_input, separable_input = [max_pool3d(a, 2), x], [max_pool3d(b, 2), x]
        return fused

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(B, 1, H, W, D) -> [(B, classes, H / 2^s, W / 2^s, D / 2^s) for s in 0 ... 4]."""
        if is_usable(self, x):
            return fast_logits(self, x)
        if can_fuse(self, x):
            return fused_logits(self, x)
        return learning_logits(self, x) if can_learn(self, x) else self.plain(x)

    def plain(self, x: torch.Tensor) -> list[torch.Tensor]:
        """What ``forward`` returns, layer by layer: the definition, with which the other paths must agree."""
        self.config.check_size(tuple(x.shape[2:]))
        fused = self.encode(x)
        features = [fused[-1]]
        for stage in reversed(range(len(self.decoder))):
            features.insert(0, self.decoder[stage](features[0], fused[stage]))
        return [head(f) for head, f in zip(self.mapping, features, strict=True)]
