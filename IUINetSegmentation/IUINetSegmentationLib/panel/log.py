"""The panel's log and its diagnostics: plain text without patient data, to be copied, saved or sent."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

import iuinet
from iuinet.errors import IUINetError
from iuinet.weights import list_models, models_folder

LONGEST = 2000  # lines
PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "safetensors", "pydicom")
# Whether they are set is reported, not what they hold: an address may carry a password.
VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "IUINET_HOME")


class LogSection:
    """Collects the lines of the module and of its worker process."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        ui.logText.maximumBlockCount = LONGEST
        ui.copyLogButton.connect("clicked(bool)", self._on_copy)
        ui.saveLogButton.connect("clicked(bool)", self._on_save)

    @property
    def text(self) -> str:
        """All lines."""
        return self._ui.logText.plainText

    def add(self, line: str) -> None:
        """Add a line; plain text, so that nothing in it can act as markup."""
        self._ui.logText.appendPlainText(line)

    def add_error(self, error: IUINetError) -> None:
        """Add what went wrong; of something unforeseen also where in the program it happened."""
        self.add(error.text)
        if error.code == "failed" and error.__cause__ is not None:
            for line in traceback.format_exception(error.__cause__):
                self.add(line.rstrip())

    def _on_copy(self) -> None:
        slicer.app.clipboard().setText(self.text)

    def _on_save(self) -> None:
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save the log"), "iuinet-log.txt", _("Text (*.txt)")
        )
        path = path[0] if isinstance(path, tuple) else path
        if path:
            Path(path).write_text(self.text, encoding="utf-8")


def diagnostics(devices: Mapping[str, Any], log: str) -> str:
    """What a user can send with a question: versions, devices, models, folders and the log.

    devices: what the probe found. log: its lines.
    """
    lines = [
        f"IUINet {iuinet.__version__}, Slicer {slicer.app.applicationVersion}",
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}",
        *(f"{name} {_version(name)}" for name in PACKAGES),
    ]
    for gpu in devices.get("gpus", []):
        state = (
            f"{gpu['free'] / 1e9:.1f} of {gpu['total'] / 1e9:.1f} GB free" if gpu["usable"] else gpu["reason"]
        )
        lines.append(f"GPU {gpu['device']} {gpu['name']}: {state}")
    if "cpu" in devices:
        lines.append(f"CPU: {devices['cpu']['cores']} cores, {devices['cpu']['threads']} threads used")
    lines += [f"{name}: {'set' if os.environ.get(name) else 'not set'}" for name in VARIABLES]
    lines += [f"Models: {models_folder()}", *_models(), "", log]
    return "\n".join(lines).rstrip() + "\n"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _models() -> list[str]:
    try:
        return [
            f"Model {entry.id} {entry.version} {entry.sha256[:8]}: {'here' if entry.path else 'not here'}"
            for entry in list_models()
        ]
    except IUINetError as error:
        return [f"List of models: {error.message}"]
