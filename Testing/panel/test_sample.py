"""The sample button: the CT is drawn beside the window, and however that ends, nothing is left behind."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest

from iuinet.sample import make_sample
from IUINetSegmentationLib.volume_node import volume_from_node


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that nobody else uses."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def left(temporary: Path) -> list[Path]:
    return list(temporary.glob("iuinet-sample-*"))


def test_the_sample_is_drawn_beside_the_window_and_can_be_segmented(panel, wait, temporary) -> None:
    button = panel.ui.sampleButton
    label = button.text
    button.click()
    assert panel.ui.inputSelector.currentNode() is None, "the click does not wait for the drawing"
    assert not button.enabled and "…" in button.text and left(temporary)
    wait(lambda: panel.ui.inputSelector.currentNode() is not None, 60)
    node = panel.ui.inputSelector.currentNode()
    assert node.GetName().startswith("Sample CT") and panel.ui.segmentButton.enabled
    wait(lambda: button.enabled)
    assert button.text == label and not left(temporary)
    expected = make_sample().volume
    shown = volume_from_node(node)
    assert np.array_equal(shown.array, expected.array)
    assert shown.grid.size == expected.grid.size
    assert np.allclose(shown.grid.origin, expected.grid.origin)


def test_closing_the_scene_ends_the_drawing(panel, scene, wait, gui, temporary) -> None:
    panel.ui.sampleButton.click()
    pid = panel.sample._drawing._child.pid
    panel.scene_closes()
    wait(lambda: _gone(pid))
    assert not left(temporary)
    gui.app.processEvents()
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    panel.refresh()
    assert panel.ui.sampleButton.enabled


def test_a_drawing_that_dies_is_told_and_can_be_tried_again(panel, wait, temporary) -> None:
    panel.ui.sampleButton.click()
    os.kill(panel.sample._drawing._child.pid, signal.SIGKILL)
    wait(lambda: panel.trouble is not None)
    assert panel.trouble.code == "sample-failed"
    assert "sample CT could not be made" in panel.ui.progressLabel.text
    assert not left(temporary)
    panel.ui.sampleButton.click()
    wait(lambda: panel.ui.segmentButton.enabled)
    assert panel.trouble is None


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
