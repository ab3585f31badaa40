"""Organs of one anatomy set into another: three bodies give more than three arrangements."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .anatomy import INSIDE, Anatomy
from .chance import Chance
from .tissues import NUMBER

# What may be exchanged, each group from one donor.
GROUPS = (("stomach",), ("spleen",), ("right kidney", "left kidney"), ("liver", "gallbladder"), ("pancreas",))

# What a set-in organ may cover; everything else stays in front of it.
GIVES_WAY = ("fat", "duodenum", "colon", "small bowel", "lung", "vein", "artery", "renal sinus", "lesion")


def mix(
    tissue: torch.Tensor,
    distance: torch.Tensor,
    positions: torch.Tensor,
    anatomy: Anatomy,
    donors: Sequence[Anatomy],
    chance: Chance,
) -> None:
    """Exchange organs in place, in two of three scans one to three groups.

    tissue int64 (S, S, S), distance (3, S, S, S): as seen in ``anatomy`` at positions (3, S, S, S) in mm.
    """
    others = [donor for donor in donors if donor.name != anatomy.name]
    if not others or not chance.happens(0.67):
        return
    gives_way = torch.zeros(256, dtype=torch.bool)
    gives_way[[NUMBER[name] for name in GIVES_WAY]] = True
    for _ in range(1 + chance.choose((0.5, 0.3, 0.2))):
        donor = others[chance.choose([1.0] * len(others))]
        for organ in GROUPS[chance.choose([1.0] * len(GROUPS))]:
            if organ in donor.boxes and organ in anatomy.boxes:
                _set_in(organ, tissue, distance, positions, anatomy, donor, gives_way)


def _set_in(
    organ: str,
    tissue: torch.Tensor,
    distance: torch.Tensor,
    positions: torch.Tensor,
    anatomy: Anatomy,
    donor: Anatomy,
    gives_way: torch.Tensor,
) -> None:
    """The donor's organ at the place of this one's: same centre, and half way to its size."""
    here_low, here_high = (torch.tensor(c).view(3, 1, 1, 1) for c in anatomy.boxes[organ])
    there_low, there_high = (torch.tensor(c).view(3, 1, 1, 1) for c in donor.boxes[organ])
    scale = ((there_high - there_low) / (here_high - here_low)).clamp(0.5, 2).sqrt()
    there = (positions - (here_low + here_high) / 2) * scale + (there_low + there_high) / 2
    donor_tissue, donor_distance = donor.at(there)
    number = NUMBER[organ]
    tissue[tissue == number] = NUMBER["fat"]
    new = (donor_tissue == number) & gives_way[tissue]
    tissue[new] = number
    distance[INSIDE][new] = donor_distance[INSIDE][new]
