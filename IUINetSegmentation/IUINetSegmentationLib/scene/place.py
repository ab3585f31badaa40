"""Where a volume was when a run began: the result goes there, whatever becomes of the node meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer
import vtk


@dataclass(frozen=True)
class Source:
    """A volume node's place at one moment.

    node: the node itself, kept alive even when it leaves the scene. name: its name. extent: of its image.
    matrix: from voxel index to RAS mm, without the parent transform. transform_id: of that, or None.
    """

    node: slicer.vtkMRMLScalarVolumeNode
    name: str
    extent: tuple[int, ...]
    matrix: vtk.vtkMatrix4x4
    transform_id: str | None

    @classmethod
    def of(cls, volume: slicer.vtkMRMLScalarVolumeNode | Source) -> Source:
        """The place of a node now; a place that was taken before stays as it is."""
        if isinstance(volume, Source):
            return volume
        matrix = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(matrix)
        return cls(
            node=volume,
            name=volume.GetName() or "volume",
            extent=volume.GetImageData().GetExtent(),
            matrix=matrix,
            transform_id=volume.GetTransformNodeID(),
        )

    @property
    def in_scene(self) -> bool:
        """Whether the node is still there."""
        return bool(slicer.mrmlScene.IsNodePresent(self.node))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the voxels as an array (k, j, i)."""
        low, high = self.extent[::2], self.extent[1::2]
        return tuple(b - a + 1 for a, b in zip(low, high, strict=True))[::-1]


# The subject hierarchy: what DICOM left there, and where a result belongs -----------------------------


def modality_of(node: slicer.vtkMRMLNode) -> str | None:
    """The DICOM modality of a loaded series, such as "CT", or None where DICOM names none.

    Slicer's DICOM import writes it to the series' item in the subject hierarchy; nodes that were
    loaded otherwise may still name the DICOM files that the database knows.
    """
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    hierarchy, item = _hierarchy_and_item(node)
    modality = hierarchy.GetItemAttribute(item, attribute) if item else ""
    modality = modality or node.GetAttribute(attribute) or _modality_in_database(node)
    return modality.strip().upper() or None


def put_beside(node: slicer.vtkMRMLNode, neighbor: slicer.vtkMRMLNode) -> None:
    """Put the node under its neighbor's parent in the hierarchy: the same study, or the same folder."""
    hierarchy, neighbor_item = _hierarchy_and_item(neighbor)
    if not neighbor_item:
        return
    parent = hierarchy.GetItemParent(neighbor_item)
    _, item = _hierarchy_and_item(node)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, node)


def remove_item(node: slicer.vtkMRMLNode) -> None:
    """Take the node's item out of the hierarchy; the node itself stays."""
    hierarchy, item = _hierarchy_and_item(node)
    if item:
        hierarchy.RemoveItem(item, False, True)


def _hierarchy_and_item(node: slicer.vtkMRMLNode) -> tuple[slicer.vtkMRMLSubjectHierarchyNode, int]:
    """The scene's hierarchy and the node's item there; 0, the invalid item, where it has none."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    return hierarchy, hierarchy.GetItemByDataNode(node)


def _modality_in_database(node: slicer.vtkMRMLNode) -> str:
    """The modality of the first DICOM file that the node came from, or an empty text."""
    instances = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    # The database belongs to the application; it is absent in other processes and before its setup.
    database = getattr(slicer, "dicomDatabase", None)
    if not instances or database is None or not database.isOpen:
        return ""
    return database.instanceValue(instances[0], "0008,0060") or ""


# What the panel offers or spares by itself ------------------------------------------------------------


def shown_volume() -> Any:
    """The volume that the slice views show, else the first of the scene, else None."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        node = slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
        if node is not None and node.GetClassName() == "vtkMRMLScalarVolumeNode":
            return node
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next((node for node in volumes if node.GetClassName() == "vtkMRMLScalarVolumeNode"), None)


def is_filled(segmentation: Any) -> bool:
    """Whether a segmentation node, or None, holds segments that could be lost."""
    return segmentation is not None and segmentation.GetSegmentation().GetNumberOfSegments() > 0
