"""What happens around a run: the scene closes, nodes go, the module is reloaded, Slicer ends or is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import slicer
from clicking import at_state, freeze_worker, shown
from helpers.scenes import scene_state
from helpers.waiting import communicate, is_running, wait_until

from IUINetSegmentationLib.state import State

pytestmark = pytest.mark.needs_torch

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "IUINetSegmentation"
MOMENTS = (State.CHECKING, State.EXPORTING, State.RUNNING, State.IMPORTING)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def opened(temporary, one_worker, ct, panel):
    """The panel with a volume, nothing under way."""
    panel.ui.inputSelector.setCurrentNode(ct)
    return panel


def settle(gui, seconds: float = 0.3) -> None:
    """Let Qt work for a while: what came too late would come now."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        gui.app.processEvents()
        time.sleep(0.005)


# The scene ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", MOMENTS)
def test_closing_the_scene_stops_the_run_quietly(
    opened, gui, wait, temporary, dialogs, moment: State
) -> None:
    import qt

    controller = opened.controller
    pids = []

    def close_soon() -> None:
        pids.append(controller.client.pid)
        if moment is State.RUNNING:
            freeze_worker(opened)
        opened._timer.stop()  # on a slow machine its next tick is due already, before the scene closes
        qt.QTimer.singleShot(0, gui.headless.clear_scene)

    at_state(opened, moment, close_soon)
    opened.ui.segmentButton.click()
    wait(lambda: pids and controller.state is State.IDLE)
    assert list(temporary.iterdir()) == []
    settle(gui)
    assert controller.state is State.IDLE and controller.node is None and dialogs.shown == []
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    assert shown(opened) == "" and not opened.ui.resultSection.visible
    assert "The scene was closed" in opened.log.text
    # A worker in the middle of a run is ended with it; one that has nothing to do stays warm.
    assert moment in (State.CHECKING, State.IMPORTING) or not is_running(pids[0])


def test_after_a_closed_scene_the_next_run_is_as_any_other(opened, gui, wait, finish) -> None:
    from helpers.sample_ct import sample_ct

    from IUINetSegmentationLib.scene.volume_node import add_volume_node

    at_state(opened, State.RUNNING, lambda: freeze_worker(opened))
    opened.ui.segmentButton.click()
    wait(lambda: opened.controller.state is State.RUNNING)
    gui.headless.clear_scene()
    node = add_volume_node(sample_ct((32, 32, 24)), "next")
    opened.ui.inputSelector.setCurrentNode(node)
    assert opened.parameters.volume is node, "the new scene's parameter node is connected"
    opened.ui.segmentButton.click()
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    assert opened.controller.report["input"]["size"] == [32, 32, 24]


def test_closing_the_scene_while_packages_are_installed_waits_for_them(
    opened, gui, wait, dialogs, temporary
) -> None:
    """Slicer lets the application work while pip runs: no run is stepped or closed inside itself."""
    import qt

    gui.packages.hide("safetensors")
    dialogs.answers.append("Ok")
    at_state(opened, State.SETTING_UP, lambda: qt.QTimer.singleShot(0, gui.headless.clear_scene))
    opened.ui.segmentButton.click()
    wait(lambda: gui.packages.calls and not opened.controller.state.busy)
    settle(gui)
    assert opened.controller.state is State.IDLE
    assert list(temporary.iterdir()) == [] and gui.packages.installed("safetensors")
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


# Nodes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", MOMENTS[1:])
def test_the_volume_may_go_during_the_run(opened, ct, finish, moment: State) -> None:
    from vtk import vtkMatrix4x4

    wanted, found = vtkMatrix4x4(), vtkMatrix4x4()
    ct.GetIJKToRASMatrix(wanted)
    at_state(opened, moment, lambda: slicer.mrmlScene.RemoveNode(ct))
    opened.ui.segmentButton.click()
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    segmentation = opened.controller.node.GetSegmentation()
    image = segmentation.GetNthSegment(0).GetRepresentation("Binary labelmap")
    image.GetImageToWorldMatrix(found)
    assert slicer.util.arrayFromVTKMatrix(found) == pytest.approx(slicer.util.arrayFromVTKMatrix(wanted))
    opened.ui.editButton.click()  # without a volume to paint on


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_chosen_segmentation_may_go_during_the_run(opened, finish, scene, moment: State) -> None:
    chosen = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "chosen")
    opened.ui.outputSelector.setCurrentNode(chosen)
    at_state(opened, moment, lambda: scene.RemoveNode(chosen))
    opened.ui.segmentButton.click()
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    node = opened.controller.node
    assert node is not chosen and slicer.mrmlScene.IsNodePresent(node)


