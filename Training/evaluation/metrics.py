"""Scores of one label map against its reference, organ by organ, by our rules for organs that are missing.

Overlap: DSC = 2 |A and B| / (|A| + |B|). Distances of the surfaces: ``surfaces.py``. Volumes in ml.

Where the reference or the result does not hold an organ:

=========  ============  ==========  ===============================================================
state      reference     result      scores
=========  ============  ==========  ===============================================================
both       has it        has it      all
missed     has it        empty       DSC 0, NSD 0, HD95 and ASSD the image's diagonal; a failure
extra      empty         has it      DSC 0, NSD 0, HD95 and ASSD the image's diagonal; a failure
absent     empty         empty       none: the case is left out of this organ's means
=========  ============  ==========  ===============================================================

The diagonal stands for the largest distance that was possible, so that no failure can improve a mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from . import transunet
from .masks import Masks, crops
from .surfaces import surface_distances

TOLERANCE_MM = 3.0
IUINET, TRANSUNET = "iuinet", "transunet"
CONVENTIONS = (IUINET, TRANSUNET)

Row = dict[str, str | float | None]


@dataclass(frozen=True)
class Rules:
    """How label maps are scored. convention: "iuinet" (this file) or "transunet" (``transunet.py``).

    tolerance_mm: of the normalised surface distance.
    """

    convention: str = IUINET
    tolerance_mm: float = TOLERANCE_MM


def score_labels(
    labels: np.ndarray,
    reference: np.ndarray,
    organs: Mapping[str, int],
    spacing: Sequence[float],
    voxel_ml: float | None = None,
    rules: Rules | None = None,
) -> dict[str, Row]:
    """Scores of a label map, by organ.

    labels, reference: integer arrays (k, j, i) of one shape and one set of ids, none above 255; where the
    reference is 255 nothing is known, and the result counts as background there.
    organs: name -> id. spacing: mm along k, j, i. voxel_ml: volume of a voxel, where the axes are sheared.
    Each row holds state, dsc, hd95_mm, assd_mm, nsd, volume_ml, reference_ml, volume_error_ml (result minus
    reference) and volume_error_percent (of the reference); what does not exist is None. By the rules of
    TransUNet hd95_voxels comes in the place of the surface distances.
    """
    rules = rules or Rules()
    size = float(np.prod(spacing)) / 1000 if voxel_ml is None else voxel_ml
    masks = crops(labels, reference, organs, tuple(spacing), size)
    return {name: {"state": mask.state, **_scores(mask, rules), **_volumes(mask)} for name, mask in masks}


def _scores(masks: Masks, rules: Rules) -> Row:
    if rules.convention == TRANSUNET:
        return transunet.score(masks)
    if masks.state == "absent":
        return {"dsc": None, "hd95_mm": None, "assd_mm": None, "nsd": None}
    if masks.state != "both":
        return {"dsc": 0.0, "hd95_mm": masks.diagonal, "assd_mm": masks.diagonal, "nsd": 0.0}
    distances = surface_distances(masks.result, masks.reference, masks.spacing)
    return {
        "dsc": masks.dsc,
        "hd95_mm": distances.hd95,
        "assd_mm": distances.assd,
        "nsd": distances.nsd(rules.tolerance_mm),
    }


def _volumes(masks: Masks) -> Row:
    found, expected, _ = masks.voxels
    error = (found - expected) * masks.voxel_ml
    return {
        "volume_ml": found * masks.voxel_ml,
        "reference_ml": expected * masks.voxel_ml,
        "volume_error_ml": error if masks.state != "absent" else None,
        "volume_error_percent": 100 * (found - expected) / expected if expected else None,
    }
