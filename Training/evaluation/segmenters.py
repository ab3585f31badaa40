"""The product's own inference for evaluation: one model, or several whose softmax is averaged.

Nothing of the way from volume to labels is done anew here; the network's output is only looked at on its way
through, because scores at the network's size and averages need it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from fitting.checkpoint import read_weights
from fitting.networks import build, config_from, is_peer

from iuinet.devices import choose_device
from iuinet.errors import UsageError
from iuinet.inference import Prediction, Segmenter, Stages
from iuinet.labels import organs_of_model
from iuinet.model_file import Weights
from iuinet.refine import Box
from iuinet.volume import Volume


class Model(Segmenter):
    """The product's segmenter; the logits of its last volume stay at hand."""

    def __init__(self, weights: Weights, device: str = "auto") -> None:
        super().__init__(weights, device)
        self._volume: Volume | None = None
        self._outputs: dict[str, tuple[torch.Tensor, list[str]]] = {}

    def __call__(self, volume: Volume, *arguments, **options) -> Prediction:
        self.look_at(volume)
        return super().__call__(volume, *arguments, **options)

    def look_at(self, volume: Volume) -> None:
        """Forget the logits of any other volume."""
        if volume is not self._volume:
            self._volume, self._outputs = volume, {}

    def run(self, x: torch.Tensor, stages: Stages, box: Box | None = None) -> tuple[torch.Tensor, list[str]]:
        if str(box) not in self._outputs:
            self._outputs[str(box)] = super().run(x, stages, box)
        return self._outputs[str(box)]

    @property
    def logits(self) -> torch.Tensor:
        """The last volume's finest logits (classes, size, size, size), first pass, float32 on the CPU."""
        if str(None) not in self._outputs:
            raise RuntimeError("no volume was segmented yet")
        return self._outputs[str(None)][0]

    def at_network_size(self, islands: bool) -> np.ndarray:
        """The last volume's labels at the network's size: uint8 cube, canonical axes, the model's ids.

        islands: keep each organ's largest piece only.
        """
        channels = self.logits.argmax(0).numpy().astype(np.uint8)
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
        self._volume, self._outputs = None, {}

    def run(self, x: torch.Tensor, stages: Stages, box: Box | None = None) -> tuple[torch.Tensor, list[str]]:
        if str(box) not in self._outputs:
            outputs = self.net(x.to(self.device))
            finest = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
            self._outputs[str(box)] = finest[0].float().cpu(), []
        return self._outputs[str(box)]


def segmenter(weights: Weights, device: str = "auto") -> Model:
    """The model of these weights on a device."""
    return (Peer if is_peer(weights.document["network"]) else Model)(weights, device)


class Ensemble(Model):
    """Several models as one: the mean of their softmax, as logits (its logarithm).

    An ensemble of one is that model: the logarithm of its softmax differs from its logits by the same number
    in all classes, which no argmax of interpolated logits can tell.
    members: with the same organs and the same preprocessing. Raises UsageError "ensemble" for others.
    """

    def __init__(self, members: Sequence[Model]) -> None:
        first = members[0]
        for member in members[1:]:
            if member.document["preprocessing"] != first.document["preprocessing"]:
                raise _differ(first, member, "preprocessing")
            if {organ.name for organ in member.organs} != {organ.name for organ in first.organs}:
                raise _differ(first, member, "organs")
        self.members = tuple(members)
        self.weights, self.device = first.weights, first.device
        self.document, self.organs = first.document, first.organs
        self.second_pass = first.second_pass
        self._volume, self._outputs = None, {}

    def run(self, x: torch.Tensor, stages: Stages, box: Box | None = None) -> tuple[torch.Tensor, list[str]]:
        if str(box) not in self._outputs:
            total, fallbacks = None, []
            for member in self.members:
                member.look_at(self._volume)
                logits, notes = member.run(x, stages, box)
                logarithm = torch.log_softmax(logits[self._order(member)], 0)
                total = logarithm if total is None else torch.logaddexp(total, logarithm)
                fallbacks += notes
            self._outputs[str(box)] = total, list(dict.fromkeys(fallbacks))
        return self._outputs[str(box)]

    def _order(self, member: Model) -> list[int]:
        """The member's channels in the order of the first one's organs."""
        places = {organ.name: channel for channel, organ in enumerate(member.organs, start=1)}
        return [0, *(places[organ.name] for organ in self.organs)]


def _differ(first: Model, other: Model, what: str) -> UsageError:
    return UsageError(
        f"the models {first.weights.id} and {other.weights.id} cannot be averaged: their {what} differ",
        hint="Leave --ensemble out, or choose models of one recipe.",
        code="ensemble",
    )
