"""The button that makes a sample CT: drawn beside Slicer, shown and chosen when it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from iuinet.errors import IUINetError
from iuinet.sample.drawing import SampleDrawing
from IUINetSegmentationLib.volume_node import add_volume_node


class SampleSection:
    """begun: called when a drawing begins, so that somebody polls. say: shows an error."""

    def __init__(self, ui: Any, begun: Callable[[], None], say: Callable[[IUINetError], None]) -> None:
        self._ui, self._begun, self._say = ui, begun, say
        self._drawing: SampleDrawing | None = None
        self._label = ui.sampleButton.text
        ui.sampleButton.connect("clicked(bool)", self.begin)

    def begin(self) -> None:
        """The click."""
        if self._drawing is not None:
            return
        try:
            self._drawing = SampleDrawing()
        except IUINetError as error:
            self._say(error)
            return
        self._begun()

    def show(self, busy: bool) -> None:
        """busy: whether a run is under way, which the volume must not be changed under."""
        drawing = self._drawing is not None
        self._ui.sampleButton.enabled = not (busy or drawing)
        self._ui.sampleButton.text = _("Making the sample…") if drawing else self._label

    def poll(self) -> bool:
        """Take a finished drawing into the scene; gives whether one is under way."""
        if self._drawing is None or not self._drawing.poll():
            return self._drawing is not None
        drawing, self._drawing = self._drawing, None
        try:
            node = add_volume_node(drawing.result(), _("Sample CT (generated)"))
        except IUINetError as error:
            self._say(error)
            return False
        slicer.util.setSliceViewerLayers(background=node)
        if self._ui.inputSelector.enabled:  # a run may have begun on another volume meanwhile
            self._ui.inputSelector.setCurrentNode(node)
        return False

    def stop(self) -> None:
        """Give a drawing up: the scene that it is for goes away."""
        if self._drawing is not None:
            self._drawing.close()
            self._drawing = None
