"""The whole job on one volume: checks, weights, inference, report. Command, worker and Python share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .boxes import common, whole
from .checks import Finding, check_volume, enforce
from .errors import UsageError
from .inference import Progress, Segmenter
from .labels import Organ
from .options import Options
from .report import build_report
from .volume import Volume
from .weights.model_file import Weights

if TYPE_CHECKING:
    import SimpleITK


@dataclass(frozen=True)
class SegmentationResult:
    """labels: uint8 (k, j, i) on the volume's grid. organs: those requested."""

    labels: np.ndarray
    organs: tuple[Organ, ...]
    report: dict[str, Any]
    findings: list[Finding]


@dataclass(frozen=True)
class Segmentation:
    """labels: SimpleITK image on the input's grid, uint8, label ids of the report's organs."""

    labels: SimpleITK.Image
    report: dict[str, Any]


_kept: dict[tuple[str, str, str], Segmenter] = {}


def _loaded_segmenter(weights: Weights, device: str) -> Segmenter:
    """The model on the device; the last one used stays loaded, so that a second volume starts at once.

    Not so where a device had to be given up while the model was loaded: it may have recovered.
    """
    key = (str(weights.path), weights.sha256, device)
    if key not in _kept or _kept[key].fallback.notes:
        _kept.clear()
        _kept[key] = Segmenter(weights, device)
    return _kept[key]


def segment_volume(
    volume: Volume,
    weights: Weights,
    options: Options,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    notice: Callable[[str], None] | None = None,
) -> SegmentationResult:
    """Segment a volume, or the options' region of it, outside of which there are no labels.

    weights: the model that ``options.find_model`` found.
    progress(stage, fraction), cancelled(): called between steps, at most about a second apart.
    notice(sentence): called when a device failed and the work goes on in another way; the report's
    "fallbacks" hold the same sentences.
    The model stays loaded between calls. Checks and report are those of the region.
    Raises: subclasses of IUINetError only.

    >>> result = segment_volume(volume, options.find_model(), options)  # doctest: +SKIP
    >>> result.report["organs"][0]["found"]  # doctest: +SKIP
    True
    """
    part = _part(volume, options)
    findings = check_volume(part)
    enforce(findings, options.accept_warnings)
    segmenter = _loaded_segmenter(weights, options.device)
    prediction = segmenter(volume, options, progress, cancelled, notice)
    report = build_report(part, prediction, findings, weights)
    labels = prediction.labels
    if options.box is not None:
        labels = np.zeros(volume.array.shape, np.uint8)
        labels[options.box] = prediction.labels
    return SegmentationResult(labels, prediction.organs, report, findings)


def _part(volume: Volume, options: Options) -> Volume:
    """What is to be segmented. Raises: UsageError for a region that the volume does not hold."""
    shape = volume.array.shape
    if options.box is None or shape != volume.grid.shape:  # which check_volume refuses
        return volume
    if common(options.box, whole(shape)) != options.box:
        raise UsageError(
            f"the region {options.region} is no part of a volume of {shape} voxels along k, j, i",
            hint="Give (first, stop) along each axis, with 0 <= first < stop <= its voxels.",
            code="region-outside",
        )
    return volume.part(options.box)


def segment(
    image: SimpleITK.Image,
    weights: str | PathLike | None = None,
    device: str = "auto",
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    notice: Callable[[str], None] | None = None,
    **others: Any,
) -> Segmentation:
    """Segment a CT that SimpleITK holds.

    image: 3-D scalar image in Hounsfield units, or 4-D with one voxel along its last axis, which the labels
    then do not have. weights, device, others: see ``Options``.
    progress, cancelled, notice: see ``segment_volume``.
    Raises: InputRefused, WeightsError, DeviceError, UsageError for unknown organs and for what
    is no image, Cancelled.

    >>> result = segment(SimpleITK.ReadImage("ct.nrrd"), device="cpu")  # doctest: +SKIP
    >>> SimpleITK.WriteImage(result.labels, "labels.nrrd")  # doctest: +SKIP
    """
    from .reading import volume_from_image
    from .writing import image_on_grid

    options = Options(weights, device, **others)
    volume = volume_from_image(image)
    result = segment_volume(volume, options.find_model(), options, progress, cancelled, notice)
    return Segmentation(image_on_grid(result.labels, volume.grid), result.report)
