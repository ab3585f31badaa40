"""The box to segment in: placed over a volume, shown with handles to drag, and followed while it moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import slicer
import vtk

from iuinet.checks import FEW_VOXELS, SHORT_EXTENT_MM
from IUINetSegmentationLib.scene.volume_node import ijk_to_ras, to_vtk_matrix, world_from_local

# A new box covers the middle half of the volume along each of its axes: to be dragged to the abdomen.
SHARE = 0.5


def add_region(volume: slicer.vtkMRMLScalarVolumeNode, name: str) -> slicer.vtkMRMLMarkupsROINode:
    """A new box over the middle of a volume node."""
    name = slicer.mrmlScene.GetUniqueNameByString(name)
    region = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    place_region(region, volume)
    return region


def is_placed(region: slicer.vtkMRMLMarkupsROINode) -> bool:
    """Whether a box has a place and a size: a new one of Slicer's selectors has neither."""
    return region.GetNumberOfDefinedControlPoints() > 0 and min(region.GetSize()) > 0


def place_region(region: slicer.vtkMRMLMarkupsROINode, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Put a box over the middle of a volume node, along its axes, and show it with its handles.

    It is inside the volume, and where the volume allows so large that nothing speaks against segmenting it.
    A transform that it was under is taken off; the volume may be under a linear one.
    """
    to_world = world_from_local(volume) @ ijk_to_ras(volume)
    extent = np.reshape(volume.GetImageData().GetExtent(), (3, 2))
    steps = np.linalg.norm(to_world[:3, :3], axis=0)  # mm between two voxels
    whole = (extent[:, 1] - extent[:, 0] + 1) * steps
    enough = np.maximum(SHORT_EXTENT_MM + steps, (FEW_VOXELS + 1) * steps)
    size = np.minimum(np.maximum(SHARE * whole, enough), whole)
    place = np.eye(4)
    place[:3, :3] = _rotation(to_world[:3, :3] / steps)
    center = (to_world @ [*extent.mean(axis=1), 1.0])[:3]
    modifying = region.StartModify()
    region.SetAndObserveTransformNodeID(None)
    region.SetAndObserveObjectToNodeMatrix(to_vtk_matrix(place))
    region.SetSize(size.tolist())
    region.SetCenter(center.tolist())
    _show(region)
    region.EndModify(modifying)


def halve_region(region: slicer.vtkMRMLMarkupsROINode) -> None:
    """Leave half of the voxels in a box, about its middle, and show it with its handles."""
    region.SetSize([side * 0.5 ** (1 / 3) for side in region.GetSize()])
    _show(region)


def _show(region: slicer.vtkMRMLMarkupsROINode) -> None:
    """Show a box in all views, with the handles that move and scale it."""
    region.CreateDefaultDisplayNodes()
    display = region.GetDisplayNode()
    display.SetVisibility(True)
    display.SetHandlesInteractive(True)
    display.SetScaleHandleVisibility(True)


def _rotation(axes: np.ndarray) -> np.ndarray:
    """The rotation nearest to three unit vectors (columns): a box is the same with an axis turned round."""
    left, _, right = np.linalg.svd(axes)
    rotation = left @ right
    rotation[:, 2] *= np.sign(np.linalg.det(rotation))
    return rotation


class Followed:
    """A box or a volume of the scene, watched. changed: called for another place, size or content of it.

    Dragging the handles of a box says several things at once; ``changed`` hears of them once.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._node: Any = None
        self._tags: list[int] = []
        self._seen: Any = None

    def watch(self, node: Any) -> None:
        """Watch this node and no other; None for none."""
        if node is not self._node:
            for tag in self._tags:
                self._node.RemoveObserver(tag)
            self._node = node
            events = [] if node is None else _events(node)
            self._tags = [node.AddObserver(event, self._on_event) for event in events]
        self._seen = None if node is None else _looks(node)

    def _on_event(self, *_: Any) -> None:
        seen = _looks(self._node)
        if seen != self._seen:
            self._seen = seen
            self._changed()


def _events(node: Any) -> list[int]:
    """What VTK says when the place, size or content of a box or a volume changes."""
    events = [vtk.vtkCommand.ModifiedEvent, slicer.vtkMRMLTransformableNode.TransformModifiedEvent]
    if node.IsA("vtkMRMLVolumeNode"):
        return [*events, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent]
    points = slicer.vtkMRMLMarkupsNode
    moved = [points.PointModifiedEvent, points.PointPositionDefinedEvent]
    return [*events, *moved, points.PointPositionUndefinedEvent, points.PointRemovedEvent]


def _looks(node: Any) -> tuple[Any, ...]:
    """Place, size and content of a box or a volume, to be compared; its name, too, which the panel shows."""
    parent = node.GetParentTransformNode()
    looks = (node.GetName(), parent.GetTransformToWorldMTime() if parent is not None else 0)
    if node.IsA("vtkMRMLVolumeNode"):
        image = node.GetImageData()
        return (*looks, image, image and image.GetMTime(), *ijk_to_ras(node).ravel())
    matrix = slicer.util.arrayFromVTKMatrix(node.GetObjectToWorldMatrix())
    return (*looks, node.GetNumberOfDefinedControlPoints(), *node.GetSize(), *matrix.ravel())
