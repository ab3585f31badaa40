"""The folder of prepared data while it is written: its lock, its space, and what may be cleared away."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from iuinet.atomic import output_error
from iuinet.errors import OutputError

from .arrays import ARRAYS
from .prepared import INDEX

FACTS, WORK, LOCK, CHECKS = "facts", "work", ".lock", "checks.json"
_DRAFT = re.compile(r"\.iuinet-[0-9a-f]{12}(\.safetensors|\.json)")
_SPARE = 200 * 2**20  # bytes that must stay free beside what is written


def check_space(out: Path, cases: int, needed: int) -> None:
    """Raises OutputError "disk-full" if so many bytes for so many cases will not fit."""
    if not cases:
        return
    free = shutil.disk_usage(out).free
    if free < needed + _SPARE:
        raise OutputError(
            f"{cases} cases need {readable(needed)} in {out}, and {readable(max(0, free - _SPARE))} are free",
            hint="Free some space, choose another folder with --out, or prepare fewer cases (--no-pairs).",
            code="disk-full",
        )


@contextmanager
def prepared_folder(out: Path) -> Iterator[None]:
    """Make the folder, hold it against other runs, and take away what an earlier run left half-done.

    Raises OutputError "folder-busy" where another run works there, and for what the disk has against it.
    """
    try:
        for folder in (out, out / ARRAYS, out / FACTS, out / WORK):
            folder.mkdir(parents=True, exist_ok=True)
        lock = open(out / LOCK, "a+b")  # noqa: SIM115
    except OSError as error:
        raise output_error(Path(error.filename or out), error) from error
    with lock:
        _hold(lock.fileno(), out)
        _clear(out)
        try:
            yield
        finally:
            _clear(out)
            with suppress(OSError):
                (out / WORK).rmdir()


def _hold(descriptor: int, out: Path) -> None:
    """The system gives the lock back however the process ends. Drives that know no locks are used without."""
    try:
        import fcntl
    except ImportError:
        return
    for attempt in range(20):  # the workers of a run that was just killed need a moment to end
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if attempt < 19:
                time.sleep(0.1)
        except OSError:
            return
    raise OutputError(
        f"another run of prepare.py works in {out}",
        hint="Wait for it, or choose another folder.",
        code="folder-busy",
    )


def _clear(out: Path) -> None:
    """Remove drafts and unpacked copies; nobody else works here, and nothing else is touched."""
    for folder in (out, out / ARRAYS, out / FACTS):
        for path in list(folder.glob(".iuinet-*")):
            if _DRAFT.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()
    for path in list((out / WORK).glob("iuinet-*")):
        shutil.rmtree(path, ignore_errors=True)


def unused_arrays(out: Path) -> tuple[int, int]:
    """Number and bytes of array files of earlier settings or files, which the index does not name."""
    used = {entry["arrays"] for entry in json.loads((out / INDEX).read_text(encoding="utf-8"))["cases"]}
    sizes = [path.stat().st_size for path in (out / ARRAYS).glob("*.safetensors") if path.name not in used]
    return len(sizes), sum(sizes)


def readable(number: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def writable_json(path: Path) -> None:
    """Refuse a place for a JSON file before the work starts. Raises OutputError."""
    folder = path.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OutputError(
            f"{path} cannot be written: its folder does not exist or may not be written to",
            hint="Create the folder first, or choose another place.",
            code="no-output-folder",
        )
