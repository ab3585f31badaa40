"""Reads the CT in a DICOM folder: finds the images, picks the scan, checks its place, decodes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from iuinet.errors import InputRefused
from iuinet.volume import Volume

from .grid import order_slices
from .header import FileRefused, Slice, is_dicom, quiet_pydicom, read_slices
from .layout import check_layout
from .pixels import decode
from .series import choose_stack
from .unread import Unread, cause_of, notes_on, of_series, refuse_what_is_missed

HEAD_BYTES = 132  # preamble and magic word
MAX_FILES = 50_000  # a folder with more is a whole archive, not a scan
DICOM_ENDINGS = frozenset({"", ".dcm", ".dic", ".dicom", ".ima"})
MARKED_ENDINGS = DICOM_ENDINGS - {""}
PACKED_ENDINGS = frozenset({".zip", ".gz", ".7z", ".rar", ".tar", ".tgz", ".bz2", ".xz", ".zst"})
FOREIGN_ENDINGS = frozenset(
    {".txt", ".csv", ".json", ".xml", ".htm", ".html", ".pdf", ".md", ".log", ".ini", ".inf", ".doc", ".docx"}
    | {".xls", ".xlsx", ".py", ".m", ".exe", ".dll", ".bat", ".raw"}
    | PACKED_ENDINGS
    | {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".svg", ".mp4", ".avi"}
    | {".nii", ".nrrd", ".nhdr", ".mha", ".mhd"}
)


@dataclass
class Found:
    """What a folder holds. files: how many; links: to folders, which are not followed (they may loop)."""

    slices: list[Slice] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    files: int = 0
    packed: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)


def read_dicom(path: Path, name: str, series: str | None = None) -> Volume:
    """A folder (with its subfolders), or one file: then its series, from the files beside it.

    series: UID of the series to read, or its start or end. The notes of the volume name what was chosen.
    Raises: InputRefused; its codes stand in the files of this folder.

    >>> from pydicom.data import get_testdata_file
    >>> import shutil, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = shutil.copy(get_testdata_file("CT_small.dcm"), folder)
    ...     read_dicom(Path(folder), "ct").array.shape
    (1, 128, 128)
    """
    with quiet_pydicom():
        found = _scan_folder(path) if path.is_dir() else _scan_beside(path)
        try:
            chosen, notes = choose_stack(found.slices, series)
        except InputRefused as error:
            raise (of_series(found.unread, series) if series else None) or error from error
        refuse_what_is_missed(found.unread, chosen, asked=bool(series) or path.is_file())
        check_layout(chosen.slices)
        try:
            ordered, grid, more = order_slices(chosen.slices)
        except InputRefused as error:
            raise cause_of(error, found.unread) from error
        links = [f"The link to the folder {link.name} was not followed." for link in found.links]
        notes = (*notes, *more, *notes_on(found.unread), *links)
        names = (*(one.path.name for one in found.unread), *(link.name for link in found.links))
        slices = tuple((one.path, one.frame) for one in ordered)
        return Volume(decode(ordered), grid, name, chosen.first.modality, notes, names=names, slices=slices)


def file_is_dicom(path: Path) -> bool:
    """True if the file's first bytes are DICOM's.

    Raises: OSError where it cannot be opened.

    >>> from pydicom.data import get_testdata_file
    >>> file_is_dicom(Path(get_testdata_file("CT_small.dcm")))
    True
    """
    with open(path, "rb") as file:
        return is_dicom(file.read(HEAD_BYTES))


def _scan_folder(folder: Path) -> Found:
    """The image planes of all DICOM files in a folder and its subfolders, by file name.

    Raises: InputRefused "no-dicom", "no-permission", "too-many-files"; where nothing could be read, what
    was wrong with the first file.
    """
    found = Found()
    for path in _files(folder, found.links):
        found.files += 1
        if found.files > MAX_FILES:
            raise InputRefused(
                f"The folder holds more than {MAX_FILES} files.",
                hint="Give the folder of one study or series.",
                code="too-many-files",
            )
        look_at(path, found)
    if found.slices:
        return found
    for one in found.unread:
        if one.suspect:
            raise one.refusal
    raise _no_dicom(folder, found)


def _no_dicom(folder: Path, found: Found) -> InputRefused:
    hint = "Give the folder of a CT series, or a NIfTI, NRRD or MetaImage file."
    what = f"holds no DICOM images ({found.files} other files)" if found.files else "is empty"
    if found.packed:
        count = f"{len(found.packed)} packed file{'s' if len(found.packed) > 1 else ''}"
        what = f"holds no DICOM images, but {count} such as {found.packed[0].name}"
        hint = "Unpack them first, and give the folder with the unpacked files."
    elif found.links:
        what = f"holds no DICOM images, but a link to a folder ({found.links[0].name}), which is not followed"
        hint = "Give the folder that the link leads to."
    return InputRefused(f"The folder {folder.name} {what}.", hint=hint, code="no-dicom")


def _scan_beside(path: Path) -> Found:
    own = read_slices(path)
    if not own:
        raise InputRefused(
            f"{path.name} is a DICOM file without an image.",
            hint="Give a file or the folder of a CT series.",
            code="no-dicom",
        )
    found = Found(slices=own)
    if own[0].layout.frames > 1:
        return found
    for other in sorted(path.parent.iterdir()):
        if other != path and other.is_file() and not hidden(other.name):
            look_at(other, found)
    found.slices = [piece for piece in found.slices if piece.series_key == own[0].series_key]
    return found


def look_at(path: Path, found: Found) -> None:
    """Puts the file where it belongs in ``found``. Raises: InputRefused "no-permission".

    >>> from pydicom.data import get_testdata_file
    >>> found = Found()
    >>> look_at(Path(get_testdata_file("CT_small.dcm")), found)
    >>> len(found.slices)
    1
    """
    ending = path.suffix.lower()
    ending = "" if ending[1:].isdigit() else ending  # many archives name files by their UID
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
        if is_dicom(head):
            found.slices += read_slices(path)
            return
    except FileRefused as error:
        found.unread.append(Unread(path, error, suspect=True))
        return
    except PermissionError as error:
        if ending in FOREIGN_ENDINGS:
            return
        raise no_permission(path) from error
    if ending in PACKED_ENDINGS and not path.name.lower().endswith(".nii.gz"):
        found.packed.append(path)
    if ending not in DICOM_ENDINGS | PACKED_ENDINGS:
        return
    what = "is cut off or damaged: it is named like a DICOM file but is not one"
    if not head:
        what = "is empty"
    elif ending in PACKED_ENDINGS:
        what = "is packed: unpack it first"
    refusal = InputRefused(
        f"The file {path.name} {what}.",
        hint="Copy the series again from its source.",
        code="file-damaged" if head else "file-empty",
    )
    suspect = ending in MARKED_ENDINGS or (ending == "" and (not head or b"\0" in head))
    found.unread.append(Unread(path, refusal, suspect))


def no_permission(path: Path) -> InputRefused:
    """The refusal for a file or folder that this user may not read.

    >>> no_permission(Path("ct.dcm")).message
    'There is no permission to read ct.dcm.'
    """
    return InputRefused(
        f"There is no permission to read {path.name}.",
        hint="Ask for read access, or copy the data to a folder of your own.",
        code="no-permission",
    )


def _files(folder: Path, links: list[Path]) -> Iterator[Path]:
    """All visible files, folder by folder, by name; links to folders are put into ``links``."""

    def refuse(error: OSError) -> None:
        if isinstance(error, PermissionError):
            raise no_permission(Path(error.filename or folder)) from error
        raise error

    for where, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not hidden(name))
        links += [Path(where) / name for name in folders if (Path(where) / name).is_symlink()]
        paths = (Path(where) / name for name in sorted(names) if not hidden(name))
        yield from (path for path in paths if path.is_file())  # no pipes, devices or dangling links


def hidden(name: str) -> bool:
    """Whether a name in a folder is the system's, and no part of a study.

    >>> hidden(".DS_Store"), hidden("IM0001.dcm")
    (True, False)
    """
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db")
