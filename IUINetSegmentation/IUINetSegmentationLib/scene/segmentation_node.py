"""Puts labels into a vtkMRMLSegmentationNode: exactly the voxels of the volume, named and coded.

All segments share one labelmap that has the volume's own voxels, so nothing is resampled, nothing is
stored twice, and the file that Slicer saves holds the same label ids as every other output.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from iuinet.errors import IUINetError, UsageError
from iuinet.labels import ALGORITHM, OURS, Organ, segment_tags
from iuinet.report import provenance
from IUINetSegmentationLib.scene.place import Source, put_beside, remove_item

# What vtkSegmentationConverter calls the representation; it is also the word in saved files.
BINARY_LABELMAP = "Binary labelmap"
SCALARS = "ImageScalars"  # what VTK's and Slicer's own images call their voxels


def check_output(node: slicer.vtkMRMLSegmentationNode | None) -> None:
    """Check an output; None means that a node will be made.

    Raises: UsageError for one in which a user's segments could be lost.
    """
    if node is None:
        return
    if not node.IsA("vtkMRMLSegmentationNode"):
        raise UsageError(
            f"the result needs a segmentation, not {node.GetClassName()}", hint="Choose a segmentation node."
        )
    count = node.GetSegmentation().GetNumberOfSegments()
    if count:
        raise UsageError(
            f"the segmentation {node.GetName()!r} already has {count} segments",
            hint="Choose an empty segmentation, or none to have one made.",
            code="output-not-empty",
        )


def make_segments(
    labels: np.ndarray,
    organs: Sequence[Organ],
    volume: slicer.vtkMRMLScalarVolumeNode | Source,
    algorithm: str = ALGORITHM,
) -> list[slicer.vtkSegment]:
    """One segment per organ that has a voxel, in the order of the table. Nothing enters the scene.

    labels: uint8 (k, j, i) with the shape of the volume's voxels, 0 for background.
    volume: the node, or its place as it was taken when the run began.
    algorithm: what made the labels, as ``report.algorithm_name`` has it.
    Raises: IUINetError "labels" for labels that no organ has, or that do not fit the volume.
    """
    source = Source.of(volume)
    if labels.shape != source.shape:
        raise IUINetError(
            f"labels of shape {labels.shape} do not fit the volume of shape {source.shape}", code="labels"
        )
    present = {int(label) for label in np.flatnonzero(_histogram(labels)) if label}
    unknown = present - {organ.label for organ in organs}
    if unknown:
        raise IUINetError(f"the labels {sorted(unknown)} belong to no organ", code="labels")
    labelmap = _labelmap(labels, source)
    return [_segment(organ, labelmap, algorithm) for organ in organs if organ.label in present]


def fill_node(
    node: slicer.vtkMRMLSegmentationNode,
    segments: Sequence[slicer.vtkSegment],
    volume: slicer.vtkMRMLScalarVolumeNode | Source,
) -> None:
    """Add the segments to a segmentation node, and tie the node to the volume if that is still there."""
    source = Source.of(volume)
    segmentation = node.GetSegmentation()
    if not segmentation.GetNumberOfSegments():
        segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
        # Before the reference geometry, which takes the difference of both nodes' transforms into account.
        present = source.transform_id and slicer.mrmlScene.GetNodeByID(source.transform_id)
        node.SetAndObserveTransformNodeID(source.transform_id if present else None)
    if source.in_scene:
        node.SetReferenceImageGeometryParameterFromVolumeNode(source.node)
    node.CreateDefaultDisplayNodes()
    for segment in segments:
        segment_id = segmentation.GenerateUniqueSegmentID(segment.GetName())
        if not segmentation.AddSegment(segment, segment_id):
            raise IUINetError(f"Slicer did not take the segment {segment.GetName()!r}", code="segment")
    if source.in_scene:
        put_beside(node, source.node)


@contextmanager
def result_node(
    given: slicer.vtkMRMLSegmentationNode | None, name: str
) -> Iterator[slicer.vtkMRMLSegmentationNode]:
    """The node for a result. If the block fails, a new one is removed, a given one emptied and moved back."""
    node = given
    if node is None:  # two of one name lie on top of each other, and nobody can tell which is which
        name = slicer.mrmlScene.GenerateUniqueName(name)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    transform_id = node.GetTransformNodeID()
    try:
        yield node
    except BaseException:
        if given is None:
            remove_node(node)
        else:
            # It was empty before: check_output saw to that.
            node.GetSegmentation().RemoveAllSegments()
            node.SetAndObserveTransformNodeID(transform_id)
        raise


def remove_node(node: slicer.vtkMRMLSegmentationNode) -> None:
    """Remove a segmentation with all that came with it: display, storage, place in the hierarchy."""
    helpers = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
    helpers += [node.GetNthStorageNode(n) for n in range(node.GetNumberOfStorageNodes())]
    remove_item(node)
    slicer.mrmlScene.RemoveNode(node)
    for helper in helpers:
        if helper is not None:
            slicer.mrmlScene.RemoveNode(helper)


def _histogram(labels: np.ndarray) -> np.ndarray:
    """Voxels per label, slice by slice: bincount needs eight bytes per voxel that it sees at once."""
    return sum(
        (np.bincount(slab.ravel(), minlength=256) for slab in labels), start=np.zeros(256, dtype=np.int64)
    )


def _labelmap(labels: np.ndarray, source: Source) -> slicer.vtkOrientedImageData:
    """The labels as the image that the segments share, with the volume's indices and matrix."""
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetExtent(source.extent)
    scalars = numpy_to_vtk(
        np.ascontiguousarray(labels, dtype=np.uint8).ravel(), deep=True, array_type=vtk.VTK_UNSIGNED_CHAR
    )
    # As every image in Slicer: its DICOM export looks for the voxels by this name, and models that are made
    # from the segments would carry an array without a name.
    scalars.SetName(SCALARS)
    labelmap.GetPointData().SetScalars(scalars)
    labelmap.SetGeometryFromImageToWorldMatrix(source.matrix)
    return labelmap


