"""The loss: cross-entropy plus Dice over the classes that are there, at every scale of the network's output.

The paper names no loss; this one is our choice. It is a mean over samples of a value that each sample has by
itself, so that it does not matter how the samples are spread over forward passes and processes.

Sets label different organs. Where a sample's set does not label an organ, its voxels bear the label of the
background, and so nothing but the sum of both probabilities is compared with it (Fang and Yan, "Multi-organ
segmentation over partially labeled datasets", IEEE TMI 2020; Shi et al., Medical Image Analysis 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import cross_entropy, one_hot

from .recipe import LossRecipe

UNKNOWN = 255  # voxels with this label do not count


class Loss:
    """``loss(outputs, labels)``. settings: of the recipe. organs: names in channel order."""

    def __init__(
        self, settings: LossRecipe, organs: Sequence[str], device: torch.device | str = "cpu"
    ) -> None:
        self.settings = settings
        weights = [settings.class_weights.get(name, 1.0) for name in ("background", *organs)]
        self._given_weights = torch.tensor(weights, device=device)
        self.set_weight_power(1.0)

    def set_weight_power(self, power: float) -> None:
        """Use this power of the recipe's class weights: 1 as they stand, 0 for none."""
        self.class_weights = self._given_weights**power

    def __call__(
        self,
        outputs: torch.Tensor | Sequence[torch.Tensor],
        labels: torch.Tensor,
        labelled: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The loss of every sample, (B,).

        outputs: logits (B, C, H/2^s, ...), finest first, or the finest alone. labels: int64 (B, H, W, D), 255
        where unknown. Coarser labels are every second voxel's, taken near each coarse voxel's centre.
        labelled: bool (B, C), the classes that a sample's labels show; None for all.
        """
        outputs = [outputs] if isinstance(outputs, torch.Tensor) else outputs
        if labelled is not None:
            shows = labelled.gather(1, labels.where(labels != UNKNOWN, 0).flatten(1)).view_as(labels)
            labels = labels.where(shows, 0)
        total = outputs[0].new_zeros(len(labels), dtype=torch.float32)
        for weight, logits in zip(self.settings.scales, outputs, strict=False):
            if weight:
                step = labels.shape[1] // logits.shape[2]
                at = slice(step // 2, None, step)
                logits = logits.float() if labelled is None else merged(logits.float(), labelled)
                total = total + weight * self.at_one_scale(logits, labels[:, at, at, at])
        return total

    def at_one_scale(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Weighted cross-entropy and Dice, (B,), of logits (B, C, H, W, D) against labels (B, H, W, D)."""
        known = labels != UNKNOWN
        truth = torch.where(known, labels, 0)
        return self.settings.entropy * self._entropy(logits, truth, known) + (
            self.settings.dice * dice_loss(logits, truth, known)
        )

    def _entropy(self, logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        weights = self.class_weights[truth] * known
        values = cross_entropy(logits, truth, reduction="none") * weights
        return values.sum((1, 2, 3)) / weights.sum((1, 2, 3)).clamp(min=1e-6)


def merged(logits: torch.Tensor, labelled: torch.Tensor) -> torch.Tensor:
    """Logits (B, C, H, W, D) in which what a sample does not label is one class with its background.

    labelled: bool (B, C). The background's probability becomes the sum of all of these, theirs becomes 0. A
    sample that labels all keeps its logits and their gradient to the bit.
    """
    mask = labelled[:, :, None, None, None]
    organs = mask.clone()
    organs[:, 0] = False
    background = torch.logsumexp(logits.masked_fill(organs, -torch.inf), 1)
    background = torch.where(mask.all(1), logits[:, 0], background)
    return torch.cat([background[:, None], logits.masked_fill(~mask, -torch.inf)[:, 1:]], 1)


def dice_loss(logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """1 - soft Dice, mean over the organs that are in a sample, (B,); 0 for a sample without any.

    Background is not an organ. Where nothing is known (``known`` false), nothing counts.
    """
    classes = logits.shape[1]
    target = one_hot(truth, classes).movedim(-1, 1) * known[:, None]
    chance = torch.softmax(logits, 1) * known[:, None]
    axes = (2, 3, 4)
    # One voxel on both sides keeps the smallest organs' gradient in bounds.
    dice = (2 * (chance * target).sum(axes) + 1) / (chance.sum(axes) + target.sum(axes) + 1)
    present = (target.sum(axes) > 0).float()
    present[:, 0] = 0
    return ((1 - dice) * present).sum(1) / present.sum(1).clamp(min=1)
