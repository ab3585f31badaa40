"""What a forward pass keeps for the backward pass, on any device."""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks


def saved_bytes(net: nn.Module, x: torch.Tensor) -> int:
    """Bytes of the storages that the forward pass keeps, each counted once, weights left out."""
    own = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = net(x)  # held until the end: an address that was given back could come twice
    del outputs
    return sum(kept.values())
