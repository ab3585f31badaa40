"""A new user's whole way: no torch, no model, one dialog, to a segmentation open in Segment Editor."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from clicking import shown
from helpers.faulty_server import serve
from helpers.model_factory import entry
from helpers.sample_ct import CHALLENGE, sample_ct
from helpers.waiting import is_running

from iuinet.weights import models_folder
from IUINetSegmentationLib.scene.volume_node import add_volume_node
from IUINetSegmentationLib.state import State

pytestmark = pytest.mark.needs_torch


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every address that this process connects to over the network."""
    made: list[tuple[str, int]] = []
    original = socket.socket.connect

    def connect(self: socket.socket, address: object) -> object:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            made.append(address[:2])
        return original(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    return made


@pytest.fixture
def server(small_model: Path):
    """The web server of the model, the only one there is."""
    with serve(small_model.read_bytes()) as running:
        yield running


@pytest.fixture
def bare(gui, scene, home, server, tmp_path: Path, small_model: Path, monkeypatch):
    """A computer with Slicer and the extension alone: no torch, no safetensors, no model file."""
    gui.packages.hide("torch", "safetensors")
    organs = [organ.name for organ in CHALLENGE]
    model = entry(
        small_model, id="small-random", version="1", organs=organs, urls=[server.address("in-pieces")]
    )
    index = tmp_path / "list" / "index.json"
    index.parent.mkdir()
    index.write_text(json.dumps({"format": 1, "default": "small-random", "models": [model]}))
    monkeypatch.setenv("IUINET_WEIGHTS_INDEX", str(index))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return gui


def test_from_no_torch_and_no_model_to_segment_editor(
    bare, connections, server, dialogs, wait, small_model
) -> None:
    from harness.gui import close_panel, open_panel

    # Click 1: a CT is loaded. Nothing of ours runs.
    ct = add_volume_node(sample_ct((48, 40, 32)), "CT")
    # Click 2: the module is opened. The volume is chosen, what is missing is said, nothing is asked.
    widget = open_panel("IUINetSegmentation", Path(__file__).resolve().parents[2] / "IUINetSegmentation")
    panel, ui = widget.panel, widget.ui
    try:
        assert ui.inputSelector.currentNode() is ct and ui.segmentButton.enabled
        assert ui.statusLabel.text.startswith("Set-up needed") and ui.setUpButton.visible
        assert panel.controller.client.pid is None and dialogs.shown == [] and connections == []
        # Click 3: Segment, and its one dialog.
        texts, states = [], []
        original = panel.controller._changed

        def changed() -> None:
            original()
            texts.append(shown(panel))
            states.append(panel.controller.state)

        panel.controller._changed = changed
        dialogs.answers.append("Ok")
        ui.segmentButton.click()
        wait(lambda: not panel.controller.state.busy)
        assert panel.controller.state is State.DONE, panel.controller.error
        (question,) = dialogs.shown
        for words in (
            "PyTorch",
            "safetensors",
            "the model",
            "Nothing about your images leaves this computer",
        ):
            assert words in question
        # The states in the order of the design, with true progress of the download.
        order = list(dict.fromkeys(states))
        assert order == [
            State.CHECKING, State.SETTING_UP, State.DOWNLOADING, State.EXPORTING, State.RUNNING,
            State.IMPORTING, State.DONE,
        ]  # fmt: skip
        assert any(text.startswith("Downloading the model") and "%" in text for text in texts)
        assert "Finished" in shown(panel)
        # Installed by their own ways, downloaded once, checked, and nothing else was connected to.
        assert bare.packages.calls == [
            ("pip", ["light-the-torch>=0.8.1"]),
            ("light_the_torch", ["torch>=2.10", "safetensors>=0.4.3"]),
        ]
        assert [way for way, _ in server.requests] == ["in-pieces"]
        assert {port for _, port in connections} == {server.server_port}
        assert (models_folder() / small_model.name).read_bytes() == small_model.read_bytes()
        # The result is there, in place and named; the strip is ready for the next time.
        node = panel.controller.node
        assert node.GetName() == "CT segmentation" and node.GetSegmentation().GetNumberOfSegments() > 0
        assert "structures found" in ui.resultLabel.text
        wait(lambda: ui.statusLabel.text.startswith("Ready"))
        assert not ui.setUpButton.visible
        # Click 4: on to Segment Editor, with segmentation and volume chosen.
        ui.editButton.click()
        assert bare.app.modules_shown == ["SegmentEditor"]
        assert bare.editor.segmentation is node and bare.editor.volume is ct
        # The second time: no dialog, no download, the same worker.
        pid = panel.controller.client.pid
        ui.segmentButton.click()
        wait(lambda: not panel.controller.state.busy)
        assert panel.controller.state is State.DONE and panel.controller.client.pid == pid
        assert len(dialogs.shown) == 1 and len(server.requests) == 1
    finally:
        close_panel(widget)
    assert not is_running(pid)
