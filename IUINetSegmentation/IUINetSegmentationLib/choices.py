"""What in the scene the panel offers or spares by itself."""

from __future__ import annotations

from typing import Any

import slicer


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