def test_a_result_that_is_deleted_takes_its_buttons_with_it(opened, finish, gui) -> None:
    opened.ui.segmentButton.click()
    finish()
    slicer.mrmlScene.RemoveNode(opened.controller.node)
    assert not opened.ui.resultSection.visible
    opened.ui.segmentButton.click()
    finish()
    assert opened.controller.state is State.DONE and opened.ui.resultSection.visible


def test_replaced_organs_of_a_deleted_segmentation_cannot_be_undone_and_nothing_fails(opened, finish) -> None:
    opened.ui.segmentButton.click()
    finish()
    node = opened.controller.node
    opened.ui.outputSelector.setCurrentNode(node)
    opened.ui.replaceCheckBox.click()
    opened.ui.segmentButton.click()
    finish()
    assert opened.ui.undoButton.visible
    slicer.mrmlScene.RemoveNode(node)
    assert not opened.ui.undoButton.visible


# The module and the application -------------------------------------------------------------------------


@pytest.fixture
def first_modules() -> Iterator[None]:
    """After a test that reloads the module, the other tests find the modules that they know."""

    def ours(name: str) -> bool:
        return name.partition(".")[0] in ("IUINetSegmentation", "IUINetSegmentationLib", "iuinet")

    before = {name: module for name, module in sys.modules.items() if ours(name)}
    yield
    for name in [name for name in sys.modules if ours(name)]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.mark.parametrize("moment", MOMENTS[1:3])
def test_reloading_the_module_during_a_run_ends_it(
    panel, ct, widget, gui, wait, temporary, first_modules, moment: State
) -> None:
    from harness.gui import reload_panel

    panel.ui.inputSelector.setCurrentNode(ct)
    before = scene_state()
    at_state(panel, moment, lambda: freeze_worker(panel) if moment is State.RUNNING else None)
    panel.ui.segmentButton.click()
    wait(lambda: panel.controller.state is moment)
    pid = panel.controller.client.pid
    old_class = type(panel.controller)
    renewed = reload_panel(widget)
    try:
        assert not is_running(pid) and list(temporary.iterdir()) == [] and scene_state() == before
        assert panel.controller.state is State.IDLE
        controller = renewed.panel.controller
        assert type(controller) is not old_class, "the library was reloaded, too"
        settle(gui)
        renewed.panel.ui.segmentButton.click()
        wait(lambda: not controller.state.busy)
        assert controller.state.value == "done", controller.error
    finally:
        renewed.cleanup()


PROGRAM = """
import os, sys, tempfile
import numpy as np
sys.path[:0] = [{module!r}, {testing!r}]
from harness.gui import boot_gui, close_panel, open_panel
gui = boot_gui()
tempfile.tempdir = {temporary!r}
from helpers.sample_ct import sample_ct
from iuinet.volume import Grid, Volume
from IUINetSegmentationLib.state import State
from IUINetSegmentationLib.scene.volume_node import add_volume_node
small = sample_ct((48, 40, 32))
grid = Grid((240, 200, 160), (2.0, 2.0, 2.0), small.grid.origin, small.grid.direction)
ct = add_volume_node(Volume(np.tile(small.array, (5, 5, 5)), grid), "CT")  # long enough to be ended in
widget = open_panel("IUINetSegmentation", {module!r})
panel = widget.panel
panel.ui.inputSelector.setCurrentNode(ct)
panel.ui.segmentButton.click()
while panel.controller.state is not State.RUNNING:
    gui.app.processEvents()
print(panel.controller.client.pid, flush=True)
{end}
"""


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("close_panel(widget)", 0),  # as Slicer does it
        ("sys.exit(0)", 0),
        ("import time; time.sleep(60)", -signal.SIGKILL),
    ],
)
def test_when_slicer_ends_or_is_killed_no_worker_and_no_file_stays(
    home, temporary, end: str, status: int
) -> None:
    folders = {"module": str(MODULE_FOLDER), "testing": str(Path(__file__).resolve().parents[1])}
    program = PROGRAM.format(**folders, temporary=str(temporary), end=end)
    slicer_process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    line = slicer_process.stdout.readline()
    pid = int(line or slicer_process.stderr.read())
    if status:
        assert is_running(pid)
        os.kill(slicer_process.pid, -status)
    _, errors = communicate(slicer_process)
    assert slicer_process.returncode == status, errors
    gone = wait_until(lambda: not is_running(pid) and not list(temporary.iterdir()), what="the worker stayed")
    assert gone < 10
