"""From the result to other programs: label maps, surfaces and files, by the exporters that Slicer uses.

DICOM SEG and RTSTRUCT are written by extensions (QuantitativeReporting, SlicerRT) that slicer-core does not
hold: here is tested what they need.
"""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from helpers.scenes import OBLIQUE, SPACING, affine, labels_of_all_organs, mask_of, segmented, volume_node
from vtk.util.numpy_support import vtk_to_numpy

from iuinet.labels import ORGANS

SHAPE = (14, 16, 18)


@pytest.fixture
def volume():
    return volume_node(np.zeros(SHAPE, np.int16), affine(OBLIQUE * SPACING))


@pytest.fixture
def blocks() -> np.ndarray:
    """Two organs large enough for a surface."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:10, 4:11, 2:8] = 6
    labels[3:10, 4:11, 9:15] = 1
    return labels


def logic():
    return slicer.vtkSlicerSegmentationsModuleLogic


def ids_of(node) -> list[str]:
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]


def test_a_label_map_has_every_organ_on_the_volumes_own_voxels(volume):
    labels = labels_of_all_organs(SHAPE)
    node = segmented(labels, volume)
    target = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    assert logic().ExportSegmentsToLabelmapNode(node, ids_of(node), target, volume)
    found = slicer.util.arrayFromVolume(target)
    assert found.shape == labels.shape
    names = [node.GetSegmentation().GetSegment(segment).GetName() for segment in ids_of(node)]
    for value, name in enumerate(names, start=1):  # Slicer numbers segments in their order
        assert np.array_equal(found == value, mask_of(labels, name)), name
    here, there = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(here)
    target.GetIJKToRASMatrix(there)
    assert np.allclose(*(slicer.util.arrayFromVTKMatrix(matrix) for matrix in (here, there)))


def test_surfaces_lie_where_their_organs_lie(volume, blocks):
    node = segmented(blocks, volume, organs=tuple(organ for organ in ORGANS if organ.label in (1, 6)))
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "models")
    assert node.CreateClosedSurfaceRepresentation()
    assert logic().ExportAllSegmentsToModels(node, folder)
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    matrix = slicer.util.arrayFromVTKMatrix(matrix)
    for name in ("liver", "spleen"):
        points = vtk_to_numpy(slicer.util.getNode(name).GetPolyData().GetPoints().GetData())
        k, j, i = np.nonzero(mask_of(blocks, name))
        centre = (matrix @ [i.mean(), j.mean(), k.mean(), 1])[:3]
        assert np.linalg.norm((points.min(0) + points.max(0)) / 2 - centre) < SPACING.max()


def test_stl_files_are_written_one_per_organ(volume, blocks, tmp_path):
    node = segmented(blocks, volume, organs=tuple(organ for organ in ORGANS if organ.label in (1, 6)))
    node.CreateClosedSurfaceRepresentation()
    assert logic().ExportSegmentsClosedSurfaceRepresentationToFiles(
        str(tmp_path), node, None, "STL", True, 1.0, False
    )
    files = sorted(path.name for path in tmp_path.iterdir())
    assert len(files) == 2 and all(name.endswith(".stl") for name in files)
    assert any("liver" in name for name in files) and any("spleen" in name for name in files)
    reader = vtk.vtkSTLReader()
    reader.SetFileName(str(tmp_path / files[0]))
    reader.Update()
    assert reader.GetOutput().GetNumberOfCells() > 50


def test_every_segment_has_the_codes_that_dicom_seg_asks_for(volume):
    """SegmentedPropertyCategory and -Type, DICOM PS3.3 C.8.20.4: value, scheme and meaning of each."""
    node = segmented(labels_of_all_organs(SHAPE), volume)
    for segment_id in ids_of(node):
        segment = node.GetSegmentation().GetSegment(segment_id)
        entry = slicer.vtkSlicerTerminologyEntry()
        text = vtk.reference("")
        assert segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), text)
        assert slicer.modules.terminologies.logic().DeserializeTerminologyEntry(str(text), entry)
        for code in (entry.GetCategoryObject(), entry.GetTypeObject()):
            assert code.GetCodeValue() and code.GetCodingSchemeDesignator() and code.GetCodeMeaning()


def test_the_source_volume_is_known_as_exporters_need_it(volume, blocks):
    node = segmented(blocks, volume)
    role = node.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReference(role) is volume
