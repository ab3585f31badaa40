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
from IUINetSegmentationLib.scene.views import segment_of, set_visible, show_organ, shown_beside

COLUMNS = 4
SWATCH = 12  # pixels
NAMES = 125  # pixels; longer names wrap, so that a narrow panel has room for the remarks


class ResultSection:
    """Shows the last run of a controller until the next one begins or the scene is closed."""

    def __init__(self, ui: Any, controller: Controller, log: Callable[[str], None]) -> None:
        self._ui, self._controller, self._log = ui, controller, log
        self._volume: Any = None
        self._organs: list[str] = []  # of the table's rows, by the report's names
        self._boxed = self._there = False
        self._watched: Any = None  # the node that the ticks follow
        self._tags: list[int] = []
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
        ui.visibleCheckBox.connect("toggled(bool)", self._on_visible)
        ui.editButton.connect("clicked(bool)", self._on_edit)
        ui.copyTableButton.connect("clicked(bool)", self._on_copy)
        ui.undoButton.connect("clicked(bool)", self._on_undo)
        self.hide()

    def hide(self) -> None:
        """There is no result."""
        self._volume, self._there = None, False
        self._watch(None)
        self._ui.show3DButton.setSegmentationNode(None)
        self._ui.undoButton.visible = False
        self._ui.resultSection.visible = False

    def put_away(self) -> None:
        """Another run begins: what is shown is not its result."""
        self._ui.resultSection.visible = False

    def bring_back(self) -> None:
        """That run was cancelled: the result before it is the last one still."""
        self._ui.resultSection.visible = self._there

    def show(self, volume: Any, boxed: bool) -> None:
        """Show the result of the controller's run on this volume node. boxed: only inside of a box."""
        report = self._controller.report
        self._volume, self._boxed, self._there = volume, boxed, True
        self._ui.resultSection.visible = True
        text = headline(report, self._controller.seconds)
        if boxed:
            inside = _("Only inside the box: volumes and mean HU are of the part inside it.")
            text = f"{inside}\n{text}"
        others = shown_beside(self._controller.node, volume)
        if others:
            also = _("⚠ Shown over the same CT, too: {names}. The eye in the module Data hides it.")
            text = f"{text}\n{also.format(names=', '.join(others))}"
        frames = len(self._controller.reports)
        if frames > 1:
            frame = _("All {count} time points were segmented; this is the one that was shown.").format(
                count=frames
            )
            text = f"{frame}\n{text}"
        self._ui.resultLabel.text = text
        self._organs = [organ["name"] for organ in report["organs"] if organ["found"]]
        self._fill(rows(report, boxed), verdicts_of(report))
        self._ui.keepLabel.text = how_to_keep(volume)
        self._watch(self._controller.node)
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
            table.item(row, 0).setToolTip(_("Click: show it in the slice views. Tick: show or hide it."))
            if verdicts[self._organs[row]] not in RELIABLE:
                _set_apart(table.item(row, 0))
        table.blockSignals(False)
        self._mark_all()
        table.resizeColumnsToContents()
        table.setColumnWidth(0, min(table.columnWidth(0), NAMES))
        self._fit()

    def _watch(self, node: Any) -> None:
        """Let ticks and colours follow what is done to this node elsewhere in Slicer; None for no node."""
        for tag in self._tags:
            self._watched.RemoveObserver(tag)
        self._watched = node
        segments = slicer.vtkSegmentation
        events = (
            slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent, segments.SegmentModified,
            segments.SegmentAdded, segments.SegmentRemoved,
        ) if node is not None else ()  # fmt: skip
        self._tags = [node.AddObserver(event, self._mark_all) for event in events]

    def _mark_all(self, *_: Any) -> None:
        """Give each organ the colour of its segment and a tick for what the views show."""
        node, table, box = self._controller.node, self._ui.resultTable, self._ui.visibleCheckBox
        display = node.GetDisplayNode() if node is not None else None
        if display is None:
            return
        table.blockSignals(True)
        for row, organ in enumerate(self._organs):
            identifier = segment_of(node, organ)
            visible = bool(identifier) and display.GetSegmentVisibility(identifier)
            table.item(row, 0).setCheckState(qt.Qt.Checked if visible else qt.Qt.Unchecked)
            if identifier:
                color = node.GetSegmentation().GetSegment(identifier).GetColor()
                swatch = qt.QPixmap(SWATCH, SWATCH)
                swatch.fill(qt.QColor(*(round(255 * part) for part in color)))
                table.item(row, 0).setIcon(qt.QIcon(swatch))
        table.blockSignals(False)
        box.blockSignals(True)
        box.checked = bool(display.GetVisibility())
        box.blockSignals(False)

    def _on_row(self, row: int, column: int) -> None:
        """Bring the organ of the row into the middle of the slice views."""
        if self._is_there():
            show_organ(self._controller.node, self._organs[row])

    def _on_item(self, item: Any) -> None:
        """Show or hide the organ whose tick was changed."""
        if item.column() == 0 and self._is_there():
            visible = item.checkState() == qt.Qt.Checked
            set_visible(self._controller.node, self._organs[item.row()], visible)

    def _on_visible(self, visible: bool) -> None:
        """Show or hide the whole result, to see the CT below it."""
        if self._is_there() and self._controller.node.GetDisplayNode() is not None:
            self._controller.node.GetDisplayNode().SetVisibility(visible)

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
        slicer.app.clipboard().setText(as_text(self._controller.report, self._boxed))

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
    lines.append(_("Check each organ before use (a click on its row shows it); not a diagnosis."))
    return "\n".join(lines)


def how_to_keep(volume: Any) -> str:
    """The ways from the result into a file, and into the patient's study."""
    if volume is not None and volume.GetAttribute("DICOM.instanceUIDs"):
        ways = _(
            "To keep the result: Slicer's menu File, Save Data. As DICOM SEG: in the module Data, right-click"
            " the segmentation and choose Export to DICOM."
        )
    else:
        ways = _(
            "To keep the result: Slicer's menu File, Save Data. Not as DICOM SEG: for that, the CT has to be"
            " loaded by Slicer's module DICOM."
        )
    return f"{ways}\n" + _(
        "A hidden organ is saved and exported all the same; to leave one out, remove it in Segment Editor."
    )


def rows(report: Mapping[str, Any], boxed: bool) -> list[tuple[str, str, str, str]]:
    """One row for each organ that was found. boxed: only inside of a box."""
    verdicts = verdicts_of(report)
    return [
        (
            organ_name(organ["name"]),
            millilitres_text(organ["millilitres"]),
            "" if organ["mean_hu"] is None else f"{organ['mean_hu']:.0f}",
            _("; ").join(_remarks(organ, verdicts[organ["name"]], boxed)),
        )
        for organ in report["organs"]
        if organ["found"]
    ]


def as_text(report: Mapping[str, Any], boxed: bool = False) -> str:
    """The table for the clipboard: cells by tabulators, ready for a spreadsheet."""
    return "\n".join("\t".join(cells) for cells in [header(), *rows(report, boxed)])


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


def _remarks(organ: Mapping[str, Any], verdict: str, boxed: bool) -> list[str]:
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
        cut = _("incomplete: cut by the box ({sides})") if boxed else ""
        found.append((cut or _("incomplete: cut by the scan's edge ({sides})")).format(sides=sides))
    if organ["low_confidence"]:
        found.append(_("low confidence"))
    return found
