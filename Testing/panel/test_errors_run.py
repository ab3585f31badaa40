"""Runs that end otherwise than well: cancelled, killed, hung, found nothing, asked for twice."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import slicer
from clicking import at_state, buttons, click, failed, freeze_worker, shown
from helpers.launcher import child_of
from helpers.scenes import scene_state, segment_arrays
from helpers.waiting import counted_seconds, is_running

from iuinet.worker import run as worker_run
from IUINetSegmentationLib.state import State

pytestmark = pytest.mark.needs_torch


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private folder for temporary files, empty again at the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def opened(ct, panel):
    """The panel with a volume, nothing under way."""
    panel.ui.inputSelector.setCurrentNode(ct)
    return panel


def kill_worker(panel, number: int) -> None:
    os.kill(panel.controller.client.pid, number)


@pytest.mark.parametrize("obeys", [True, False])
def test_a_cancel_ends_the_run_within_two_seconds_and_leaves_nothing(opened, finish, dialogs, obeys) -> None:
    before = scene_state()
    opened.ui.islandsCheckBox.checked = False
    clicked = []

    def cancel() -> None:
        if not obeys:
            freeze_worker(opened)
        opened.ui.cancelButton.click()
        clicked.append((counted_seconds(), opened.controller.client.pid))

    at_state(opened, State.RUNNING, cancel)
    opened.ui.segmentButton.click()
    finish()
    assert clicked, (opened.controller.state, opened.controller.error, opened.log.text)
    ((moment, pid),) = clicked
    assert counted_seconds() - moment < (2.0 if obeys else 3.0)
    assert opened.controller.state is State.CANCELLED
    assert shown(opened).startswith("Cancelled after") and buttons(opened.ui) == []
    assert scene_state() == before and dialogs.shown == []
    assert is_running(pid) is obeys, "a worker that obeys stays warm, another one is ended"
    assert opened.ui.islandsCheckBox.checked is False and opened.ui.segmentButton.enabled


def test_a_worker_that_the_system_kills_for_memory(opened, finish) -> None:
    before = scene_state()
    at_state(opened, State.RUNNING, lambda: kill_worker(opened, signal.SIGKILL))
    opened.ui.segmentButton.click()
    finish()
    text = failed(opened, "worker-killed")
    assert "SIGKILL" in text and "memory was short" in text and scene_state() == before
    assert buttons(opened.ui) == ["Try again", "Use a region", "Copy diagnostics"]
    click(opened.ui, "Use a region")
    region = opened.ui.regionSelector.currentNode()
    click(opened.ui, "Try again")
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    assert opened.controller.report["input"]["size"] == [24, 20, 16] and region is not None


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_behind_slicers_launcher_a_kill_for_memory_and_a_crash_are_told_apart(
    launcher, opened, finish
) -> None:
    before = scene_state()

    def end_with(number: int) -> None:
        os.kill(child_of(opened.controller.client.pid), number)

    at_state(opened, State.RUNNING, lambda: end_with(signal.SIGSEGV))
    opened.ui.segmentButton.click()
    finish()
    assert "stopped unexpectedly (Segmentation fault)" in failed(opened, "worker-crashed")
    assert buttons(opened.ui) == ["Try again", "Run on the CPU", "Copy diagnostics"]
    at_state(opened, State.RUNNING, lambda: end_with(signal.SIGKILL))
    click(opened.ui, "Try again")
    finish()
    assert "memory was short" in failed(opened, "worker-killed") and scene_state() == before
    click(opened.ui, "Use a region")
    click(opened.ui, "Try again")
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    assert opened.controller.report["input"]["size"] == [24, 20, 16]


def test_a_worker_that_crashes_is_told_and_can_be_tried_on_the_cpu(opened, finish) -> None:
    before = scene_state()
    at_state(opened, State.RUNNING, lambda: kill_worker(opened, signal.SIGSEGV))
    opened.ui.segmentButton.click()
    finish()
    text = failed(opened, "worker-crashed")
    assert "stopped unexpectedly (signal SIGSEGV)" in text and scene_state() == before
    assert buttons(opened.ui) == ["Try again", "Run on the CPU", "Copy diagnostics"]
    click(opened.ui, "Copy diagnostics")
    import qt

    assert "State: running" in qt.QApplication.clipboard().text()
    click(opened.ui, "Run on the CPU")
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    assert opened.models.device == "cpu"


def test_a_worker_that_says_nothing_any_more_is_given_up(opened, finish, monkeypatch) -> None:
    before = scene_state()
    pids = []

    def freeze() -> None:
        pids.append(opened.controller.client.pid)
        freeze_worker(opened)
        monkeypatch.setattr(worker_run, "_LONGEST_SILENCE_S", 0.5)

    at_state(opened, State.RUNNING, freeze)
    opened.ui.segmentButton.click()
    finish()
    assert "has not answered" in failed(opened, "worker-hung") and scene_state() == before
    assert not is_running(pids[0]) and "Run on the CPU" in buttons(opened.ui)


def test_a_scan_without_any_organ_is_no_success(opened, finish) -> None:
    import qt

    opened.ui.segmentButton.click()
    finish()
    found = {organ["name"] for organ in opened.controller.report["organs"] if organ["found"]}
    slicer.mrmlScene.RemoveNode(opened.controller.node)
    before = scene_state()
    items = [opened.ui.organsList.item(row) for row in range(opened.ui.organsList.count)]
    absent = [item for item in items if item.text() not in found]
    assert absent, "the random model of the tests misses some organs"
    for item in items:
        item.setCheckState(qt.Qt.Checked if item is absent[0] else qt.Qt.Unchecked)
    opened.ui.segmentButton.click()
    finish()
    assert shown(opened) == "ℹ Nothing was found.\nIs this the right body region?"
    assert not opened.ui.resultSection.visible
    assert scene_state() == before and opened.controller.node is None
    assert buttons(opened.ui) == ["Show log"]
    click(opened.ui, "Show log")
    assert not opened.ui.logSection.collapsed


def test_a_second_click_does_nothing_while_a_run_is_under_way(opened, finish) -> None:
    opened.ui.segmentButton.click()
    assert not opened.ui.segmentButton.visible
    assert "under way" in opened.ui.segmentButton.toolTip and not opened.ui.segmentButton.enabled
    opened.ui.segmentButton.click()
    opened.segment()
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert nodes == [opened.controller.node]


def test_segments_of_somebody_are_never_lost(opened, ct, finish) -> None:
    opened.ui.segmentButton.click()
    finish()
    mine = opened.controller.node
    name = next(iter(segment_arrays(mine, ct)))
    edited = np.zeros_like(segment_arrays(mine, ct)[name])
    edited[:5] = True
    identifier = mine.GetSegmentation().GetSegmentIdBySegmentName(name)
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited.astype(np.uint8), mine, identifier, ct)
    own = mine.GetSegmentation().AddEmptySegment("mine", "my own segment")
    # The default: another segmentation is made, whatever is chosen.
    opened.ui.outputSelector.setCurrentNode(mine)
    assert opened.ui.replaceCheckBox.visible and not opened.ui.replaceCheckBox.checked
    opened.ui.segmentButton.click()
    finish()
    assert opened.controller.node is not mine
    assert np.array_equal(segment_arrays(mine, ct)[name], edited)
    # On request ours are replaced, the user's own stays, and all can be undone.
    opened.ui.outputSelector.setCurrentNode(mine)
    opened.ui.replaceCheckBox.click()
    opened.ui.segmentButton.click()
    finish()
    assert opened.controller.node is mine and mine.GetSegmentation().GetSegment(own)
    assert not np.array_equal(segment_arrays(mine, ct)[name], edited)
    opened.ui.undoButton.click()
    assert np.array_equal(segment_arrays(mine, ct)[name], edited) and mine.GetSegmentation().GetSegment(own)


def test_paths_and_names_of_any_language(gui, tmp_path, ct, home, monkeypatch, small_model, request, wait):
    """Another user name, another temporary folder, a long one, and the old locale of the C language."""
    strange = tmp_path / "Lékař 中文 ü" / ("lang " * 20).strip()
    strange.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(strange))
    monkeypatch.setenv("IUINET_HOME", str(strange / "domů"))
    monkeypatch.setenv("LC_ALL", "C")
    ct.SetName("Nováková 王")
    panel = request.getfixturevalue("panel")
    model = tmp_path / "Lékař 中文 ü" / "model ü.safetensors"
    model.write_bytes(small_model.read_bytes())
    assert panel.models.install(model), panel.trouble.current
    panel.ui.segmentButton.click()
    wait(lambda: not panel.controller.state.busy)
    assert panel.controller.state is State.DONE, panel.controller.error
    assert panel.controller.node.GetName() == "Nováková 王 segmentation"
    assert list(strange.iterdir()) == [strange / "domů"]
