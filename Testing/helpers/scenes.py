"""Small volumes and segmentations for the MRML tests."""

from __future__ import annotations

import itertools

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from iuinet.labels import ORGANS
from IUINetSegmentationLib.scene.segmentation_node import fill_node, make_segments, result_node
from IUINetSegmentationLib.scene.volume_node import to_vtk_matrix

OBLIQUE = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]]) @ np.array(
    [[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]]
)

# All ways to number the axes of a volume: order[n] is the patient axis of image axis n, with a sign each.
AXIS_ORDERS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def axes_matrix(order: tuple[int, ...], signs: tuple[int, ...]) -> np.ndarray:
    """3 x 3 signed permutation whose column n is the patient axis of image axis n."""
    matrix = np.zeros((3, 3))
    matrix[list(order), range(3)] = signs
    return matrix


SPACING = np.array([0.7421875, 1.1, 2.5])

# Columns are the steps along i, j, k in mm.
GEOMETRIES = {f"axes {order} {signs}": axes_matrix(order, signs) * SPACING for order, signs in AXIS_ORDERS}
GEOMETRIES["oblique"] = OBLIQUE * SPACING
GEOMETRIES["oblique and mirrored"] = OBLIQUE * SPACING * [1, -1, 1]
GEOMETRIES["very anisotropic"] = np.diag([0.3, 0.3, 10.0])
GEOMETRIES["sheared"] = np.array([[0.8, 0.0, 0.0], [0.0, 0.8, 0.7], [0.0, 0.0, 3.0]])


def affine(axes: np.ndarray, origin=(12.5, -31.25, 407.0625)) -> np.ndarray:
    """4 x 4 IJK to RAS matrix from scaled axes (columns) and origin."""
    matrix = np.eye(4)
    matrix[:3, :3] = axes
    matrix[:3, 3] = origin
    return matrix


def volume_node(
    array: np.ndarray, ijk_to_ras: np.ndarray, name: str = "CT"
) -> slicer.vtkMRMLScalarVolumeNode:
    """A volume node in the scene; array is (k, j, i)."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, array)
    node.SetIJKToRASMatrix(to_vtk_matrix(ijk_to_ras))
    return node


def transform_node(matrix: np.ndarray, name: str = "move") -> slicer.vtkMRMLLinearTransformNode:
    """A linear transform node in the scene."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(to_vtk_matrix(matrix))
    return node


def warp_node(name: str = "warp") -> slicer.vtkMRMLTransformNode:
    """A non-linear transform node in the scene, not the identity."""
    grid = vtk.vtkImageData()
    grid.SetDimensions(3, 3, 3)
    grid.AllocateScalars(vtk.VTK_DOUBLE, 3)
    vtk_to_numpy(grid.GetPointData().GetScalars())[:] = 1.5
    warp = slicer.vtkOrientedGridTransform()
    warp.SetDisplacementGridData(grid)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", name)
    node.SetAndObserveTransformToParent(warp)
    return node


def labels_of_all_organs(shape=(6, 8, 10)) -> np.ndarray:
    """Background and every organ of the table in blobs that touch each other, without any symmetry."""
    blocks = np.arange(np.prod(shape)).reshape(shape) // 11 % (len(ORGANS) + 1)
    return (blocks * (np.indices(shape).sum(axis=0) % 5 > 0)).astype(np.uint8)


def mask_of(labels: np.ndarray, name: str) -> np.ndarray:
    """Where the labels name the organ."""
    return labels == next(organ.label for organ in ORGANS if organ.name == name)


def segmented(labels: np.ndarray, volume, organs=ORGANS, node=None):
    """The labels as a segmentation node on the volume."""
    with result_node(node, "result") as node:
        fill_node(node, make_segments(labels, organs, volume), volume)
    return node


def segment_arrays(
    node: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLScalarVolumeNode
) -> dict[str, np.ndarray]:
    """Each segment's mask on the volume's voxels, by segment name, through Slicer's own export."""
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    return {
        segmentation.GetSegment(segment_id).GetName(): slicer.util.arrayFromSegmentBinaryLabelmap(
            node, segment_id, volume
        ).astype(bool)
        for segment_id in ids
    }


def segment_points(node: slicer.vtkMRMLSegmentationNode, name: str) -> np.ndarray:
    """RAS points of the segment's voxels from the segment's own image, sorted, in mm (n, 3)."""
    labelmap = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(node.GetSegmentation().GetSegmentIdBySegmentName(name), labelmap)
    extent = labelmap.GetExtent()
    voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(labelmap.GetDimensions()[::-1])
    k, j, i = np.nonzero(voxels)
    indices = np.stack([i + extent[0], j + extent[2], k + extent[4], np.ones_like(i)])
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    points = (slicer.util.arrayFromVTKMatrix(matrix) @ indices)[:3].T
    # Rounding before the sort, lest noise in the last bit decides the order.
    return points[np.lexsort(points.round(6).T)]


def scene_state() -> list[tuple[str, str, int]]:
    """What is in the scene and under which names, to see whether something changed it."""
    scene = slicer.mrmlScene
    nodes = [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    return [(node.GetID(), node.GetName() or "", hierarchy.GetItemByDataNode(node)) for node in nodes] + [
        ("items", "", hierarchy.GetNumberOfItems())
    ]
