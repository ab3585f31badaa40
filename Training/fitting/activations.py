"""Less memory for more time: blocks keep their inputs only, and are computed again for the gradient."""

from __future__ import annotations

from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from iuinet.errors import UsageError
from iuinet.network import IUINet


def checkpoint_activations(net: nn.Module) -> None:
    """Let every block of an IUINet compute its activations twice while it trains; outputs stay the same.

    Raises UsageError "checkpoint-activations" for another network.
    """
    if not isinstance(net, IUINet):
        raise UsageError(
            f"run.checkpoint_activations is for IUINet alone, and this is a {type(net).__name__}",
            hint="Set run.checkpoint_activations=false.",
            code="checkpoint-activations",
        )
    for block in blocks_of(net):
        # A bound method: in a copy of the network it belongs to the copy's block.
        block.forward = MethodType(_computed_again, block)


def blocks_of(net: IUINet) -> list[nn.Module]:
    """The parts that are computed again one by one, in the order of the network."""
    streams = (*net.shift_stream, *net.separable_stream)
    return [block for stage in streams for block in stage.blocks] + [*net.fusion, *net.decoder]


def _computed_again(block: nn.Module, *arguments: Any) -> Any:
    forward = partial(type(block).forward, block)
    if not torch.is_grad_enabled():
        return forward(*arguments)
    # Nothing in the network is random, so that no state of random numbers has to be kept.
    return checkpoint(forward, *arguments, use_reentrant=False, preserve_rng_state=False)
