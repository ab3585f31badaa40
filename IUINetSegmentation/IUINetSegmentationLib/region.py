"""Segmenting only inside a box: the voxels that a markups ROI covers, and the labels in the whole again."""

from __future__ import annotations

import itertools

import numpy as np
import slicer
import vtk

from iuinet.errors import InputRefused
from iuinet.volume import Grid, Volume
from IUINetSegmentationLib.volume_node import ijk_to_ras

Box = tuple[slice, slice, slice]
ROUNDING = 1e-6  # voxels: a centre on the very edge of the box is inside


def box_of(region: slicer.vtkMRMLMarkupsROINode, volume_node: slicer.vtkMRMLScalarVolumeNode) -> Box:
    """The voxels (k, j, i) of the smallest box along the volume's axes that holds the ROI.

    Both nodes may lie under linear transforms. Errors: InputRefused for a ROI that is not placed, or that
    misses the volume.
    """
    size = np.array(region.GetSize())
    if not (size > 0).all() or region.GetNumberOfDefinedControlPoints() == 0:
        raise InputRefused(
            f"the region {region.GetName()!r} has no extent", hint="Place the box first.", code="region-empty"
        )
    to_voxels = np.linalg.inv(_world_from_local(volume_node) @ ijk_to_ras(volume_node))
    to_world = slicer.util.arrayFromVTKMatrix(region.GetObjectToWorldMatrix())
    corners = np.array([[*signs, 2] for signs in itertools.product((-1, 1), repeat=3)]) / 2
    corners[:, :3] *= size
    voxels = (to_voxels @ to_world @ corners.T)[:3]
    extent = volume_node.GetImageData().GetExtent()
    low, high = np.array(extent[::2]), np.array(extent[1::2]) + 1
    # A voxel belongs to the box if its centre lies inside; the first voxel has the index ``low``.
    first = np.clip(np.ceil(voxels.min(1) - ROUNDING), low, high).astype(int) - low
    last = np.clip(np.floor(voxels.max(1) + ROUNDING) + 1, low, high).astype(int) - low
    if (first >= last).any():
        raise InputRefused(
            f"the region {region.GetName()!r} does not touch the volume",
            hint="Move the box to the volume, or choose the whole volume.",
            code="region-outside",
        )
    return tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))[::-1]


def crop(volume: Volume, box: Box) -> Volume:
    """The part of a volume inside the box, at its place; a view on the same voxels."""
    first = np.array([part.start for part in reversed(box)] + [1.0])
    grid = volume.grid
    return Volume(
        array=volume.array[box],
        grid=Grid(
            size=tuple(part.stop - part.start for part in reversed(box)),
            spacing=grid.spacing,
            origin=tuple((grid.index_to_lps() @ first)[:3].tolist()),
            direction=grid.direction,
        ),
        name=volume.name,
        modality=volume.modality,
        notes=volume.notes,
    )


def embed(labels: np.ndarray, box: Box, shape: tuple[int, int, int]) -> np.ndarray:
    """Labels of the box in a volume of background."""
    whole = np.zeros(shape, labels.dtype)
    whole[box] = labels
    return whole


def _world_from_local(node: slicer.vtkMRMLTransformableNode) -> np.ndarray:
    """4 x 4 matrix of the node's parent transform, which is linear; the identity without one."""
    matrix = vtk.vtkMatrix4x4()
    parent = node.GetParentTransformNode()
    if parent is not None:
        parent.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)
