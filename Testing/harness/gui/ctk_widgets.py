"""Stand-ins for the CTK widgets that a panel may use: names, properties and signals as CTK documents them."""

from __future__ import annotations

from typing import ClassVar

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

HEADER = 24  # pixels


WANTED = "visibilityToParent"  # CTK's name for it: whether a child was shown or hidden by itself


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A section with a header to click on; its children are hidden while it is collapsed.

    A child that was hidden by itself, in the .ui file too, stays hidden when the section opens; one that is
    shown while the section is collapsed appears when it opens.
    """

    contentsCollapsed = Signal(bool)

    def __init__(self, *arguments: object) -> None:
        title = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        parent = next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None)
        self._forcing = False
        super().__init__(parent)
        self.setText(title)
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(0, HEADER, 0, 0)
        self.toggled.connect(self._show_contents)

    def _collapsed(self) -> bool:
        return not self.isChecked()

    def _set_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)
        self._show_contents(not collapsed)

    collapsed = Property(bool, _collapsed, _set_collapsed)

    def _show_contents(self, shown: bool) -> None:
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                self._show_child(child)
        self.updateGeometry()
        self.contentsCollapsed.emit(not shown)

    def _show_child(self, child: QtWidgets.QWidget) -> None:
        wanted = child.property(WANTED) is not False
        self._forcing = True
        child.setVisible(wanted and not self._collapsed())
        if wanted:  # it was not hidden by itself
            child.setAttribute(QtCore.Qt.WidgetAttribute.WA_WState_ExplicitShowHide, False)
        self._forcing = False

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        """A child that is added to a collapsed section is hidden too."""
        super().childEvent(event)
        child = event.child()
        if event.added() and isinstance(child, QtWidgets.QWidget):
            child.installEventFilter(self)
            self._show_child(child)

    def setVisible(self, visible: bool) -> None:
        """Its children appear and go with it, but not by themselves."""
        self._forcing = True
        super().setVisible(visible)
        self._forcing = False

    def eventFilter(self, child: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Note what a child was told to be."""
        kind = event.type()
        if not self._forcing and kind in (QtCore.QEvent.Type.ShowToParent, QtCore.QEvent.Type.HideToParent):
            child.setProperty(WANTED, kind == QtCore.QEvent.Type.ShowToParent)
            if kind == QtCore.QEvent.Type.ShowToParent:
                self._show_child(child)
        return super().eventFilter(child, event)

    def sizeHint(self) -> QtCore.QSize:
        """The header, and the layout below it where it is shown."""
        layout = self.layout()
        if layout is None or self._collapsed():
            return QtCore.QSize(100, HEADER)
        return layout.totalSizeHint()

    def minimumSizeHint(self) -> QtCore.QSize:
        """The same: a section is never squeezed."""
        layout = self.layout()
        if layout is None or self._collapsed():
            return QtCore.QSize(100, HEADER)
        return layout.totalMinimumSize()

    def hasHeightForWidth(self) -> bool:
        """Texts that wrap decide the height only while they are shown."""
        return not self._collapsed() and super().hasHeightForWidth()

    def hitButton(self, position: QtCore.QPoint) -> bool:
        """Only the header is the button."""
        return position.y() < HEADER

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """A header with an arrow and the title, as CTK draws it."""
        painter = QtGui.QPainter(self)
        palette = QtWidgets.QWidget.property(self, "palette")
        area = QtCore.QRect(0, 0, QtWidgets.QWidget.property(self, "width"), HEADER - 2)
        painter.fillRect(area, palette.button())
        option = QtWidgets.QStyleOption()
        option.initFrom(self)
        option.rect = QtCore.QRect(4, 4, HEADER - 10, HEADER - 10)
        arrow = "PE_IndicatorArrowRight" if self._collapsed() else "PE_IndicatorArrowDown"
        style = QtWidgets.QApplication.style()
        style.drawPrimitive(getattr(QtWidgets.QStyle.PrimitiveElement, arrow), option, painter, self)
        painter.setPen(palette.buttonText().color())
        text = QtWidgets.QAbstractButton.property(self, "text")
        painter.drawText(area.adjusted(HEADER, 0, 0, 0), QtCore.Qt.AlignmentFlag.AlignVCenter, text)


class ctkMessageBox(QtWidgets.QMessageBox):
    """The message box that slicer.util makes. Nobody can click here: tests lay answers ready.

    shown: the texts of all boxes so far. answers: what is clicked in the next ones; else Cancel.
    """

    dontShowAgainSettingsKey = ""

    shown: ClassVar[list[str]] = []
    answers: ClassVar[list[str]] = []

    def exec_(self) -> QtWidgets.QMessageBox.StandardButton:
        """Remember the text and give the answer that was laid ready."""
        ctkMessageBox.shown.append(QtWidgets.QMessageBox.property(self, "text"))
        answer = ctkMessageBox.answers.pop(0) if ctkMessageBox.answers else "Cancel"
        return getattr(QtWidgets.QMessageBox.StandardButton, answer)


WIDGETS = (ctkCollapsibleButton, ctkMessageBox)
