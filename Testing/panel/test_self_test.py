"""The module's own test, which Slicer's dashboard runs, in the harness: the parts that need no PyTorch."""

from __future__ import annotations

import sys

import pytest
import slicer


@pytest.fixture
def own_test(widget):
    """The module's own test of its panel."""
    return sys.modules["IUINetSegmentation"].IUINetSegmentationTest("test_PanelEnteredAndLeft")


@pytest.mark.parametrize("entered", [True, False])
def test_it_passes_and_leaves_the_user_where_he_was(own_test, widget, entered: bool) -> None:
    if not entered:
        widget.parent.setEntered(False)
        widget.exit()
    own_test.setUp()
    own_test.test_PanelEnteredAndLeft()
    assert (widget.panel.parameters is not None) is entered


def test_it_notices_a_panel_that_places_no_region(own_test, monkeypatch) -> None:
    monkeypatch.setattr("IUINetSegmentationLib.panel.panel.place_region", lambda *_: None)
    own_test.setUp()
    with pytest.raises(AssertionError):
        own_test.test_PanelEnteredAndLeft()


def test_where_pytorch_is_missing_the_rest_runs_and_the_skip_is_said(widget, gui, caplog) -> None:
    gui.packages.hide("torch")
    with caplog.at_level("INFO"):
        slicer.selfTests["IUINetSegmentation"]()
    assert caplog.text.count("Skipped: ") == 1 and "PyTorch" in caplog.text
