"""What the network costs: the parameters and multiply-adds that counters see, and those that they miss.

ptflops, which the paper used, counts module calls. It cannot see the matrix product of a DyFC (an operator,
not a module) nor the interpolation of a shift, so its figure for IUINet is too small. Here both are counted
from the shapes, on tensors without memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from .dyfc import DyFC
from .iuinet import IUINet
from .shift import Shift

# Three nested linear interpolations: four along the first axis, two along the second, one along the third.
INTERPOLATIONS_PER_VOXEL = 7


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of one module for one input.

    counted: what ptflops' module hooks see (convolutions, linear layers, norms, activations).
    hidden: DyFC products (equations 2 to 4) and shift interpolation.
    """

    counted: int = 0
    hidden: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.counted + other.counted, self.hidden + other.hidden)

    @property
    def total(self) -> int:
        """All multiply-adds."""
        return self.counted + self.hidden


def _module_cost(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> Cost | None:
    """Cost of one call of a module itself, without its children; None if it has none of its own.

    ptflops' conventions: one multiply-add per weight and output element, two per element of an affine
    instance norm, one per element of an activation.
    """
    match module:
        case nn.Conv3d():
            return Cost(counted=output.numel() * module.weight[0].numel())
        case nn.Linear():
            bias = module.out_features if module.bias is not None else 0
            return Cost(counted=output.numel() * module.in_features + bias)
        case nn.InstanceNorm3d():
            return Cost(counted=2 * output.numel())
        case nn.LeakyReLU():
            return Cost(counted=output.numel())
        case DyFC():
            product = output.numel() * sum(module.in_channels)
            return Cost(hidden=product + output.shape[0] * (module.weights.numel() + module.biases.numel()))
        case Shift(enabled=True):
            return Cost(hidden=INTERPOLATIONS_PER_VOXEL * output.numel())
    return None


def count_modules(net: IUINet, x: torch.Tensor) -> dict[str, Cost]:
    """Cost per module name of one pass of x (1, 1, H, W, D) through the net; both may be on meta.

    >>> from .config import PRESETS
    >>> costs = count_modules(IUINet(PRESETS["tiny"]), torch.zeros(1, 1, 32, 32, 32))
    >>> sum(costs.values(), Cost()) == count(IUINet(PRESETS["tiny"]), 32)[1]
    True
    """
    costs: dict[str, Cost] = {}

    def record(name: str) -> Callable:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            cost = _module_cost(module, inputs, output)
            if cost is not None:
                costs[name] = costs.get(name, Cost()) + cost

        return hook

    handles = [module.register_forward_hook(record(name)) for name, module in net.named_modules()]
    try:
        with torch.no_grad():
            net(x)
    finally:
        for handle in handles:
            handle.remove()
    return costs


def count(net: IUINet, size: int | None = None) -> tuple[int, Cost]:
    """(trainable parameters, total cost) for one volume of size^3 voxels.

    >>> from .config import PRESETS
    >>> count(IUINet(PRESETS["paper"]))[0]  # all of the paper's 49.00 million parameters
    48995904
    """
    parameters = sum(p.numel() for p in net.parameters() if p.requires_grad)
    size = size or net.config.size
    with torch.device("meta"):
        costs = count_modules(IUINet(net.config), torch.empty(1, 1, size, size, size))
    return parameters, sum(costs.values(), Cost())
