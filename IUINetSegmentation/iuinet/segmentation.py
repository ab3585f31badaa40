"""The whole job on one volume: checks, weights, inference, report. Command, worker and Python share it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .checks import Finding, check_volume, enforce
from .inference import Prediction, Progress, Segmenter
from .labels import Organ, select
from .model_file import Weights
from .report import build_report
from .volume import Volume
from .weights import resolve

if TYPE_CHECKING:
    import SimpleITK


@dataclass(frozen=True)
class SegmentationResult:
    """labels: uint8 (k, j, i) on the volume's grid. organs: those that were asked for."""

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


def loaded_segmenter(weights: Weights, device: str) -> Segmenter:
    """The model on the device; the last one used stays loaded, so that a second volume starts at once.

    Not so where a device had to be given up while the model was loaded: it may have recovered.
    """
    key = (str(weights.path), weights.sha256, device)
    if key not in _kept or _kept[key].ladder.notes:
        _kept.clear()
        _kept[key] = Segmenter(weights, device)
    return _kept[key]


def segment_volume(
    volume: Volume,
    weights: str | PathLike | None = None,
    device: str = "auto",
    organs: Sequence[str] | None = None,
    islands: bool = True,
    accept_warnings: bool = False,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    notice: Callable[[str], None] | None = None,
    fast: bool = False,
) -> SegmentationResult:
    """Segment a volume.

    weights: model id or file, None for the default model. device: see ``devices.choose_device``.
    organs: names of the organs wanted, None for all. islands: keep each organ's largest piece only.
    fast: one pass of the network, also with a model that was trained for a second, closer one.
    accept_warnings: go on where a person should decide, such as values that do not look like CT.
    progress(stage, fraction), cancelled(): called between steps, at most about a second apart.
    notice(sentence): called when a device failed and the work goes on in another way; the report's
    "fallbacks" hold the same sentences.
    The model stays loaded between calls. Raises IUINetError's subclasses only.
    """
    findings = check_volume(volume)
    enforce(findings, accept_warnings)
    found = resolve(weights)
    segmenter = loaded_segmenter(found, device)
    wanted = segmenter.organs if organs is None else select(segmenter.organs, organs)
    prediction: Prediction = segmenter(volume, wanted, islands, progress, cancelled, notice, fast)
    report = build_report(volume, prediction, findings, found)
    return SegmentationResult(prediction.labels, wanted, report, findings)


def segment(
    image: SimpleITK.Image,
    weights: str | PathLike | None = None,
    device: str = "auto",
    **options: Any,
) -> Segmentation:
    """Segment a CT that SimpleITK holds; options are those of ``segment_volume``.

    image: 3-D scalar image in Hounsfield units. Raises InputRefused, WeightsError, DeviceError, Cancelled.
    """
    import SimpleITK as sitk

    from .reading import volume_from_image

    result = segment_volume(volume_from_image(image), weights, device, **options)
    labels = sitk.GetImageFromArray(result.labels)
    labels.CopyInformation(image)
    return Segmentation(labels, result.report)
