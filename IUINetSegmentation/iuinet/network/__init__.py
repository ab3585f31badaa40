"""IUINet, the two-stream network of Zhu, Cheng and Liu (2024), in plain PyTorch.

    from iuinet.network import IUINet, PRESETS
    net = IUINet(PRESETS["abdomen13"])
    outputs = net(x)      # x (B, 1, H, W, D); five logits, finest first: (B, classes, H/2^s, W/2^s, D/2^s)
"""

from .config import PRESETS, IUINetConfig
from .dyfc import DyFC
from .iuinet import IUINet
from .shift import Shift

__all__ = ["PRESETS", "DyFC", "IUINet", "IUINetConfig", "Shift"]
