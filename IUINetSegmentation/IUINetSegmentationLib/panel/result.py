"""The panel's result: a run's report in words, as a table that can be copied, and the ways on from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from iuinet.quality import CORRECT, RELIABLE, SKETCH, UNMEASURED, USABLE, verdicts_of
from iuinet.report import millilitres_text
from IUINetSegmentationLib.controller import Controller
from IUINetSegmentationLib.language import listed, localized, organ_name, sentence
from IUINetSegmentationLib.scene.views import segment_of, set_visible, show_organ

COLUMNS = 4
SWATCH = 12  # pixels


class ResultSection:
    """Shows the last run of a controller until the next one begins or the scene is closed."""

    def __init__(self, ui: Any, controller: Controller, log: Callable[[str], None]) -> None:
        self._ui, self._controller, self._log = ui, controller, log
        self._volume: Any = None
        self._organs: list[str] = []  # of the table's rows, by the report's names
        ui.resultTable.columnCount = COLUMNS
        ui.resultTable.horizontalHeader().stretchLastSection = True
        ui.resultTable.verticalHeader().visible = False
        # The last column takes what the panel leaves it; its text then wraps again.
        ui.resultTable.horizontalHeader().connect("sectionResized(int,int,int)", self._on_column)
        # A column says its new width before it has it, so rows follow when Qt is done; gone with the table.
        self._widened = qt.QTimer(ui.resultTable)
        self._widened.setSingleShot(True)
        self._widened.connect("timeout()", self._fit)
        ui.resultTable.connect("cellClicked(int,int)", self._on_row)
        ui.resultTable.connect("itemChanged(QTableWidgetItem*)", self._on_item)
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
        """Show the result of the controller's run on this volume node."""
        report = self._controller.report
        self._volume = volume
        self._ui.resultSection.visible = True
        text = headline(report, self._controller.seconds)
        frames = len(self._controller.reports)
        if frames > 1:
            frame = _("All {count} time points were segmented; this is the one that was shown.").format(
                count=frames
            )
            text = f"{frame}\n{text}"
        self._ui.resultLabel.text = text
        self._organs = [organ["name"] for organ in report["organs"] if organ["found"]]
        self._fill(rows(report), verdicts_of(report))
        self._ui.show3DButton.setSegmentationNode(self._controller.node)
        self._ui.undoButton.visible = self._controller.replacement is not None

    def _fill(self, rows: list[tuple[str, ...]], verdicts: Mapping[str, str]) -> None:
        table = self._ui.resultTable
        table.blockSignals(True)
        table.setHorizontalHeaderLabels(list(header()))
        table.rowCount = len(rows)
        for row, cells in enumerate(rows):
            for column, text in enumerate(cells):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)  # where a narrow panel wraps or cuts it
                table.setItem(row, column, item)
            self._mark(table.item(row, 0), self._organs[row])
            if verdicts[self._organs[row]] not in RELIABLE:
                _set_apart(table.item(row, 0))
        table.blockSignals(False)
        table.resizeColumnsToContents()
        self._fit()

    def _mark(self, item: Any, organ: str) -> None:
        """Give an organ's cell the colour of its segment and a tick for what the views show."""
        node = self._controller.node
        identifier = segment_of(node, organ)
        if not identifier:
            return
        color = node.GetSegmentation().GetSegment(identifier).GetColor()
        swatch = qt.QPixmap(SWATCH, SWATCH)
        swatch.fill(qt.QColor(*(round(255 * part) for part in color)))
        item.setIcon(qt.QIcon(swatch))
        visible = node.GetDisplayNode().GetSegmentVisibility(identifier)
        item.setCheckState(qt.Qt.Checked if visible else qt.Qt.Unchecked)
        item.setToolTip(_("Click: show it in the slice views. Tick: show or hide it."))

    def _on_row(self, row: int, column: int) -> None:
        """Bring the organ of the row into the middle of the slice views."""
        if self._is_there():
            show_organ(self._controller.node, self._organs[row])

    def _on_item(self, item: Any) -> None:
        """Show or hide the organ whose tick was changed."""
        if item.column() == 0 and self._is_there():
            visible = item.checkState() == qt.Qt.Checked
            set_visible(self._controller.node, self._organs[item.row()], visible)

    def _is_there(self) -> bool:
        node = self._controller.node
        return node is not None and bool(slicer.mrmlScene.IsNodePresent(node))

    def _on_column(self, column: int, before: int, now: int) -> None:
        if column == COLUMNS - 1:
            self._widened.start(0)

    def _fit(self) -> None:
        """Rows as high as their text, and the table as high as its rows, within reason."""
        table = self._ui.resultTable
        table.resizeRowsToContents()
        rows = sum(table.rowHeight(row) for row in range(table.rowCount))
        table.minimumHeight = min(table.horizontalHeader().height + rows + 4, 800)

    def _on_edit(self) -> None:
        """Open Segment Editor with segmentation and volume chosen."""
        node = self._controller.node
        if not self._is_there():
            return
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        editor.setSegmentationNode(node)
        if self._volume is not None and slicer.mrmlScene.IsNodePresent(self._volume):
            editor.setSourceVolumeNode(self._volume)

    def _on_copy(self) -> None:
        slicer.app.clipboard().setText(as_text(self._controller.report))

    def _on_undo(self) -> None:
        self._controller.replacement.undo()
        self._controller.replacement = None
        self._ui.undoButton.visible = False
        self._log(_("The replaced organs are back."))


