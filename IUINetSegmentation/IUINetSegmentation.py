"""IUINet abdominal CT segmentation: the scripted module that 3D Slicer loads.

Thin by design. What touches MRML is in IUINetSegmentationLib; what needs no Slicer is in iuinet, and the
network runs in a process of its own.
"""

import sys
import unittest
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

import iuinet
from iuinet.errors import IUINetError
from iuinet.labels import ORGANS
from iuinet.options import Options
from IUINetSegmentationLib.scene.segmentation_node import fill_node, make_segments, result_node
from IUINetSegmentationLib.scene.volume_node import SAMPLE_CT, add_sample_node
from IUINetSegmentationLib.script import segment_volume_node

ADDRESS = "https://github.com/iuinet/SlicerIUINet"
TRANSLATIONS = Path(__file__).resolve().parent / "Resources" / "Translations"
PAPER = "https://c-s-a.org.cn/html/2024/1/9374.html"


class IUINetSegmentation(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        if hasattr(slicer, "app"):  # Slicer's Python without the application has none
            slicer.app.loadTranslations(str(TRANSLATIONS))  # does nothing for a language that is not there
        self.parent.title = _("IUINet abdominal CT segmentation")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["The IUINet developers"]
        self.parent.helpText = _(
            "Segments 13 abdominal organs in a CT volume: spleen, kidneys, gallbladder, esophagus, liver,"
            " stomach, aorta, inferior vena cava, portal and splenic veins, pancreas, and adrenal glands."
            " Images never leave this computer.<p>"
            "The result is a starting point to be checked and corrected by a person. It is not a medical"
            " device and not for diagnosis. The model is for CT of adults only; the smaller an organ, the"
            " less it can be relied on.</p>"
        )
        self.parent.helpText += _(
            '<p><a href="{page}">Documentation</a> · <a href="{source}">Source code</a> ·'
            ' <a href="{paper}">Paper</a></p>'
        ).format(page=f"{ADDRESS}/blob/main/Documentation/slicer.md", source=ADDRESS, paper=PAPER)
        self.parent.acknowledgementText = _(
            "The network follows IUINet, a U-shaped network with learnable three-dimensional shifts and"
            " dynamic fully connected layers: <a href=\"{paper}\">Zhu, Cheng, Liu: IUINet: Two-flow Mapping"
            " 3D Medical Segmentation Model Based on Shift. Computer Systems & Applications 33(1), 2024</a>."
            " The starter model's training data and their licences stand on"
            " <a href=\"{card}\">its card</a>."
        ).format(paper=PAPER, card=f"{ADDRESS}/blob/main/Documentation/starter-tiny.md")
        if hasattr(slicer, "app"):
            slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Offer the generated CT in Slicer's Sample Data module, too. It comes from this module's own files."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataCategory("IUINet", title="IUINet")
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="IUINet",
        sampleName="IUINetGeneratedCT",
        thumbnailFileName=str(SAMPLE_CT.parents[1] / "Icons" / "IUINetSegmentation.png"),
        uris=SAMPLE_CT.as_uri(),
        fileNames=f"IUINetGeneratedCT-{iuinet.__version__}.nrrd",  # Slicer keeps a copy under this name
        nodeNames=_("Sample CT (generated)"),
    )


@parameterNodeWrapper
class IUINetSegmentationParameterNode:
    """What the scene remembers of the panel.

    volume: the CT. segmentation: for the result, None for a new one. replace: the organs that are in it.
    islands: keep only the largest piece of organs that are one piece. fast: one pass of the network.
    region: box to segment in, None for all.
    allFrames: of a volume that belongs to a sequence. device, model: as Options has them, "" for the default
    model. leftOut: names of the organs that are not wanted.
    """

    volume: slicer.vtkMRMLScalarVolumeNode
    segmentation: slicer.vtkMRMLSegmentationNode
    region: slicer.vtkMRMLMarkupsROINode
    replace: bool = False
    islands: bool = True
    fast: bool = False
    allFrames: bool = False
    device: str = "auto"
    model: str = ""
    leftOut: list[str]


class IUINetSegmentationWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel in Slicer's frame: life cycle and parameter node. Its work is in IUINetSegmentationLib."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None
        self._connection = None

    def setup(self):
        """Called once, when the module is first opened."""
        from IUINetSegmentationLib.panel.panel import Panel

        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/IUINetSegmentation.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = IUINetSegmentationLogic()
        self.panel = Panel(self.ui)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved)
        self.initializeParameterNode()

    def cleanup(self):
        """Called before the panel is destroyed: at the application's end, and when the module is reloaded."""
        self.removeObservers()
        if self.panel is not None:  # else the set-up of the panel failed
            self.setParameterNode(None)
            self.panel.close()

    def enter(self):
        """Called when the user comes to the module."""
        self.initializeParameterNode()
        self.panel.enter()

    def exit(self):
        """Called when the user leaves the module; a run goes on."""
        self.setParameterNode(None)
        self.panel.leave()

    def onSceneStartClose(self, caller, event):
        """The scene is about to close."""
        self.setParameterNode(None)
        self.panel.scene_closes()

    def onNodeRemoved(self, caller, event):
        """Some node left the scene."""
        self.panel.node_removed()

    def onReload(self):
        """Called by the developer's Reload button: what the module imported is reloaded with it.

        What still runs keeps its own references to the old modules.
        """
        for name in list(sys.modules):
            if name.partition(".")[0] in ("IUINetSegmentationLib", "iuinet"):
                del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneEndClose(self, caller, event):
        """There is a new, empty scene."""
        if self.parent.isEntered:  # also while its dock is hidden
            self.enter()

    def initializeParameterNode(self):
        """Take the scene's parameter node, or make one."""
        self.setParameterNode(IUINetSegmentationParameterNode(self.logic.getParameterNode()))

    def setParameterNode(self, parameterNode):
        """Tie the widgets to this parameter node, None for none."""
        if self.panel.parameters is not None:
            self.panel.parameters.disconnectGui(self._connection)
        self.panel.parameters = parameterNode
        if parameterNode is not None:
            self._connection = parameterNode.connectGui(self.ui.IUINetSegmentation)
            self.panel.restore_choices()


class IUINetSegmentationLogic(ScriptedLoadableModuleLogic):
    """The module's work, usable from scripts: shows no dialog, needs no panel.

    logic = IUINetSegmentationLogic()
    segmentationNode, report = logic.segment(volumeNode)
    """

    def segment(
        self,
        volumeNode,
        segmentationNode=None,
        weights=None,
        device="auto",
        organs=None,
        acceptWarnings=False,
        fast=False,
        progressCallback=None,
        cancelledCallback=None,
        region=None,
    ):
        """Segment a CT volume; returns when it is done.

        volumeNode: vtkMRMLScalarVolumeNode in Hounsfield units. A linear parent transform is not applied
            to the voxels; the result gets the same one.
        segmentationNode: empty vtkMRMLSegmentationNode for the result; None makes one beside the volume.
        weights: id of an installed model or a model file; None takes the default model.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        organs: names of the organs wanted; None for all that the model knows.
        fast: one pass of the network, also with a model that was trained for a second, closer one.
        acceptWarnings: go on where a person should decide, such as values that do not look like CT.
        progressCallback(stage, fraction): called in this thread, fraction runs from 0 to 1 in each stage.
        cancelledCallback(): called in this thread many times a second; true stops the work.
        region: vtkMRMLMarkupsROINode outside of which nothing is segmented; None for the whole volume.

        Returns (segmentationNode, report): the report is a dictionary with the checks, the weights, the
        device and each organ's volume and plausibility. An organ that was not found has no segment.
        Raises: IUINetError (iuinet.errors): InputRefused, WeightsError, DeviceError, Cancelled and so on,
        each with message, hint and code. After an error the scene is as before.
        """
        return segment_volume_node(
            volumeNode,
            segmentationNode,
            Options(weights, device, organs, fast=fast, accept_warnings=acceptWarnings),
            progress=progressCallback,
            cancelled=cancelledCallback,
            region=region,
        )


