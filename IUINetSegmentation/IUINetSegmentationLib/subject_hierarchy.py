"""The subject hierarchy around a node: what DICOM left there, and where a result belongs."""

from __future__ import annotations

import slicer

MODALITY_TAG = "0008,0060"


def modality_of(node: slicer.vtkMRMLNode) -> str | None:
    """The DICOM modality of a loaded series, such as "CT", or None where DICOM says nothing.

    Slicer's DICOM import writes it to the series' item in the subject hierarchy; nodes that were
    loaded otherwise may still name the DICOM files that the database knows.
    """
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    hierarchy, item = _hierarchy_and_item(node)
    modality = hierarchy.GetItemAttribute(item, attribute) if item else ""
    modality = modality or node.GetAttribute(attribute) or _modality_in_database(node)
    return modality.strip().upper() or None


def put_beside(node: slicer.vtkMRMLNode, neighbor: slicer.vtkMRMLNode) -> None:
    """Give the node the parent of its neighbor in the hierarchy: the same study, or the same folder."""
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
    return database.instanceValue(instances[0], MODALITY_TAG) or ""
