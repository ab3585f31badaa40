"""From a volume node to the library's Volume: same voxels, same place, and refusals in plain words."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from helpers.scenes import GEOMETRIES, OBLIQUE, SPACING, affine, transform_node, volume_node, warp_node

from iuinet.errors import InputRefused, UsageError
from iuinet.volume import Grid, Volume
from IUINetSegmentationLib.scene.volume_node import (
    RAS_TO_LPS,
    SAMPLE_CT,
    add_sample_node,
    add_volume_node,
    ijk_to_ras,
    volume_from_node,
)

ARRAY = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) - 1000


@pytest.mark.parametrize("axes", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_every_voxel_keeps_its_value_and_its_place(axes):
    node = volume_node(ARRAY, affine(axes))
    volume = volume_from_node(node)
    assert np.array_equal(volume.array, ARRAY)
    assert volume.grid.shape == ARRAY.shape
    # Far below any voxel: differences are rounding only.
    assert np.abs(volume.grid.index_to_lps() - RAS_TO_LPS @ affine(axes)).max() < 1e-12


@pytest.mark.parametrize("axes", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_a_volume_comes_back_from_the_scene_as_it_went_in(axes):
    volume = volume_from_node(volume_node(ARRAY, affine(axes)))
    node = add_volume_node(volume, "again")
    assert np.array_equal(slicer.util.arrayFromVolume(node), ARRAY)
    assert np.abs(ijk_to_ras(node) - affine(axes)).max() < 1e-12


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_voxels_of_every_number_type_pass(dtype):
    volume = volume_from_node(volume_node(ARRAY.astype(dtype), np.eye(4)))
    assert volume.array.dtype == np.dtype(dtype)
    node = add_volume_node(volume, "again")
    assert np.array_equal(slicer.util.arrayFromVolume(node), ARRAY.astype(dtype))
    assert slicer.util.arrayFromVolume(node).dtype == np.dtype(dtype)


def test_integers_of_64_bits_become_numbers_that_slicer_can_show():
    node = add_volume_node(Volume(ARRAY.astype(np.int64), Grid((6, 5, 4), (1, 1, 1))), "CT")
    assert slicer.util.arrayFromVolume(node).dtype == np.float64
    assert np.array_equal(slicer.util.arrayFromVolume(node), ARRAY)


def test_slicer_itself_reads_the_sample_as_the_library_does(scene):
    node = add_sample_node("sample")
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(SAMPLE_CT))
    own = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert storage.ReadData(own)
    assert np.array_equal(slicer.util.arrayFromVolume(own), slicer.util.arrayFromVolume(node))
    assert np.abs(ijk_to_ras(own) - ijk_to_ras(node)).max() < 1e-6


def test_the_voxels_are_not_copied():
    node = volume_node(ARRAY, np.eye(4))
    assert np.shares_memory(volume_from_node(node).array, slicer.util.arrayFromVolume(node))


def test_an_image_whose_numbering_does_not_start_at_zero_lies_where_it_lay():
    node = volume_node(ARRAY, affine(OBLIQUE * SPACING))
    node.GetImageData().SetExtent(3, 8, 2, 6, 1, 4)
    volume = volume_from_node(node)
    first = RAS_TO_LPS @ affine(OBLIQUE * SPACING) @ [3, 2, 1, 1]
    assert volume.grid.origin == pytest.approx(first[:3], abs=1e-12)


def test_the_name_of_the_node_stays_in_the_scene():
    assert "Doe" not in volume_from_node(volume_node(ARRAY, np.eye(4), name="Doe^Jane")).name


class TestTransforms:
    def test_a_linear_transform_is_not_applied_to_the_voxels(self):
        node = volume_node(ARRAY, np.eye(4))
        node.SetAndObserveTransformNodeID(transform_node(affine(OBLIQUE)).GetID())
        assert np.array_equal(volume_from_node(node).grid.index_to_lps(), RAS_TO_LPS)

    def test_a_non_linear_transform_is_refused(self):
        node = volume_node(ARRAY, np.eye(4))
        node.SetAndObserveTransformNodeID(warp_node().GetID())
        with pytest.raises(InputRefused, match="warp") as caught:
            volume_from_node(node)
        assert caught.value.code == "non-linear-transform"
        assert "Harden" in caught.value.hint

    def test_a_non_linear_transform_higher_up_is_refused_too(self):
        node, linear = volume_node(ARRAY, np.eye(4)), transform_node(np.eye(4))
        linear.SetAndObserveTransformNodeID(warp_node().GetID())
        node.SetAndObserveTransformNodeID(linear.GetID())
        with pytest.raises(InputRefused):
            volume_from_node(node)


class TestRefusals:
    @staticmethod
    def _code(node) -> str:
        with pytest.raises(InputRefused) as caught:
            volume_from_node(node)
        assert caught.value.message and caught.value.hint
        return caught.value.code

    def test_a_node_without_image_data(self, scene):
        assert self._code(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")) == "no-image-data"

    def test_an_image_without_voxels(self, scene):
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        node.SetAndObserveImageData(vtk.vtkImageData())
        assert self._code(node) == "no-image-data"

    def test_a_color_picture(self, scene):
        node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode")
        slicer.util.updateVolumeFromArray(node, np.zeros((4, 5, 6, 3), np.uint8))
        assert self._code(node) == "vector-pixels"

    def test_a_label_map(self, scene):
        node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
        slicer.util.updateVolumeFromArray(node, np.zeros((4, 5, 6), np.uint8))
        assert self._code(node) == "label-map"

    def test_a_volume_of_single_bits(self, scene):
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        image = vtk.vtkImageData()
        image.SetDimensions(8, 8, 8)
        image.AllocateScalars(vtk.VTK_BIT, 1)
        node.SetAndObserveImageData(image)
        assert self._code(node) == "not-ct"

    @pytest.mark.parametrize("axis", [[0, 0, 0], [0.5, 0.5, 0], [np.nan, 0, 0]])
    def test_axes_that_span_no_space(self, axis):
        matrix = np.eye(4)
        matrix[:3, 1], matrix[:3, 0] = axis, [1, 1, 0]
        assert self._code(volume_node(ARRAY, matrix)) == "bad-spacing"

    def test_no_node_at_all(self):
        with pytest.raises(UsageError, match="nothing"):
            volume_from_node(None)

    def test_a_node_of_another_kind(self, scene):
        with pytest.raises(UsageError, match="vtkMRMLSegmentationNode"):
            volume_from_node(scene.AddNewNodeByClass("vtkMRMLSegmentationNode"))


class TestModality:
    def test_it_is_read_from_the_subject_hierarchy(self, scene):
        node = volume_node(ARRAY, np.eye(4))
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        hierarchy.SetItemAttribute(hierarchy.GetItemByDataNode(node), "DICOM.Modality", "MR")
        assert volume_from_node(node).modality == "MR"

    def test_it_is_read_from_the_node(self):
        node = volume_node(ARRAY, np.eye(4))
        node.SetAttribute("DICOM.Modality", "CT ")
        assert volume_from_node(node).modality == "CT"

    def test_it_is_looked_up_in_the_dicom_database(self, monkeypatch):
        class Database:
            isOpen = True

            def instanceValue(self, instance: str, tag: str) -> str:
                return {("1.2.3", "0008,0060"): "PT"}[instance, tag]

        monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
        node = volume_node(ARRAY, np.eye(4))
        node.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
        assert volume_from_node(node).modality == "PT"

    def test_without_dicom_it_is_unknown(self):
        assert volume_from_node(volume_node(ARRAY, np.eye(4))).modality is None
