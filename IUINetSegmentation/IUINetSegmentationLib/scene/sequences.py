"""4-D images: a volume that a sequence browser plays, and a sequence of segmentations that plays along.

The frames live in the sequence node's own scene; in the scene of the application there is one volume, the
proxy, which shows the chosen frame. The result is made the same way: a sequence node with a segmentation for
each frame, and one segmentation node that the browser keeps at the chosen one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import slicer

from iuinet.errors import InputRefused, IUINetError
from iuinet.volume import Volume
from IUINetSegmentationLib.scene.place import Source, modality_of, put_beside
from IUINetSegmentationLib.scene.segmentation_node import (
    BINARY_LABELMAP,
    Result,
    remove_node,
    write_provenance,
)
from IUINetSegmentationLib.scene.volume_node import volume_from_node


@dataclass(frozen=True)
class Job:
    """One volume to segment. scan: a view of its voxels. source: where the result belongs."""

    scan: Volume
    source: Source


class Frames:
    """The frames of a volume that belongs to a sequence. shown: number of the chosen one, from 0."""

    def __init__(
        self,
        browser: slicer.vtkMRMLSequenceBrowserNode,
        sequence: slicer.vtkMRMLSequenceNode,
        proxy: slicer.vtkMRMLScalarVolumeNode,
    ) -> None:
        self._browser, self._sequence, self._proxy = browser, sequence, proxy
        # The browser's items are those of its master sequence, which need not be this one.
        value = browser.GetMasterSequenceNode().GetNthIndexValue(browser.GetSelectedItemNumber())
        self.shown = max(0, sequence.GetItemNumberFromIndexValue(value, False))

    def __len__(self) -> int:
        return self._sequence.GetNumberOfDataNodes()

    def jobs(self, source: Source, boxed: bool) -> list[Job]:
        """All frames, each with its own grid under the proxy's transform.

        source: the proxy's place. boxed: whether only a region of it is to be segmented.
        Raises: those of volume_from_node for a frame; InputRefused for one that the region was not made for.
        They name the frame.
        """
        jobs = []
        modality = modality_of(source.node)  # DICOM's facts stand at the proxy, not at the frames
        for number in range(len(self)):
            node = self._sequence.GetNthDataNode(number)
            try:
                scan = volume_from_node(node)
                if boxed and scan.array.shape != source.shape:
                    raise InputRefused(
                        "the time points have different sizes, so that one region does not fit them all",
                        hint="Segment the whole volume, or each time point by itself.",
                        code="frames-differ",
                    )
            except IUINetError as error:
                name_frame(error, number, len(self))
                raise
            place = replace(
                Source.of(node), node=source.node, name=source.name, transform_id=source.transform_id
            )
            jobs.append(Job(replace(scan, modality=modality), place))
        return jobs

    def add_results(self, source: Source, results: Sequence[Result]) -> slicer.vtkMRMLSegmentationNode | None:
        """Add a sequence of segmentations to the browser; returns the node that shows the chosen frame.

        Nothing is made where no frame holds any organ. If the browser was deleted meanwhile, the sequence has
        a browser of its own.
        """
        if not any(result.segments for result in results):
            return None
        scene = slicer.mrmlScene
        name = scene.GenerateUniqueName(f"{source.name} segmentation")
        sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{name} sequence")
        proxy = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        try:
            for attribute in ("IndexName", "IndexUnit", "IndexType"):
                getattr(sequence, f"Set{attribute}")(getattr(self._sequence, f"Get{attribute}")())
            for number, result in enumerate(results):
                frame = _frame_node(result)
                sequence.SetDataNodeAtValue(frame, self._sequence.GetNthIndexValue(number))
            self._play(sequence, proxy)
            _place(proxy, source)
        except BaseException:
            scene.RemoveNode(sequence)
            remove_node(proxy)
            raise
        return proxy

    def _play(self, sequence: slicer.vtkMRMLSequenceNode, proxy: slicer.vtkMRMLSegmentationNode) -> None:
        browser = self._browser
        if not slicer.mrmlScene.IsNodePresent(browser):
            browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", sequence.GetName())
        browser.AddSynchronizedSequenceNode(sequence)
        browser.AddProxyNode(proxy, sequence, False)
        # Corrections that the user makes at one frame are kept when another one is shown.
        browser.SetSaveChanges(sequence, True)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)


def name_frame(error: IUINetError, number: int, count: int) -> None:
    """Put into an error's message which of several frames it is about."""
    error.message = f"time point {number + 1} of {count}: {error.message}"


def frames_of(volume: slicer.vtkMRMLScalarVolumeNode | None) -> Frames | None:
    """The frames of a volume, None for one that belongs to no sequence, or to one with a single frame."""
    if volume is None or not hasattr(slicer.modules, "sequences"):
        return None
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForProxyNode(volume)
    if browser is None:
        return None
    sequence = browser.GetSequenceNode(volume)
    if sequence is None or sequence.GetNumberOfDataNodes() < 2:
        return None
    return Frames(browser, sequence, volume)


def _frame_node(result: Result) -> slicer.vtkMRMLSegmentationNode:
    """One frame's segmentation, outside of any scene: a sequence node copies it into its own."""
    node = slicer.vtkMRMLSegmentationNode()
    segmentation = node.GetSegmentation()
    segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
    for segment in result.segments:
        segmentation.AddSegment(segment, segmentation.GenerateUniqueSegmentID(segment.GetName()))
    write_provenance(node, result.report)
    return node


def _place(proxy: slicer.vtkMRMLSegmentationNode, source: Source) -> None:
    """Show the proxy as any result: under the volume's transform, in its study, with a display."""
    present = source.transform_id and slicer.mrmlScene.GetNodeByID(source.transform_id)
    proxy.SetAndObserveTransformNodeID(source.transform_id if present else None)
    proxy.CreateDefaultDisplayNodes()
    if source.in_scene:
        proxy.SetReferenceImageGeometryParameterFromVolumeNode(source.node)
        put_beside(proxy, source.node)
