"""A segmentation that already holds work: nothing in it is lost unasked, and a replacement can be undone."""

from __future__ import annotations

from collections.abc import Iterable

import slicer
import vtk

from iuinet.errors import UsageError
from IUINetSegmentationLib.segmentation_node import OURS
from IUINetSegmentationLib.source import Source


def replaceable(node: slicer.vtkMRMLSegmentationNode, organs: Iterable[str]) -> list[str]:
    """Ids of the segments that a new result would replace: those that this module made, of these organs."""
    segmentation, wanted = node.GetSegmentation(), set(organs)
    identifiers = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    return [name for name in identifiers if _organ_of(segmentation.GetSegment(name)) in wanted]


def check_replacement(node: slicer.vtkMRMLSegmentationNode, source: Source) -> None:
    """Refuse to add to a segmentation that lies elsewhere. Errors: UsageError."""
    if node.GetTransformNodeID() != source.transform_id:
        raise UsageError(
            f"the segmentation {node.GetName()!r} is under another transform than the volume",
            hint="Choose a new segmentation for the result, or give both the same transform.",
            code="output-transform",
        )


class Replacement:
    """The segments that a result took the place of; ``undo`` brings them back."""

    def __init__(self, node: slicer.vtkMRMLSegmentationNode, organs: Iterable[str]) -> None:
        """Keep the node's present state, then take its replaceable segments out."""
        self.node = node
        self._history = slicer.vtkSegmentationHistory()
        self._history.SetSegmentation(node.GetSegmentation())
        self._history.SaveState()
        for identifier in replaceable(node, organs):
            node.GetSegmentation().RemoveSegment(identifier)

    def undo(self) -> None:
        """The segmentation is as before the replacement; later edits of it are lost."""
        self._history.RestorePreviousState()
        self._history.SetSegmentation(None)


def _organ_of(segment: slicer.vtkSegment) -> str | None:
    """The organ that this module made the segment for, None for somebody else's."""
    value = vtk.reference("")
    return str(value) if segment.GetTag(OURS, value) else None
