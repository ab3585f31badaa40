"""What the buttons below an error and beside the volume do, in the panel and in Slicer around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from iuinet.errors import IUINetError
from iuinet.weights import places as weights_places
from IUINetSegmentationLib.packages import EXTENSION, make_plan
from IUINetSegmentationLib.panel.log import LogSection
from IUINetSegmentationLib.panel.models import ModelSection
from IUINetSegmentationLib.panel.trouble import Trouble
from IUINetSegmentationLib.scene.region import add_region, halve_region, place_region
from IUINetSegmentationLib.scene.views import centre_on

FOLDER_SETTING = "IUINet/Folder"


class Remedies:
    """Does what the buttons offer, on the panel's widgets."""

    def __init__(self, ui: Any, models: ModelSection, log: LogSection, trouble: Trouble) -> None:
        self._ui, self._models, self._log, self._trouble = ui, models, log, trouble

    def actions(self) -> dict[str, Callable[[], None]]:
        """All of them, by the names in trouble.py and volume.py."""
        return {
            "install-extension": lambda: self._trouble.attempt(install_extension),
            "by-hand": lambda: self._show_log(how_to_install()),
            "pytorch-utils": lambda: slicer.util.selectModule("PyTorchUtils"),
            "restart": restart,
            "later": self._trouble.dismiss,
            "region": self._use_region,
            "place": self._place_region,
            "harden": self._harden,
            "install-file": self._install_file,
            "copy-address": self._copy_address,
            "folder": self._choose_folder,
            "log": lambda: self._show_log([]),
        }

    def _install_file(self) -> None:
        """The user has the model's file: with it there, the error is over."""
        if self._models.choose_file():
            self._trouble.dismiss()

    def _copy_address(self) -> None:
        """What those who run the network need to let the model through."""
        entry = self._models.entry
        lines = [f"{entry.id} {entry.version}", *entry.urls, f"SHA-256 {entry.sha256}", f"{entry.size} bytes"]
        slicer.app.clipboard().setText("\n".join(lines))

    def _choose_folder(self) -> None:
        if choose_models_folder():
            self._models.refresh()
            self._trouble.dismiss()

    def _use_region(self) -> None:
        """Segment less: a box over the middle of the scan, and where there is one already, half of it."""
        volume, region = self._ui.inputSelector.currentNode(), self._ui.regionSelector.currentNode()
        if volume is None:
            return
        if region is None:
            region = add_region(volume, _("Region to segment"))
        else:
            halve_region(region)
        self._ui.advancedSection.collapsed = False
        self._ui.regionSelector.setCurrentNode(region)
        centre_on(region)

    def _place_region(self) -> None:
        region = self._ui.regionSelector.currentNode()
        place_region(region, self._ui.inputSelector.currentNode())
        centre_on(region)

    def _harden(self) -> None:
        selector = self._ui.inputSelector
        selector.setCurrentNode(hardened_copy(selector.currentNode()))

    def _show_log(self, lines: list[str]) -> None:
        for line in lines:
            self._log.add(line)
        self._ui.logSection.collapsed = False


def install_extension() -> None:
    """Get Slicer's PyTorch extension; Slicer would restart by itself, which the user is to decide.

    Raises: IUINetError "extension-missing" for a failure, "restart-needed" for success.
    """
    manager = slicer.app.extensionsManagerModel()
    asks = manager.interactive
    manager.setInteractive(False)  # the click has said it: Slicer would ask again, and for each dependency
    try:
        # The second argument keeps Slicer from restarting at once.
        installed = manager.installExtensionFromServer(EXTENSION, False)
    finally:
        manager.setInteractive(asks)
    if not installed:
        raise IUINetError(
            "the PyTorch extension could not be installed",
            code="extension-missing",
            hint="Check the network, or install the extension PyTorch in the Extensions Manager.",
        )
    raise IUINetError(
        "the PyTorch extension is installed", code="restart-needed", hint="Restart Slicer to finish."
    )


def restart() -> None:
    """Start Slicer again; what is not saved is offered to be saved first, and declining that stops it."""
    scene = slicer.mrmlScene
    if (scene.GetModifiedSinceRead() or unsaved_nodes()) and not slicer.util.openSaveDataDialog():
        return
    slicer.util.restart()


def unsaved_nodes() -> list[Any]:
    """The nodes of the scene with data that no file holds."""
    nodes = slicer.util.getNodesByClass("vtkMRMLStorableNode")
    return [node for node in nodes if node.GetModifiedSinceRead() and not node.GetHideFromEditors()]


def how_to_install() -> list[str]:
    """The way by hand, for computers without a connection, as lines for the log."""
    plan = make_plan()
    needed = plan.requirements
    return [
        _("To install by hand:"),
        _("1. On a computer with a connection, the same system and the same Python version, run"),
        f"   pip download --only-binary :all: -d packages {' '.join(repr(name) for name in needed)}",
        _("2. Bring the folder packages to this computer, and run in Slicer's Python console:"),
        "   slicer.util.pip_install(['--no-index', '--find-links', '<packages>', "
        + ", ".join(repr(name) for name in needed)
        + "])",
        _("3. Start Slicer again. The packages go to {folder}.").format(folder=plan.folder),
    ]


def choose_models_folder() -> bool:
    """Ask for another folder for models and remember it; returns whether one was chosen."""
    path = qt.QFileDialog.getExistingDirectory(
        slicer.util.mainWindow(), _("Choose a folder for models"), str(weights_places.user_folder())
    )
    if path:
        slicer.app.userSettings().setValue(FOLDER_SETTING, str(path))
        weights_places.use_folder(str(path))
    return bool(path)


def restore_models_folder() -> None:
    """Use the folder that was chosen in an earlier session; IUINET_HOME, set since, goes before it."""
    remembered = slicer.app.userSettings().value(FOLDER_SETTING)
    if remembered and not weights_places.is_set():
        weights_places.use_folder(str(remembered))


def hardened_copy(volume: Any) -> Any:
    """A copy of a volume node with its transform applied to the voxels; the volume itself stays."""
    name = _("{name} (transform applied)").format(name=volume.GetName())
    copy = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, volume, name)
    slicer.vtkSlicerTransformLogic().hardenTransform(copy)
    return copy
