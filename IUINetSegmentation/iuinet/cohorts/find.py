"""Finds the cases in a folder of studies and volume files, or in a list of paths: by headers, not by names.

Every CT series is one case and every volume file is one. What makes none (a scout, an MR series, a label map,
a copy, a link to a folder) is kept with the reason. Nothing that lies there stops the search.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from iuinet.errors import InputRefused, UsageError
from iuinet.reading import READERS
from iuinet.reading.dicom import Found, hidden, look_at
from iuinet.reading.dicom.header import quiet_pydicom
from iuinet.reading.dicom.series import FEW_SLICES

from .source import Odd, Source, has_uid

LABELS_ENDING = ".seg.nrrd"
_HEAD = 65_536  # bytes of a volume file in which its header says whether it is a segmentation
_NIFTI_LABELS = 1002  # NIFTI_INTENT_LABEL
_DESCRIBED = (".labels.json", ".labels.txt")  # beside a label map of ours, see ``descriptions``
_COPY = "an exact copy of a series that was found before"


@dataclass
class Series:
    """What the headers say of one DICOM series. pictures: by folder, number and fingerprint of its images."""

    modality: str | None
    localizer: bool = True
    unread: int = 0
    pictures: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Images that can be read."""
        return sum(count for count, _ in self.pictures.values())


class Finder:
    """Looks through an input. leave_out: a folder inside it that is not looked at: the output.

    sources, odd: what was found. files: how many were looked at. tell(files): called now and then.
    """

    def __init__(self, leave_out: Path, tell: Callable[[int], None] = lambda files: None) -> None:
        self.sources: list[Source] = []
        self.odd: list[Odd] = []
        self.files = 0
        self._leave_out, self._tell = leave_out.resolve(), tell
        self._series: dict[tuple[str, str], Series] = {}  # by key and, where it is no UID, folder
        self._held: dict[str, set[str]] = {}  # by folder, its series

    def search(self, where: Path) -> None:
        """Find all there is.

        where: a folder, one file, or a CSV file with a column "path".
        Raises: UsageError for an input that is not there, or a list without that column.
        """
        where = Path(os.path.abspath(where))
        if not where.exists():
            raise no_input(where)
        with quiet_pydicom():
            if where.suffix.lower() == ".csv" and where.is_file():
                for path in _listed(where):
                    self._look(path)
            else:
                self._look(where)
        self._judge()
        # A list may say it twice.
        self.sources = list({source.key: source for source in self.sources}.values())

    def _look(self, path: Path) -> None:
        try:
            if path.is_dir():
                self._walk(path)
            elif path.is_file() and _is_volume(path):
                self._volume(path)
            elif path.is_file():  # a series has its other files there
                self._folder(path.parent, sorted(os.listdir(path.parent)))
            else:
                self._add_odd(path, "not-found", "it does not exist")
        except OSError:
            self._add_odd(path, "file-unreadable", "it cannot be read")

    def _walk(self, top: Path) -> None:
        def unreadable(error: OSError) -> None:
            self._add_odd(Path(error.filename or top), "folder-unreadable", "the folder cannot be read")

        for where, folders, names in os.walk(top, onerror=unreadable):
            folder = Path(where)
            for name in folders:
                if (folder / name).is_symlink():
                    self._add_odd(folder / name, "link", "a link to a folder is not followed")
            folders[:] = sorted(name for name in folders if not hidden(name))
            folders[:] = [name for name in folders if (folder / name).resolve() != self._leave_out]
            if not folders and not names:
                self._add_odd(folder, "empty-folder", "the folder is empty")
            self._folder(folder, sorted(names))

    def _folder(self, folder: Path, names: list[str]) -> None:
        """The files of one folder."""
        if str(folder) in self._held:
            return  # a list may name several files of one series
        self.files += len(names)
        self._tell(self.files)
        found = Found()
        for path in (folder / name for name in names if not hidden(name)):
            try:
                if not path.is_file():
                    self._add_odd(path, "no-file", "it is no file: a dangling link, a pipe or a device")
                elif _is_volume(path):
                    self._volume(path)
                else:
                    look_at(path, found)
            except (InputRefused, OSError):
                self._add_odd(path, "file-unreadable", "the file cannot be read")
        self._collect(folder, found)

    def _volume(self, path: Path) -> None:
        if path.name.lower().endswith(LABELS_ENDING) or _is_label_map(path):
            self._add_odd(path, "segmentation", "it is a segmentation, no CT")
        else:
            self.sources.append(Source((str(path),)))

    def _collect(self, folder: Path, found: Found) -> None:
        """Sort the images of a folder into their series."""
        place = str(folder)
        for piece in found.slices:
            series = self._series.setdefault(_known_by(piece.series_key, place), Series(piece.modality))
            count, print_ = series.pictures.get(place, (0, 0))
            mark = hashlib.blake2b(f"{piece.uid}/{piece.frame}".encode(), digest_size=8).digest()
            series.pictures[place] = count + 1, print_ ^ int.from_bytes(mark, "big")
            series.localizer &= any("LOCALIZER" in word or "SCOUT" in word for word in piece.image_type)
        keyed = [one for one in found.unread if one.series_key is not None]
        for one in keyed:
            blank = Series(one.modality, localizer=False)
            series = self._series.setdefault(_known_by(one.series_key, place), blank)
            series.unread += 1
            series.pictures.setdefault(place, (0, 0))
        self._held[place] = {piece.series_key for piece in found.slices} | {one.series_key for one in keyed}
        if not self._held[place]:  # else the reader decides whether they are missed
            for one in found.unread:
                if one.suspect:
                    words = one.refusal.message.replace(one.path.name, "[file]")
                    self._add_odd(one.path, one.refusal.code, words)
        for path in found.packed:
            self._add_odd(path, "packed", "a packed file is not opened")

    def _judge(self) -> None:
        """Which series are cases, when all of their files are known."""
        for (key, _), series in self._series.items():
            first: dict[tuple[int, int], str] = {}
            for place, pictures in sorted(series.pictures.items()):
                if pictures[0] and pictures in first:
                    self.odd.append(Odd(place, key, "copy", _COPY))
                else:
                    first[pictures] = place
            places = tuple(sorted(first.values()))
            if reason := _not_a_scan(series):
                self.odd.append(Odd(places[0], key, *reason))
            else:
                shared = any(len(self._held[place]) > 1 for place in places)
                self.sources.append(Source(places, key, shared))

    def _add_odd(self, path: Path, code: str, message: str) -> None:
        self.odd.append(Odd(str(path), "", code, message))


