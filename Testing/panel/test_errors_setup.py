"""Errors of the set-up: what is missing is asked for once, and each failure says what helps."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import slicer
from clicking import buttons, click, failed, shown
from helpers.scenes import scene_state

from iuinet.worker import piped
from IUINetSegmentationLib import installing, packages
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
    assert str(packages.make_plan().folder) in text and "replaced" not in text


def test_a_pytorch_of_other_extensions_stays_where_it_does(missing, panel) -> None:
    missing.hide()
    missing.pretend(torch="2.5.1+cu121")
    assert not packages.make_plan().needed


def test_a_pytorch_that_does_not_do_is_replaced_and_the_dialog_says_so(
    missing, ready, panel, finish, dialogs, monkeypatch
) -> None:
    missing.hide()
    missing.pretend(torch="1.13.1", torchvision="0.14.1")
    monkeypatch.delitem(sys.modules, "torch")
    panel.status.begin()
    ready("Cancel")
    finish()
    (text,) = dialogs.shown
    assert "PyTorch 1.13.1, with which IUINet does not work, is replaced for all extensions" in text
    assert packages.make_plan().requirements == ("torch>=2.10", "torchvision"), "made for one torch"


def test_a_pytorch_that_slicer_is_using_is_not_replaced_before_a_restart(
    missing, ready, panel, finish, dialogs, monkeypatch
) -> None:
    """Windows would deny it, after the whole download."""
    missing.pretend(torch="1.13.1")
    missing.hide("safetensors")
    monkeypatch.setitem(sys.modules, "torch", sys)
    ready()
    finish()
    assert "PyTorch 1.13.1 has to be replaced, and Slicer is using it" in failed(panel, "files-in-use")
    assert buttons(panel.ui)[0] == "Restart now" and missing.calls == [] and dialogs.shown == []


def test_a_set_up_that_is_declined_leaves_the_strip_as_it_was(ready, panel, finish, dialogs, missing) -> None:
    ready("Cancel")
    finish()
    assert panel.controller.state is State.CANCELLED and panel.controller.error.code == "declined"
    assert panel.ui.statusLabel.text.startswith("Set-up needed") and shown(panel) == ""
    assert missing.calls == [] and len(dialogs.shown) == 1 and buttons(panel.ui) == []


def test_the_extension_that_brings_pytorch_can_be_installed_from_here(
    ready, panel, finish, missing, gui, dialogs
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
    assert dialogs.shown == [], "Slicer does not ask again what the click has said"
    assert gui.app.extensions.interactive, "others are asked as before"
    assert "Restart Slicer" in shown(panel) and buttons(panel.ui)[:2] == ["Restart now", "Later"]


# What pip really says, and what it means --------------------------------------------------------------------

RETRY = (
    "WARNING: Retrying (Retry(total=4, connect=None, read=None, redirect=None, status=None)) after "
    "connection broken by 'NewConnectionError('<HTTPSConnection>: Failed to establish a new connection: "
    "[Errno 11001] getaddrinfo failed')': /simple/torch/"
)
RESOLVE = (  # pip 26.1, which Slicer 5.12 brings
    "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after "
    "connection broken by 'NameResolutionError(\"HTTPSConnection: Failed to resolve the host ([Errno -2] "
    "Name or service not known)\")': /simple/torch/"
)
NONE = [
    "ERROR: Could not find a version that satisfies the requirement torch>=2.10 (from versions: none)",
    "ERROR: No matching distribution found for torch>=2.10",
]
CLASH = [
    "ERROR: Cannot install torch>=2.10 and torchvision==0.17.2 because these package versions have "
    "conflicting dependencies.",
    "ERROR: ResolutionImpossible: for help visit the page of pip about dependency conflicts",
]
IN_USE = (
    "ERROR: Could not install packages due to an OSError: [WinError 5] Access is denied: "
    "'C:\\\\Slicer\\\\lib\\\\Python\\\\Lib\\\\site-packages\\\\torch\\\\lib\\\\c10.dll'"
)
OS_ERROR = "ERROR: Could not install packages due to an OSError: "
BY_HAND = ["Try again", "How to install by hand", "Copy diagnostics"]
CASES = [
    (["ProxyError('Cannot connect to proxy.')"], "proxy", "HTTPS_PROXY", BY_HAND),
    (["SSLError(CERTIFICATE_VERIFY_FAILED)"], "certificate", "SSL_CERT_FILE", BY_HAND),
    ([OS_ERROR + "[Errno 28] No space left on device"], "no-space", "disk is full", BY_HAND),
    ([OS_ERROR + "[Errno 13] Permission denied: '/opt'"], "no-permission", "may not be written to", BY_HAND),
    ([RETRY, *NONE], "no-connection", "no connection", BY_HAND),
    ([RESOLVE, "TypeError: build_source()"], "no-connection", "no connection", BY_HAND),
    (NONE, "versions-clash", "torch>=2.10", BY_HAND),
    (CLASH, "versions-clash", "ResolutionImpossible", BY_HAND),
    # The network failed once on the way, and was not the reason.
    ([RETRY, NONE[0].replace("none", "2.2.1, 2.2.2"), NONE[1]], "versions-clash", "no version", BY_HAND),
    ([IN_USE], "files-in-use", "Restart Slicer, and set up IUINet first", ["Restart now", *BY_HAND[1:]]),
    (["Collecting async-timeout", "ERROR: something new"], "set-up-failed", "something new", BY_HAND),
]


@pytest.mark.parametrize(("lines", "code", "said", "offered"), CASES)
def test_an_installation_that_fails_names_the_cause(
    ready, panel, finish, missing, lines: list[str], code: str, said: str, offered: list[str]
) -> None:
    missing.pip(lines=["Collecting torch", *lines], status=1)
    ready()
    finish()
    text = failed(panel, code)
    assert said in text and "could not be installed" in text
    assert buttons(panel.ui) == offered
    assert all(line in panel.log.text for line in lines), "pip's own words"
    click(panel.ui, "How to install by hand")
    assert "pip download" in panel.log.text and "torch>=2.10" in panel.log.text
    assert not panel.ui.logSection.collapsed


def test_on_macos_where_there_is_one_build_pip_brings_it_alone(
    ready, panel, finish, missing, monkeypatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    missing.pip(lines=["stop"], status=1)
    ready()
    finish()
    failed(panel, "set-up-failed")
    assert missing.calls == [("pip", ["torch>=2.2.2,<2.3", "numpy<2", "safetensors>=0.4.3"])]
    click(panel.ui, "How to install by hand")
    assert "'torch>=2.2.2,<2.3' 'numpy<2' 'safetensors>=0.4.3'" in panel.log.text


def test_a_slicer_without_its_python_says_so(ready, panel, finish, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(installing, "find_python", lambda: str(tmp_path / "PythonSlicer"))
    ready()
    finish()
    assert "PythonSlicer" in failed(panel, "python-missing")
    assert piped.find_python() == sys.executable


def test_after_a_failed_installation_the_next_try_goes_through(ready, panel, finish, missing, wait) -> None:
    missing.pip(lines=[RETRY], status=1)
    panel.ui.setUpButton.click()  # declined: no answer is laid ready
    finish()
    assert shown(panel) == ""
    ready()
    finish()
    failed(panel, "no-connection")
    import ctk

    missing.pip()
    ctk.ctkMessageBox.answers.append("Ok")
    click(panel.ui, "Try again")
    finish()
    assert panel.controller.state is State.DONE, panel.controller.error
    wait(lambda: panel.ui.statusLabel.text.startswith("Ready"))
    slicer.mrmlScene.RemoveNode(panel.controller.node.GetDisplayNode())
    from IUINetSegmentationLib.scene.segmentation_node import remove_node

    remove_node(panel.controller.node)


def test_the_set_up_can_be_done_by_itself_and_tried_again(missing, panel, dialogs, wait, finish) -> None:
    missing.pip(lines=["ProxyError"], status=1)
    dialogs.answers += ["Ok", "Ok"]
    panel.ui.setUpButton.click()
    finish()
    assert "the proxy does not let it through" in failed(panel, "proxy")
    assert buttons(panel.ui) == ["How to install by hand", "Copy diagnostics"], "without a volume"
    missing.pip()
    panel.ui.setUpButton.click()
    finish()
    assert panel.controller.state is State.IDLE and len(dialogs.shown) == 2
    assert shown(panel) == "" and not panel.ui.setUpButton.visible
    wait(lambda: panel.ui.statusLabel.text.startswith("Ready"))


def test_a_restart_is_offered_where_slicer_needs_one(ready, panel, finish, missing, gui, monkeypatch) -> None:
    missing.pip(sees=False)
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


def test_a_package_that_slicer_has_loaded_and_that_was_replaced_needs_a_restart(
    ready, panel, finish, missing
) -> None:
    """As numpy with the last PyTorch for Intel's macOS."""
    missing.pretend(numpy="2.4.6.before")
    ready()
    finish()
    assert "Restart Slicer to finish." in failed(panel, "restart-needed")


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
        gui.packages.folder.chmod(0o755)
        from iuinet.errors import IUINetError
        from IUINetSegmentationLib.packages import check_plan, make_plan
        plan = make_plan()
        """,
        """
        try:
            check_plan(plan)
        except IUINetError as error:
            print(error.code, error.message, gui.packages.calls)
        """,
    )
    assert told.startswith("no-permission ") and "site-packages" in told and told.endswith("[]")
