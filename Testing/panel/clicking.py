"""What the panel tests share: finding what a user sees, and holding the worker at a moment of a run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from IUINetSegmentationLib.state import State

HELP = ("retryButton", "firstRemedyButton", "secondRemedyButton", "useCpuButton", "detailsButton")


def buttons(ui: Any) -> list[str]:
    """The texts of the buttons that are offered below an error, from left to right."""
    return [getattr(ui, name).text for name in HELP if getattr(ui, name).visible]


def click(ui: Any, text: str) -> None:
    """Click the button below an error, or beside the volume, that has this text."""
    for name in (*HELP, "inputRemedyButton"):
        button = getattr(ui, name)
        if button.visible and button.text == text:
            button.click()
            return
    raise AssertionError(f"there is no button {text!r}, only {buttons(ui)}")


def failed(panel: Any, code: str) -> str:
    """The run failed with this code; gives what the panel says of it."""
    assert panel.controller.state is State.FAILED, (panel.controller.state, panel.controller.error)
    assert panel.controller.error.code == code, panel.log.text
    return shown(panel)


def shown(panel: Any) -> str:
    """The sentence below the button."""
    return panel.ui.progressLabel.text if panel.ui.progressLabel.visible else ""


def at_state(panel: Any, state: State, act: Callable[[], None]) -> None:
    """Do something once, at the moment when the next run enters this state."""
    controller = panel.controller
    original = controller._changed

    def changed() -> None:
        original()
        if controller.state is state and controller._changed is changed:
            controller._changed = original
            act()

    controller._changed = changed


def freeze_worker(panel: Any) -> None:
    """Let the worker stand still, alive, as one that hangs."""
    os.kill(panel.controller.client.pid, signal.SIGSTOP)
