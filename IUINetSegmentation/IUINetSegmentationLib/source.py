"""Where a volume was when a run began: the result goes there, whatever becomes of the node meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

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
