"""Gives each new data node its item in the subject hierarchy, as Slicer's plugins do.

In Slicer a Qt plugin adopts a node when it enters the scene and drops the item when it leaves. That
plugin is no part of slicer-core, so a volume would have no item and no place to put a result beside.
"""

from __future__ import annotations

import slicer
import vtk

# Base classes of the nodes that Slicer's own plugins adopt and that this project's tests use.
ADOPTED = ("vtkMRMLVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLTransformNode", "vtkMRMLModelNode")


class ItemMaker:
    """Watches a scene and keeps the subject hierarchy's items in step with its data nodes."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene
        # The decorated handlers are kept, since VTK holds no strong reference to a bound method.
        self._handlers = (self._on_added, self._on_removed)
        scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, self._on_added)
        scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._on_removed)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_added(self, scene: slicer.vtkMRMLScene, event: str, node: slicer.vtkMRMLNode) -> None:
        """A node came in: it gets an item at the top level unless it has one."""
        if node.GetHideFromEditors() or not any(node.IsA(name) for name in ADOPTED):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if hierarchy.GetItemByDataNode(node) == hierarchy.GetInvalidItemID():
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_removed(self, scene: slicer.vtkMRMLScene, event: str, node: slicer.vtkMRMLNode) -> None:
        """A node leaves: its item goes too, its children stay."""
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        item = hierarchy.GetItemByDataNode(node)
        if item != hierarchy.GetInvalidItemID():
            hierarchy.RemoveItem(item, False, False)
