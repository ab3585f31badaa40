"""One model on one case: label maps at both sizes become the rows of the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from iuinet.labels import Organ

from .metrics import Rules, score_labels
from .reference import Reference


@dataclass(frozen=True)
class Found:
    """What a model found, as uint8 with the data's ids.

    native: on the case's own grid. small: at the network's size (a cube in canonical axes).
    organs: name -> id of those that the model knows and the data hold.
    """

    native: np.ndarray
    small: np.ndarray
    organs: Mapping[str, int]


def score_case(found: Found, reference: Reference, rules: Rules) -> list[dict[str, Any]]:
    """Rows (grid, organ, scores) on the native grid, at the network's size, and of the round trip."""
    size = found.small.shape[0]
    voxel_ml = reference.grid.voxel_volume_ml
    ceiling = reference.round_trip(size, found.organs.values())
    spacing, small_spacing = reference.spacing, reference.network_spacing(size)
    small = reference.at_network_size(size), found.organs, small_spacing, reference.network_voxel_ml(size)
    native = reference.labels, found.organs, spacing, voxel_ml
    grids = {
        "native": score_labels(found.native, *native, rules),
        "network": score_labels(found.small, *small, rules),
        "ceiling": score_labels(ceiling, *native, rules),
    }
    return [
        {"organ": organ, "grid": grid, **{key: _rounded(value) for key, value in scores.items()}}
        for grid, rows in grids.items()
        for organ, scores in rows.items()
    ]


def _rounded(value: str | float | None) -> str | float | None:
    """Six decimals: nobody measures nanometres."""
    return round(value, 6) if isinstance(value, float) else value


def translation(model: Sequence[Organ], data: Sequence[Organ]) -> tuple[np.ndarray, dict[str, int]]:
    """From a model's label ids to the data's, by the organs' names.

    Returns a lookup uint8 (256,), 0 for organs that the data do not hold, and name -> the data's id of the
    organs that both know, in the data's order and by the data's names.
    """
    ids = {_plain(organ.name): organ.label for organ in data}
    lookup = np.zeros(256, np.uint8)
    for organ in model:
        lookup[organ.label] = ids.get(_plain(organ.name), 0)
    known = {_plain(organ.name) for organ in model}
    return lookup, {organ.name: organ.label for organ in data if _plain(organ.name) in known}


def not_scored(model: Sequence[Organ], data: Sequence[Organ]) -> list[str]:
    """Names of the model's organs that the data do not hold."""
    known = {_plain(organ.name) for organ in data}
    return [organ.name for organ in model if _plain(organ.name) not in known]


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
