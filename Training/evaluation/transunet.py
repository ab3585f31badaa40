"""TransUNet's way to score, for comparison with published tables only.

The tables on the 18/12 split of Synapse come from TransUNet's ``calculate_metric_percase`` or copies of it.
Its rules differ from ours in ways that make numbers better or incomparable:

* HD95 is MedPy's without a spacing: the 95th percentile of both directions pooled, in voxels of a grid whose
  voxels are several times as long as they are wide;
* both empty: DSC 0; only the reference empty: DSC 1; only the result empty: DSC 0; HD95 is 0 in all three, so
  that a missed organ improves the mean. No case is left out of a mean.
"""

from __future__ import annotations

from .masks import Masks
from .surfaces import surface_distances


def score(masks: Masks) -> dict[str, float | None]:
    """DSC and HD95 (voxels) of one organ; NSD and ASSD are not part of these rules."""
    row: dict[str, float | None] = {
        "dsc": 0.0,
        "hd95_mm": None,
        "assd_mm": None,
        "nsd": None,
        "hd95_voxels": 0.0,
    }
    if masks.state == "both":
        row["dsc"] = masks.dsc
        distances = surface_distances(masks.result, masks.reference, (1.0,) * masks.result.ndim)
        row["hd95_voxels"] = distances.pooled_hd95
    elif masks.state == "extra":
        row["dsc"] = 1.0
    return row
