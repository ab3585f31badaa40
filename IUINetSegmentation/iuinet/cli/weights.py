"""``iuinet weights``: list, verify, path, import, remove, install."""

from __future__ import annotations

import argparse
from pathlib import Path

from iuinet.console import Console
from iuinet.errors import WeightsError
from iuinet.weights import (
    Entry,
    bad_records,
    check_entry,
    download,
    find_entry,
    is_path,
    list_models,
    models_folder,
    resolve,
    user_folder,
)
from iuinet.weights.index import fetch_list, index_address, open_way


def run_list(options: argparse.Namespace, console: Console) -> None:
    """One line for each model."""
    console.say(models_table(list_models()))
    for text in bad_records():
        console.say(f"warning: {text}")


def models_table(models: tuple[Entry, ...]) -> str:
    """The models as aligned columns; the default one is marked."""
    if not models:
        return "No models are known."
    rows = [("", "id", "version", "MB", "organs", "place")]
    for model in models:
        default = "*" if model.default else ""
        size = f"{model.size / 1e6:.1f}"
        place = str(model.path) if model.path else "not on this computer"
        rows.append((default, model.id, model.version, size, str(len(model.organs)), place))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def run_verify(options: argparse.Namespace, console: Console) -> None:
    """Check the given models, or all that are here; stops at the first bad one."""
    if options.weights:
        checked = [resolve(name) for name in options.weights]
    else:
        checked = [check_entry(model) for model in list_models() if model.path is not None]
    for found in checked:
        console.say(f"{found.id} {found.version}: good, SHA-256 {found.sha256}")


def run_path(options: argparse.Namespace, console: Console) -> None:
    """Where a model lies, or where the user's models do."""
    console.say(str(models_folder() if options.weights is None else resolve(options.weights).path))


def run_import(options: argparse.Namespace, console: Console) -> None:
    """Bring a model file into the user's folder."""
    model = user_folder.import_file(Path(options.file))
    console.say(f"{model.id} {model.version} is in {model.path}")


def run_remove(options: argparse.Namespace, console: Console) -> None:
    """Take a model out of the user's folder."""
    console.say(f"Removed {user_folder.remove(options.weights)}")


def run_install(options: argparse.Namespace, console: Console) -> None:
    """Download a listed model, or report that it is here already."""
    if is_path(options.weights):
        raise WeightsError(
            f"{options.weights} is a file, and install takes the id of a listed model",
            code="weights-unknown",
            hint=f"Run 'iuinet weights import {options.weights}'.",
        )
    address = index_address()
    if address:
        fetch_list()
    model = find_entry(options.weights)
    if model.path is not None:
        try:
            found = check_entry(model)
        except WeightsError:
            if not model.urls:
                raise  # damaged, and there is nowhere to get it again
        else:
            console.say(f"{found.id} {found.version} is here already: {found.path}")
            return
    installed = download.install(model, lambda progress: console.status(progress_line(progress)))
    console.clear()
    console.say(f"{installed.id} {installed.version} is in {installed.path}")
    if address and (warning := open_way(address)):
        console.say(f"warning: {warning}")


def progress_line(progress: download.DownloadProgress) -> str:
    """Where a download stands, in one line."""
    if progress.note:
        return progress.note
    line = f"{progress.received / 1e6:.1f} of {progress.total / 1e6:.1f} MB"
    if progress.seconds_left is not None:
        line += f", {progress.bytes_per_second / 1e6:.1f} MB/s, {progress.seconds_left:.0f} s left"
    return line
