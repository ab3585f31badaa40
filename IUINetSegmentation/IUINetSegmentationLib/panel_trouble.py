"""An error in the panel: its sentence, and the buttons that help against just this one.

What an error needs depends on its code alone, so it stands in one table. The buttons' work that needs nothing
of the panel is in ``remedies.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slicer.i18n import tr as _

from iuinet.errors import Cancelled, IUINetError, WeightsError

# Failures after which a run on the CPU may help.
CPU_HELPS = {"device", "memory", "device-unusable", "device-absent", "worker-crashed", "worker-hung"}

# Which two buttons a code gets, by the names of ``titles``.
REMEDIES: Mapping[str, tuple[str, ...]] = {
    "extension-missing": ("install-extension", "by-hand"),
    **dict.fromkeys(("torch-missing", "torch-broken", "torch-too-old"), ("pytorch-utils",)),
    **dict.fromkeys(
        ("no-space", "no-permission", "certificate", "proxy", "no-connection", "set-up-failed"), ("by-hand",)
    ),
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

# The same code means another folder for models than for packages.
WEIGHTS_REMEDIES: Mapping[str, tuple[str, ...]] = {"disk-full": ("folder",)}


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
    if isinstance(error, WeightsError) and error.code in WEIGHTS_REMEDIES:
        return WEIGHTS_REMEDIES[error.code]
    return REMEDIES.get(error.code, ())


class TroubleSection:
    """Shows an error and its buttons. actions: what each remedy does, by name."""

    def __init__(self, ui: Any, actions: Mapping[str, Callable[[], None]]) -> None:
        self._ui, self._actions = ui, actions
        self._offered: tuple[str, ...] = ()
        ui.firstRemedyButton.connect("clicked(bool)", self._on_first)
        ui.secondRemedyButton.connect("clicked(bool)", self._on_second)

    def show(self, error: IUINetError | None, blocked: bool, details: bool) -> None:
        """Bring the buttons into agreement.

        blocked: whether trying again is impossible now. details: whether there is something to tell without
        an error, as of a GPU that cannot be used.
        """
        ui = self._ui
        self._offered = remedies_for(error) if error is not None else ()
        words = titles()
        for place, button in enumerate((ui.firstRemedyButton, ui.secondRemedyButton)):
            button.visible = place < len(self._offered)
            if button.visible:
                button.text = words[self._offered[place]]
        real = error is not None and error.code != "nothing-found"
        ui.retryButton.visible = real and not blocked and error.code != "restart-needed"
        ui.retryButton.text = retry_words(error)
        ui.useCpuButton.visible = real and not blocked and error.code in CPU_HELPS
        ui.detailsButton.visible = real or details

    def _on_first(self) -> None:
        self._actions[self._offered[0]]()

    def _on_second(self) -> None:
        self._actions[self._offered[1]]()


def nothing_found() -> IUINetError:
    """A run that ended well and gave nothing: no success, so it is said as an error is."""
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
    """An error as the panel says it; nothing for what the user wanted."""
    if isinstance(error, Cancelled):
        return ""
    sign = "ℹ" if error.code in ("restart-needed", "nothing-found") else "✕"
    return f"{sign} {error.message[:1].upper()}{error.message[1:]}\n{error.hint}"
