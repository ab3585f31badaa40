"""Less memory for more time: blocks keep their inputs only, and are computed again for the gradient."""

from __future__ import annotations

from collections.abc import Callable
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
        block.forward = _twice(block.forward)


def blocks_of(net: IUINet) -> list[nn.Module]:
    """The parts that are computed again one by one, in the order of the network."""
    streams = (*net.shift_stream, *net.separable_stream)
    return [block for stage in streams for block in stage.blocks] + [*net.fusion, *net.decoder]


def _twice(forward: Callable[..., Any]) -> Callable[..., Any]:
    def computed_again(*arguments: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*arguments)
        # Nothing in the network is random, so that no state of random numbers has to be kept.
        return checkpoint(forward, *arguments, use_reentrant=False, preserve_rng_state=False)

    return computed_again
