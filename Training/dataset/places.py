"""Where a file of the raw data lies: in a folder, in a zip file, or in a zip file within a zip file.

A place is a text relative to the raw root: ``Training/img/img0001.nii.gz``, ``RawData.zip::Training/...`` or
``Abdomen.zip::RawData.zip::...``. Whatever it is, ``on_disk`` gives a path that the one reader can open.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from iuinet.errors import InputRefused, OutputError, UsageError

from .nested_zip import damaged_zip, open_inner_zip

MARK = "::"
_CHUNK = 1 << 20
_JUNK = "__MACOSX"


def common_root(raws: Iterable[Path]) -> Path:
    """The folder that all given folders and zip files lie in (a folder itself if it is the only one)."""
    folders = [path if path.is_dir() else path.parent for path in (Path(os.path.abspath(r)) for r in raws)]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError as error:  # two drives
        raise UsageError(
            "the given raw data lie on different drives",
            hint="Copy or link them into one folder.",
            code="no-common-folder",
        ) from error


def list_places(raws: Iterable[Path], root: Path) -> list[str]:
    """All files under the folders and in the zip files, folders first, each in the order of names.

    Hidden files and what macOS adds to archives are left out. Raises UsageError "not-found" for a path that
    does not exist or is no folder or zip file, InputRefused "zip-damaged", "nested-zip", "folder-unreadable".
    """
    plain: list[str] = []
    for raw in (Path(os.path.abspath(path)) for path in raws):
        if raw.is_dir():
            plain += [path.relative_to(root).as_posix() for path in _files(raw)]
        elif raw.is_file() and raw.suffix.lower() == ".zip":
            plain.append(raw.relative_to(root).as_posix())
        else:
            raise UsageError(
                f"{raw} does not exist, or is neither a folder nor a zip file",
                hint="Give the folder or the zip files that hold the raw data.",
                code="not-found",
            )
    plain = list(dict.fromkeys(plain))
    zips = [place for place in plain if place.lower().endswith(".zip")]
    found = [place for place in plain if place not in zips]
    for place in zips:
        with _opened(root / place, place) as archive:
            found += _members(archive, place)
    return found


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


def _members(archive: zipfile.ZipFile, shown: str) -> list[str]:
    found = []
    for info in sorted(archive.infolist(), key=lambda info: info.filename):
        parts = info.filename.split("/")
        if info.is_dir() or _JUNK in parts or parts[-1].startswith("."):
            continue
        place = f"{shown}{MARK}{info.filename}"
        if info.filename.lower().endswith(".zip") and shown.count(MARK) == 0:
            with open_inner_zip(archive, info.filename, place) as inner:
                found += _members(inner, place)
        else:
            found.append(place)
    return found


@contextmanager
def _opened(path: Path, shown: str) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise damaged_zip(shown) from error
    except OSError as error:
        raise _unreadable(shown, error) from error
    with archive:
        yield archive


@contextmanager
def opened(root: Path, place: str) -> Iterator[tuple[BinaryIO, int]]:
    """The bytes of a place and their number. Raises InputRefused for all that keeps it from being read."""
    path, *members = place.split(MARK)
    with ExitStack() as stack:
        try:
            if not members:
                file = stack.enter_context(open(root / path, "rb"))
                size = os.fstat(file.fileno()).st_size
            else:
                archive = stack.enter_context(_opened(root / path, path))
                for member in members[:-1]:
                    archive = stack.enter_context(open_inner_zip(archive, member, place))
                file = stack.enter_context(archive.open(members[-1]))
                size = archive.getinfo(members[-1]).file_size
        except OSError as error:
            raise _unreadable(place, error) from error
        except (RuntimeError, NotImplementedError, KeyError, zipfile.BadZipFile) as error:
            raise _not_unpacked(place, error) from error
        yield file, size


def _chunks(root: Path, place: str) -> Iterator[bytes]:
    with opened(root, place) as (file, _):
        try:
            while chunk := file.read(_CHUNK):
                yield chunk
        except OSError as error:
            raise _unreadable(place, error) from error
        except (zlib.error, EOFError, zipfile.BadZipFile) as error:
            raise damaged_zip(place.rsplit(MARK, 1)[0]) from error


def same_content(root: Path, one: str, other: str) -> bool:
    """Whether two places hold the same bytes. InputRefused as ``opened``."""
    with opened(root, one) as (_, first), opened(root, other) as (_, second):
        if first != second:
            return False
    return sha256_of(root, one) == sha256_of(root, other)


def sha256_of(root: Path, place: str) -> str:
    """Hexadecimal sha256 of the bytes of a place. InputRefused as ``opened``."""
    digest = hashlib.sha256()
    for chunk in _chunks(root, place):
        digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def on_disk(root: Path, place: str, work: Path | None = None) -> Iterator[tuple[Path, str]]:
    """A path with the bytes of a place, and their sha256. A copy from a zip file is removed afterwards.

    work: folder for such copies, else the system's. Raises InputRefused, and OutputError "disk-full" where
    the copy does not fit.
    """
    if MARK not in place:
        yield root / place, sha256_of(root, place)
        return
    folder = None
    try:
        try:
            folder = Path(tempfile.mkdtemp(prefix="iuinet-", dir=work))
            copy = folder / place.rsplit(MARK, 1)[1].rsplit("/", 1)[-1]
            digest = hashlib.sha256()
            with open(copy, "wb") as file:
                for chunk in _chunks(root, place):
                    digest.update(chunk)
                    file.write(chunk)
        except OSError as error:
            raise OutputError(
                f"{place} cannot be unpacked to a temporary file: {error.strerror or error}",
                hint="Free some space there, or unpack the zip file yourself and give the folder.",
                code="disk-full",
            ) from error
        yield copy, digest.hexdigest()
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _unreadable(place: str, error: OSError) -> InputRefused:
    return InputRefused(
        f"{place} cannot be read: {error.strerror or 'the drive reports an error'}.",
        hint="Check its rights and the drive it lies on.",
        code="not-found" if isinstance(error, FileNotFoundError) else "file-unreadable",
    )


def _not_unpacked(place: str, error: Exception) -> InputRefused:
    if isinstance(error, KeyError):
        what = "is no longer there"
    elif isinstance(error, zipfile.BadZipFile):
        return damaged_zip(place.rsplit(MARK, 1)[0])
    else:
        what = "is encrypted or packed in a way that cannot be read"
    return InputRefused(
        f"{place} {what}.",
        hint="Unpack the zip file with another program and give the folder.",
        code="zip-member",
    )
