"""What Slicer does with DICOM: a database that knows files by their UID, and the export of segmentations.

In Slicer both are Python and Qt around the command-line program itkimage2segimage of dcmqi. The program is
the same here; what is written down is which facts of a segmentation node Slicer's exporter reads on the way
to it, and when it refuses. A node that lacks one of them is exported nowhere, or as something else.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pydicom
import slicer
import vtk

# The array that is looked for in a segment's labelmap; one without it counts as a segment without voxels.
SCALARS = "ImageScalars"
KINDS = ("MANUAL", "SEMIAUTOMATIC", "AUTOMATIC")


class DicomDatabase:
    """The application's database, of these files. Put it at ``slicer.dicomDatabase``."""

    isOpen = True

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = {
            str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in files
        }

    @property
    def uids(self) -> str:
        """All of them, as a volume's attribute ``DICOM.instanceUIDs`` has them."""
        return " ".join(self._files)

    def fileForInstance(self, uid: str) -> str:
        """The path of an image, "" for an unknown one."""
        return str(self._files.get(uid, ""))

    def fileValue(self, path: str, tag: str) -> str:
        """The value of a tag such as "0020,0011" in a file."""
        element = pydicom.dcmread(path, stop_before_pixels=True).get(
            tuple(int(p, 16) for p in tag.split(","))
        )
        return "" if element is None else str(element.value)

    def instanceValue(self, uid: str, tag: str) -> str:
        """The same by UID."""
        return self.fileValue(self.fileForInstance(uid), tag)


class ExportRefused(ValueError):
    """Slicer's exporter would not write this node."""


def export_segmentation(node: Any, path: Path, folder: Path) -> None:
    """Write a segmentation node as DICOM SEG as Slicer does. folder: an empty one, for the program's files.

    Raises: ExportRefused with Slicer's reason.
    """
    images = _source_images(node)
    segmentation = node.GetSegmentation()
    identifiers = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    filled = [one for one in identifiers if _has_voxels(segmentation.GetSegment(one))]
    if not filled:
        raise ExportRefused("No non empty segments found.")
    document = {
        "SeriesDescription": node.GetName(),
        "SeriesNumber": "100",
        "InstanceNumber": "1",
        "ContentCreatorName": "Slicer",
        "segmentAttributes": [[_attributes(segmentation.GetSegment(one))] for one in filled],
    }
    (folder / "seg_meta.json").write_text(json.dumps(document), encoding="utf-8")
    files = [_labelmap_file(node, one, folder / f"{number}.nrrd") for number, one in enumerate(filled)]
    done = subprocess.run(
        [
            itkimage2segimage(), "--inputDICOMList", ",".join(images), "--inputImageList", ",".join(files),
            "--inputMetadata", str(folder / "seg_meta.json"), "--outputDICOM", str(path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode or not path.is_file():
        raise ExportRefused(done.stdout + done.stderr)


def itkimage2segimage() -> str:
    """The program in the wheel of dcmqi."""
    files = distribution("dcmqi").files or []
    return str(next(one.locate() for one in files if str(one).startswith("dcmqi/bin/itkimage2segimage")))


def _source_images(node: Any) -> list[str]:
    """The files of the volume that the node names as its geometry."""
    volume = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    if volume is None:
        raise ExportRefused("Referenced volume is not found for the segmentation.")
    uids = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
    files = [slicer.dicomDatabase.fileForInstance(uid) for uid in uids]
    if not files or not all(files):
        raise ExportRefused("Referenced volume files were not found in the DICOM database.")
    return files


def _has_voxels(segment: Any) -> bool:
    array = segment.GetRepresentation("Binary labelmap").GetPointData().GetArray(SCALARS)
    return array is not None and array.GetValueRange() != (0, 0)


def _attributes(segment: Any) -> dict[str, Any]:
    """What stands of a segment in the file: its name, who made it, colour, codes."""
    kind, name = _tag(segment, "DICOM.SegmentAlgorithmType"), _tag(segment, "DICOM.SegmentAlgorithmName")
    kind = kind or "MANUAL"
    if kind not in KINDS or (kind != "MANUAL" and not name):
        raise ExportRefused(f"{segment.GetName()}: {kind!r} by {name!r} is no algorithm")
    entry = slicer.vtkSlicerTerminologyEntry()
    text = _tag(segment, slicer.vtkSegment.GetTerminologyEntryTagName())
    slicer.modules.terminologies.logic().DeserializeTerminologyEntry(text, entry)
    codes = {
        "SegmentedPropertyCategoryCodeSequence": entry.GetCategoryObject(),
        "SegmentedPropertyTypeCodeSequence": entry.GetTypeObject(),
        "SegmentedPropertyTypeModifierCodeSequence": entry.GetTypeModifierObject(),
        "AnatomicRegionSequence": entry.GetRegionObject(),
    }
    return {
        "labelID": 1,
        "SegmentLabel": segment.GetName(),
        "SegmentDescription": entry.GetCategoryObject().GetCodeMeaning(),
        "SegmentAlgorithmType": kind,
        **({"SegmentAlgorithmName": name} if name else {}),
        "recommendedDisplayRGBValue": [round(255 * part) for part in segment.GetColor()],
        **{key: _code(term) for key, term in codes.items() if term is not None and term.GetCodeValue()},
    }


def _code(term: Any) -> dict[str, str]:
    return {
        "CodeValue": term.GetCodeValue(),
        "CodingSchemeDesignator": term.GetCodingSchemeDesignator(),
        "CodeMeaning": term.GetCodeMeaning(),
    }


def _tag(segment: Any, name: str) -> str:
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else ""


def _labelmap_file(node: Any, identifier: str, path: Path) -> str:
    """One segment as Slicer hands it over: on the voxels of the source volume, through a label map node."""
    chosen = vtk.vtkStringArray()
    chosen.InsertNextValue(identifier)
    image = slicer.vtkOrientedImageData()
    node.GenerateMergedLabelmapForAllSegments(image, 0, None, chosen)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    slicer.modules.segmentations.logic().CreateLabelmapVolumeFromOrientedImageData(image, volume)
    save_node(volume, str(path))
    slicer.mrmlScene.RemoveNode(volume)
    return str(path)


def save_node(node: Any, path: str) -> None:
    """``slicer.util.saveNode`` without the application's input and output manager."""
    node.AddDefaultStorageNode()
    storage = node.GetStorageNode()
    storage.SetFileName(path)
    if not storage.WriteData(node):
        raise RuntimeError(f"{path} was not written")
    slicer.mrmlScene.RemoveNode(storage)
