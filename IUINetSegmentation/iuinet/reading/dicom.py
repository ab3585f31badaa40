"""Reads the CT in a DICOM folder: finds the images, picks the scan, checks its place, decodes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from iuinet.errors import InputRefused
from iuinet.volume import Volume

from .dicom_grid import order_slices
from .dicom_header import Slice, is_dicom, quiet_pydicom, read_slices
from .dicom_pixels import check_layout, decode
from .dicom_series import choose_stack

HEAD_BYTES = 132  # preamble and magic word
MAX_FILES = 50_000  # a folder with more is a whole archive, not a scan
DICOM_ENDINGS = frozenset({"", ".dcm", ".dic", ".dicom", ".ima"})
MARKED_ENDINGS = DICOM_ENDINGS - {""}
FOREIGN_ENDINGS = frozenset(
    {".txt", ".csv", ".json", ".xml", ".htm", ".html", ".pdf", ".md", ".log", ".ini", ".inf", ".doc", ".docx"}
    | {".xls", ".xlsx", ".py", ".m", ".exe", ".dll", ".bat", ".zip", ".gz", ".7z", ".rar", ".tar", ".raw"}
    | {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".svg", ".mp4", ".avi"}
    | {".nii", ".nrrd", ".nhdr", ".mha", ".mhd"}
)


def read_dicom(path: Path, name: str, series: str | None = None) -> Volume:
    """A folder (with its subfolders), or one file: then its series, from the files beside it.

    series: UID of the series to read, or its start or end. The notes of the volume name what was chosen.
    Raises: InputRefused; its codes stand in the modules dicom_header, dicom_series, dicom_grid, dicom_pixels.

    >>> from pydicom.data import get_testdata_file
    >>> import shutil, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = shutil.copy(get_testdata_file("CT_small.dcm"), folder)
    ...     read_dicom(Path(folder), "ct").array.shape
    (1, 128, 128)
    """
    with quiet_pydicom():
        slices = _scan_folder(path) if path.is_dir() else _slices_beside(path)
        chosen, notes = choose_stack(slices, series)
        check_layout(chosen.slices)
        ordered, grid, more = order_slices(chosen.slices)
        return Volume(decode(ordered), grid, name, chosen.first.modality, (*notes, *more))


def file_is_dicom(path: Path) -> bool:
    """True if the file's first bytes are DICOM's.

    Raises: OSError where it cannot be opened.

    >>> from pydicom.data import get_testdata_file
    >>> file_is_dicom(Path(get_testdata_file("CT_small.dcm")))
    True
    """
    with open(path, "rb") as file:
        return is_dicom(file.read(HEAD_BYTES))


def _scan_folder(folder: Path) -> list[Slice]:
    """The image planes of all DICOM files in a folder and its subfolders, by file name.

    Foreign files are passed over.
    Raises: InputRefused "no-dicom", "no-permission", "file-empty", "file-damaged", "file-cut",
    "too-many-files".
    """
    slices: list[Slice] = []
    count = 0
    for count, path in enumerate(_files(folder), start=1):
        if count > MAX_FILES:
            raise InputRefused(
                f"The folder holds more than {MAX_FILES} files.",
                hint="Give the folder of one study or series.",
                code="too-many-files",
            )
        slices += _slices_in(path)
    if not slices:
        what = f"holds no DICOM images ({count} other files)" if count else "is empty"
        raise InputRefused(
            f"The folder {folder.name} {what}.",
            hint="Give the folder of a CT series, or a NIfTI, NRRD or MetaImage file.",
            code="no-dicom",
        )
    return slices


def _slices_beside(path: Path) -> list[Slice]:
    own = read_slices(path)
    if not own:
        raise InputRefused(
            f"{path.name} is a DICOM file without an image.",
            hint="Give a file or the folder of a CT series.",
            code="no-dicom",
        )
    if own[0].layout.frames > 1:
        return own
    beside = [other for other in sorted(path.parent.iterdir()) if other.is_file() and not _hidden(other.name)]
    slices = [piece for other in beside for piece in (own if other == path else _slices_in(other))]
    return [piece for piece in slices if piece.series_key == own[0].series_key]


def _slices_in(path: Path) -> list[Slice]:
    ending = path.suffix.lower()
    ending = "" if ending[1:].isdigit() else ending  # many archives name files by their UID
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
        if is_dicom(head):
            return read_slices(path)
    except PermissionError as error:
        if ending in FOREIGN_ENDINGS:
            return []
        raise no_permission(path) from error
    if ending in DICOM_ENDINGS and not head:
        raise InputRefused(
            f"The file {path.name} is empty.",
            hint="Copy the series again from its source.",
            code="file-empty",
        )
    if ending in MARKED_ENDINGS or (ending == "" and len(head) < HEAD_BYTES and not head.strip(b"\0")):
        raise InputRefused(
            f"The file {path.name} is cut off or damaged: it is named like a DICOM file but is not one.",
            hint="Copy the series again from its source.",
            code="file-damaged",
        )
    return []


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


def _files(folder: Path) -> Iterator[Path]:
    """All visible files, folder by folder, by name; links to folders are not followed (they may loop)."""

    def refuse(error: OSError) -> None:
        if isinstance(error, PermissionError):
            raise no_permission(Path(error.filename or folder)) from error
        raise error

    for where, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        paths = (Path(where) / name for name in sorted(names) if not _hidden(name))
        yield from (path for path in paths if path.is_file())  # no pipes, devices or dangling links


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db")
