"""Starts the application with its Qt half once for all panel tests, and gives each test its own panel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE_FOLDER = ROOT / "IUINetSegmentation"
sys.path[:0] = [str(MODULE_FOLDER), str(ROOT / "Testing"), str(Path(__file__).parent)]

Wait = Callable[..., float]


@pytest.fixture(scope="session")
def gui():
    """The running application with its Qt half."""
    from harness.gui import boot_gui

    return boot_gui()


@pytest.fixture
def home(tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty per-user folder, and a list of models that holds the small one as the default."""
    from helpers.model_factory import entry

    metrics = {"real_scans": {"data": "invented", "grid": "native", "organs": _MEASURED}}
    listed = entry(small_model, id="small-random", version="1", organs=[*_organs()], metrics=metrics)
    index = small_model.parent / "index.json"
    index.write_text(json.dumps({"format": 1, "default": "small-random", "models": [listed]}))
    monkeypatch.setenv("IUINET_WEIGHTS_INDEX", str(index))
    monkeypatch.setenv("IUINET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # the same everywhere: no GPU
    return tmp_path / "home"


_MEASURED = {  # one organ of each kind; the others were not measured
    "liver": {"cases": 14, "median": 0.94, "worst": 0.91},
    "aorta": {"cases": 14, "median": 0.81, "worst": 0.67},
    "pancreas": {"cases": 14, "median": 0.45, "worst": 0.0},
}


def _organs() -> list[str]:
    from helpers.sample_ct import CHALLENGE

    return [organ.name for organ in CHALLENGE]


@pytest.fixture
def scene(gui) -> Iterator[object]:
    """An empty scene, every package installed, no dialog shown, no slot failed; the same afterwards."""
    import ctk
    import qt

    gui.headless.clear_scene()
    gui.packages.reset()
    gui.app.modules_shown.clear()
    ctk.ctkMessageBox.shown.clear()
    ctk.ctkMessageBox.answers.clear()
    qt.errors.clear()
    yield gui.headless.scene
    gui.headless.clear_scene()
    gui.packages.reset()
    assert qt.errors == []


@pytest.fixture(scope="session")
def warm_worker() -> Iterator[object]:
    """A client whose worker outlives the panels that use it."""
    from iuinet.worker import WorkerClient

    class WarmWorker(WorkerClient):
        def close(self) -> None:
            if self._run is not None:
                self._run.drop()

    worker = WarmWorker()
    yield worker
    WorkerClient.close(worker)


@pytest.fixture
def one_worker(gui, warm_worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what comes after a run: none has to start a worker. To be asked for before the panel."""
    from IUINetSegmentationLib import controller

    monkeypatch.setattr(controller, "WorkerClient", lambda *_: warm_worker)


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Slicer's Python is a launcher, as in the application; to be asked for before the panel."""
    from helpers.launcher import write_launcher

    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(sys, "executable", str(write_launcher(folder)))
    return folder


@pytest.fixture
def widget(gui, scene, home) -> Iterator[object]:
    """The module's widget, opened and entered as a user does; closed at the end, its worker with it."""
    from harness.gui import close_panel, open_panel

    opened = open_panel("IUINetSegmentation", MODULE_FOLDER)
    yield opened
    close_panel(opened)
    gui.app.processEvents()


@pytest.fixture
def panel(widget):
    """The panel in the widget."""
    return widget.panel


@pytest.fixture
def dialogs() -> type:
    """The dialogs that were shown (``shown``), and the answers that are laid ready (``answers``)."""
    import ctk

    return ctk.ctkMessageBox


@pytest.fixture
def wait(gui) -> Wait:
    """wait(condition): let Qt work until the condition holds; fails when nothing moves any more."""
    from helpers.waiting import wait_until

    return lambda condition: wait_until(condition, gui.app.processEvents)


@pytest.fixture
def finish(panel, wait) -> Wait:
    """finish(): let the run go on to its end, whatever that is."""
    return lambda: wait(lambda: not panel.controller.state.busy)


@pytest.fixture
def ct(scene):
    """A small generated CT in the scene, made by the same call as in the MRML tests."""
    from helpers.sample_ct import sample_ct

    from IUINetSegmentationLib.scene.volume_node import add_volume_node

    return add_volume_node(sample_ct((48, 40, 32)), "CT")


# As root everything may be written; a program in /root may be started by nobody else, so the rights go after
# the imports.
DROP_RIGHTS = "import os\nif os.geteuid() == 0:\n    os.setgid(65534)\n    os.setuid(65534)\n"


@pytest.fixture
def as_nobody() -> Callable[[str, str], str]:
    """as_nobody(first, then): what a program prints that does ``then`` without root's rights."""

    def run(first: str, then: str) -> str:
        program = f"{textwrap.dedent(first)}\n{DROP_RIGHTS}\n{textwrap.dedent(then)}"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
