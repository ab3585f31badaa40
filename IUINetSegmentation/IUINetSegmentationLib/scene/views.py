"""A result before the user's eyes: the slice views on its organs, and each organ shown or hidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import slicer
import vtk

from IUINetSegmentationLib.scene.segmentation_node import organ_of


def show_result(volume: Any, node: slicer.vtkMRMLSegmentationNode) -> None:
    """Fit the slice views to the volume, if it is still there, and centre them on the organs, to be seen."""
    if node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetVisibility(True)  # the result before it may have been hidden
    if volume is not None and slicer.mrmlScene.IsNodePresent(volume):
        slicer.util.setSliceViewerLayers(background=volume, fit=True)
    centre_on(node)


def show_volume(volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show a volume in the slice views, fitted; where one shows it already, what the user sees stays."""
    views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    if not any(view.GetBackgroundVolumeID() == volume.GetID() for view in views):
        slicer.util.setSliceViewerLayers(background=volume, fit=True)


def centre_on(node: slicer.vtkMRMLDisplayableNode) -> None:
    """Bring the middle of a node into the middle of the slice views."""
    bounds = np.zeros(6)
    node.GetRASBounds(bounds)
    _centre(bounds.reshape(3, 2).mean(axis=1))


def show_organ(node: slicer.vtkMRMLSegmentationNode, organ: str) -> None:
    """Centre the slice views on an organ that the node holds; does nothing where it holds none."""
    identifier = segment_of(node, organ)
    if identifier:
        _centre(node.GetSegmentCenterRAS(identifier))


def set_visible(node: slicer.vtkMRMLSegmentationNode, organ: str, visible: bool) -> None:
    """Show or hide an organ in all views."""
    identifier = segment_of(node, organ)
    if identifier:
        node.GetDisplayNode().SetSegmentVisibility(identifier, visible)


def shown_beside(node: slicer.vtkMRMLSegmentationNode, volume: Any) -> list[str]:
    """Names of other segmentations of this volume that the views show: theirs and the node's colours mix."""
    role = node.GetReferenceImageGeometryReferenceRole()
    return [
        other.GetName()
        for other in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        if other is not node
        and other.GetNodeReference(role) is volume
        and other.GetDisplayNode() is not None
        and other.GetDisplayNode().GetVisibility()
    ]


def segment_of(node: slicer.vtkMRMLSegmentationNode, organ: str) -> str:
    """Id of the segment that this module made for the organ, "" where there is none any more."""
    segmentation = node.GetSegmentation()
    for number in range(segmentation.GetNumberOfSegments()):
        if organ_of(segmentation.GetNthSegment(number)) == organ:
            return segmentation.GetNthSegmentID(number)
    return ""


def _centre(place: Any) -> None:
    """Bring a point (RAS, mm) into the middle of all slice views."""
    slice_node = slicer.vtkMRMLSliceNode
    slice_node.JumpAllSlices(slicer.mrmlScene, *map(float, place), slice_node.CenteredJumpSlice)


class FreshResult:
    """A result as it was made, until somebody changes it: that long the next run may take its place.

    node, volume: the result, and what it was made of. changed: called when it is fresh no longer.
    """

    def __init__(self, node: Any, volume: Any, changed: Callable[[], None]) -> None:
        self.node, self.volume = node, volume
        self._changed, self._touched = changed, False
        kinds = slicer.vtkSegmentation
        segmentation = node.GetSegmentation()
        self._looks = _looks(segmentation)
        events = {
            # Also when a surface is made for the 3-D view.
            kinds.SegmentModified: self._compare,
            kinds.SegmentAdded: self._touch,
            kinds.SegmentRemoved: self._touch,
            kinds.SegmentsOrderModified: self._touch,
            kinds.SourceRepresentationModified: self._touch,
        }
        self._observed = [
            (segmentation, segmentation.AddObserver(event, react)) for event, react in events.items()
        ]

    def holds(self, node: Any, volume: Any) -> bool:
        """Whether this node is the result of this volume, in its place and as it was made."""
        return (
            not self._touched
            and node is self.node
            and volume is self.volume
            and node.GetTransformNodeID() == volume.GetTransformNodeID()
        )

    def forget(self) -> None:
        """Look no longer at the node."""
        self._touched = True
        while self._observed:
            segmentation, tag = self._observed.pop()
            segmentation.RemoveObserver(tag)

    def _compare(self, *_: Any) -> None:
        if _looks(self.node.GetSegmentation()) != self._looks:
            self._touch()

    def _touch(self, *_: Any) -> None:
        if not self._touched:
            self._touched = True
            self._changed()


def _looks(segmentation: slicer.vtkSegmentation) -> list[tuple[Any, ...]]:
    """Name, colour and codes of each segment: what a user can change beside its voxels."""
    tag = slicer.vtkSegment.GetTerminologyEntryTagName()
    looks = []
    for number in range(segmentation.GetNumberOfSegments()):
        segment, codes = segmentation.GetNthSegment(number), vtk.reference("")
        segment.GetTag(tag, codes)
        looks.append((segment.GetName(), *segment.GetColor(), str(codes)))
    return looks
