"""What tests and benchmarks measure alike: complexity, memory of a pass, and the way through the geometry."""

from __future__ import annotations

import numpy as np
import torch
from ptflops import get_model_complexity_info
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from iuinet.inference.upsampling import upsample_labels
from iuinet.network import IUINet
from iuinet.preprocessing import resize

# Rows of the paper's tables 1 to 4 (49.0 M / 153.8 G and 48.63 M / 153.89 G), as ptflops 0.7.5 counts them.
ROWS = {
    "full": ({}, 48_995_904, 153_801_180_064),
    "conv head": ({"head": "conv"}, 48_630_748, 153_890_219_484),
    "no shift": ({"shift": False}, 48_995_904, 153_801_180_064),
    "no shift, conv head": ({"shift": False, "head": "conv"}, 48_630_748, 153_890_219_484),
}


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


def ptflops(net: IUINet, device: str = "cpu", **options) -> tuple[int, int]:
    """(parameters, MACs) by ptflops at the net's own size."""
    size = net.config.size
    with torch.no_grad():
        macs, parameters = get_model_complexity_info(
            net,
            (1, size, size, size),
            as_strings=False,
            print_per_layer_stat=False,
            input_constructor=lambda shape: {"x": torch.zeros(1, *shape, device=device)},
            **options,
        )
    return parameters, macs


def through_the_geometry(labels: np.ndarray, size: int) -> np.ndarray:
    """A label map resized to the network's cube and back, as inference does, without a network between."""
    one_hot = [resize((labels == label) * 1.0, (size,) * 3) for label in range(int(labels.max()) + 1)]
    return np.asarray(upsample_labels(torch.stack(one_hot), labels.shape))
