"""The panel: ties the widgets of the .ui file to a controller. All that it knows comes from those two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from iuinet.options import Options
from IUINetSegmentationLib.controller import Controller
from IUINetSegmentationLib.installing import Installation
from IUINetSegmentationLib.language import error_text
from IUINetSegmentationLib.packages import check_plan, declined, installing_elsewhere, make_plan
from IUINetSegmentationLib.panel.log import LogSection, diagnostics
from IUINetSegmentationLib.panel.models import ModelSection
from IUINetSegmentationLib.panel.progress import RunSection
from IUINetSegmentationLib.panel.remedies import Remedies, restore_models_folder
from IUINetSegmentationLib.panel.result import ResultSection
from IUINetSegmentationLib.panel.status import StatusStrip, remember_run, set_up_question
from IUINetSegmentationLib.panel.trouble import Trouble, TroubleSection
from IUINetSegmentationLib.panel.volume import InputLine, choose_real_sample, choose_sample
from IUINetSegmentationLib.scene.place import is_filled, shown_volume
from IUINetSegmentationLib.scene.region import Followed, is_placed, place_region
from IUINetSegmentationLib.scene.sequences import frames_of
from IUINetSegmentationLib.scene.views import FreshResult, show_result, show_volume
from IUINetSegmentationLib.scene.volume_node import SAMPLE
from IUINetSegmentationLib.state import Settings, State

POLL_MS = 20
SETTLE_MS = 300


class Panel:
    """One panel on one scene. parameters: the wrapped parameter node, None while there is none."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self.parameters: Any = None
        self.log = LogSection(ui)
        restore_models_folder()
        self.controller = Controller(
            changed=self._on_controller, set_up=self._set_up, log=self.log.add
        )
        self._state = State.IDLE
        self._fresh: FreshResult | None = None
        self._volume: Any = None  # that the present or last run works on
        self._boxed = False  # whether that is only inside of a box
        self._again: Callable[[], None] = self.segment  # what Try again does
        self._under_way = (False, False)
        self.trouble = Trouble(self.controller, self.log)
        self.models = ModelSection(ui, self._on_choice, self.trouble.say)
        actions = Remedies(ui, self.models, self.log, self.trouble).actions()
        self.input = InputLine(ui, self.refresh, actions)
        self.result = ResultSection(ui, self.controller, self.log.add)
        self.run = RunSection(ui)
        self.trouble_section = TroubleSection(ui, actions)
        self.status = StatusStrip(ui, self.controller, self.models.show_devices, lambda: self.models.timed)
        self._volume_followed, self._region_followed = Followed(self._look_again), Followed(self._on_dragged)
        self._settling = qt.QTimer()  # runs while a region is dragged, and a moment longer
        self._settling.setSingleShot(True)
        self._settling.interval = SETTLE_MS
        self._settling.connect("timeout()", self._look_again)
        self._timer = qt.QTimer()
        self._timer.interval = POLL_MS
        self._timer.connect("timeout()", self._on_timer)
        ui.sampleButton.connect("clicked(bool)", lambda: self._bring_sample(choose_sample))
        ui.realSampleButton.connect("clicked(bool)", lambda: self._bring_sample(choose_real_sample))
        ui.segmentButton.connect("clicked(bool)", self.segment)
        ui.cancelButton.connect("clicked(bool)", self.controller.cancel)
        ui.retryButton.connect("clicked(bool)", lambda: self._again())
        ui.useCpuButton.connect("clicked(bool)", self._on_use_cpu)
        ui.detailsButton.connect("clicked(bool)", self._copy_diagnostics)
        ui.diagnosticsButton.connect("clicked(bool)", self._copy_diagnostics)
        ui.downloadButton.connect("clicked(bool)", self._on_download)
        ui.setUpButton.connect("clicked(bool)", self._on_set_up)
        ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_volume)
        ui.outputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_output)
        ui.regionSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_region)
        self.trouble.changed = self.refresh

    # Life -------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """The user comes: look at the computer, and offer the volume that the slice views show."""
        if self.parameters is not None and self.parameters.volume is None:
            self.parameters.volume = shown_volume()
        self.status.begin()
        self._timer.start()
        self._look()

    def leave(self) -> None:
        """The user goes; a run goes on."""
        self.status.stop()
        if not self.controller.state.busy:
            self._timer.stop()

    def scene_closes(self) -> None:
        """Stop quietly: what belongs to the old scene must not come into the new one."""
        if self.controller.state.busy:
            self.log.add(_("The scene was closed: the segmentation was stopped."))
        self.controller.leave_scene()
        self._volume = None
        self._forget_result()
        self.trouble.forget()
        self.result.hide()

    def node_removed(self) -> None:
        """Some node left the scene: if it was the result, its buttons lead nowhere."""
        node = self.controller.node
        if node is not None and not slicer.mrmlScene.IsNodePresent(node):
            self.result.hide()
        if self._fresh is not None and not slicer.mrmlScene.IsNodePresent(self._fresh.node):
            self._forget_result()

    def close(self) -> None:
        """End the run, the worker process and the timer."""
        self._timer.stop()
        self._settling.stop()
        self._volume_followed.watch(None)
        self._region_followed.watch(None)
        self.status.stop()
        self.controller.close()

    # What the user does -----------------------------------------------------------------------------

    def segment(self) -> None:
        """The click."""
        if self._settling.isActive():
            self._look_again()
        if self.controller.state.busy or not self.ui.segmentButton.enabled:
            return
        self.status.stop()
        self._volume = self.ui.inputSelector.currentNode()
        self.result.put_away()
        output = self.ui.outputSelector.currentNode()
        settings = self.settings()
        if self._may_be_replaced(output):
            settings = replace(settings, replace=True)
        elif is_filled(output) and not settings.replace:
            output = None  # a user's work: the result gets a node of its own
        self._boxed = settings.region is not None
        self._begin(self.segment)
        self.controller.start(self._volume, output, settings)
        self._timer.start()

    def _begin(self, again: Callable[[], None]) -> None:
        """Something new begins. again: what Try again does if it fails."""
        self.trouble.forget()
        self._again = again

    def settings(self) -> Settings:
        """What the panel asks for now."""
        entry = self.models.entry
        options = Options(
            weights=entry.id if entry is not None else None,
            device=self.models.device,
            organs=self.models.organs,
            islands=self.ui.islandsCheckBox.checked,
            fast=self.ui.fastCheckBox.checked,
            accept_warnings=self.input.accepted,
        )
        return Settings(
            options,
            replace=self.ui.replaceCheckBox.checked,
            region=self.ui.regionSelector.currentNode(),
            all_frames=self.ui.allFramesCheckBox.checked,
        )

    def _on_download(self) -> None:
        """Get the chosen model now instead of with the first run."""
        self._begin(self._on_download)
        self.controller.start_download(self.models.entry.id)
        self._timer.start()

    def _bring_sample(self, choose: Callable[[Any], None]) -> None:
        self.trouble.forget()
        self.trouble.attempt(lambda: choose(self.ui))
        self._look()

    def _on_use_cpu(self) -> None:
        self.ui.deviceComboBox.currentIndex = self.ui.deviceComboBox.findData("cpu")
        self.segment()

    def _on_set_up(self) -> None:
        if self.controller.state.busy:
            return
        self.status.stop()
        self._begin(self._on_set_up)
        self.controller.start_set_up()
        self._timer.start()

    def _set_up(self) -> Installation | None:
        """Ask once, then begin to install what is missing; at the start of a run, or by its own button."""
        plan = make_plan()
        if not plan.needed:
            return None
        check_plan(plan)  # what cannot go well is not asked for
        entry = self.models.entry
        size = entry.size if entry is not None and entry.path is None else 0
        if not slicer.util.confirmOkCancelDisplay(set_up_question(plan, size), _("IUINet: set up")):
            raise declined()
        return Installation(plan, self.log.add)

    def _copy_diagnostics(self) -> None:
        slicer.app.clipboard().setText(diagnostics(self.status.devices, self.log.text))

    # What happens -----------------------------------------------------------------------------------

    def _on_choice(self) -> None:
        """Another model, device or organ: how long will that take?"""
        if self.parameters is not None:
            self.parameters.device = self.models.wanted_device
            self.parameters.model = self.models.entry.id if self.models.entry is not None else ""
            self.parameters.leftOut = self.models.left_out
        self.status.begin()
        self._timer.start()
        self.refresh()

    def restore_choices(self) -> None:
        """Show what the scene remembers of the choices that no widget is tied to by itself."""
        known = self.parameters
        self.models.restore(known.device, known.model, list(known.leftOut))

    def _may_be_replaced(self, output: Any) -> bool:
        """Whether an output is the last run's result of the chosen volume, which nobody has changed."""
        fresh = self._fresh
        return fresh is not None and fresh.holds(output, self.ui.inputSelector.currentNode())

    def _forget_result(self) -> None:
        """The last result is a segmentation like any other."""
        if self._fresh is not None:
            self._fresh.forget()
            self._fresh = None

    def _show_result(self, node: Any) -> None:
        """Bring a new result before the user, and offer its node for the next run."""
        self.result.show(self._volume, self._boxed)
        show_result(self._volume, node)
        if len(self.controller.reports) == 1:  # frames stay: their node shows one after the other
            self._fresh = FreshResult(node, self._volume, self.refresh)
            self.ui.outputSelector.setCurrentNode(node)

    def _on_volume(self, node: Any) -> None:
        """Another volume was chosen, or None."""
        if self.parameters is not None:
            # Before any other parameter: a change of one brings the selectors back to what all of them say.
            self.parameters.volume = node
        if self._fresh is not None and node is not None and node is not self._fresh.volume:
            if self.ui.outputSelector.currentNode() is self._fresh.node:
                self.ui.outputSelector.setCurrentNode(None)  # the result of another volume
            self._forget_result()
        if node is not None:
            show_volume(node)
        self._look()

    def _on_region(self, node: Any) -> None:
        self._look()

    def _look(self) -> None:
        """Look at what is chosen to be segmented; a box that has no place yet gets one over the volume."""
        volume, region = self.ui.inputSelector.currentNode(), self.ui.regionSelector.currentNode()
        can_place = volume is not None and volume.GetImageData() is not None
        if region is not None and can_place and not is_placed(region):
            place_region(region, volume)
        self._look_again()
        frames = frames_of(volume)
        self.ui.allFramesCheckBox.visible = frames is not None
        if frames is not None:
            self.ui.allFramesCheckBox.text = _("Segment all {count} time points").format(count=len(frames))

    def _look_again(self) -> None:
        """What is chosen may have another place, size or content."""
        self._settling.stop()
        volume, region = self.ui.inputSelector.currentNode(), self.ui.regionSelector.currentNode()
        self._volume_followed.watch(volume)
        self._region_followed.watch(region)
        self.input.show(volume, region)
        self.refresh()

    def _on_dragged(self) -> None:
        """The region has another place or size; a look at all its voxels follows when it rests."""
        nodes = self.ui.inputSelector.currentNode(), self.ui.regionSelector.currentNode()
        self.input.show(*nodes, dragged=True)
        self.refresh()
        self._settling.start()

    def _on_output(self, node: Any) -> None:
        self.refresh()

    def _on_timer(self) -> None:
        """Take everything further that is under way."""
        running = self.controller.poll()
        probing = self.status.poll()  # after the run, whose end may begin a probe
        if not probing:
            self._show_status()
        waiting = installing_elsewhere()
        if (waiting, probing) != self._under_way:
            self._under_way = waiting, probing
            self.refresh()
        if not (probing or running or waiting):
            self._timer.stop()

    def _on_controller(self) -> None:
        """The controller changed: show it; when a run has ended, show what came of it."""
        before, self._state = self._state, self.controller.state
        if self._state is not before:
            self.log.add(f"State: {self._state.value}")
            if self._state is State.DONE:
                if not self._boxed:  # a region's time is not in proportion to its voxels
                    remember_run(self.controller.report, self.controller.seconds)
                self._forget_result()  # the one before
                if self.controller.node is not None:
                    self._show_result(self.controller.node)
                else:
                    self.result.hide()
            elif self._state is State.CANCELLED:
                self.result.bring_back()
            elif self._state is State.FAILED:
                self.log.add_error(self.controller.error)
            if before.busy and not self._state.busy:
                self.models.refresh()
                self.status.begin()
            elif before is State.SETTING_UP:
                self.status.begin()  # what was missing is here
        self.refresh()

    def refresh(self) -> None:
        """Bring buttons and lines into agreement with what is chosen and under way."""
        reason = self._why_not()
        self._under_way = installing_elsewhere(), *self._under_way[1:]
        if self._under_way[0]:
            self._timer.start()  # to see when it is over
        self.run.show(self.controller, reason, self._said_above(), self.trouble.current)
        busy = self.controller.state.busy
        output = self.ui.outputSelector.currentNode()
        self.ui.replaceCheckBox.visible = is_filled(output) and not self._may_be_replaced(output)
        for button in (self.ui.sampleButton, self.ui.realSampleButton, self.ui.downloadButton):
            button.enabled = not busy
        volume = self.ui.inputSelector.currentNode()
        self.ui.realSampleButton.visible = volume is None or bool(volume.GetAttribute(SAMPLE))
        # What the strip reports of this computer has its remedies, too.
        trouble = self.trouble.current or self.status.error
        unusable = any(not gpu["usable"] for gpu in self.status.devices.get("gpus", []))
        self.trouble_section.show(
            None if busy else trouble, blocked=bool(reason), details=unusable and not busy
        )
        self._show_status()

    def _show_status(self) -> None:
        entry, volume = self.models.entry, self.input.volume
        voxels = volume.array.size if volume is not None else 0
        passes = 1 if self.ui.fastCheckBox.checked else self.models.passes
        self.status.show(self.models.device, entry.sha256 if entry else "", voxels, passes)

    def _said_above(self) -> bool:
        """Whether the lines above the button say what has to be done first."""
        decided = not self.input.refused and (not self.input.warned or self.input.accepted)
        return self.status.too_old is not None or self.ui.inputSelector.currentNode() is None or not decided

    def _why_not(self) -> str:
        """Why Segment cannot be clicked now, "" if it can."""
        if self.controller.state is State.SETTING_UP:
            return _("IUINet is being set up.")
        if self.controller.state.busy:
            return _("A segmentation is under way.")
        if self.status.too_old is not None:
            return error_text(self.status.too_old)
        if self.ui.inputSelector.currentNode() is None:
            return _("Select a CT volume, or try a sample.")
        if self.input.refused:
            return _("This volume cannot be segmented; see the line below it.")
        if self.input.warned and not self.input.accepted:
            return _("Decide about the warning below the volume first.")
        if self.models.organs == ():
            return _("Choose at least one organ.")
        if installing_elsewhere():
            return _("Another module is installing packages. Wait until it has finished.")
        return "" if self.models.entry is not None else _("There is no model.")
