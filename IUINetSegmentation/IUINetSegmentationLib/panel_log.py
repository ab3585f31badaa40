"""The panel's log: plain text, bounded, without patient data, to be copied or saved."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from iuinet.errors import IUINetError

LONGEST = 2000  # lines


class LogSection:
    """Collects the lines of the module and of its worker process."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        ui.logText.maximumBlockCount = LONGEST
        ui.copyLogButton.connect("clicked(bool)", self._on_copy)
        ui.saveLogButton.connect("clicked(bool)", self._on_save)

    @property
    def text(self) -> str:
        """All lines."""
        return self._ui.logText.plainText

    def add(self, line: str) -> None:
        """Add a line; plain text, so that nothing in it can act as markup."""
        self._ui.logText.appendPlainText(line)

    def add_error(self, error: IUINetError) -> None:
        """Add what went wrong; of something that nobody foresaw also where in the program it happened."""
        self.add(f"{error.message} {error.hint}")
        if error.code == "failed" and error.__cause__ is not None:
            for line in traceback.format_exception(error.__cause__):
                self.add(line.rstrip())

    def _on_copy(self) -> None:
        qt.QApplication.clipboard().setText(self.text)

    def _on_save(self) -> None:
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save the log"), "iuinet-log.txt", _("Text (*.txt)")
        )
        path = path[0] if isinstance(path, tuple) else path
        if path:
            Path(path).write_text(self.text, encoding="utf-8")
