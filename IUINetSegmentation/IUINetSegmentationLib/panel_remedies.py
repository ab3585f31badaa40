"""What the buttons below an error and beside the volume do in the panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import qt

from IUINetSegmentationLib import remedies

if TYPE_CHECKING:
    from IUINetSegmentationLib.panel import Panel


class PanelRemedies:
    """Works on the panel's widgets; what needs none of them is in ``remedies``."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    def actions(self) -> dict[str, Callable[[], None]]:
        """All of them, by the names in panel_trouble and panel_input."""
        panel = self._panel
        return {
            "install-extension": lambda: panel.attempt(remedies.install_extension),
            "by-hand": lambda: self._show_log(remedies.how_to_install()),
            "pytorch-utils": remedies.open_pytorch_utils,
            "restart": remedies.restart,
            "later": panel.dismiss,
            "region": self._use_region,
            "harden": self._harden,
            "install-file": self._install_file,
            "copy-address": self._copy_address,
            "folder": self._choose_folder,
            "log": lambda: self._show_log([]),
        }

    def _install_file(self) -> None:
        """The user has the model's file: with it there, the error is over."""
        if self._panel.models.choose_file():
            self._panel.dismiss()

    def _copy_address(self) -> None:
        """What whoever runs the network needs to let the model through."""
        entry = self._panel.models.entry
        lines = [f"{entry.id} {entry.version}", *entry.urls, f"SHA-256 {entry.sha256}", f"{entry.size} bytes"]
        qt.QApplication.clipboard().setText("\n".join(lines))

    def _choose_folder(self) -> None:
        if remedies.choose_models_folder():
            self._panel.models.refresh()
            self._panel.dismiss()

    def _use_region(self) -> None:
        ui = self._panel.ui
        volume = ui.inputSelector.currentNode()
        if volume is not None:
            ui.advancedSection.collapsed = False
            ui.regionSelector.setCurrentNode(remedies.add_region(volume))

    def _harden(self) -> None:
        selector = self._panel.ui.inputSelector
        selector.setCurrentNode(remedies.hardened_copy(selector.currentNode()))

    def _show_log(self, lines: list[str]) -> None:
        for line in lines:
            self._panel.log.add(line)
        self._panel.ui.logSection.collapsed = False
