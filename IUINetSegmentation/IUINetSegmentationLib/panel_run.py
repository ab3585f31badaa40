"""The panel's button, and in its place during a run the bar, the stage and the time left."""

from __future__ import annotations

import time
from typing import Any

from slicer.i18n import tr as _

from IUINetSegmentationLib import timing
from IUINetSegmentationLib.controller import Controller
from IUINetSegmentationLib.panel_status import StatusStrip
from IUINetSegmentationLib.state import State

# Failures after which a run on the CPU may help.
_CPU_HELPS = {"device", "memory", "device-unusable", "worker-stopped", "worker-hung", "device-absent"}


class RunSection:
    """Shows the state of a controller."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._began = 0.0

    def show(self, controller: Controller, reason: str, status: StatusStrip) -> None:
        """Bring the widgets into agreement. reason: why Segment cannot be clicked, "" if it can."""
        ui, state = self._ui, controller.state
        if state is State.CHECKING:
            self._began = time.monotonic()
        ui.segmentButton.visible = not state.busy
        ui.segmentButton.enabled = not reason
        ui.segmentButton.toolTip = reason or _("Segment the chosen volume")
        for name in ("progressBar", "cancelButton"):
            getattr(ui, name).visible = state.busy
        for name in ("inputSelector", "outputSelector", "sampleButton", "setUpButton"):
            getattr(ui, name).enabled = not state.busy
        failed = state is State.FAILED
        ui.retryButton.visible = failed and not reason
        ui.detailsButton.visible = failed
        ui.useCpuButton.visible = failed and not reason and controller.error.code in _CPU_HELPS
        if state.busy:
            self._show_progress(controller)
        else:
            self._show_end(controller)

    def _show_progress(self, controller: Controller) -> None:
        ui, progress = self._ui, controller.progress
        share = overall(controller)
        ui.progressBar.value = round(1000 * share)
        ui.progressLabel.visible = True
        text = (
            f"{stage_text(controller)} {progress.fraction:.0%}" if progress.stage else stage_text(controller)
        )
        elapsed = time.monotonic() - self._began
        if share > 0.1 and elapsed > 2:
            left = elapsed / share - elapsed
            text += _(", {time} left").format(time=timing.in_words(left))
        ui.progressLabel.text = f"{text}\n{progress.note}".strip()

    def _show_end(self, controller: Controller) -> None:
        ui, state = self._ui, controller.state
        texts = {
            State.DONE: _("Finished in {seconds:.0f} s.").format(seconds=controller.seconds),
            State.CANCELLED: _("Cancelled after {seconds:.0f} s.").format(
                seconds=time.monotonic() - self._began
            ),
        }
        if state is State.FAILED:
            texts[state] = f"✕ {controller.error.message}\n{controller.error.hint}"
        if state in texts and ui.progressLabel.text != texts[state] and ui.progressBar.value:
            ui.progressLabel.text = texts[state]
            ui.progressBar.value = 0
        ui.progressLabel.visible = state is not State.IDLE and bool(ui.progressLabel.text)


# How the stages share the bar: begin and end of each.
_SHARES = {
    "downloading": (0.0, 1.0),
    "reading": (0.02, 0.08),
    "preparing": (0.08, 0.2),
    "segmenting": (0.2, 0.85),
    "finishing": (0.85, 0.97),
}


def overall(controller: Controller) -> float:
    """How much of the whole is done, 0 to 1."""
    low, high = _SHARES.get(controller.progress.stage, (0.01, 0.01))
    if controller.state is State.IMPORTING:
        return 0.98
    return low + (high - low) * controller.progress.fraction


def stage_text(controller: Controller) -> str:
    """What is being done, in a word or two."""
    stages = {
        "reading": _("Reading"),
        "preparing": _("Preparing"),
        "segmenting": _("Segmenting"),
        "finishing": _("Finishing"),
        "downloading": _("Downloading the model"),
    }
    states = {
        State.CHECKING: _("Checking"),
        State.SETTING_UP: _("Setting up"),
        State.DOWNLOADING: _("Downloading the model"),
        State.EXPORTING: _("Starting"),
        State.RUNNING: _("Segmenting"),
        State.IMPORTING: _("Showing the result"),
    }
    return stages.get(controller.progress.stage) or states.get(controller.state, "")
