"""Gives the files of a case neutral names while it is read, so that no message about them can hold another.

The reader says which file is damaged, by its name. In a private folder links stand for the files: what the
reader knows of a name, its ending and which other files are named alike, stays so.
"""

from __future__ import annotations

import functools
import os
import shutil
import string
from pathlib import Path

from iuinet.errors import InputRefused
from iuinet.reading import READERS
from iuinet.reading.dicom import DICOM_ENDINGS, FOREIGN_ENDINGS, Found, hidden, look_at
from iuinet.reading.dicom.header import quiet_pydicom
from iuinet.reading.dicom.unread import pattern_of

from .source import Source

_HEAD = 65_536  # bytes of a header that names the files of its voxels
_DETACHED = (".mhd", ".nhdr")  # headers whose voxels lie in other files


def link_files(source: Source, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Link a case's files into a folder; returns what to read, and the names that could not be hidden.

    Raises: InputRefused "not-found", "no-permission" for files that are gone or closed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     scan = Path(place, "Doe^Jane.nrrd")
    ...     _ = scan.write_bytes(b"NRRD0004")
    ...     link_files(Source((str(scan),)), Path(place, "links"))[0].name
    'volume.nrrd'
    """
    folder.mkdir()
    if source.series:
        for number, place in enumerate(source.places):
            _link_series(Path(place), source, folder / str(number))
        return folder, ()
    return _link_volume(Path(source.places[0]), folder)


def _link_volume(path: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
    ending = next(ending for ending in READERS if path.name.lower().endswith(ending))
    if not path.exists():
        raise InputRefused("The file is no longer there.", hint="Bring it back.", code="not-found")
    link = folder / f"volume{ending}"
    _link(path, link)
    voxels = _voxel_files(path) if ending in _DETACHED else []
    for other in voxels:
        _link(other, folder / other.name)  # the header names it
    return link, tuple(other.name for other in voxels)


def _voxel_files(path: Path) -> list[Path]:
    """Files beside a header that it names."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
        beside = [other for other in path.parent.iterdir() if other != path and other.is_file()]
    except OSError:
        return []  # the reader says why
    return [other for other in beside if os.fsencode(other.name) in head]


def _link_series(place: Path, source: Source, folder: Path) -> None:
    folder.mkdir()
    try:
        paths = sorted(path for path in place.iterdir() if not hidden(path.name) and path.is_file())
    except FileNotFoundError as error:
        message = "The folder of the series is no longer there."
        raise InputRefused(message, hint="Bring it back.", code="not-found") from error
    except PermissionError as error:
        message = "There is no permission to read the folder of the series."
        raise InputRefused(message, hint="Ask for read access.", code="no-permission") from error
    if source.shared:
        keys = _keys_in(place, place.stat().st_mtime_ns)
        paths = [path for path in paths if keys.get(path.name, frozenset()) & {source.series, None}]
    kinds: dict[object, str] = {}
    for number, path in enumerate(paths):
        kind = kinds.setdefault(pattern_of(path), _letters(len(kinds)))
        _link(path, folder / f"{kind}-{number:06d}{_ending(path)}")


@functools.lru_cache(maxsize=2)
def _keys_in(place: Path, time: int) -> dict[str, frozenset[str | None]]:
    """The series of each file of a folder; None where nothing says of which it is.

    Kept, as the next case often lies in the same folder. time: of the folder's last change.
    """
    found_in: dict[str, frozenset[str | None]] = {}
    with quiet_pydicom():
        for path in place.iterdir():
            if hidden(path.name) or not path.is_file():
                continue
            found = Found()
            look_at(path, found)
            keys = {piece.series_key for piece in found.slices} | {one.series_key for one in found.unread}
            found_in[path.name] = frozenset(keys)
    return found_in


def _ending(path: Path) -> str:
    """The ending if it is one of a kind of file; names of files hold dots, too."""
    ending = path.suffix.lower()
    if ending[1:].isdigit():
        return ""  # a UID
    return ending if ending in DICOM_ENDINGS | FOREIGN_ENDINGS else ".other"


def _letters(number: int) -> str:
    """a, b, ... z, then several letters, never eight that could be a hexadecimal number."""
    name = ""
    while number >= 0:
        name = string.ascii_lowercase[number % 26] + name
        number = number // 26 - 1
    return name


def _link(path: Path, link: Path) -> None:
    try:
        os.symlink(path, link)
    except OSError:  # Windows asks for a right, some drives know no links
        shutil.copyfile(path, link)
