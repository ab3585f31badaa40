"""The panel's result: words, table, and the ways on from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from IUINetSegmentationLib import summary
from IUINetSegmentationLib.controller import Controller


class ResultSection:
    """Shows the last run of a controller until the next one begins or the scene is closed."""

    def __init__(self, ui: Any, controller: Controller, log: Callable[[str], None]) -> None:
        self._ui, self._controller, self._log = ui, controller, log
        self._volume: Any = None
        ui.resultTable.columnCount = summary.COLUMNS
        ui.resultTable.horizontalHeader().stretchLastSection = True
        ui.resultTable.verticalHeader().visible = False
        # The last column takes what the panel leaves it; its text then wraps anew.
        ui.resultTable.horizontalHeader().connect("sectionResized(int,int,int)", self._on_column)
        ui.editButton.connect("clicked(bool)", self._on_edit)
        ui.copyTableButton.connect("clicked(bool)", self._on_copy)
        ui.undoButton.connect("clicked(bool)", self._on_undo)
        self.hide()

    def hide(self) -> None:
        """There is no result."""
        self._volume = None
        self._ui.show3DButton.setSegmentationNode(None)
        self._ui.undoButton.visible = False
        self._ui.resultSection.visible = False

    def show(self, volume: Any) -> None:
        """Show what the controller's run gave for this volume node."""
        report = self._controller.report
        self._volume = volume
        self._ui.resultSection.visible = True
        text = summary.headline(report, self._controller.seconds)
        frames = len(self._controller.reports)
        if frames > 1:
            frame = _("All {count} frames were segmented; this is the one that was shown.").format(
                count=frames
            )
            text = f"{frame}\n{text}"
        self._ui.resultLabel.text = text
        self._fill(summary.rows(report))
        self._ui.show3DButton.setSegmentationNode(self._controller.node)
        self._ui.undoButton.visible = self._controller.replacement is not None

    def _fill(self, rows: list[tuple[str, ...]]) -> None:
        table = self._ui.resultTable
        table.setHorizontalHeaderLabels(list(summary.header()))
        table.rowCount = len(rows)
        for row, cells in enumerate(rows):
            for column, text in enumerate(cells):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)  # where a narrow panel wraps or cuts it
                table.setItem(row, column, item)
        table.resizeColumnsToContents()
        self._fit()

    def _on_column(self, column: int, before: int, now: int) -> None:
        if column == summary.COLUMNS - 1:
            self._fit()

    def _fit(self) -> None:
        """Rows as high as their text, and the table as high as its rows, within reason."""
        table = self._ui.resultTable
        table.resizeRowsToContents()
        rows = sum(table.rowHeight(row) for row in range(table.rowCount))
        table.minimumHeight = min(table.horizontalHeader().height + rows + 4, 400)

    def _on_edit(self) -> None:
        """Open Segment Editor with segmentation and volume chosen."""
        node = self._controller.node
        if node is None or not slicer.mrmlScene.IsNodePresent(node):
            return
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        editor.setSegmentationNode(node)
        if self._volume is not None and slicer.mrmlScene.IsNodePresent(self._volume):
            editor.setSourceVolumeNode(self._volume)

    def _on_copy(self) -> None:
        qt.QApplication.clipboard().setText(summary.as_text(self._controller.report))

    def _on_undo(self) -> None:
        self._controller.replacement.undo()
        self._controller.replacement = None
        self._ui.undoButton.visible = False
        self._log(_("The replaced organs are back."))
