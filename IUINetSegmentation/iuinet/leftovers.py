"""What must not outlive the process that made it: a scan's voxels on their way, drafts of results.

A killed process tidies nothing up. So each such thing has a mark beside it, a small file that its owner keeps
locked; the system releases a lock however its holder ends. What belongs to a mark that can be locked has
lost its owner, and whoever comes next removes it. What has no mark, or one from another computer (not every
network drive knows the locks of another), is removed when it is a day old.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .errors import OutputError

MARK = "owner"
_FOLDER = re.compile(r"iuinet-[a-z0-9_]{8}")  # as mkdtemp names it
_DRAFT = re.compile(r"\.iuinet-([0-9a-f]{12})(\.[a-z.]+)?")
_VOXELS = frozenset(f"{name}.raw{end}" for name in ("volume", "labels") for end in ("", ".part"))
_OLD_S = 86_400.0
_HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)  # by another; all else: the drive knows no locks
_SHARE = 0.02  # of the time, at most, is spent on looking for drafts in one folder


def lock(descriptor: int) -> None:
    """Lock a file without waiting; closing it, and so the end of the process, unlocks it.

    Raises: OSError where another holds the lock, or the drive knows none.

    >>> with tempfile.TemporaryFile() as file:
    ...     lock(file.fileno())
    """
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Mark:
    """The mark of what this process owns, from ``hold`` until ``release``.

    name: gives its path, a new one each time. Nothing is on the drive before ``hold``, so whoever has the
    mark can release it wherever ``hold`` is interrupted.
    """

    def __init__(self, name: Callable[[], Path]) -> None:
        self._name = name
        self._file: BinaryIO | None = None
        self.path: Path | None = None

    def hold(self) -> Path:
        """Make the mark; returns its path.

        Raises: OSError from the drive.
        """
        while True:
            self.path = self._name()
            self._file = open(self.path, "xb", buffering=0)  # noqa: SIM115 - open as long as it is held
            with suppress(OSError):  # on a full disk it counts as another computer's
                self._file.write(platform.node().encode())
            self._file.seek(0)
            try:
                lock(self._file.fileno())
                held = True
            except OSError as error:
                held = error.errno not in _HELD
            # In the moment before the lock it looked like one without an owner, and was swept.
            if held and self.path.exists():
                return self.path
            self._file.close()

    def release(self) -> None:
        """Remove the mark: what it stood for is gone, or is no longer to be removed."""
        if os.name == "nt":
            self.close()  # Windows deletes no open file
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink()
        self.close()

    def close(self) -> None:
        """Unlock it and leave it for the next sweep."""
        if self._file is not None:
            self._file.close()


class PrivateFolder:
    """A folder for temporary files that no other user can look into, gone with its owner at the latest.

    path: where it lies. parent: the folder it lies in, None for the system's for temporary files.
    Raises: OutputError "temporary-folder" for want of a place.

    >>> with PrivateFolder() as folder:
    ...     sorted(os.listdir(folder))
    ['owner']
    """

    def __init__(self, parent: Path | None = None) -> None:
        try:
            self._mark = Mark(lambda: Path(tempfile.mkdtemp(prefix="iuinet-", dir=parent), MARK))
            self.path = self._mark.hold().parent
        except OSError as error:
            raise no_place(parent or tempfile.tempdir, error) from error

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Delete it; also from Windows while a killed child still holds a file for a moment."""
        if os.name == "nt":
            self._mark.close()
        for _ in range(5):
            if _remove(self.path):
                break
            time.sleep(0.05)
        self._mark.close()


def no_place(folder: Path | str | None, error: OSError) -> OutputError:
    """The error for a place for temporary files that is missing or takes nothing more.

    >>> no_place("/tmp", OSError(errno.ENOSPC, "No space left on device")).code
    'temporary-folder'
    """
    return OutputError(
        f"nothing can be stored in {folder or 'a temporary folder'} for a while: {error.strerror or error}",
        code="temporary-folder",
        hint="Free some space there, or set TMPDIR (Windows: TEMP) to another folder.",
    )


def sweep_folders(parent: Path | None = None) -> None:
    """Remove the private folders of this user whose owners have ended. parent: as of ``PrivateFolder``.

    >>> sweep_folders()
    """
    with suppress(OSError), os.scandir(parent or tempfile.gettempdir()) as entries:
        for entry in entries:
            if _FOLDER.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False) and _is_mine(entry):
                _sweep_folder(Path(entry.path))


def _sweep_folder(folder: Path) -> None:
    if (folder / MARK).exists():
        _if_ownerless(folder / MARK, lambda: _remove(folder))
    else:
        with suppress(OSError):
            if _is_old(folder) and _VOXELS.issuperset(os.listdir(folder)):
                _remove(folder)


_next_sweep: dict[Path, float] = {}


def sweep_drafts(folder: Path) -> None:
    """Remove the drafts in a folder (see ``files.atomic``) whose owners have ended; no other file.

    >>> sweep_drafts(Path())
    """
    began = time.monotonic()
    if began < _next_sweep.get(folder, began):
        return
    with suppress(OSError):
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name.startswith(".iuinet-")]
        drafts: dict[str, list[Path]] = {}
        for entry in found:
            named = _DRAFT.fullmatch(entry.name)
            if named and entry.is_file(follow_symlinks=False) and _is_mine(entry):
                drafts.setdefault(named[1], []).append(Path(entry.path))
        for token, paths in drafts.items():
            _sweep_draft(folder / f".iuinet-{token}.{MARK}", paths)
    now = time.monotonic()
    _next_sweep[folder] = now + (now - began) / _SHARE


def _sweep_draft(mark: Path, paths: list[Path]) -> None:
    """paths: all of one owner, the mark among them if there is one."""
    if mark in paths:
        _if_ownerless(mark, lambda: _unlink([*(path for path in paths if path != mark), mark]))
    else:
        _unlink([path for path in paths if _is_old(path)])


def _if_ownerless(mark: Path, remove: Callable[[], object]) -> None:
    """Remove what belongs to a mark that nobody holds."""
    with suppress(OSError), open(mark, "r+b") as file:
        lock(file.fileno())
        if file.read().decode("utf-8", "replace") != platform.node() and not _is_old(mark):
            return
        if os.name == "nt":
            file.close()
        remove()


def _remove(folder: Path) -> bool:
    """Delete a folder, its mark last: what cannot be deleted now stays known as ours."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name == MARK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        if not set(os.listdir(folder)) - {MARK}:
            shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _is_mine(entry: os.DirEntry) -> bool:
    return os.name == "nt" or entry.stat(follow_symlinks=False).st_uid == os.getuid()


def _is_old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > _OLD_S
