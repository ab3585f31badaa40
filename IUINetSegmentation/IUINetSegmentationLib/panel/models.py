"""The panel's advanced part: device, model, organs, and the models on this computer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from iuinet.errors import IUINetError
from iuinet.options import Options
from iuinet.quality import by_verdict, qualities
from iuinet.weights import Entry, list_models, models_folder, resolve
from iuinet.weights.model_file import read_document
from iuinet.weights.user_folder import import_file, remove
from IUINetSegmentationLib.language import error_text, listed, localized, organ_name

from .result import quality_text

AUTOMATIC = "auto"


class ModelSection:
    """Keeps the lists of devices, models and organs; ``changed`` is called when a choice changes."""

    def __init__(self, ui: Any, changed: Callable[[], None], failed: Callable[[IUINetError], None]) -> None:
        self._ui, self._changed, self._failed = ui, changed, failed
        self._models: tuple[Entry, ...] = ()
        self._organs: tuple[str, ...] = ()  # the rows of the list of organs, by the model's names
        self._restoring = False
        self._wanted = AUTOMATIC  # the device that was asked for, whether it is known yet or not
        self.show_devices({})
        self.refresh()
        ui.modelComboBox.connect("currentIndexChanged(int)", self._on_model)
        ui.deviceComboBox.connect("currentIndexChanged(int)", self._on_device)
        ui.organsList.connect("itemChanged(QListWidgetItem*)", self._on_organs)
        ui.installFileButton.connect("clicked(bool)", self.choose_file)
        ui.deleteModelButton.connect("clicked(bool)", self._on_delete)
        ui.openFolderButton.connect("clicked(bool)", self._on_open_folder)

    # What is chosen ---------------------------------------------------------------------------------

    @property
    def device(self) -> str:
        """ "auto", "cpu", "cuda:N" or "mps"."""
        return self._ui.deviceComboBox.itemData(self._ui.deviceComboBox.currentIndex) or AUTOMATIC

    @property
    def wanted_device(self) -> str:
        """The device that was asked for, also one that the worker has not found yet."""
        return self._wanted

    @property
    def entry(self) -> Entry | None:
        """The chosen model, None where there is none."""
        index = self._ui.modelComboBox.currentIndex
        return self._models[index] if 0 <= index < len(self._models) else None

    @property
    def timed(self) -> Options | None:
        """The options that decide how long the network takes; None while the chosen model is not here."""
        if self.entry is None or self.entry.path is None:
            return None
        return Options(str(self.entry.path), self.device)

    @property
    def organs(self) -> tuple[str, ...] | None:
        """The checked organs; None for all."""
        left_out = self.left_out
        return tuple(name for name in self._organs if name not in left_out) if left_out else None

    @property
    def passes(self) -> int:
        """How often the chosen model's network runs; 1 where that is not known."""
        if self.entry is None or self.entry.path is None:
            return 1
        try:
            return 2 if read_document(self.entry.path)["preprocessing"].get("second_pass") else 1
        except IUINetError:
            return 1  # the model's card shows what is wrong with it

    # Lists ------------------------------------------------------------------------------------------

    def show_devices(self, found: dict[str, Any]) -> None:
        """Offer the devices that the probe of the worker found; {} while it is not known."""
        box = self._ui.deviceComboBox
        box.blockSignals(True)
        box.clear()
        box.addItem(_("Automatic"), AUTOMATIC)
        for gpu in found.get("gpus", []):
            if gpu["usable"]:
                text = _("{name}, {free:.1f} GB free").format(name=gpu["name"], free=gpu["free"] / 1e9)
                box.addItem(text, gpu["device"])
        box.addItem(_("CPU"), "cpu")
        box.currentIndex = max(0, box.findData(self._wanted))
        box.blockSignals(False)

    def refresh(self) -> None:
        """Read the list of models again."""
        try:
            self._models = list_models()
        except IUINetError as error:
            self._models = ()
            self._failed(error)
        box, before = self._ui.modelComboBox, self._ui.modelComboBox.currentText
        box.blockSignals(True)
        box.clear()
        for entry in self._models:
            box.addItem(f"{entry.id} {entry.version}")
        wanted = box.findText(before)
        box.currentIndex = wanted if wanted >= 0 else self._default
        box.blockSignals(False)
        self._show_model()

    @property
    def _default(self) -> int:
        """The row of the model that is used unless another one is chosen."""
        return next((row for row, entry in enumerate(self._models) if entry.default), 0)

    def _show_model(self) -> None:
        entry = self.entry
        self._ui.modelCardLabel.text = card(entry) if entry else _("No model is known.")
        here = entry is not None and entry.path is not None
        self._ui.downloadButton.visible = entry is not None and not here and bool(entry.urls)
        self._ui.deleteModelButton.enabled = here and entry.path.parent == models_folder()
        self._ui.organsList.blockSignals(True)
        self._ui.organsList.clear()
        self._organs = tuple(entry.organs) if entry else ()
        for name in self._organs:
            item = qt.QListWidgetItem(organ_name(name))
            item.setCheckState(qt.Qt.Checked)
            self._ui.organsList.addItem(item)
        self._ui.organsList.blockSignals(False)

    # What the user does -----------------------------------------------------------------------------

    def _on_model(self) -> None:
        self._show_model()
        self._changed()

    def _on_device(self) -> None:
        self._wanted = self.device
        self._changed()

    def _on_organs(self) -> None:
        if not self._restoring:
            self._changed()

    @property
    def left_out(self) -> list[str]:
        """The organs that are not checked."""
        rows = [self._ui.organsList.item(row) for row in range(self._ui.organsList.count)]
        named = zip(self._organs, rows, strict=True)
        return [name for name, item in named if item.checkState() != qt.Qt.Checked]

    def restore(self, device: str, model: str, left_out: Sequence[str]) -> None:
        """Choose what a scene remembers, as far as it is here; a device may be found later.

        model: its id, "" for the default. left_out: names of organs.
        """
        self._restoring = True  # what is chosen here was stored before
        self._wanted = device
        self._ui.deviceComboBox.blockSignals(True)
        self._ui.deviceComboBox.currentIndex = max(0, self._ui.deviceComboBox.findData(device))
        self._ui.deviceComboBox.blockSignals(False)
        row = next((n for n, entry in enumerate(self._models) if entry.id == model), self._default)
        if row != self._ui.modelComboBox.currentIndex:
            self._ui.modelComboBox.blockSignals(True)
            self._ui.modelComboBox.currentIndex = row
            self._ui.modelComboBox.blockSignals(False)
            self._show_model()
        for row, name in enumerate(self._organs):
            state = qt.Qt.Unchecked if name in left_out else qt.Qt.Checked
            self._ui.organsList.item(row).setCheckState(state)
        self._restoring = False

    def choose_file(self) -> bool:
        """Let the user choose a model file, and install it; returns whether a model came in."""
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Install a model from a file"), "", _("Models (*.safetensors)")
        )
        # PythonQt returns the name, other bindings the name and the filter.
        path = path[0] if isinstance(path, tuple) else path
        return bool(path) and self.install(Path(path))

    def install(self, path: Path) -> bool:
        """Check a model file and keep it; what is wrong with it is shown. Returns whether it was taken."""
        try:
            entry = import_file(path)
        except IUINetError as error:
            self._failed(error)
            return False
        self.refresh()
        row = self._ui.modelComboBox.findText(f"{entry.id} {entry.version}")
        if row >= 0:
            self._ui.modelComboBox.currentIndex = row
        self._changed()
        return True

    def _on_delete(self) -> None:
        entry = self.entry
        if entry is None or not slicer.util.confirmOkCancelDisplay(
            _("Delete the model {name} from this computer?").format(name=f"{entry.id} {entry.version}")
        ):
            return
        try:
            remove(entry.id)
        except IUINetError as error:
            self._failed(error)
        self.refresh()

    def _on_open_folder(self) -> None:
        models_folder().mkdir(parents=True, exist_ok=True)
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(models_folder())))


