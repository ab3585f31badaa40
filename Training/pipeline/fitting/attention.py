"""What the attention of a network's DyFC does over many scans: measured, and its inputs followed.

A DyFC is dynamic only if its coefficients differ between scans. ``AttentionWatch`` measures that, at every
validation. ``IntervalFollower`` keeps centre and spread of a standardised attention (``iuinet.network.dyfc``)
at what the training's scans have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from iuinet.network import DyFC

from .device import Processes

STATIC = 0.01  # a DyFC whose coefficients vary less over the scans is a plain fully connected layer
_MEMORY = 0.98  # share of centre and spread that each step leaves: they follow the last fifty
_LEAST_SPREAD = 1e-3  # what never varies is not blown up to noise


@dataclass(frozen=True)
class Dynamics:
    """entropy: of a scan's coefficients, 0 (one basis) to 1 (all alike), mean over the scans. deviation: over
    the scans, of the coefficient that varies most."""

    entropy: float
    deviation: float


def dyfcs(net: nn.Module) -> dict[str, DyFC]:
    """The DyFC of a network by name; none in a peer."""
    return {name: module for name, module in net.named_modules() if isinstance(module, DyFC)}


@contextmanager
def watched(net: nn.Module) -> Iterator[dict[str, list[torch.Tensor]]]:
    """The coefficients (B, K) of every pass through each DyFC within the context, on the CPU."""
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in dyfcs(net)}
    handles = [
        layer.attention.register_forward_hook(
            lambda module, inputs, scores, kept=seen[name]: kept.append(scores.softmax(1).float().cpu())
        )
        for name, layer in dyfcs(net).items()
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def dynamics(coefficients: Mapping[str, Sequence[torch.Tensor]]) -> dict[str, Dynamics]:
    """How much each DyFC's coefficients say and vary. coefficients: (B, K) of a name, all scans together."""
    found = {}
    for name, parts in coefficients.items():
        a = torch.cat(list(parts)).double()
        entropy = -(a * a.clamp(min=1e-30).log()).sum(1).mean() / math.log(max(a.shape[1], 2))
        found[name] = Dynamics(float(entropy), float(a.std(0, correction=0).max()))
    return found


def static(found: Mapping[str, Dynamics]) -> list[str]:
    """Names of the DyFC that answer all scans alike."""
    return [name for name, values in found.items() if values.deviation < STATIC]


class IntervalFollower:
    """Moves centre and spread of a network's standardised attentions after the scans that it trains on.

    The scans of a step are seen with the numbers before it, and added up over all processes in float64, so
    that they count alike however they are shared. A network without such attentions is left alone.
    """

    def __init__(self, net: nn.Module, processes: Processes) -> None:
        self.layers = [layer for layer in dyfcs(net).values() if layer.standardised]
        self.processes = processes
        self._sums = [layer.centre.new_zeros(1 + 2 * len(layer.centre)).double() for layer in self.layers]
        self._handles = [
            layer.attention.register_forward_pre_hook(
                lambda module, inputs, sums=sums: _collect(sums, inputs[0]) if module.training else None
            )
            for layer, sums in zip(self.layers, self._sums, strict=True)
        ]

    def leave(self) -> None:
        """See nothing any more."""
        for handle in self._handles:
            handle.remove()

    @torch.no_grad()
    def update(self, memory: float = _MEMORY) -> None:
        """Take in what was seen since the last update. memory: share of the numbers before, 0 at first."""
        if not self.layers:
            return
        total = self.processes.add(torch.cat(self._sums))
        for layer, sums in zip(self.layers, total.split([len(part) for part in self._sums]), strict=True):
            if not sums[0] or not torch.isfinite(sums).all():  # fp16 may overflow
                continue
            mean, square = (sums[1:] / sums[0]).chunk(2)
            if not memory:
                square = square - mean**2
            layer.centre += ((1 - memory) * mean * layer.spread).to(layer.centre.dtype)
            layer.spread *= (memory + (1 - memory) * square).clamp(min=0).sqrt().to(layer.spread.dtype)
            layer.spread.clamp_(min=_LEAST_SPREAD)
        for sums in self._sums:
            sums.zero_()


def _collect(sums: torch.Tensor, intervals: torch.Tensor) -> None:
    """Add number, sum and squares of intervals (B, 2 N) to the sums."""
    values = intervals.detach().double()
    sums += torch.cat([values.new_full((1,), len(values)), values.sum(0), values.square().sum(0)])
