"""The sum of the gradients of several forward passes and processes, whatever their order.

The sum is kept in float64, so that rounding does not depend on who computed which sample: left alone, such
differences of 1e-7 grow, with Adam, to 1e-2 of the loss within twenty steps.
"""

from __future__ import annotations

import torch
from torch import nn

from .processes import Processes


class GradientSum:
    """Collects the gradients of a network's parameters.

    Where there is one forward pass in one process, nothing is collected and nothing copied.
    """

    def __init__(self, net: nn.Module, processes: Processes, passes: int) -> None:
        self.parameters = list(net.parameters())
        self.processes = processes
        self.needed = passes > 1 or processes.count > 1
        self._flat: torch.Tensor | None = None

    def collect(self) -> None:
        """Take in the gradients of one backward pass, and clear them."""
        if not self.needed:
            return
        if self._flat is None:
            sizes = [parameter.numel() for parameter in self.parameters]
            device = self.parameters[0].device
            self._flat = torch.zeros(sum(sizes), dtype=torch.float64, device=device)
            self._parts = self._flat.split(sizes)
            self._seen = [False] * len(sizes)
        for number, (parameter, part) in enumerate(zip(self.parameters, self._parts, strict=True)):
            if parameter.grad is not None:
                part += parameter.grad.flatten()
                self._seen[number] = True
                parameter.grad = None

    def finish(self) -> None:
        """Give every parameter the sum over all passes and processes."""
        if not self.needed:
            return
        self.processes.add(self._flat)
        for seen, parameter, part in zip(self._seen, self.parameters, self._parts, strict=True):
            if seen:
                parameter.grad = part.view_as(parameter).to(parameter.dtype)
        self._flat.zero_()