def card(entry: Entry) -> str:
    """What a user should know of a model before relying on it."""
    count = _("{organs} organs").format(organs=len(entry.organs))
    file = _("File: {size:.0f} MB, SHA-256 {sha}…").format(size=entry.size / 1e6, sha=entry.sha256[:8])
    if entry.path is None:
        where = _("It is downloaded when it is first used.") if entry.urls else _("Its file is not here.")
        return "\n".join([count, where, file])
    try:
        document = resolve(entry.path).document
    except IUINetError as error:
        return "\n".join([count, f"⚠ {error_text(error)}", file])
    # First of all what it is good for.
    lines = [
        _("{verdict}: {names}.").format(verdict=quality_text(verdict), names=listed(names))
        for verdict, names in by_verdict(qualities(document)).items()
    ]
    lines.append(count)
    trained_on = training_data(document.get("training", {}))
    lines += [localized(trained_on)] if trained_on else []
    lines += [_("Licence: {name}.").format(name=document["license"])] if document.get("license") else []
    lines += [localized(str(document["intended_use"]))] if document.get("intended_use") else []
    return "\n".join([*lines, file])


def training_data(training: Mapping[str, Any]) -> str:
    """What a model was trained on: its maker's words, else what the training wrote down, else ""."""
    data = training.get("data")
    if isinstance(data, Mapping):
        return str(training.get("description") or data.get("statement") or "")
    return str(data or training.get("description") or "")
