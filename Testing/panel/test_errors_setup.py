"""Errors of the set-up: what is missing is asked for once, and each failure says what helps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import slicer
from clicking import buttons, click, failed, shown
from helpers.scenes import scene_state

from IUINetSegmentationLib import packages
from IUINetSegmentationLib.state import State

pytestmark = pytest.mark.needs_torch


@pytest.fixture
def missing(gui, scene):
    """A computer without torch and safetensors; it has to be asked for before the panel is made."""
    gui.packages.hide("torch", "safetensors")
    return gui.packages


@pytest.fixture
def ready(missing, ct, panel):
    """The panel on such a computer with a volume chosen; gives a function that clicks Segment."""
    panel.ui.inputSelector.setCurrentNode(ct)
    before = scene_state()

    def segment(answer: str = "Ok") -> None:
        import ctk

        ctk.ctkMessageBox.answers.append(answer)
        panel.ui.segmentButton.click()

    yield segment
    assert scene_state() == before, "nothing came into the scene"


def test_one_dialog_names_what_how_much_and_where_to(ready, panel, finish, dialogs) -> None:
    assert panel.ui.statusLabel.text.startswith("Set-up needed") and panel.ui.setUpButton.visible
    ready("Cancel")
    finish()
    (text,) = dialogs.shown
    for words in ("PyTorch", "GB", "safetensors", "free", "Nothing about your images leaves this computer"):
        assert words in text
    assert str(packages.make_plan().folder) in text


def test_a_set_up_that_is_declined_leaves_the_strip_as_it_was(ready, panel, finish, dialogs, missing) -> None:
    ready("Cancel")
    finish()
    assert panel.controller.state is State.CANCELLED
    assert panel.ui.statusLabel.text.startswith("Set-up needed") and shown(panel) == ""
    assert missing.calls == [] and len(dialogs.shown) == 1 and buttons(panel.ui) == []


def test_the_extension_that_brings_pytorch_can_be_installed_from_here(
    ready, panel, finish, missing, gui
) -> None:
    missing.extension = False
    ready()
    finish()
    assert "PyTorch extension" in failed(panel, "extension-missing")
    assert buttons(panel.ui)[1:3] == ["Install extension", "How to install by hand"]
    gui.app.extensions.works = False
    click(panel.ui, "Install extension")
    assert "could not be installed" in shown(panel)
    gui.app.extensions.works = True
    click(panel.ui, "Install extension")
    # The second value keeps Slicer from restarting without being asked.
    assert gui.app.extensions.calls == [("PyTorch", False)] * 2
    assert "Restart Slicer" in shown(panel) and buttons(panel.ui)[:2] == ["Restart now", "Later"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("ProxyError('Cannot connect to proxy.')", "proxy", "HTTPS_PROXY"),
        ("SSLError(CERTIFICATE_VERIFY_FAILED)", "certificate", "SSL_CERT_FILE"),
        ("OSError: [Errno 28] No space left on device", "no-space", "disk is full"),
        ("[Errno 13] Permission denied: '/opt'", "no-permission", "may not be written to"),
        ("NewConnectionError: getaddrinfo failed", "no-connection", "no connection"),
        ("ERROR: No matching distribution found for torch>=2.10", "set-up-failed", "torch>=2.10"),
    ],
)
def test_an_installation_that_fails_names_the_cause(
    ready, panel, finish, missing, words: str, code: str, said: str
) -> None:
    missing.failure = f"Collecting torch\n{words}"
    ready()
    finish()
    text = failed(panel, code)
    assert said in text and "could not be installed" in text
    assert buttons(panel.ui) == ["Try again", "How to install by hand", "Copy diagnostics"]
    click(panel.ui, "How to install by hand")
    assert "pip download" in panel.log.text and "torch>=2.10" in panel.log.text
    assert not panel.ui.logSection.collapsed


def test_after_a_failed_installation_the_next_try_goes_through(ready, panel, finish, missing, wait) -> None:
    missing.failure = "NewConnectionError"
    panel.ui.setUpButton.click()  # declined: no answer is laid ready
    assert shown(panel) == ""
    ready()
    finish()
    failed(panel, "no-connection")
    import ctk

    ctk.ctkMessageBox.answers.append("Ok")
    click(panel.ui, "Try again")
    finish()
    assert panel.controller.state is State.DONE, panel.controller.error
    wait(lambda: panel.ui.statusLabel.text.startswith("Ready"))
    slicer.mrmlScene.RemoveNode(panel.controller.node.GetDisplayNode())
    from IUINetSegmentationLib.scene.segmentation_node import remove_node

    remove_node(panel.controller.node)


def test_the_set_up_can_be_done_by_itself_and_tried_again(missing, panel, dialogs, wait) -> None:
    missing.failure = "ProxyError"
    dialogs.answers += ["Ok", "Ok", "Ok"]  # the question, Slicer's own message of the failure, the question
    panel.ui.setUpButton.click()
    assert "the proxy does not let it through" in shown(panel) and panel.controller.state is State.IDLE
    assert buttons(panel.ui) == ["How to install by hand", "Copy diagnostics"], "without a volume"
    panel.ui.setUpButton.click()
    assert shown(panel) == "" and not panel.ui.setUpButton.visible
    wait(lambda: panel.ui.statusLabel.text.startswith("Ready"))


def test_a_pytorch_that_slicer_cannot_import_is_the_workers_to_judge(
    ready, panel, missing, monkeypatch, wait
) -> None:
    """The extension imports what it installed; that this fails in Slicer does not mean that it fails."""
    missing.import_fails = True
    monkeypatch.setattr(panel.controller, "_bring_weights", lambda weights: iter(()))
    ready()
    wait(lambda: panel.controller.state is State.EXPORTING)
    panel.ui.cancelButton.click()
    wait(lambda: not panel.controller.state.busy)
    assert panel.controller.state is State.CANCELLED
    assert [call for call, _ in missing.calls] == ["installTorch", "pip_ensure"]


def test_a_restart_is_offered_where_slicer_needs_one(ready, panel, finish, missing, gui, monkeypatch) -> None:
    missing.needs_restart = True
    ready()
    finish()
    assert "Restart Slicer to finish." in failed(panel, "restart-needed")
    assert buttons(panel.ui) == ["Restart now", "Later", "Copy diagnostics"]
    saved, before = [], gui.app.restarts
    monkeypatch.setattr(slicer.util, "openSaveDataDialog", lambda: saved.append(1) or False, raising=False)
    click(panel.ui, "Restart now")
    assert saved == [1] and gui.app.restarts == before, "whoever does not save does not restart"
    monkeypatch.setattr(slicer.util, "openSaveDataDialog", lambda: True, raising=False)
    click(panel.ui, "Restart now")
    assert gui.app.restarts == before + 1
    click(panel.ui, "Later")
    assert panel.controller.state is State.IDLE and shown(panel) == "" and buttons(panel.ui) == []


def test_a_disk_without_room_is_refused_before_anything_is_fetched(
    ready, panel, finish, missing, monkeypatch
) -> None:
    monkeypatch.setattr(packages.shutil, "disk_usage", lambda folder: SimpleNamespace(free=3_000_000_000))
    ready()
    finish()
    text = failed(panel, "disk-full")
    assert "6.5 GB" in text and "3.0 GB are free" in text and missing.calls == []


def test_while_another_module_installs_packages_the_button_says_so(ready, panel, missing, wait) -> None:
    missing.in_progress = True
    panel.refresh()
    assert not panel.ui.segmentButton.enabled
    assert "Another module is installing" in panel.ui.segmentButton.toolTip
    missing.in_progress = False
    wait(lambda: panel.ui.segmentButton.enabled)


def test_a_folder_that_may_not_be_written_to_is_named_before_anything_is_fetched(as_nobody) -> None:
    told = as_nobody(
        """
        from harness.gui import boot_gui
        gui = boot_gui()
        gui.packages.hide("torch")
        from iuinet.errors import IUINetError
        from IUINetSegmentationLib.packages import make_plan, set_up
        plan = make_plan()
        """,
        """
        try:
            set_up(plan)
        except IUINetError as error:
            print(error.code, error.message, gui.packages.calls)
        """,
    )
    assert told.startswith("no-permission ") and "site-packages" in told and told.endswith("[]")
