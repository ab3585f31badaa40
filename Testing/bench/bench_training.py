#!/usr/bin/env python3
"""What a training step takes: memory of the full network at 128^3, and seconds on the CPU.

Memory is what is kept for the backward pass, layer by layer, by the CPU's own path, and with
``run.checkpoint_activations``, measured at 64^3 in float32 and scaled by the voxels. For seconds both paths
take turns within one run; what counts is their ratio.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import time

import torch
from helpers.measures import saved_bytes
from torch import nn

from iuinet.memory import keep_memory
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


class Plain(nn.Module):
    """A network layer by layer."""

    def __init__(self, net: IUINet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return self.net.plain(x)


def memory() -> None:
    """Print what a step of the full network keeps."""
    net = IUINet(PRESETS["paper"]).train()
    x = torch.rand(1, 1, *[MEASURED] * 3)
    scale = (WANTED / MEASURED) ** 3
    states = 4 * 4 * sum(parameter.numel() for parameter in net.parameters())
    plain, fast, block = saved_bytes(Plain(net), x), saved_bytes(net, x), largest_block(net, x)
    checkpoint_activations(net)
    twice = saved_bytes(net, x) + block
    print(f"weights, gradients and Adam's two moments: {states / 1e9:.2f} GB")
    print(f"{'at 128^3, batch 1':28}{'fp32':>10}{'16 bits':>10}   (with those; GB)")
    rows = ("layer by layer", plain), ("the CPU's path", fast), ("checkpoint_activations", twice)
    for name, kept in rows:
        whole = [kept * scale * share / 1e9 + states / 1e9 for share in (1.0, 0.5)]
        print(f"{name:28}{whole[0]:10.1f}" + (f"{whole[1]:10.1f}" if kept != fast else f"{'-':>10}"))
    print("Half precision is counted as half the bytes; working memory of kernels is not counted.")


def step(call: nn.Module, x: torch.Tensor) -> tuple[float, float]:
    """Processor and wall seconds of one forward and backward pass."""
    call.zero_grad()
    start = time.process_time(), time.perf_counter()
    sum(output.square().mean() for output in call(x)).backward()
    return time.process_time() - start[0], time.perf_counter() - start[1]


def seconds(preset: str, size: int, repeats: int) -> None:
    """Print the median seconds of a step on both paths, in turn."""
    torch.manual_seed(0)
    net = IUINet(dataclasses.replace(PRESETS[preset], size=size)).train()
    calls, x = {"layer by layer": Plain(net), "the CPU's path": net}, torch.rand(1, 1, size, size, size)
    taken = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            taken[name].append(step(call, x))
    medians = {  # the first one warms up
        name: [statistics.median(column) for column in zip(*pairs[1:], strict=True)]
        for name, pairs in taken.items()
    }
    (plain, plain_wall), (fast, wall) = medians.values()
    text = f"{preset:<10}{size:>4}^3{plain:>8.2f}{plain_wall:>8.2f}{fast:>8.2f}{wall:>8.2f}"
    print(f"{text}{fast / plain:>8.2f}{wall / plain_wall:>8.2f}", flush=True)


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="steps that count on each path")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    keep_memory()
    memory()
    torch.set_num_threads(options.threads)
    print(f"\nA step, {options.threads} threads, load {os.getloadavg()[0]:.1f}: processor and wall seconds")
    print("layer by layer, on the CPU's path, and the ratios of both")
    for preset, size in (("tiny", 64), ("small", 64), ("tiny", 96), ("small", 96)):
        seconds(preset, size, options.repeats)


if __name__ == "__main__":
    main()