def _segment(organ: Organ, labelmap: slicer.vtkOrientedImageData, algorithm: str) -> slicer.vtkSegment:
    """One organ's segment on the shared labelmap."""
    segment = slicer.vtkSegment()
    segment.SetName(organ.name)
    segment.SetColor([channel / 255 for channel in organ.color])
    # Else a change of the terminology in Slicer would also overwrite name and color.
    segment.SetNameAutoGenerated(False)
    segment.SetColorAutoGenerated(False)
    for name, value in segment_tags(organ, algorithm).items():
        segment.SetTag(name, value)
    segment.SetLabelValue(organ.label)
    segment.AddRepresentation(BINARY_LABELMAP, labelmap)
    return segment


# A segmentation that already holds work: nothing is lost without consent, and all can be undone -------


def replaceable(node: slicer.vtkMRMLSegmentationNode, organs: Iterable[str]) -> list[str]:
    """Ids of the segments that a new result would replace: those that this module made, of these organs."""
    segmentation, wanted = node.GetSegmentation(), set(organs)
    identifiers = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    return [name for name in identifiers if organ_of(segmentation.GetSegment(name)) in wanted]


def check_replacement(node: slicer.vtkMRMLSegmentationNode, source: Source) -> None:
    """Check a place.

    Raises: UsageError "output-transform" for a segmentation that lies elsewhere.
    """
    if node.GetTransformNodeID() != source.transform_id:
        raise UsageError(
            f"the segmentation {node.GetName()!r} is under another transform than the volume",
            hint="Choose a new segmentation for the result, or give both the same transform.",
            code="output-transform",
        )


class Replacement:
    """The segments that a result took the place of; ``undo`` brings them back."""

    def __init__(self, node: slicer.vtkMRMLSegmentationNode, organs: Iterable[str]) -> None:
        """Keep the node's present state, then take its replaceable segments out."""
        self.node = node
        self._history = slicer.vtkSegmentationHistory()
        self._history.SetSegmentation(node.GetSegmentation())
        self._history.SaveState()
        for identifier in replaceable(node, organs):
            node.GetSegmentation().RemoveSegment(identifier)

    def undo(self) -> None:
        """The segmentation is as before the replacement; later edits of it are lost."""
        self._history.RestorePreviousState()
        self._history.SetSegmentation(None)


def organ_of(segment: slicer.vtkSegment) -> str | None:
    """The organ that this module made the segment for, None for any other."""
    value = vtk.reference("")
    return str(value) if segment.GetTag(OURS, value) else None


# With what a result was made, so that it can be read from the scene years later -----------------------


def write_provenance(node: slicer.vtkMRMLNode, report: Mapping[str, Any]) -> None:
    """Store the facts of a run as attributes of its node; Slicer saves them with the scene.

    report: the run's report. The device is the one that was really used.
    """
    for name, value in provenance(report).items():
        node.SetAttribute(name, value)


# The result of one volume: a new node, a chosen one, or in place of older segments --------------------


@dataclass(frozen=True)
class Result:
    """What the worker returned for a volume. segments: of the organs found; table: of all organs."""

    segments: list[slicer.vtkSegment]
    report: dict[str, Any]
    table: tuple[Organ, ...]


def take_in(
    result: Result, source: Source, output: slicer.vtkMRMLSegmentationNode | None
) -> tuple[slicer.vtkMRMLSegmentationNode | None, Replacement | None]:
    """Put a result into the scene; returns its node, and what it took the place of.

    Without any organ nothing is made. output: the node that was chosen; if it was deleted meanwhile, or none
    was, the result gets a node of its own.
    """
    if output is not None and not slicer.mrmlScene.IsNodePresent(output):
        output = None
    if not result.segments:
        return None, None
    if output is not None and output.GetSegmentation().GetNumberOfSegments():
        replacement = Replacement(output, [organ.name for organ in result.table])
        try:
            fill_node(output, result.segments, source)
        except BaseException:
            replacement.undo()
            raise
        write_provenance(output, result.report)
        return output, replacement
    with result_node(output, f"{source.name} segmentation") as node:
        fill_node(node, result.segments, source)
        write_provenance(node, result.report)
    return node, None
