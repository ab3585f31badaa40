"""Output files are complete or absent: they are made beside their place, and then renamed.

Why the disk refuses a file is reported in plain words, so that no caller translates errors itself;
what will not fit is refused before the work.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import IUINetError, OutputError, UsageError
from .leftovers import MARK, Mark, lock, sweep_drafts

# Endings of two parts; of all others the last part is the ending.
_LONG_ENDINGS = (".seg.nrrd", ".nii.gz")

_CHOOSE = "Choose another folder."
_NO_RIGHTS = ("there is no right to write there", _CHOOSE, "no-permission")
_FULL = ("the disk is full", "Free some space, or choose another folder.", "disk-full")
_NO_FOLDER = ("its folder does not exist", "Create the folder first.", "no-output-folder")
_REASONS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: ("your share of the disk is used up", _FULL[1], "disk-full"),
    errno.EFBIG: ("it is larger than files may be there", _CHOOSE, "file-too-large"),
    errno.EACCES: _NO_RIGHTS,
    errno.EPERM: _NO_RIGHTS,
    errno.EROFS: ("the drive is read-only", _CHOOSE, "no-permission"),
    errno.ENOENT: _NO_FOLDER,
    errno.ENOTDIR: _NO_FOLDER,
    errno.EISDIR: ("a folder has this name", "Give a file name.", "output-is-folder"),
    errno.ENAMETOOLONG: ("the name is too long", "Give a shorter name.", "name-too-long"),
}


@contextmanager
def atomic(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
    """A draft beside the path, empty and with the same ending, that becomes the path when the block is done.

    On any failure the draft is removed, and an earlier file stays as it was. A draft whose process was killed
    is removed by the next one that writes into the folder.
    overwrite: whether an earlier file may be replaced. If not, one that appears meanwhile is kept too.
    Raises: UsageError "output-exists", and OutputError for every OSError about the draft or the path.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic(Path(folder, "report.txt")) as draft:
    ...         _ = draft.write_text("done")
    ...     os.listdir(folder)
    ['report.txt']
    """
    path = Path(path)
    if not overwrite and os.path.lexists(path):
        raise _exists(path)
    mark = Mark(lambda: path.parent / f".iuinet-{secrets.token_hex(6)}.{MARK}")
    draft: Path | None = None
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        sweep_drafts(path.parent)
        draft = _hold_beside(path, mark)
        _make_draft(path, draft)
        yield draft
        _flush(draft)
        _move(draft, path, overwrite)
    except OSError as error:
        ours = {None, str(path), str(draft)}
        if error.filename not in ours:
            raise  # about another file of the block
        raise output_error(path, error) from error
    finally:
        try:
            _tidy(draft, mark)
        except BaseException:  # an interrupt, which commands let through once
            _tidy(draft, mark)
            raise


def _tidy(draft: Path | None, mark: Mark) -> None:
    if draft is not None:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    mark.release()


def output_error(path: Path, error: OSError) -> OutputError:
    """What a system error means for those who wanted the file.

    >>> output_error(Path("ct.nrrd"), OSError(errno.ENOSPC, "")).message
    'ct.nrrd cannot be written: the disk is full'
    """
    other = (error.strerror or "the drive reports an error", "Check the drive and the path.", "output")
    reason, hint, code = _REASONS.get(error.errno, other)
    return OutputError(f"{path} cannot be written: {reason}", hint=hint, code=code)


def require_space(
    folder: Path,
    needed: float,
    need: str,
    hint: str,
    spare: float = 0,
    refusal: type[IUINetError] = OutputError,
) -> None:
    """Refuse before the first byte what the disk has no space for.

    folder: one that exists. needed: bytes. need: what needs them, with its verb: "the checkpoints need".
    spare: bytes that must stay free beside them.
    Raises: refusal "disk-full".

    >>> require_space(Path(), 1, "the result needs", "Free some space.")
    """
    free = max(0, shutil.disk_usage(folder).free - spare)
    if free < needed:
        text = f"{need} {size_text(needed)} in {folder}, and {size_text(free)} are free"
        raise refusal(text, hint=hint, code="disk-full")


def size_text(count: float) -> str:
    """Bytes for people: 3 kB, 12 MB, 1.5 GB.

    >>> size_text(1.5e9)
    '1.5 GB'
    """
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _hold_beside(path: Path, mark: Mark) -> Path:
    """Make the mark of a draft; returns the draft's path. The mark's name, and so its, is a new one."""
    if len(os.fsencode(path.name)) > 255:
        # The draft's own name is short, so this would come out only after all the work.
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))
    ending = next((end for end in _LONG_ENDINGS if path.name.lower().endswith(end)), path.suffix.lower())
    try:
        held = mark.hold()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    return held.with_name(f"{held.stem}{ending}")


def _make_draft(path: Path, draft: Path) -> None:
    try:
        # Not tempfile: its files are for the user alone, and the result should have the usual rights.
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _flush(draft: Path) -> None:
    """Bring the bytes to the disk before the name: a full network drive may complain only now."""
    with open(draft, "rb+") as file:
        os.fsync(file.fileno())


def _move(draft: Path, path: Path, overwrite: bool) -> None:
    """Give the draft its name. Without overwrite, a file that was there first keeps it."""
    if overwrite:
        os.replace(draft, path)
        return
    try:
        if os.name == "nt":
            os.rename(draft, path)  # refuses to replace, unlike on other systems
        else:
            os.link(draft, path)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError:
        # A drive without hard links, such as a USB stick: a check at the last moment must suffice.
        if os.path.lexists(path):
            raise _exists(path) from None
        os.replace(draft, path)


def _exists(path: Path) -> UsageError:
    return UsageError(
        f"{path} exists already",
        hint="Choose another name, or allow that it is overwritten.",
        code="output-exists",
    )


def check_letters(path: Path) -> None:
    """Refuse a name that ITK would end the whole process over.

    Raises: UsageError "name-encoding" for bytes that are not UTF-8.

    >>> check_letters(Path("ct.nrrd"))
    """
    try:
        same = os.fsencode(path) == str(path).encode("utf-8")
    except UnicodeEncodeError:
        same = False
    if not same:
        raise UsageError(
            f"the name {os.fsencode(path)!r} cannot be used, because its bytes are not UTF-8",
            hint="Rename the file or folder, or use a UTF-8 locale such as LC_ALL=C.UTF-8.",
            code="name-encoding",
        )


# A lock between processes, which the system releases however its holder ends --------------------------


class Busy(Exception):
    """Another process holds the lock."""


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock file for the block, without waiting for another holder.

    The file stays: to remove it would let two processes lock two files of one name.
    Raises: Busy if another process holds it, OSError from the drive.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, file_lock(Path(folder, "lock")):
    ...     os.listdir(folder)
    ['lock']
    """
    with open(path, "a+b") as file:
        try:
            lock(file.fileno())
        except OSError as error:
            raise Busy(str(path)) from error
        yield
