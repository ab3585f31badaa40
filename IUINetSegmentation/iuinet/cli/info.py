"""``iuinet info``: what one needs to find out why it does not work on a computer."""

from __future__ import annotations

import argparse
import json
import platform
from importlib import metadata
from typing import Any

from iuinet import __version__
from iuinet.console import Console
from iuinet.devices import cpu_count, probe
from iuinet.errors import IUINetError, WeightsError
from iuinet.weights import Entry, bad_records, list_models, manifest_path, models_folder

from .weights import models_table

_PACKAGES = ("torch", "numpy", "SimpleITK", "safetensors", "pydicom", "scipy", "matplotlib")


def run(options: argparse.Namespace, console: Console) -> None:
    """Print versions, devices, folders and models."""
    models, document = _gather()
    if options.json:
        console.say(json.dumps(document, indent=2))
    else:
        console.say(_as_text(models, document))


def _gather() -> tuple[tuple[Entry, ...], dict[str, Any]]:
    """The models and the JSON document; what cannot be found out is replaced by the reason."""
    versions = {"iuinet": __version__, "python": platform.python_version(), "system": platform.platform()}
    versions |= {name: _version(name) for name in _PACKAGES}
    try:
        devices: dict[str, Any] = probe()
    except IUINetError as error:
        devices = {"cpu": {"cores": cpu_count()}, "gpus": [], "error": f"{error.message} ({error.code})"}
    document: dict[str, Any] = {"versions": versions, "devices": devices}
    models: tuple[Entry, ...] = ()
    try:
        document["folders"] = {"models": str(models_folder()), "list": str(manifest_path())}
        document["bad_records"] = bad_records()
        models = list_models()
    except WeightsError as error:
        document["weights_error"] = f"{error.message} ({error.code})"
    document["weights"] = [_describe(model) for model in models]
    return models, document


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _describe(model: Entry) -> dict[str, Any]:
    document = {name: getattr(model, name) for name in ("id", "version", "sha256", "size", "default")}
    return {**document, "path": str(model.path) if model.path else None}


def _as_text(models: tuple[Entry, ...], document: dict[str, Any]) -> str:
    lines = ["Versions"]
    lines += [f"  {name:<12}{version or 'not installed'}" for name, version in document["versions"].items()]
    devices = document["devices"]
    lines += ["", "Devices", f"  cpu         {devices['cpu']['cores']} cores"]
    for gpu in devices["gpus"]:
        memory = f"{gpu['free'] / 2**30:.1f} of {gpu['total'] / 2**30:.1f} GiB free"
        lines.append(f"  {gpu['device']:<12}{gpu['name']}, {memory}{'' if gpu['usable'] else ': not usable'}")
        lines += [f"              {gpu['reason']}"] if gpu["reason"] else []
    lines += [f"  {devices['error']}"] if "error" in devices else []
    lines += ["", "Folders"]
    lines += [f"  {name:<12}{place}" for name, place in document.get("folders", {}).items()]
    lines += ["", "Models (* is the default)"]
    lines += [f"  {document['weights_error']}"] if "weights_error" in document else []
    lines += [f"  {text}" for text in document.get("bad_records", ())]
    lines += [f"  {line}" for line in models_table(models).splitlines()]
    return "\n".join(lines)
