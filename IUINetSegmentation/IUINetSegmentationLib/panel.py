"""The panel: ties the widgets of the .ui file to a controller. All that it knows, those two tell it."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from iuinet.errors import IUINetError
from iuinet.sample import make_sample
from IUINetSegmentationLib import timing
from IUINetSegmentationLib.controller import Controller
from IUINetSegmentationLib.diagnostics import diagnostics
from IUINetSegmentationLib.packages import make_plan, set_up
from IUINetSegmentationLib.panel_input import InputLine
from IUINetSegmentationLib.panel_log import LogSection
from IUINetSegmentationLib.panel_models import ModelSection
from IUINetSegmentationLib.panel_result import ResultSection
from IUINetSegmentationLib.panel_run import RunSection
from IUINetSegmentationLib.panel_status import StatusStrip, set_up_question
from IUINetSegmentationLib.state import Settings, State
from IUINetSegmentationLib.volume_node import add_volume_node

POLL_MS = 20


class Panel:
    """One panel on one scene. parameters: the wrapped parameter node, None while there is none."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self.parameters: Any = None
        self.log = LogSection(ui)
        self.controller = Controller(
            changed=self._on_controller, set_up=self._bring_packages, log=self.log.add
        )
        self._state = State.IDLE
        self._volume: Any = None  # that the present or last run works on
        self.input = InputLine(ui, self.refresh)
        self.models = ModelSection(ui, self.refresh, self._say)
        self.result = ResultSection(ui, self.controller, self.log.add)
        self.run = RunSection(ui)
        self.status = StatusStrip(ui, self.controller, self.models.show_devices)
        self._timer = qt.QTimer()
        self._timer.interval = POLL_MS
        self._timer.connect("timeout()", self._on_timer)
        ui.segmentButton.connect("clicked(bool)", self.segment)
        ui.cancelButton.connect("clicked(bool)", self.controller.cancel)
        ui.retryButton.connect("clicked(bool)", self.segment)
        ui.useCpuButton.connect("clicked(bool)", self._on_use_cpu)
        ui.detailsButton.connect("clicked(bool)", self._copy_diagnostics)
        ui.diagnosticsButton.connect("clicked(bool)", self._copy_diagnostics)
        ui.downloadButton.connect("clicked(bool)", self._on_download)
        ui.setUpButton.connect("clicked(bool)", self._on_set_up)
        ui.sampleButton.connect("clicked(bool)", self._on_sample)
        ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_volume)
        ui.outputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_output)

    # Life -------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """The user comes: look at the computer, and offer the volume that the slice views show."""
        if self.parameters is not None and self.parameters.volume is None:
            self.parameters.volume = shown_volume()
        self.status.begin()
        self._timer.start()
        self._on_volume(self.ui.inputSelector.currentNode())

    def leave(self) -> None:
        """The user goes; a run goes on."""
        self.status.stop()
        if not self.controller.state.busy:
            self._timer.stop()

    def scene_closes(self) -> None:
        """Stop quietly: what belongs to the old scene must not come into the new one."""
        if self.controller.state.busy:
            self.log.add(_("The scene was closed: the segmentation was stopped."))
        self.controller.abandon()
        self._volume = None
        self.result.hide()

    def close(self) -> None:
        """End the run, the worker process and the timer."""
        self._timer.stop()
        self.status.stop()
        self.controller.close()

    # What the user does -----------------------------------------------------------------------------

    def segment(self) -> None:
        """The click."""
        if self.controller.state.busy or not self.ui.segmentButton.enabled:
            return
        self.status.stop()
        self._volume = self.ui.inputSelector.currentNode()
        self.result.hide()
        output = self.ui.outputSelector.currentNode()
        self.controller.start(self._volume, output, self.settings())
        self._timer.start()

    def settings(self) -> Settings:
        """What the panel asks for now."""
        entry = self.models.entry
        return Settings(
            weights=entry.id if entry is not None else None,
            device=self.models.device,
            organs=self.models.organs,
            islands=self.ui.islandsCheckBox.checked,
            accept_warnings=self.input.accepted,
            replace=self.ui.replaceCheckBox.checked,
            region=self.ui.regionSelector.currentNode(),
        )

    def _on_download(self) -> None:
        """Get the chosen model now instead of with the first run."""
        self.controller.start_download(self.models.entry.id)
        self._timer.start()

    def _on_use_cpu(self) -> None:
        self.ui.deviceComboBox.currentIndex = self.ui.deviceComboBox.findData("cpu")
        self.segment()

    def _on_sample(self) -> None:
        """A generated CT, shown and chosen."""
        node = add_volume_node(make_sample().volume, _("Sample CT (generated)"))
        slicer.util.setSliceViewerLayers(background=node)
        self.ui.inputSelector.setCurrentNode(node)

    def _on_set_up(self) -> None:
        try:
            self._bring_packages()
        except IUINetError as error:
            if error.code != "cancelled":
                self._say(error)
        self.status.begin()
        self._timer.start()
        self.refresh()

    def _bring_packages(self) -> None:
        """Ask once, then install what is missing; at the start of a run, or by its own button."""
        plan = make_plan()
        if not plan.needed:
            return
        entry = self.models.entry
        size = entry.size if entry is not None and entry.path is None else 0
        if not slicer.util.confirmOkCancelDisplay(set_up_question(plan, size), _("IUINet: set up")):
            from iuinet.errors import Cancelled

            raise Cancelled("the set-up was declined", hint="Nothing was installed.")
        set_up(plan)
        self.controller.client.close()  # a worker that started without the packages does not see them

    def _copy_diagnostics(self) -> None:
        qt.QApplication.clipboard().setText(diagnostics(self.status.devices, self.log.text))

    # What happens -----------------------------------------------------------------------------------

    def _on_volume(self, node: Any) -> None:
        self.input.show(node)
        self.refresh()

    def _on_output(self, node: Any) -> None:
        filled = node is not None and node.GetSegmentation().GetNumberOfSegments() > 0
        self.ui.replaceCheckBox.visible = filled
        self.refresh()

    def _on_timer(self) -> None:
        """Take everything further that is under way."""
        probing = self.status.poll()
        running = self.controller.poll()
        if not probing:
            self._show_status()
        if not (probing or running):
            self._timer.stop()

    def _on_controller(self) -> None:
        """The controller changed: show it; when a run has ended, show what came of it."""
        before, self._state = self._state, self.controller.state
        if self._state is not before:
            self.log.add(_("State: {name}").format(name=self._state.value))
            if before is State.DOWNLOADING:
                self.models.refresh()
            if self._state is State.DONE:
                timing.remember(self.controller.report, self.controller.seconds)
                self.result.show(self._volume)
                self.models.refresh()
            elif self._state is State.FAILED:
                self.log.add(f"{self.controller.error.message} {self.controller.error.hint}")
        self.refresh()

    def refresh(self) -> None:
        """Bring buttons and lines into agreement with what is chosen and under way."""
        reason = self._why_not()
        self.run.show(self.controller, reason, self.status)
        self._show_status()

    def _show_status(self) -> None:
        entry, volume = self.models.entry, self.input.volume
        voxels = volume.array.size if volume is not None else 0
        self.status.show(self.models.device, entry.sha256 if entry else "", voxels)

    def _why_not(self) -> str:
        """Why Segment cannot be clicked now, "" if it can."""
        output = self.ui.outputSelector.currentNode()
        filled = output is not None and output.GetSegmentation().GetNumberOfSegments() > 0
        if self.controller.state.busy:
            return _("A segmentation is under way.")
        if self.ui.inputSelector.currentNode() is None:
            return _("Select a CT volume, or try a sample.")
        if self.input.refused:
            return _("This volume cannot be segmented; see the line below it.")
        if self.input.warned and not self.input.accepted:
            return _("Decide about the warning below the volume first.")
        if filled and not self.ui.replaceCheckBox.checked:
            return _("The chosen segmentation is not empty: choose a new one, or replace its organs.")
        if self.models.organs == ():
            return _("Choose at least one organ.")
        return "" if self.models.entry is not None else _("There is no model.")

    def _say(self, error: IUINetError) -> None:
        """Show an error that belongs to no run."""
        self.log.add(f"{error.message} {error.hint}")
        self.ui.progressLabel.visible = True
        self.ui.progressLabel.text = f"⚠ {error.message} {error.hint}"


def shown_volume() -> Any:
    """The volume that the slice views show, else the first of the scene, else None."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        node = slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
        if node is not None and node.GetClassName() == "vtkMRMLScalarVolumeNode":
            return node
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next((node for node in volumes if node.GetClassName() == "vtkMRMLScalarVolumeNode"), None)
