"""Networks with invented parameters: as a training leaves them, or as a model file of a preset."""

from __future__ import annotations

from pathlib import Path

import torch

from iuinet.labels import ORGANS
from iuinet.network import PRESETS, DyFC, IUINet, IUINetConfig, Shift
from iuinet.weights.load import save_model

# The kinds of network that faster paths must know.
CHANGES = [{}, {"head": "conv"}, {"shift": False}, {"attention": "standardised"}, {"kernels": (5,)}]


def lively(config: IUINetConfig, reach: float = 3.0) -> IUINet:
    """A network whose norms, biases, offsets and scans are anything. reach: of the offsets, in voxels."""
    torch.manual_seed(0)
    net = IUINet(config)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.InstanceNorm3d):
                module.weight.normal_(1, 0.5)
                module.bias.normal_(0, 0.5)
            if isinstance(module, Shift):
                module.offsets.uniform_(-reach, reach)
                module.offsets[0] = torch.tensor([1.0, 0.0, -2.0])  # whole voxels
            if isinstance(module, DyFC) and module.standardised:
                module.centre.normal_(0, 0.3)
                module.spread.uniform_(0.5, 2)
    return net


def preset_model(path: Path, preset: str, only_background: bool = False) -> Path:
    """A model file of a preset, of random weights: they change nothing of the network's time.

    only_background: its answer is the background everywhere, so that labels cost nothing.
    """
    net = IUINet(PRESETS[preset])
    if only_background:
        for parameter in net.mapping.parameters():
            parameter.data.zero_()
    organs = [{"name": organ.name, "label": organ.id} for organ in ORGANS]
    preprocessing = {"orientation": "LPS", "size": net.config.size, "window": [-125, 275]}
    document = {"format": 1, "id": preset, "version": "1", "organs": organs, "preprocessing": preprocessing}
    save_model(path, net, document)
    return path
