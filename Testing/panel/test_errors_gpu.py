"""GPUs that do not compute or whose memory is short, as the panel shows them: real worker, stand-in GPU."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
from clicking import buttons, click
from helpers.fake_gpu import NAME
from helpers.scenes import segment_arrays

from iuinet.worker import child
from IUINetSegmentationLib.state import State

pytestmark = pytest.mark.needs_torch

PROGRAM = """#!{python}
import os, runpy, sys
sys.path.insert(0, {testing!r})
from helpers.fake_gpu import FakeGpu
with FakeGpu({options}):
    runpy.run_module("iuinet.worker", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """gpu(options): the worker runs on an interpreter whose torch finds a GPU, in the ways of FakeGpu."""

    def use(options: str = "") -> None:
        script = tmp_path / "python-with-a-gpu"
        testing = str(Path(__file__).resolve().parents[1])
        script.write_text(PROGRAM.format(python=sys.executable, testing=testing, options=options))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(child, "find_python", lambda: str(script))

    return use


@pytest.fixture
def opened(request, wait):
    """opened(): the panel with a volume, when it knows this computer."""

    def open_it():
        ct, panel = request.getfixturevalue("ct"), request.getfixturevalue("panel")
        panel.ui.inputSelector.setCurrentNode(ct)
        wait(lambda: panel.status.devices)
        return panel

    return open_it


def test_a_gpu_that_works_is_offered_by_name_and_memory_and_used(home, gpu, opened, wait, dialogs) -> None:
    gpu("limit=9.8e9")
    panel = opened()
    assert panel.ui.statusLabel.text.startswith(f"Ready – {NAME}, 9.8 GB free")
    box = panel.ui.deviceComboBox
    assert [box.itemText(n) for n in range(box.count)] == ["Automatic", f"{NAME}, 9.8 GB free", "CPU"]
    panel.ui.segmentButton.click()
    wait(lambda: not panel.controller.state.busy)
    assert panel.controller.state is State.DONE, panel.controller.error
    assert panel.controller.report["device"] == NAME and panel.controller.report["fallbacks"] == []
    assert panel.controller.node.GetAttribute("IUINet.Device") == NAME and dialogs.shown == []


def test_a_gpu_that_computes_wrongly_is_named_and_the_cpu_is_used(home, gpu, opened, wait, dialogs) -> None:
    import qt

    gpu("wrong=True")
    panel = opened()
    assert "the GPU cannot be used" in panel.ui.statusLabel.text
    assert panel.ui.segmentButton.enabled and dialogs.shown == []
    wait(lambda: buttons(panel.ui) == ["Copy diagnostics"])
    click(panel.ui, "Copy diagnostics")
    assert f"GPU cuda:0 {NAME}: " in qt.QApplication.clipboard().text()
    panel.ui.segmentButton.click()
    wait(lambda: not panel.controller.state.busy)
    assert panel.controller.state is State.DONE, panel.controller.error
    assert panel.controller.report["device"] == "cpu"


def test_a_driver_that_is_too_old_is_said_with_its_version(home, gpu, opened, dialogs) -> None:
    gpu("old_driver=True")
    panel = opened()
    assert "driver is too old: it has CUDA 11.4, PyTorch needs 12.8" in panel.ui.statusLabel.text
    assert "Update the NVIDIA driver" in panel.ui.statusLabel.text
    assert panel.ui.segmentButton.enabled and dialogs.shown == []


CPU_BUILD = """#!{python}
import os, runpy, torch
torch.version.cuda = torch.version.hip = None
os.environ["PATH"] = {folder!r} + os.pathsep + os.environ["PATH"]
runpy.run_module("iuinet.worker", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("driver", "said"),
    [
        ("550.90.07", "is not used: PyTorch here is a CPU build. Install a build of PyTorch for CUDA"),
        ("470.57.02", "driver 470.57.02 is too old for any other. Update the NVIDIA driver to 525 or newer"),
    ],
)
def test_a_gpu_beside_a_cpu_build_is_named_with_what_to_do(
    home, opened, tmp_path, monkeypatch, wait, driver: str, said: str
) -> None:
    import qt

    program, smi = tmp_path / "python-for-the-cpu", tmp_path / "nvidia-smi"
    program.write_text(CPU_BUILD.format(python=sys.executable, folder=str(tmp_path)))
    smi.write_text(f"#!/bin/sh\necho 'Tesla T4, {driver}'\n")
    for path in (program, smi):
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(child, "find_python", lambda: str(program))
    panel = opened()
    wait(lambda: "on the CPU. The GPU Tesla T4 is not used: " in panel.ui.statusLabel.text)
    assert said in panel.ui.statusLabel.text
    assert panel.ui.segmentButton.enabled and buttons(panel.ui) == ["Copy diagnostics"]
    click(panel.ui, "Copy diagnostics")
    assert "GPU cuda:0 Tesla T4: PyTorch here is a CPU build" in qt.QApplication.clipboard().text()


def test_a_gpu_whose_memory_is_short_gives_way_to_the_cpu_and_the_panel_says_so(
    home, gpu, opened, wait, dialogs, ct
) -> None:
    gpu("limit=3_000_000")
    panel = opened()
    notes = []
    original = panel.controller._changed
    panel.controller._changed = lambda: (original(), notes.append(panel.ui.progressLabel.text))
    panel.ui.segmentButton.click()
    wait(lambda: not panel.controller.state.busy)
    assert panel.controller.state is State.DONE, panel.controller.error
    report = panel.controller.report
    assert report["device"] == "cpu" and report["fallbacks"]
    assert dialogs.shown == [], "no popup"
    for sentence in report["fallbacks"]:
        assert sentence in panel.ui.resultLabel.text
    assert segment_arrays(panel.controller.node, ct)
    assert any(report["fallbacks"][-1] in note for note in notes), "it is said while it happens"
