"""Installs a listed model from the web: resumed, checked, by one rename, and never without the user's word.

    entry = install("abdomen13", progress=show, cancelled=stop)      # waits
    download = Download("abdomen13"); download.start()                     # or from an event loop:
    while not download.poll(): ...                                         # poll never waits

The bytes collect in a part file in the folder of models. Only a file whose SHA-256 is the promised one
becomes a model; another one is set aside in the folder "refused" and never loaded.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from iuinet.errors import Cancelled, IUINetError, WeightsError, plain_error
from iuinet.files import Busy, file_lock, output_error, require_space

from . import Entry, find_entry, models_folder
from .model_file import check_file, file_sha256
from .server import BY_HAND
from .transfer import DownloadProgress, Transfer
from .user_folder import write_record

__all__ = ["Download", "DownloadProgress", "install", "part_file"]

SPARE_BYTES = 2**26  # what an almost full disk should keep
_POLL_S = 0.05


def install(
    model: Entry | str,
    progress: Callable[[DownloadProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Entry:
    """Download a listed model and wait for it; returns its entry, now with a path.

    model: the entry or its id. progress: called in this thread. cancelled: called twenty times a second.
    Raises: WeightsError "download-offline", "-cut", "-status", "-size", "-certificate", "-busy",
    "no-address", "disk-full", "weights-hash", "weights-folder" or one of check_file's; Cancelled, which keeps
    what has come.

    >>> install("abdomen13").path  # doctest: +SKIP
    """
    download = Download(model)
    download.start()
    try:
        while not download.poll():
            if progress is not None and download.progress is not None:
                progress(download.progress)
            if cancelled is not None and cancelled():
                download.cancel()
            time.sleep(_POLL_S)
    except BaseException:
        download.cancel()
        raise
    return download.result()


def part_file(entry: Entry) -> Path:
    """Where the bytes of this very file collect; another version has another part file.

    >>> part_file(find_entry("starter-tiny")).suffix
    '.part'
    """
    return models_folder() / f"{entry.file}.{entry.sha256[:8]}.part"


class Download:
    """A download in a thread of its own. progress: the latest, None before the first byte."""

    def __init__(self, model: Entry | str) -> None:
        self.entry = find_entry(model) if isinstance(model, str) else model
        self.progress: DownloadProgress | None = None
        self._outcome: Entry | BaseException | None = None
        self._cancelled = False
        self._thread = threading.Thread(target=self._work, name="model download", daemon=True)
        self._transfer = Transfer(self.entry.urls, part_file(self.entry), self.entry.size, self._take)

    def start(self) -> None:
        """Begin; what is wrong comes out of ``result``."""
        self._thread.start()

    def poll(self) -> bool:
        """Whether it is over; never waits."""
        return self._cancelled or not self._thread.is_alive()

    def cancel(self) -> None:
        """Stop at once; what has come so far is kept."""
        if not self.poll():
            self._cancelled = True
            self._transfer.cancel()
            # Usually it ends within milliseconds; a disk that does not answer is not waited for.
            self._thread.join(timeout=1.0)

    def result(self) -> Entry:
        """The installed model.

        Raises: IUINetError for what went wrong.
        """
        if isinstance(self._outcome, Entry):
            return self._outcome
        if self._cancelled or self._outcome is None:
            raise Cancelled("the download was cancelled", hint="What has come so far is kept.")
        raise self._outcome

    def _take(self, progress: DownloadProgress) -> None:
        self.progress = progress

    def _work(self) -> None:
        try:
            self._outcome = _install(self.entry, self._transfer)
        except IUINetError as error:
            self._outcome = error
        except BaseException as error:
            self._outcome = plain_error(error, "Try again.")


def _install(entry: Entry, transfer: Transfer) -> Entry:
    """Fetch, check, install. The lock keeps two programs from writing into one part file."""
    if not entry.urls:
        raise WeightsError(
            f"no address is listed for the model {entry.id} {entry.version}", code="no-address", hint=BY_HAND
        )
    part, folder = part_file(entry), models_folder()
    try:
        with ExitStack() as stack:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(file_lock(part.with_suffix(".lock")))
            if entry.path is None or file_sha256(entry.path) != entry.sha256:
                received = part.stat().st_size if part.exists() else 0
                require_space(
                    folder,
                    entry.size - received + SPARE_BYTES,
                    f"the model {entry.id} needs",
                    hint="Free some space, or set IUINET_HOME to a folder on another drive.",
                    refusal=WeightsError,
                )
                _fetch(entry, part, transfer)
                _publish(entry, part, folder / entry.file)
    except Busy as error:
        raise WeightsError(
            f"another program is downloading {entry.id} {entry.version} already",
            code="download-busy",
            hint="Wait for it, or close it.",
        ) from error
    except OSError as error:
        refusal = output_error(folder, error)
        raise WeightsError(
            f"the model {entry.id} cannot be stored: {refusal.message}",
            code="disk-full" if refusal.code == "disk-full" else "weights-folder",
            hint=f"{refusal.hint} IUINET_HOME names another folder for models.",
        ) from error
    return find_entry(entry.id)


def _fetch(entry: Entry, part: Path, transfer: Transfer) -> None:
    """Receive until the part file is the promised file; a mirror that sends another one is left out.

    Where one mirror went on with what another had begun, it is not to blame: then it starts anew, once.
    """
    anew = False
    while True:
        address = transfer.run()
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        found = file_sha256(part)
        if found == entry.sha256:
            return
        _set_aside(part, entry, found)
        if not transfer.in_one_go and not anew:
            anew = True
        elif not transfer.drop_address(address):
            raise WeightsError(
                f"the downloaded file is not the model {entry.id} {entry.version} and was not installed: its "
                f"SHA-256 is {found[:8]}... instead of {entry.sha256[:8]}...",
                code="weights-hash",
                hint=f"It was set aside in {part.parent / 'refused'}. Download again. {BY_HAND}",
            )


def _set_aside(part: Path, entry: Entry, found: str) -> None:
    """Move a wrong file to where no one loads it. Its ending says that it is not a model."""
    folder = part.parent / "refused"
    folder.mkdir(exist_ok=True)
    os.replace(part, folder / f"{entry.file}.{found[:8]}.refused")


def _publish(entry: Entry, part: Path, target: Path) -> None:
    """The one rename; then the record, without which a model does not exist."""
    weights = check_file(part, sha256=entry.sha256)
    if (weights.id, weights.version) != (entry.id, entry.version):
        raise WeightsError(
            f"the file that the list calls {entry.id} {entry.version} says that it is {weights.id} "
            f"{weights.version}; it was not installed",
            code="weights-id",
            hint="Tell whoever keeps the list of models.",
        )
    with suppress(FileNotFoundError):
        target.with_suffix(".json").unlink()
    os.replace(part, target)
    write_record(weights, target)
