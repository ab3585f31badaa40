"""The files of the raw data: which ones lie below the given folders, and what bytes they hold.

A file is named by its place: its path relative to the raw root, with forward slashes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from iuinet.errors import InputRefused, UsageError
from iuinet.reading import read_volume
from iuinet.volume import Volume

from .transunet_files import files_of, is_part, read_part

_JUNK = "__MACOSX"


def common_root(raws: Iterable[Path]) -> Path:
    """The folder that all given folders lie in (a folder itself if it is the only one).

    Raises: UsageError "zip" for a zip file, "not-found" for what else is not a folder, "no-common-folder" for
    folders on several drives.
    """
    folders = [Path(os.path.abspath(raw)) for raw in raws]
    for folder in folders:
        if folder.is_file() and folder.suffix.lower() == ".zip":
            raise UsageError(
                f"{folder} is a zip file, and raw data are read from folders",
                hint=f"Unzip it first (unzip {folder.name} -d {folder.stem}), with the zip files that lie in "
                f"it, and give the folder {folder.stem}.",
                code="zip",
            )
        if not folder.is_dir():
            hint = "Give the folder that holds the raw data."
            raise UsageError(f"{folder} does not exist, or is not a folder", hint=hint, code="not-found")
    try:
        return Path(os.path.commonpath(folders))
    except ValueError as error:  # two drives
        text, hint = "the given raw data lie on different drives", "Copy or link them into one folder."
        raise UsageError(text, hint=hint, code="no-common-folder") from error


def list_files(raws: Iterable[Path], root: Path) -> list[str]:
    """Places of all files below the folders, in the order of names.

    Hidden files and what macOS adds to archives are left out.
    Raises: InputRefused "folder-unreadable" for a folder that the system does not open.
    """
    files = (path for raw in raws for path in _files(Path(os.path.abspath(raw))))
    return list(dict.fromkeys(path.relative_to(root).as_posix() for path in files))


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder; links are followed, but no folder is walked through twice."""

    def refuse(error: OSError) -> None:
        raise InputRefused(
            f"The folder {error.filename} cannot be read: {error.strerror}.",
            hint="Check its rights and the drive it lies on.",
            code="folder-unreadable",
        ) from error

    walked = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(parent)
        if real in walked:
            folders.clear()
            continue
        walked.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != _JUNK)
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def read_raw(root: Path, place: str) -> Volume:
    """The volume at a place. Raises: IUINetError as its reader does."""
    return read_part(root, place) if is_part(place) else read_volume(root / place)


def sha256_of(root: Path, place: str) -> str:
    """Hexadecimal sha256 of a file's bytes, or over those of all files behind a place.

    Raises: InputRefused "not-found" or "file-unreadable" for a file that the system does not open.
    """
    if is_part(place):
        digests = [sha256_of(root, path.relative_to(root).as_posix()) for path in files_of(root, place)]
        return hashlib.sha256(" ".join(digests).encode()).hexdigest()
    try:
        with open(root / place, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputRefused(
            f"{place} cannot be read: {error.strerror or 'the drive reports an error'}.",
            hint="Check its rights and the drive it lies on.",
            code="not-found" if isinstance(error, FileNotFoundError) else "file-unreadable",
        ) from error
