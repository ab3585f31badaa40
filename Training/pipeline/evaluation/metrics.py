"""Scores of one label map against its reference, organ by organ, by our rules for organs that are missing.

Overlap: DSC = 2 |A and B| / (|A| + |B|). Volumes in ml.

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

Distances of surfaces are in mm, on scipy's exact Euclidean distance transform.
A mask's surface is its voxels that share a face with the background (what erosion with 6 neighbours takes
away); beyond the array lies background, so where an organ is cut by the scan's edge, the cut is surface.
A distance runs from the centre of one surface voxel to the centre of the nearest surface voxel of the other
mask, and each surface voxel counts once, however large its faces are. MedPy and MONAI mean the same by these
words, and differ only in how the distances become one number:

* HD95: ours is the larger of the two directions' 95th percentiles, as in MONAI. MedPy's ``hd95`` takes the
  percentile over both directions pooled (``pooled_hd95``): smaller where one direction is much the worse, as
  for a spur of the result that ours sees and the pooled one may not.
* ASSD: the mean over both directions' distances pooled (Heimann et al., IEEE TMI 28(8), 2009), as in MedPy
  0.5 and MONAI. Others take the mean of the two directions' means, which weighs the smaller surface more.
* NSD: the share of both surfaces that lies within a tolerance of the other (Nikolov et al., J Med Internet
  Res 23(7), 2021), counted in voxels as in MONAI without subvoxels, where the first authors weigh by area.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

UNKNOWN = 255  # in a reference: not known what is there
TOLERANCE_MM = 3.0
IUINET, TRANSUNET = "iuinet", "transunet"
CONVENTIONS = (IUINET, TRANSUNET)
# A distance that is the tolerance but for rounding, such as of three steps of 0.7 mm, is within it.
_ROUNDING = 1e-9

# What needs the voxels' size.
IN_MM = ("hd95_mm", "assd_mm", "nsd", "volume_ml", "reference_ml", "volume_error_ml")

Row = dict[str, str | float | None]


@dataclass(frozen=True)
class Rules:
    """How label maps are scored. convention: IUINET (the table above) or TRANSUNET.

    tolerance_mm: of the normalised surface distance. millimetres: whether the voxels' size is known; else
    what is in mm or ml is left out.
    """

    convention: str = IUINET
    tolerance_mm: float = TOLERANCE_MM
    millimetres: bool = True


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
    rows = {name: {"state": mask.state, **_scores(mask, rules), **_volumes(mask)} for name, mask in masks}
    left_out = () if rules.millimetres else IN_MM
    return {name: {key: row[key] for key in row if key not in left_out} for name, row in rows.items()}


def _scores(masks: Masks, rules: Rules) -> Row:
    if rules.convention == TRANSUNET:
        return _transunet_scores(masks)
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


def _transunet_scores(masks: Masks) -> Row:
    """TransUNet's way to score, for comparison with published tables only.

    The tables on the 18/12 split of Synapse come from its ``calculate_metric_percase`` or copies of it:

    * HD95 is MedPy's without a spacing: the 95th percentile of both directions pooled, in voxels;
    * both empty: DSC 0; only the reference empty: DSC 1; only the result empty: DSC 0; HD95 is 0 in all
      three, so that a missed organ improves the mean. No case is left out of a mean;
    * NSD and ASSD are not part of it, nor is any choice of an organ's pieces (``runner.Settings``).
    """
    row: Row = {"dsc": 0.0, "hd95_mm": None, "assd_mm": None, "nsd": None, "hd95_voxels": 0.0}
    if masks.state == "both":
        row["dsc"] = masks.dsc
        distances = surface_distances(masks.result, masks.reference, (1.0,) * masks.result.ndim)
        row["hd95_voxels"] = distances.pooled_hd95
    elif masks.state == "extra":
        row["dsc"] = 1.0
    return row


# Masks -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Masks:
    """One organ in both label maps, cropped to the box that holds both.

    result, reference: bool (k, j, i). spacing: mm along k, j, i. voxel_ml: volume of a voxel.
    diagonal: of the whole image, mm.
    """

    result: np.ndarray
    reference: np.ndarray
    spacing: tuple[float, float, float]
    voxel_ml: float
    diagonal: float

    @property
    def voxels(self) -> tuple[int, int, int]:
        """Voxels of the result, of the reference, and of both at once."""
        counted = self.result, self.reference, self.result & self.reference
        return tuple(int(np.count_nonzero(mask)) for mask in counted)

    @property
    def state(self) -> str:
        """ "both", "missed", "extra" or "absent"."""
        found, expected, _ = self.voxels
        if found and expected:
            return "both"
        return "missed" if expected else "extra" if found else "absent"

    @property
    def dsc(self) -> float:
        """Dice similarity coefficient; one of the masks must have voxels."""
        found, expected, both = self.voxels
        return 2 * both / (found + expected)


def crops(
    labels: np.ndarray,
    reference: np.ndarray,
    organs: Mapping[str, int],
    spacing: tuple[float, float, float],
    voxel_ml: float,
) -> Iterator[tuple[str, Masks]]:
    """Each organ's masks in the box that holds both, which makes all that follows quick."""
    if labels.shape != reference.shape:
        raise ValueError(f"labels {labels.shape} and reference {reference.shape} differ in shape")
    diagonal = float(np.linalg.norm(np.multiply(labels.shape, spacing)))
    known = reference != UNKNOWN
    if not known.all():
        labels = np.where(known, labels, 0)
    boxes = [ndimage.find_objects(array, max_label=255) for array in (labels, reference)]
    for name, number in organs.items():
        found = [box[number - 1] for box in boxes if box[number - 1] is not None]
        axes = zip(*found, strict=True)
        box = tuple(slice(min(part.start for part in p), max(part.stop for part in p)) for p in axes)
        box = box or (slice(0, 0),) * labels.ndim
        yield name, Masks(labels[box] == number, reference[box] == number, spacing, voxel_ml, diagonal)


