"""The segments lie exactly where the volume's voxels lie, however the volume is stored."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from helpers.scenes import (
    AXIS_ORDERS,
    GEOMETRIES,
    OBLIQUE,
    SPACING,
    affine,
    axes_matrix,
    labels_of_all_organs,
    mask_of,
    segment_arrays,
    segment_points,
    segmented,
    transform_node,
    volume_node,
)

from iuinet.labels import ORGANS
from IUINetSegmentationLib.scene.volume_node import ijk_to_ras


@pytest.mark.parametrize("axes", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_each_mask_is_the_labels_voxel_for_voxel(axes):
    labels = labels_of_all_organs()
    volume = volume_node(np.zeros(labels.shape, np.int16), affine(axes))
    masks = segment_arrays(segmented(labels, volume), volume)
    assert list(masks) == [organ.name for organ in ORGANS]
    for organ in ORGANS:
        assert np.array_equal(masks[organ.name], labels == organ.label), organ.name


@pytest.mark.parametrize("axes", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_each_segment_lies_at_the_points_of_its_voxels(axes):
    labels = labels_of_all_organs()
    volume = volume_node(np.zeros(labels.shape, np.int16), affine(axes))
    node = segmented(labels, volume)
    k, j, i = np.nonzero(labels == 6)
    points = (ijk_to_ras(volume) @ np.stack([i, j, k, np.ones_like(i)]))[:3].T
    points = points[np.lexsort(points.round(6).T)]
    assert np.abs(segment_points(node, "liver") - points).max() < 1e-9


def test_the_same_scan_stored_in_48_ways_gives_the_same_points():
    labels = labels_of_all_organs()
    matrix = affine(np.diag(SPACING))
    wanted = segment_points(segmented(labels, volume_node(labels.astype(np.int16), matrix)), "stomach")
    for order, signs in AXIS_ORDERS:
        # Array axes run k, j, i; image axis n is to be patient axis order[n].
        stored = labels.transpose([2 - order[n] for n in (2, 1, 0)])
        stored = stored[tuple(slice(None, None, signs[n]) for n in (2, 1, 0))]
        first = [0 if signs[order.index(axis)] > 0 else labels.shape[2 - axis] - 1 for axis in range(3)]
        origin = (matrix @ [*first, 1])[:3]
        axes = axes_matrix(order, signs) * SPACING[list(order)]
        volume = volume_node(stored.astype(np.int16), affine(axes, origin))
        points = segment_points(segmented(stored, volume), "stomach")
        assert np.abs(points - wanted).max() < 1e-9, (order, signs)


def test_an_image_whose_numbering_does_not_start_at_zero():
    labels = labels_of_all_organs()
    volume = volume_node(np.zeros(labels.shape, np.int16), affine(OBLIQUE * SPACING))
    volume.GetImageData().SetExtent(3, 12, 2, 9, 1, 6)
    node = segmented(labels, volume)
    k, j, i = np.nonzero(labels == 6)
    points = (ijk_to_ras(volume) @ np.stack([i + 3, j + 2, k + 1, np.ones_like(i)]))[:3].T
    points = points[np.lexsort(points.round(6).T)]
    assert np.abs(segment_points(node, "liver") - points).max() < 1e-9


def test_the_reference_geometry_is_that_of_the_volume():
    labels = labels_of_all_organs()
    volume = volume_node(np.zeros(labels.shape, np.int16), affine(OBLIQUE * SPACING))
    node = segmented(labels, volume)
    role = node.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReference(role).GetID() == volume.GetID()
    numbers = node.GetSegmentation().GetConversionParameter("Reference image geometry")
    matrix = np.array(numbers.split(";")[:16], dtype=float).reshape(4, 4)
    assert np.abs(matrix - ijk_to_ras(volume)).max() < 1e-9
    assert numbers.split(";")[16:22] == ["0", "9", "0", "7", "0", "5"]


def test_under_a_linear_transform_the_result_moves_with_the_volume():
    labels = labels_of_all_organs()
    volume = volume_node(np.zeros(labels.shape, np.int16), affine(np.diag(SPACING)))
    volume.SetAndObserveTransformNodeID(transform_node(affine(OBLIQUE)).GetID())
    node = segmented(labels, volume)
    assert node.GetTransformNodeID() == volume.GetTransformNodeID()
    for name, mask in segment_arrays(node, volume).items():
        assert np.array_equal(mask_of(labels, name), mask), name


def test_the_result_is_in_the_folder_of_the_volume(scene):
    labels = labels_of_all_organs()
    volume = volume_node(np.zeros(labels.shape, np.int16), np.eye(4))
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient")
    study = hierarchy.CreateStudyItem(patient, "Study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume), study)
    node = segmented(labels, volume)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study
