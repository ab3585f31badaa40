"""A moving average of the weights: steadier than the last step's, and what is then validated and exported."""

from __future__ import annotations

import torch
from torch import nn


class Average:
    """Exponential moving average of a network's tensors; its memory starts short, so that the first
    weights do not linger.

    decay: share of the old average that each step keeps, in the long run.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Take in the weights after a step, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                self.tensors[name].lerp_(tensor.detach(), 1 - decay)
            else:
                self.tensors[name].copy_(tensor)

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over saved tensors."""
        for name, tensor in tensors.items():
            self.tensors[name].copy_(tensor)