def header() -> tuple[str, ...]:
    """The table's columns; a function, since the language is known only when Slicer runs."""
    return (_("Organ"), _("ml"), _("Mean HU"), _("Remarks"))


def headline(report: Mapping[str, Any], seconds: float) -> str:
    """What was found and what was not, how long it took and where, and that it has to be checked."""
    organs = report["organs"]
    missing = [organ["name"] for organ in organs if not organ["found"]]
    found, verdicts = [organ["name"] for organ in organs if organ["found"]], verdicts_of(report)
    sketches = [name for name in found if verdicts[name] == SKETCH]
    if len(missing) == len(organs):
        return _("Nothing was found. Is this the right body region?")
    device = _("the CPU") if report["device"] == "cpu" else report["device"]
    lines = [
        _("{found} of {all} structures found in {seconds:.0f} s on {device}.").format(
            found=len(found) - len(sketches), all=len(organs), seconds=seconds, device=device
        )
    ]
    if sketches:
        lines.append(_("⚠ Only sketched, so not counted: {names}.").format(names=listed(sketches)))
    if missing:
        lines.append(_("Not found: {names}.").format(names=listed(missing)))
    warnings = [check for check in report["checks"] if check["severity"] == "warning"]
    lines += [f"⚠ {sentence(found['message'])}" for found in (*report["plausibility"], *warnings)]
    lines += map(localized, (*report["notes"], *report["fallbacks"]))
    lines.append(_("Check before use; not a diagnosis."))
    return "\n".join(lines)


def rows(report: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """One row for each organ that was found."""
    verdicts = verdicts_of(report)
    return [
        (
            organ_name(organ["name"]),
            millilitres_text(organ["millilitres"]),
            "" if organ["mean_hu"] is None else f"{organ['mean_hu']:.0f}",
            _("; ").join(_remarks(organ, verdicts[organ["name"]])),
        )
        for organ in report["organs"]
        if organ["found"]
    ]


def as_text(report: Mapping[str, Any]) -> str:
    """The table for the clipboard: cells by tabulators, ready for a spreadsheet."""
    return "\n".join("\t".join(cells) for cells in [header(), *rows(report)])


def quality_text(verdict: str) -> str:
    """A verdict of ``iuinet.quality`` in the user's language, marked where no one may rely on it."""
    words = {
        USABLE: _("usable after a look"),
        CORRECT: _("to be corrected"),
        SKETCH: _("a sketch, not to be used"),
        UNMEASURED: _("not measured on real scans"),
    }
    return words[verdict] if verdict in RELIABLE else f"⚠ {words[verdict]}"


def _set_apart(item: Any) -> None:
    """Grey and slanted: not to be taken for an organ that was found like the others."""
    font = item.font()
    font.setItalic(True)
    item.setFont(font)
    item.setForeground(qt.QBrush(qt.QColor("gray")))


def _remarks(organ: Mapping[str, Any], verdict: str) -> list[str]:
    found = [quality_text(verdict)]
    if organ["touches_edge"]:
        words = {
            "superior": _("superior"),
            "inferior": _("inferior"),
            "anterior": _("anterior"),
            "posterior": _("posterior"),
            "right": _("right"),
            "left": _("left"),
        }
        sides = _(", ").join(words[side] for side in organ["edges"])
        found.append(_("incomplete: cut by the scan's edge ({sides})").format(sides=sides))
    if organ["low_confidence"]:
        found.append(_("low confidence"))
    return found
