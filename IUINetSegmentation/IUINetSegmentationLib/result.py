"""Puts the result of one volume into the scene: a new node, a chosen one, or in place of older segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer

from iuinet.labels import Organ
from IUINetSegmentationLib.output import Replacement
from IUINetSegmentationLib.provenance import write_provenance
from IUINetSegmentationLib.segmentation_node import fill_node, result_node
from IUINetSegmentationLib.source import Source


@dataclass(frozen=True)
class Result:
    """What the worker gave for one volume. segments: of the organs that were found; table: of all organs."""

    segments: list[slicer.vtkSegment]
    report: dict[str, Any]
    table: tuple[Organ, ...]


def take_in(
    result: Result, source: Source, output: slicer.vtkMRMLSegmentationNode | None
) -> tuple[slicer.vtkMRMLSegmentationNode | None, Replacement | None]:
    """Put a result into the scene; gives its node, and what it took the place of.

    Without any organ nothing is made. output: the node that was chosen; if it was deleted meanwhile, or none
    was, the result gets a node of its own.
    """
    if output is not None and not slicer.mrmlScene.IsNodePresent(output):
        output = None
    if not result.segments:
        return None, None
    if output is not None and output.GetSegmentation().GetNumberOfSegments():
        replacement = Replacement(output, [organ.name for organ in result.table])
        try:
            fill_node(output, result.segments, source)
        except BaseException:
            replacement.undo()
            raise
        write_provenance(output, result.report)
        return output, replacement
    with result_node(output, f"{source.name} segmentation") as node:
        fill_node(node, result.segments, source)
        write_provenance(node, result.report)
    return node, None
