"""An error in the panel: which one it is, its sentence, and the buttons that help against just this one.

What an error needs depends on its code alone, so it stands in one table. What the buttons do is in
``remedies.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slicer.i18n import tr as _

from iuinet.errors import Cancelled, IUINetError, WeightsError
from IUINetSegmentationLib import language
from IUINetSegmentationLib.controller import Controller
from IUINetSegmentationLib.panel.log import LogSection
from IUINetSegmentationLib.state import State

# Failures after which a run on the CPU may help.
CPU_HELPS = {"device", "memory", "device-unusable", "device-absent", "worker-crashed", "worker-hung"}

# After which nothing helps before Slicer has started again.
RESTART_HELPS = {"restart-needed", "files-in-use"}

# Which two buttons a code gets, by the names of ``titles``.
REMEDIES: Mapping[str, tuple[str, ...]] = {
    "extension-missing": ("install-extension", "by-hand"),
    **dict.fromkeys(("torch-missing", "torch-broken", "torch-too-old"), ("pytorch-utils",)),
    **dict.fromkeys(
        (
            "no-space", "no-permission", "certificate", "proxy", "no-connection", "versions-clash",
            "set-up-failed",
        ),
        ("by-hand",),
    ),
    "files-in-use": ("restart", "by-hand"),
    "disk-full": ("by-hand",),
    "restart-needed": ("restart", "later"),
    **dict.fromkeys(("memory", "worker-killed"), ("region",)),
    **dict.fromkeys(
        (
            "download-offline", "download-cut", "download-status", "download-size",
            "download-certificate", "no-address", "weights-missing",
        ),
        ("install-file", "copy-address"),
    ),
    **dict.fromkeys(("weights-hash", "weights-damaged", "weights-id", "weights-metadata"), ("install-file",)),
    "weights-folder": ("folder",),
    "nothing-found": ("log",),
}  # fmt: skip


def titles() -> dict[str, str]:
    """The words on the buttons; a function, since the language is known only when Slicer runs."""
    return {
        "install-extension": _("Install extension"),
        "by-hand": _("How to install by hand"),
        "pytorch-utils": _("Open PyTorch Utils"),
        "restart": _("Restart now"),
        "later": _("Later"),
        "region": _("Use a region"),
        "install-file": _("Install from file…"),
        "copy-address": _("Copy address"),
        "folder": _("Choose folder…"),
        "log": _("Show log"),
    }


def remedies_for(error: IUINetError) -> tuple[str, ...]:
    """Names of the buttons that help against an error, at most two."""
    if isinstance(error, WeightsError) and error.code == "disk-full":
        return ("folder",)  # for models; the same code is used for the folder of packages
    return REMEDIES.get(error.code, ())


class Trouble:
    """What went wrong last, in a run of the controller or beside it.

    changed: called when that is another error or none; does nothing until the panel sets it.
    """

    def __init__(self, controller: Controller, log: LogSection) -> None:
        self._controller, self._log = controller, log
        self._beside: IUINetError | None = None  # an error that belongs to no run
        self.changed: Callable[[], None] = lambda: None

    @property
    def current(self) -> IUINetError | None:
        """The error to show, None where there is none."""
        if self._beside is not None:
            return self._beside
        if self._controller.state is State.DONE and self._controller.node is None:
            return nothing_found()
        return self._controller.error if self._controller.state is State.FAILED else None

    def say(self, error: IUINetError) -> None:
        """Show an error that belongs to no run."""
        self._log.add(error.text)
        self._beside = error
        self.changed()

    def forget(self) -> None:
        """Something new begins: an error that belongs to no run is over."""
        self._beside = None

    def dismiss(self) -> None:
        """The user has seen what went wrong."""
        self.forget()
        self._controller.forget_error()
        self.changed()

    def attempt(self, action: Callable[[], None]) -> None:
        """Do something that is not a run; what goes wrong is shown, but not that the user declined."""
        try:
            action()
        except Cancelled:
            self.dismiss()
        except IUINetError as error:
            self.say(error)


class TroubleSection:
    """Shows an error and its buttons. actions: what each remedy does, by name."""

    def __init__(self, ui: Any, actions: Mapping[str, Callable[[], None]]) -> None:
        self._ui, self._actions = ui, actions
        self._offered: tuple[str, ...] = ()
        ui.firstRemedyButton.connect("clicked(bool)", lambda: self._actions[self._offered[0]]())
        ui.secondRemedyButton.connect("clicked(bool)", lambda: self._actions[self._offered[1]]())

    def show(self, error: IUINetError | None, blocked: bool, details: bool) -> None:
        """Bring the buttons into agreement.

        blocked: whether trying again is impossible now. details: whether there is something to report without
        an error, as of a GPU that cannot be used.
        """
        ui = self._ui
        self._offered = remedies_for(error) if error is not None else ()
        words = titles()
        for place, button in enumerate((ui.firstRemedyButton, ui.secondRemedyButton)):
            offered = place < len(self._offered)
            button.visible = offered
            if offered:  # not button.visible: that is false while the user is in another module
                button.text = words[self._offered[place]]
        real = error is not None and error.code != "nothing-found"
        ui.retryButton.visible = real and not blocked and error.code not in RESTART_HELPS
        ui.retryButton.text = retry_words(error)
        ui.useCpuButton.visible = real and not blocked and error.code in CPU_HELPS
        ui.detailsButton.visible = real or details


def nothing_found() -> IUINetError:
    """A run that ended well and found nothing: not a success, so it is shown as an error is."""
    return IUINetError(
        _("Nothing was found."), hint=_("Is this the right body region?"), code="nothing-found"
    )


def retry_words(error: IUINetError | None) -> str:
    """What trying again means after this error."""
    if error is not None and error.code in ("download-cut", "download-offline"):
        return _("Resume")
    if error is not None and error.code in ("weights-hash", "weights-damaged"):
        return _("Download again")
    return _("Try again")


def sentence(error: IUINetError) -> str:
    """An error as the panel shows it; nothing for what the user wanted."""
    if isinstance(error, Cancelled):
        return ""
    sign = "ℹ" if error.code in ("restart-needed", "nothing-found") else "✕"
    return f"{sign} {language.sentence(error.message)}\n{language.sentence(error.hint)}"