def _known_by(key: str, place: str) -> tuple[str, str]:
    """Without UIDs the series of two folders look like one: each is of its own folder."""
    return key, "" if has_uid(key) else place


def no_input(where: Path) -> UsageError:
    """The error for an input that is not there.

    >>> no_input(Path("studies")).message
    'there is no input studies'
    """
    hint = "Give a folder, or a CSV file of paths."
    return UsageError(f"there is no input {where}", hint=hint, code="not-found")


def _is_volume(path: Path) -> bool:
    return path.name.lower().endswith(tuple(READERS))


def _not_a_scan(series: Series) -> tuple[str, str] | None:
    """Code and reason, None for a series that may be a CT of an abdomen."""
    if series.modality != "CT":
        known = re.fullmatch("[A-Z]{2,8}", series.modality or "")
        return "not-ct", f"a series of the kind {series.modality if known else 'unknown'}, not CT"
    if series.unread:
        return None  # the reader says what is wrong with it
    if series.localizer:
        return "localizer", "a localizer, no scan"
    if series.count < FEW_SLICES:
        return "few-images", f"a series of {series.count} image{'s' * (series.count > 1)}, no scan"
    return None


def _listed(path: Path) -> Iterator[Path]:
    """The paths of a list; relative ones begin at its folder.

    Raises: UsageError "no-path-column", "list-unreadable".
    """
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.DictReader(file)
            if "path" not in (rows.fieldnames or ()):
                raise UsageError(
                    f"the list {path} has no column 'path'",
                    hint="Write 'path' into its first line, and a file or folder into each line below.",
                    code="no-path-column",
                )
            places = [row["path"].strip() for row in rows if (row["path"] or "").strip()]
    except (OSError, csv.Error) as error:
        message = f"the list {path} cannot be read: {error}"
        raise UsageError(message, hint="Save it as CSV in UTF-8.", code="list-unreadable") from error
    for place in places:
        yield Path(os.path.abspath(path.parent / place))


def _is_label_map(path: Path) -> bool:
    """Whether the header of a volume file, or what lies beside it, says that it is one."""
    ending = next(ending for ending in READERS if path.name.lower().endswith(ending))
    stem = path.name[: -len(ending)]
    if any(path.with_name(f"{stem}{described}").exists() for described in _DESCRIBED):
        return True
    with suppress(OSError, EOFError):
        opened = gzip.open if ending == ".nii.gz" else open
        with opened(path, "rb") as file:
            head = file.read(_HEAD)
        if ending in (".nrrd", ".nhdr"):
            return b"\nSegment0_" in head
        if ending in (".nii", ".nii.gz") and int.from_bytes(head[:4], "little") == 348:
            return int.from_bytes(head[68:70], "little") == _NIFTI_LABELS
    return False
