"""Models that do not arrive, arrive damaged, or are damaged later: a real server, real files, real rights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from clicking import buttons, click, failed, shown
from helpers.faulty_server import FaultyServer, serve
from helpers.model_factory import entry
from helpers.sample_ct import CHALLENGE
from helpers.scenes import scene_state

from iuinet import files as atomic
from iuinet.weights import models_folder, transfer
from iuinet.weights import server as server_module
from IUINetSegmentationLib.state import State

pytestmark = pytest.mark.needs_torch


@pytest.fixture
def server(small_model: Path) -> Iterator[FaultyServer]:
    """A web server with the small model."""
    with serve(small_model.read_bytes()) as running:
        yield running


@pytest.fixture
def listed(home, tmp_path: Path, small_model: Path, server, monkeypatch):
    """listed(way): a list of models, without their files, that the server serves in this way."""
    monkeypatch.setattr(transfer, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(server_module, "STALL_S", 5.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    index = tmp_path / "list" / "index.json"
    index.parent.mkdir()
    monkeypatch.setenv("IUINET_WEIGHTS_INDEX", str(index))

    def use(way: str) -> None:
        organs = [organ.name for organ in CHALLENGE]
        model = entry(small_model, id="small-random", version="1", organs=organs, urls=[server.address(way)])
        index.write_text(json.dumps({"format": 1, "default": "small-random", "models": [model]}))

    use("good")
    return use


@pytest.fixture
def opened(listed, ct, panel):
    """The panel with a volume and a model that is not here yet."""
    panel.ui.inputSelector.setCurrentNode(ct)
    return panel


@pytest.fixture
def choose_file(monkeypatch: pytest.MonkeyPatch):
    """choose_file(path): what the user chooses in the next file dialogs."""
    import qt

    def choose(path: Path) -> None:
        monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_: str(path))
        monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(path))

    return choose


def model_files() -> list[str]:
    """What lies in the folder of models under the name of a model."""
    return [path.name for path in models_folder().glob("*.safetensors")]


def test_a_missing_model_is_downloaded_with_a_bar_and_used(listed, opened, finish) -> None:
    listed("in-pieces")
    opened.models.refresh()
    texts = []
    original = opened.controller._changed
    opened.controller._changed = lambda: (original(), texts.append(shown(opened)))
    opened.ui.segmentButton.click()
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    assert any(text.startswith("Downloading the model") and "%" in text for text in texts)
    assert model_files() == ["small-random.safetensors"]


def test_a_listed_model_can_be_downloaded_by_a_button_that_is_seen_as_long_as_it_is_not_here(
    listed, opened, finish
) -> None:
    opened.ui.advancedSection.collapsed = False
    opened.models.refresh()
    button = opened.ui.downloadButton
    assert button.visible and button.enabled
    button.click()
    assert not button.enabled, "one at a time"
    finish()
    assert model_files() == ["small-random.safetensors"]
    assert not button.visible and opened.ui.segmentButton.enabled


def test_a_cut_download_retries_in_the_panel_then_keeps_what_came_and_resumes(
    listed, opened, finish, server, small_model
) -> None:
    listed("cuts-at-half")
    opened.models.refresh()
    texts = []
    original = opened.controller._changed
    opened.controller._changed = lambda: (original(), texts.append(shown(opened)))
    before = scene_state()
    opened.ui.segmentButton.click()
    finish()
    text = failed(opened, "download-cut")
    assert any(
        "Connection lost at 50 %" in note.replace("50%", "50 %") and "Retrying" in note for note in texts
    )
    assert "stopped at 50" in text and scene_state() == before and model_files() == []
    assert buttons(opened.ui) == ["Resume", "Install from file…", "Copy address", "Copy diagnostics"]
    click(opened.ui, "Copy address")
    import qt

    told = qt.QApplication.clipboard().text()
    assert server.address("cuts-at-half") in told and "SHA-256" in told
    listed("good")
    opened.models.refresh()
    click(opened.ui, "Resume")
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    half = small_model.stat().st_size // 2
    assert server.requests[-1] == ("good", f"bytes={half}-"), "the rest alone was fetched"


def test_the_model_can_be_brought_by_hand(listed, opened, finish, choose_file, small_model) -> None:
    listed("status/403")
    opened.models.refresh()
    opened.ui.segmentButton.click()
    finish()
    assert "403" in failed(opened, "download-status")
    choose_file(small_model)
    click(opened.ui, "Install from file…")
    assert shown(opened) == "" and buttons(opened.ui) == []
    opened.ui.segmentButton.click()
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error


def test_wrong_bytes_are_never_installed(listed, opened, finish, server) -> None:
    listed("wrong-bytes")
    opened.models.refresh()
    before = scene_state()
    opened.ui.segmentButton.click()
    finish()
    text = failed(opened, "weights-hash")
    assert "was not installed" in text and "SHA-256 is" in text and "instead of" in text
    assert model_files() == [] and list((models_folder() / "refused").iterdir())
    assert scene_state() == before
    assert buttons(opened.ui) == ["Download again", "Install from file…", "Copy diagnostics"]
    listed("good")
    opened.models.refresh()
    click(opened.ui, "Download again")
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error


def test_a_wrong_file_from_a_person_is_refused_too(opened, choose_file, tmp_path, small_model) -> None:
    damaged = tmp_path / "from-a-stick.safetensors"
    data = bytearray(small_model.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    choose_file(damaged)
    opened.ui.installFileButton.click()
    assert "another SHA-256" in shown(opened) and model_files() == []


def test_a_model_that_was_damaged_later_is_moved_away_and_fetched_again(opened, finish) -> None:
    opened.ui.segmentButton.click()
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    (path,) = models_folder().glob("*.safetensors")
    with open(path, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    before = scene_state()
    opened.ui.segmentButton.click()
    finish()
    assert "damaged or not the expected one" in failed(opened, "weights-hash")
    assert model_files() == [] and scene_state() == before
    click(opened.ui, "Download again")
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error


def test_a_full_disk_is_said_before_the_first_byte_and_another_folder_can_be_chosen(
    opened, finish, server, choose_file, tmp_path, gui, monkeypatch
) -> None:
    from iuinet.weights import places as weights_places

    full = SimpleNamespace(free=1_000_000)
    real = atomic.shutil.disk_usage
    roomy = tmp_path / "another drive"
    monkeypatch.setattr(atomic.shutil, "disk_usage", lambda p: real(p) if roomy in Path(p).parents else full)
    opened.ui.segmentButton.click()
    finish()
    text = failed(opened, "disk-full")
    assert "1 MB are free" in text and str(models_folder()) in text and server.requests == []
    assert "Choose folder…" in buttons(opened.ui)
    choose_file(roomy)
    try:
        click(opened.ui, "Choose folder…")
        assert models_folder() == roomy / "models" and shown(opened) == ""
        opened.ui.segmentButton.click()
        finish()
        assert opened.controller.state is State.DONE, opened.controller.error
        assert model_files() == ["small-random.safetensors"]
    finally:
        weights_places.use_folder(None)
        gui.app.userSettings().remove("IUINet/Folder")


def test_a_folder_of_models_that_may_not_be_written_to_is_named(as_nobody, tmp_path) -> None:
    """Without root's rights, up to the error that the panel shows; the buttons are those of the full disk."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o755)
    told = as_nobody(
        f"""
        import os, pathlib
        os.environ["IUINET_HOME"] = {str(locked)!r}
        for folder in pathlib.Path({str(locked)!r}).parents[:3]:
            folder.chmod(0o755)
        from iuinet.weights import download, transfer
        from iuinet.errors import IUINetError
        from iuinet.weights import Entry
        from harness.gui import boot_gui
        boot_gui()
        from IUINetSegmentationLib.panel.trouble import remedies_for
        urls = ("http://127.0.0.1:9/toy",)
        entry = Entry("toy", "1", "toy.safetensors", "0" * 64, 8, urls, "", (), "manifest", None)
        """,
        """
        try:
            download.install(entry)
        except IUINetError as error:
            print(error.code, error.message, remedies_for(error))
        """,
    )
    assert told.startswith("weights-folder ") and str(locked) in told and told.endswith("('folder',)")
