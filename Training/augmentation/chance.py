"""Draws from a generator, in the units of the settings."""

from __future__ import annotations

import math

import torch


def happens(probability: float, chance: torch.Generator) -> bool:
    """True with this probability. One number is drawn whatever comes of it."""
    return float(torch.rand((), generator=chance)) < probability


def between(low: float, high: float, chance: torch.Generator) -> float:
    """A number in [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=chance))


def factor(low: float, high: float, chance: torch.Generator) -> float:
    """A factor in [low, high), even in its logarithm: halving is as likely as doubling."""
    return math.exp(between(math.log(low), math.log(high), chance))
