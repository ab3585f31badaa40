"""One seed from several numbers, so that every draw of a training has a seed of its own."""

from __future__ import annotations

_MASK = 2**64 - 1


def seed_of(*parts: int) -> int:
    """A seed of 63 bits, a good mixture of the parts and their order.

    Each part goes through the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): neighbouring
    numbers give seeds that have nothing in common.
    """
    state = len(parts)
    for part in parts:
        state = _mixed((state + part + 0x9E3779B97F4A7C15) & _MASK)
    return state >> 1


def _mixed(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
