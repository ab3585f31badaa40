#!/usr/bin/env python3
"""Whether the full network trains on a card of 12 GB: what a step keeps at 128^3, with and without
``run.checkpoint_activations``. Activations are measured at 64^3 in float32 and scaled by the voxels."""

from __future__ import annotations

import torch
from helpers.measures import saved_bytes
from torch import nn

from iuinet.network import PRESETS, IUINet
from pipeline.fitting.device import blocks_of, checkpoint_activations

MEASURED, WANTED = 64, 128


def largest_block(net: IUINet, x: torch.Tensor) -> int:
    """Bytes that the hungriest block keeps while it is computed again."""
    inputs: list[tuple[nn.Module, tuple]] = []
    hooks = [
        block.register_forward_pre_hook(lambda module, arguments: inputs.append((module, arguments)))
        for block in blocks_of(net)
    ]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()

    class Wrapped(nn.Module):
        def __init__(self, block: nn.Module, arguments: tuple) -> None:
            super().__init__()
            self.block, self.arguments = block, arguments

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.block(*self.arguments)

    return max(saved_bytes(Wrapped(*pair), x) for pair in inputs)


def main() -> None:
    """Print a table."""
    net = IUINet(PRESETS["paper"]).train()
    x = torch.rand(1, 1, *[MEASURED] * 3)
    scale = (WANTED / MEASURED) ** 3
    states = 4 * 4 * sum(parameter.numel() for parameter in net.parameters())
    plain, block = saved_bytes(net, x), largest_block(net, x)
    checkpoint_activations(net)
    twice = saved_bytes(net, x) + block
    print(f"weights, gradients and Adam's two moments: {states / 1e9:.2f} GB")
    print(f"{'at 128^3, batch 1':28}{'fp32':>10}{'16 bits':>10}   (with those; GB)")
    for name, kept in (("activations kept", plain), ("checkpoint_activations", twice)):
        whole = [kept * scale * share / 1e9 + states / 1e9 for share in (1.0, 0.5)]
        print(f"{name:28}{whole[0]:10.1f}{whole[1]:10.1f}")
    print("Half precision is counted as half the bytes; working memory of kernels is not counted.")


if __name__ == "__main__":
    main()
