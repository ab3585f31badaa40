"""Slicer exports a result as DICOM SEG: all organs, made by a machine, voxel for voxel on the CT's images."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import types
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import slicer
import vtk
from helpers.dicom_factory import body_volume, feet_first, oblique, write_series
from helpers.scenes import labels_of_all_organs

from harness.headless.dicom import DicomDatabase, ExportRefused, export_segmentation, save_node
from iuinet.labels import ORGANS
from iuinet.reading import read_volume
from IUINetSegmentationLib.scene.segmentation_node import fill_node, make_segments, result_node
from IUINetSegmentationLib.scene.volume_node import add_volume_node

SHAPE = (12, 24, 28)
MADE_BY = "IUINet toy 1.2"


@pytest.fixture(params=[np.eye(3), feet_first(), oblique()], ids=["plain", "feet first", "oblique"])
def result(request, scene, tmp_path, monkeypatch):
    """A result on a CT from DICOM: its node, and its labels by the UID of the image."""
    files = write_series(tmp_path / "ct", body_volume(SHAPE), direction=request.param)
    database = DicomDatabase(files)
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    scan = read_volume(tmp_path / "ct")
    volume = add_volume_node(scan, "CT")
    volume.SetAttribute("DICOM.instanceUIDs", database.uids)
    labels = labels_of_all_organs(SHAPE)
    with result_node(None, "result") as node:
        fill_node(node, make_segments(labels, ORGANS, volume, MADE_BY), volume)
    uids = [str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path, _ in scan.slices]
    return node, dict(zip(uids, labels, strict=True))


def check(path: Path, labels: dict[str, np.ndarray]) -> None:
    """The file holds every organ on its images, named, coded, coloured and made by the machine."""
    dataset = pydicom.dcmread(path)
    seg = highdicom.seg.Segmentation.from_dataset(dataset)
    names = [seg.get_segment_description(n).segment_label for n in seg.segment_numbers]
    assert names == [organ.name for organ in ORGANS]
    (series,) = dataset.ReferencedSeriesSequence
    assert {one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence} == set(labels)
    voxels = seg.get_pixels_by_source_instance(
        list(labels),
        assert_missing_frames_are_empty=True,
        ignore_spatial_locations=True,  # dcmqi does not say that they are preserved
    )
    for number, organ in enumerate(ORGANS):
        segment = dataset.SegmentSequence[number]
        expected = np.stack([one == organ.label for one in labels.values()])
        assert np.array_equal(voxels[..., number].astype(bool), expected), organ.name
        assert (segment.SegmentAlgorithmType, segment.SegmentAlgorithmName) == ("AUTOMATIC", MADE_BY)
        (kind,), terms = segment.SegmentedPropertyTypeCodeSequence, organ.terminology
        assert (kind.CodeValue, kind.CodeMeaning) == (terms.type.value, terms.type.meaning)
        color = highdicom.color.CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue)
        assert np.allclose(color.to_rgb(), organ.color, atol=2)


def test_what_slicers_exporter_reads_is_there_and_dcmqi_writes_it(result, tmp_path):
    node, labels = result
    (tmp_path / "work").mkdir()
    export_segmentation(node, tmp_path / "out.dcm", tmp_path / "work")
    check(tmp_path / "out.dcm", labels)


def test_slicers_own_exporter_writes_it(result, tmp_path, monkeypatch):
    """With a checkout of Slicer: the class that runs in the application, and no reading of its rules."""
    base = os.environ.get("SLICER_BASE_PYTHON")
    if not base:
        pytest.skip("Slicer's own DICOM exporter did not run: set SLICER_BASE_PYTHON")
    node, labels = result
    monkeypatch.setattr(slicer.util, "saveNode", save_node)
    monkeypatch.setattr(slicer.util, "tempDirectory", lambda: tempfile.mkdtemp(dir=tmp_path))
    exporter = slicers_exporter(Path(base).expanduser().parents[1] / "Modules" / "Scripted", monkeypatch)
    assert exporter(node).export(str(tmp_path), "out.dcm", {}) is True
    check(tmp_path / "out.dcm", labels)


def slicers_exporter(scripted: Path, monkeypatch: pytest.MonkeyPatch) -> type:
    """DICOMSegmentationExporter from Slicer's own file, on the classes of slicer-core."""
    core = types.ModuleType("vtkSegmentationCorePython")
    for name in ("vtkOrientedImageData", "vtkSegment", "vtkSegmentation", "vtkSegmentationConverter"):
        setattr(core, name, getattr(slicer, name))
    library = types.ModuleType("DICOMLib")
    monkeypatch.setitem(sys.modules, "vtkSegmentationCorePython", core)
    monkeypatch.setitem(sys.modules, "DICOMLib", library)
    own = load(scripted / "DICOMLib" / "DICOMPlugin.py")
    library.DICOMPlugin, library.DICOMLoadable = own.DICOMPlugin, own.DICOMLoadable
    return load(scripted / "DICOMPlugins" / "DICOMSegmentationPlugin.py").DICOMSegmentationExporter


def load(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"slicers_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stand_in_refuses_what_slicer_refuses(result, tmp_path):
    """As the results of earlier versions were: voxels without a name, and a kind without a maker."""
    node, _ = result
    segment = node.GetSegmentation().GetNthSegment(0)
    segment.RemoveTag("DICOM.SegmentAlgorithmName")
    with pytest.raises(ExportRefused, match="no algorithm"):
        export_segmentation(node, tmp_path / "out.dcm", tmp_path)
    segment.GetRepresentation("Binary labelmap").GetPointData().GetScalars().SetName(None)
    with pytest.raises(ExportRefused, match="No non empty segments"):
        export_segmentation(node, tmp_path / "out.dcm", tmp_path)
    assert not (tmp_path / "out.dcm").exists()


def test_models_made_from_a_result_carry_no_array_without_a_name(result):
    node, _ = result
    node.CreateClosedSurfaceRepresentation()
    surface = vtk.vtkPolyData()
    node.GetClosedSurfaceRepresentation(node.GetSegmentation().GetNthSegmentID(0), surface)
    data = surface.GetPointData()
    names = [data.GetArrayName(n) for n in range(data.GetNumberOfArrays())]
    assert surface.GetNumberOfPoints() and None not in names
