"""A box to segment in: the right voxels, whatever the axes and transforms, and labels at their place."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from helpers.scenes import GEOMETRIES, affine, volume_node

from iuinet.errors import InputRefused
from IUINetSegmentationLib.scene.volume_node import box_of, ijk_to_ras, volume_from_node

SHAPE = (12, 14, 16)


def make_region(center: np.ndarray, size: tuple[float, float, float]):
    """A ROI along the world's axes."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    node.SetCenter(list(center))
    node.SetSize(list(size))
    return node


@pytest.mark.parametrize("name", ["oblique", "very anisotropic", *list(GEOMETRIES)[::7]])
def test_the_box_holds_the_voxels_inside_and_the_part_stays_in_place(scene, name: str) -> None:
    array = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    node = volume_node(array, affine(GEOMETRIES[name]))
    middle = ijk_to_ras(node) @ [7, 6, 5, 1]
    region = make_region(middle[:3], (4.0, 4.0, 6.0))
    box = box_of(region, node)
    # Every voxel whose centre lies in the ROI is in the box.
    k, j, i = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    points = ijk_to_ras(node) @ np.stack([i, j, k, np.ones_like(i)]).reshape(4, -1)
    inside = (np.abs(points[:3] - middle[:3, None]) <= [[2.0], [2.0], [3.0]]).all(0).reshape(SHAPE)
    covered = np.zeros(SHAPE, bool)
    covered[box] = True
    assert inside.any() and not (inside & ~covered).any()
    whole = volume_from_node(node)
    part = whole.part(box)
    assert np.array_equal(part.array, array[box])
    first = [box[2].start, box[1].start, box[0].start, 1]
    assert np.allclose(part.grid.origin, (whole.grid.index_to_lps() @ first)[:3])
    assert part.grid.shape == part.array.shape


def test_transforms_of_both_nodes_count(scene) -> None:
    node = volume_node(np.zeros(SHAPE, np.int16), affine(np.eye(3), (0, 0, 0)))
    region = make_region(np.array([108.0, 7, 6]), (4, 4, 4))
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 100)
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    assert box_of(region, node) == (slice(4, 9), slice(5, 10), slice(6, 11))


def test_a_box_that_misses_the_volume_or_has_no_extent_is_refused(scene) -> None:
    node = volume_node(np.zeros(SHAPE, np.int16), affine(np.eye(3)))
    with pytest.raises(InputRefused) as outside:
        box_of(make_region(np.array([900.0, 0, 0]), (5, 5, 5)), node)
    assert outside.value.code == "region-outside"
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "empty")
    with pytest.raises(InputRefused) as none:
        box_of(empty, node)
    assert none.value.code == "region-empty"
