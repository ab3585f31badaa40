"""The text that a user can send with a question: versions, devices, models and folders, no patient data."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from typing import Any

import slicer

import iuinet
from iuinet.errors import IUINetError
from iuinet.weights import list_models, models_folder

PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "safetensors", "pydicom")
# Whether they are set is told, not what they hold: an address may carry a password.
VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "IUINET_HOME")


def diagnostics(devices: Mapping[str, Any], log: str) -> str:
    """Everything as lines. devices: what the probe found. log: the last lines of the worker."""
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