# Surfaces ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances of two masks' surfaces, mm; see above.

    forward: from each surface voxel of the first mask to the second mask's surface; backward: the other way.
    """

    forward: np.ndarray
    backward: np.ndarray

    @property
    def hd95(self) -> float:
        """The larger of the two directed 95th percentiles (with linear interpolation between ranks), mm."""
        return float(max(np.percentile(self.forward, 95), np.percentile(self.backward, 95)))

    @property
    def pooled_hd95(self) -> float:
        """The 95th percentile of both directions' distances together, mm: MedPy's hd95."""
        return float(np.percentile(np.concatenate([self.forward, self.backward]), 95))

    @property
    def assd(self) -> float:
        """Average symmetric surface distance: the mean of both directions' distances together, mm."""
        return float((self.forward.sum() + self.backward.sum()) / (self.forward.size + self.backward.size))

    def nsd(self, tolerance: float) -> float:
        """Normalised surface distance: the share of both surfaces within the tolerance (mm, inclusive)."""
        limit = tolerance * (1 + _ROUNDING)
        within = np.count_nonzero(self.forward <= limit) + np.count_nonzero(self.backward <= limit)
        return float(within / (self.forward.size + self.backward.size))


def surface_distances(first: np.ndarray, second: np.ndarray, spacing: Sequence[float]) -> SurfaceDistances:
    """Distances between the surfaces of two masks.

    first, second: bool arrays of one shape, each with at least one voxel set. spacing: mm along the array's
    axes. Raises: ValueError for other input.
    """
    if first.shape != second.shape or first.ndim != len(spacing):
        raise ValueError(f"masks {first.shape} and {second.shape} with spacing {tuple(spacing)} do not fit")
    if not first.any() or not second.any():
        raise ValueError("an empty mask has no surface")
    # Outside the box that holds both masks is background, as beyond the array: cropping changes no surface.
    box = ndimage.find_objects((first | second).view(np.uint8))[0]
    borders = border(first[box]), border(second[box])
    return SurfaceDistances(
        _to_nearest(borders[0], borders[1], spacing), _to_nearest(borders[1], borders[0], spacing)
    )


def border(mask: np.ndarray) -> np.ndarray:
    """The mask's voxels that share a face with the background or with the array's outside; bool."""
    return mask & ~ndimage.binary_erosion(mask)


def _to_nearest(sources: np.ndarray, targets: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Distance from each voxel set in ``sources`` to the nearest one set in ``targets``, mm, in memory order.

    The transform returns the nearest voxel's indices; distances are made of them for the sources alone, which
    needs a fraction of the memory that a distance for every voxel does.
    """
    nearest = ndimage.distance_transform_edt(
        ~targets, sampling=spacing, return_distances=False, return_indices=True
    )
    steps = (nearest[:, sources] - np.stack(np.nonzero(sources))) * np.asarray(spacing, float)[:, None]
    return np.sqrt((steps**2).sum(0))
