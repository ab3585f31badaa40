"""The product's own inference for evaluation.

Nothing of the way from volume to labels is done again here; the network's output is only looked at on its way
through, because scores at the network's size need it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from iuinet.devices import choose_device
from iuinet.inference import Logits, Segmenter, Stages
from iuinet.labels import organs_of_model
from iuinet.weights.model_file import Weights
from pipeline.fitting.checkpoint import read_weights
from pipeline.fitting.networks import build, config_from, is_peer


class Model(Segmenter):
    """The product's segmenter; the logits of its last volume stay at hand."""

    _looked: Logits | None = None

    def look(self, *seen: Any) -> tuple[Logits, list[str]]:
        self._looked, fallbacks = super().look(*seen)
        return self._looked, fallbacks

    @property
    def logits(self) -> torch.Tensor:
        """The last volume's finest logits (classes, size, size, size), first pass, float32 on the CPU."""
        if self._looked is None:
            raise RuntimeError("no volume was segmented yet")
        return self._looked.first

    def at_network_size(self, islands: bool) -> np.ndarray:
        """The last volume's labels at the network's size: uint8 cube, canonical axes, the model's ids.

        The cube is the volume's own: where the first pass saw more, those of its cells that are nearest.
        islands: see ``Options``.
        """
        channels = self.logits.argmax(0).numpy().astype(np.uint8)
        nearest = map(_cells, channels.shape, self._looked.region, self._looked.field)
        channels = channels[np.ix_(*nearest)]
        return self.to_label_ids(self.clean(channels, islands)[0], self.organs)


class Peer(Model):
    """A run's network that is not IUINet, on IUINet's own way from volume to labels.

    weights: whose path is the run's checkpoint. Where the device fails there is no other way.
    """

    def __init__(self, weights: Weights, device: str = "auto") -> None:
        self.weights, self.document = weights, weights.document
        self.device = self.used = choose_device(device)
        self.net = build(config_from(self.document["network"]))
        self.net.load_state_dict(read_weights(weights.path)[0])
        self.net.to(self.device).eval()
        self.organs, self.second_pass = organs_of_model(self.document), None

    def run(self, x: torch.Tensor, stages: Stages) -> tuple[torch.Tensor, list[str]]:
        outputs = self.net(x.to(self.device))
        finest = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
        return finest[0].float().cpu(), []


def _cells(size: int, region: slice, seen: slice) -> np.ndarray:
    """In which of the network's cells those of a region's own cube have their centres, along one axis.

    region: the voxels to segment. seen: those that the network saw.

    >>> _cells(4, slice(0, 8), slice(-4, 12))
    array([1, 1, 2, 2])
    """
    centres = region.start + (np.arange(size) + 0.5) * (region.stop - region.start) / size
    return ((centres - seen.start) * size / (seen.stop - seen.start)).astype(int)


def segmenter(weights: Weights, device: str = "auto") -> Model:
    """The model of these weights on a device."""
    return (Peer if is_peer(weights.document["network"]) else Model)(weights, device)
