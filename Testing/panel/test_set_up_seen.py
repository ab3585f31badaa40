"""A set-up under way: what pip says is seen, the application goes on, and Cancel really ends it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import slicer
from clicking import buttons, shown
from helpers.waiting import is_running

from IUINetSegmentationLib.state import State

pytestmark = pytest.mark.needs_torch
MODULE = Path(__file__).resolve().parents[2] / "IUINetSegmentation"


@pytest.fixture
def setting_up(gui, scene, home, dialogs, request, wait, tmp_path, monkeypatch):
    """setting_up(**orders): the panel of a computer without packages, its set-up begun with such a pip."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    gui.packages.hide("torch", "safetensors")

    def begin(**orders):
        panel = request.getfixturevalue("panel")
        gui.packages.pip(**orders)
        dialogs.answers.append("Ok")
        panel.ui.setUpButton.click()
        wait(lambda: (gui.packages.folder / "pids").exists())
        return panel

    yield begin
    assert list(temporary.iterdir()) == [], "nothing that was fetched is left"


def pids(gui) -> list[int]:
    return [int(word) for word in (gui.packages.folder / "pids").read_text().split()]


def test_what_pip_says_is_seen_while_slicer_goes_on(setting_up, gui, wait, dialogs) -> None:
    import qt

    lines = ["Collecting torch>=2.10", "Progress 1000 of 4000", "Installing collected packages: torch"]
    panel = setting_up(lines=lines, seconds=0.4)
    ui, ticks = panel.ui, []
    timer = qt.QTimer()
    timer.interval = 20
    timer.connect("timeout()", lambda: ticks.append(shown(panel)))
    timer.start()
    assert panel.controller.state is State.SETTING_UP
    assert ui.cancelButton.visible and ui.progressBar.visible and not ui.segmentButton.visible
    assert ui.statusLabel.text == "IUINet is being set up…"
    wait(lambda: not panel.controller.state.busy)
    timer.stop()
    assert panel.controller.state is State.IDLE, panel.controller.error
    assert "Setting up\nCollecting torch>=2.10" in ticks and "Setting up: downloading 25%" in {
        text.partition("\n")[0] for text in ticks
    }
    assert lines[0] in panel.log.text and lines[2] in panel.log.text and "Progress" not in panel.log.text
    assert len(ticks) > 20, "the window works on while pip is silent"
    assert len(dialogs.shown) == 1


def test_cancel_ends_pip_and_what_it_started(setting_up, gui, wait) -> None:
    lines = ["Downloading torch.whl (2.7 GB)"] * 1000
    panel = setting_up(lines=lines, seconds=0.1, child=True, fetched=10**6)
    running = pids(gui)
    assert len(running) == 2 and all(map(is_running, running))
    wait(lambda: "2.7 GB" in shown(panel))
    panel.ui.cancelButton.click()
    assert wait(lambda: not panel.controller.state.busy) < 2
    wait(lambda: not any(map(is_running, running)))
    assert panel.controller.state is State.CANCELLED and shown(panel).startswith("Cancelled after")
    assert panel.ui.setUpButton.visible and panel.ui.setUpButton.enabled and buttons(panel.ui) == []


def test_slicer_that_closes_takes_pip_with_it(setting_up, gui, wait, widget) -> None:
    setting_up(lines=["Downloading"] * 1000, seconds=0.1, child=True)
    running = pids(gui)
    widget.panel.close()
    wait(lambda: not any(map(is_running, running)))


def test_the_worker_ends_before_its_files_are_replaced(setting_up, gui, wait) -> None:
    panel = setting_up(lines=["Collecting"] * 3, seconds=0.2)
    assert panel.controller.client.pid is None
    wait(lambda: not panel.controller.state.busy)


@pytest.mark.parametrize("how", ["5.10.0", "5.11.0-2025-12-01", "no packaging"])
def test_a_slicer_that_is_too_old_says_so_before_anything_fails(
    gui, ct, home, monkeypatch, how: str, dialogs
) -> None:
    from harness.gui import close_panel, open_panel

    if how == "no packaging":
        monkeypatch.delitem(sys.modules, "slicer.packaging")
        monkeypatch.delattr(slicer, "packaging")
    else:
        monkeypatch.setattr(type(gui.app), "applicationVersion", how)
    widget = open_panel("IUINetSegmentation", MODULE)
    try:
        ui = widget.ui
        ui.inputSelector.setCurrentNode(ct)
        gui.app.processEvents()
        assert "needs Slicer 5.12 or newer" in ui.statusLabel.text and not ui.setUpButton.visible
        assert not ui.segmentButton.enabled and "5.12" in ui.segmentButton.toolTip
        assert "48 × 40 × 32" in ui.checksLabel.text, "the panel can be read"
        assert widget.panel.controller.client.pid is None and dialogs.shown == []
    finally:
        close_panel(widget)
