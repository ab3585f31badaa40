"""One segmentation from volume node to segmentation node, with the worker process in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer

from iuinet.client import WorkerClient
from iuinet.labels import organs_of_model, select
from iuinet.weights import resolve
from IUINetSegmentationLib.provenance import write_provenance
from IUINetSegmentationLib.segmentation_node import check_output, fill_node, make_segments, result_node
from IUINetSegmentationLib.volume_node import volume_from_node


def segment_volume_node(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
    *,
    weights: str | None = None,
    device: str = "auto",
    organs: Sequence[str] | None = None,
    accept_warnings: bool = False,
    progress: Callable[[str, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[slicer.vtkMRMLSegmentationNode, dict[str, Any]]:
    """Segment a volume node; blocks until the worker has finished. See IUINetSegmentationLogic.segment.

    What can be refused at once is refused before a process starts. The scene changes only when the labels
    are there, so until then a failure has nothing to undo.
    """
    check_output(segmentation_node)
    volume = volume_from_node(volume_node)
    table = organs_of_model(resolve(weights).document)
    if organs is not None:
        select(table, organs)
    with WorkerClient() as client:
        labels, report = client.segment(
            volume,
            weights=weights,
            device=device,
            organs=organs,
            accept_warnings=accept_warnings,
            progress=progress,
            cancelled=cancelled,
        )
    segments = make_segments(labels, table, volume_node)
    with result_node(segmentation_node, f"{volume_node.GetName()} segmentation") as node:
        fill_node(node, segments, volume_node)
        write_provenance(node, report)
    return node, report
