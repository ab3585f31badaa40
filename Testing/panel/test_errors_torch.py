"""PyTorch that is there and does not work, and computers without a GPU that can be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from clicking import buttons, click, failed
from helpers.scenes import scene_state

pytestmark = pytest.mark.needs_torch


@pytest.fixture
def torch_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """torch_like(source): what worker processes get for torch instead of the real one."""
    import os

    def use(source: str) -> None:
        package = tmp_path / "other" / "torch"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package.parent), os.environ["PYTHONPATH"]]))

    return use


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("__version__ = '1.13.1'", "torch-too-old", "1.13.1 is too old"),
        (
            "raise OSError('[WinError 126] Error loading c10.dll')",
            "torch-broken",
            "PyTorch is installed but does not start: OSError: [WinError 126] Error loading c10.dll",
        ),
    ],
)
def test_a_pytorch_that_does_not_work_is_explained_and_can_be_mended(
    torch_like, gui, ct, home, request, wait, source: str, code: str, said: str
) -> None:
    torch_like(source)
    panel = request.getfixturevalue("panel")
    # The strip says it before anybody clicks.
    wait(lambda: said in panel.ui.statusLabel.text)
    assert "Open PyTorch Utils" in buttons(panel.ui)
    before = scene_state()
    panel.ui.segmentButton.click()
    wait(lambda: not panel.controller.state.busy)
    assert said in failed(panel, code)
    assert scene_state() == before
    assert buttons(panel.ui) == ["Try again", "Open PyTorch Utils", "Copy diagnostics"]
    click(panel.ui, "Open PyTorch Utils")
    assert gui.app.modules_shown == ["PyTorchUtils"]
    click(panel.ui, "Copy diagnostics")
    import qt

    assert said[:40] in qt.QApplication.clipboard().text()


def test_without_a_gpu_the_strip_says_so_and_the_button_stays(panel, ct, wait, dialogs) -> None:
    panel.ui.inputSelector.setCurrentNode(ct)
    wait(lambda: panel.status.devices)
    wait(lambda: panel.ui.statusLabel.text.startswith("Ready – no GPU: "))
    assert panel.ui.statusLabel.text.endswith("s on the CPU")
    assert panel.ui.segmentButton.enabled and dialogs.shown == []
