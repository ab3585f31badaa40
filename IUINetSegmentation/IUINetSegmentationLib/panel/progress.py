"""The panel's button, and in its place during a run the bar, the stage and the time left."""

from __future__ import annotations

import time
from typing import Any

from slicer.i18n import tr as _

from iuinet.errors import IUINetError
from IUINetSegmentationLib.controller import Controller
from IUINetSegmentationLib.language import localized
from IUINetSegmentationLib.panel.status import in_words
from IUINetSegmentationLib.panel.trouble import sentence
from IUINetSegmentationLib.state import State


class RunSection:
    """Shows the state of a controller."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._began, self._busy = 0.0, False

    def show(self, controller: Controller, reason: str, said: bool, trouble: IUINetError | None) -> None:
        """Bring the widgets into agreement.

        reason: why Segment cannot be clicked, "" if it can. said: whether another line of the panel says so.
        trouble: what went wrong last, or None.
        """
        ui, state = self._ui, controller.state
        if state.busy and not self._busy:
            self._began = time.monotonic()
        self._busy = state.busy
        ui.segmentButton.visible = not state.busy
        ui.segmentButton.enabled = not reason
        ui.segmentButton.toolTip = reason or _("Segment the chosen volume")
        for name in ("progressBar", "cancelButton"):
            getattr(ui, name).visible = state.busy
        for name in ("inputSelector", "outputSelector", "setUpButton"):
            getattr(ui, name).enabled = not state.busy
        if state.busy:
            self._show_progress(controller)
            return
        ui.progressBar.value = 0
        # A button that is off says why only to those who wait over it with the mouse.
        texts = [sentence(trouble)] if trouble else [end_text(controller), "" if said else reason]
        ui.progressLabel.text = "\n".join(filter(None, texts))
        ui.progressLabel.visible = bool(ui.progressLabel.text)

    def _show_progress(self, controller: Controller) -> None:
        ui, progress = self._ui, controller.progress
        share = overall(controller)
        ui.progressBar.value = round(1000 * share)
        ui.progressLabel.visible = True
        text = (
            f"{stage_text(controller)} {progress.fraction:.0%}" if progress.stage else stage_text(controller)
        )
        if progress.frames > 1:
            frame = _("Time point {number} of {count}").format(
                number=progress.frame + 1, count=progress.frames
            )
            text = f"{frame}: {text}"
        elapsed = time.monotonic() - self._began
        if share > 0.1 and elapsed > 2 and controller.state is not State.SETTING_UP:
            left = elapsed / share - elapsed
            text += _(", {time} left").format(time=in_words(left))
        ui.progressLabel.text = f"{text}\n{localized(progress.note)}".strip()


def end_text(controller: Controller) -> str:
    """How the last run ended, "" where there was none or it never began."""
    if controller.state is State.DONE:
        return _("Finished in {seconds:.0f} s.").format(seconds=controller.seconds)
    if controller.state is State.CANCELLED and controller.error.code != "declined":
        text = _("Cancelled after {seconds:.0f} s.").format(seconds=controller.seconds)
        return f"{text} {_('The result below is the earlier one.')}" if controller.node is not None else text
    return ""


# How the stages share the bar: begin and end of each.
_SHARES = {
    "installing": (0.0, 1.0),  # of one file of several
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
    progress = controller.progress
    return (progress.frame + low + (high - low) * progress.fraction) / progress.frames


def stage_text(controller: Controller) -> str:
    """What is being done, in a word or two."""
    stages = {
        "reading": _("Reading"),
        "preparing": _("Preparing"),
        "segmenting": _("Segmenting"),
        "finishing": _("Finishing"),
        "installing": _("Setting up: downloading"),
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