class IUINetSegmentationTest(ScriptedLoadableModuleTest):
    """Self test on a generated CT, the same in Slicer and in the harness. Only the last needs PyTorch."""

    # The model to test; None is the default one.
    weights = None

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run the tests; Slicer's self test button calls this. What is skipped is said, and why."""
        for test in (self.test_LabelsToExport, self.test_PanelEnteredAndLeft, self.test_SegmentSample):
            self.setUp()
            try:
                test()
            except unittest.SkipTest as reason:
                self.delayDisplay(f"Skipped: {reason}")

    def test_LabelsToExport(self):
        """Labels become named segments, and what Slicer exports of them is the labels, voxel for voxel."""
        volumeNode = add_sample_node("Generated CT")
        labels = np.zeros(slicer.util.arrayFromVolume(volumeNode).shape, np.uint8)
        for organ, slices in zip(ORGANS, np.array_split(np.arange(len(labels)), len(ORGANS)), strict=True):
            labels[slices, 10:-12, 14:-9] = organ.label
        with result_node(None, "Labels") as segmentationNode:
            fill_node(segmentationNode, make_segments(labels, ORGANS, volumeNode), volumeNode)
        segmentation = segmentationNode.GetSegmentation()
        self.assertEqual(segmentation.GetNumberOfSegments(), len(ORGANS))
        exported = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Exported")
        logic = slicer.modules.segmentations.logic()
        self.assertTrue(logic.ExportVisibleSegmentsToLabelmapNode(segmentationNode, exported, volumeNode))
        found = slicer.util.arrayFromVolume(exported)
        for number, organ in enumerate(ORGANS):
            segment = segmentation.GetNthSegment(number)
            self.assertEqual(segment.GetName(), organ.name)
            np.testing.assert_array_equal(found == number + 1, labels == organ.label)
            # What Slicer's DICOM SEG export asks a segment for: the name of its voxels, and who made it.
            image = segment.GetRepresentation("Binary labelmap")
            self.assertEqual(image.GetPointData().GetScalars().GetName(), "ImageScalars")
            self.assertTrue(segment.HasTag("DICOM.SegmentAlgorithmType"))

    def test_PanelEnteredAndLeft(self):
        """The panel comes up, looks at a CT and a new region, and lets go of the scene when it is left."""
        widget = slicer.modules.iuinetsegmentation.widgetRepresentation().self()
        entered = widget.parent.isEntered  # where the user started this test from the panel
        volumeNode = add_sample_node("Generated CT")
        widget.enter()
        try:
            widget.ui.inputSelector.setCurrentNode(volumeNode)
            self.assertEqual(widget.panel.parameters.volume, volumeNode)
            size = " × ".join(str(count) for count in volumeNode.GetImageData().GetDimensions())
            self.assertIn(size, widget.ui.checksLabel.text)
            regionNode = widget.ui.regionSelector.addNode()
            self.assertGreater(min(regionNode.GetSize()), 0)
            self.assertIn(regionNode.GetName(), widget.ui.checksLabel.text)
        finally:
            widget.exit()
        self.assertIsNone(widget.panel.parameters)
        if entered:
            widget.enter()

    def test_SegmentSample(self):
        """A generated CT becomes a segmentation in its place, with a segment per organ that was found."""
        self.delayDisplay("Segmenting a generated CT")
        volumeNode = add_sample_node("Generated CT")
        try:
            segmentationNode, report = IUINetSegmentationLogic().segment(volumeNode, weights=self.weights)
        except IUINetError as error:
            if error.code == "torch-missing":
                self.skipTest(error.message)
            raise
        voxels = {organ["name"]: organ["voxels"] for organ in report["organs"] if organ["found"]}
        self.assertTrue(voxels)
        segmentation = segmentationNode.GetSegmentation()
        self.assertEqual(segmentation.GetNumberOfSegments(), len(voxels))
        for name, count in voxels.items():
            segmentId = segmentation.GetSegmentIdBySegmentName(name)
            mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentationNode, segmentId, volumeNode)
            self.assertEqual(int(mask.sum()), count, name)
        role = segmentationNode.GetReferenceImageGeometryReferenceRole()
        self.assertEqual(segmentationNode.GetNodeReferenceID(role), volumeNode.GetID())
        self.delayDisplay("The generated CT was segmented")
