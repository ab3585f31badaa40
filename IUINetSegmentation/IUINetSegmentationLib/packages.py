"""Brings what Slicer does not bundle: PyTorch by its extension, safetensors by slicer.packaging.

Nothing is installed without a click, and what can be known before is checked before: is there room, may we
write there. PyTorch itself is never imported here: whether it works is the worker process's answer.
"""

from __future__ import annotations

import importlib.metadata
import io
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iuinet.devices import OLDEST_TORCH
from iuinet.errors import Cancelled, IUINetError
from iuinet.files import require_space

TORCH_REQUIREMENT = ">={}.{}".format(*OLDEST_TORCH)
EXTENSION = "PyTorch"
# Rough sizes of PyTorch with CUDA, which is what Slicer's extension usually takes; other builds are smaller.
TORCH_DOWNLOAD, TORCH_DISK = 2_700_000_000, 6_500_000_000  # bytes
REQUIREMENTS = Path(__file__).resolve().parent.parent / "Resources" / "requirements.txt"

# What pip's last words mean, the first match counts.
_CAUSES = (
    (
        "no-space",
        r"No space left|Errno 28|not enough space",
        "the disk is full",
        "Free some space and try again.",
    ),
    (
        "no-permission",
        r"Permission denied|Errno 13|Access is denied",
        "Slicer's folder may not be written to",
        "Install Slicer into a folder of your own, or ask whoever administers this computer.",
    ),
    (
        "certificate",
        r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCert",
        "the connection is not trusted, probably because a proxy inspects it",
        "Set SSL_CERT_FILE to your network's certificates, start Slicer again, and try again.",
    ),
    (
        "proxy",
        r"ProxyError|Cannot connect to proxy|Tunnel connection failed",
        "the proxy does not let it through",
        "Check HTTPS_PROXY, or ask whoever administers the network.",
    ),
    (
        "no-connection",
        r"NewConnectionError|name resolution|getaddrinfo|timed out|Network is unreachable",
        "there is no connection to the package index",
        "Check the network, or install the packages offline as the manual describes.",
    ),
)


class Tee(io.TextIOBase):
    """Passes on what is printed and keeps its end. text: the last characters."""

    KEPT = 20_000  # characters

    def __init__(self, target: Any) -> None:
        self._target, self.text = target, ""

    def write(self, text: str) -> int:
        """Pass on and keep."""
        self.text = (self.text + text)[-self.KEPT :]
        if self._target is not None:  # a program without a console has none
            self._target.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on."""
        if self._target is not None:
            self._target.flush()


@dataclass(frozen=True)
class Plan:
    """What a set-up would do. torch: whether PyTorch is missing or too old. packages: other requirements.

    download, disk, free: bytes, estimated. folder: where the packages go.
    """

    torch: bool
    packages: tuple[str, ...]
    download: int
    disk: int
    free: int
    folder: Path

    @property
    def needed(self) -> bool:
        """Whether anything is missing."""
        return self.torch or bool(self.packages)


def make_plan() -> Plan:
    """What is missing now. Starts nothing and uses no network."""
    from slicer.packaging import load_requirements, pip_check

    # Slicer returns its own objects for requirements, not text.
    wanted = map(str, load_requirements(str(REQUIREMENTS)))
    packages = tuple(name for name in wanted if not pip_check(name))
    torch = not _torch_is_new_enough()
    folder = Path(sysconfig.get_paths()["purelib"])
    return Plan(
        torch=torch,
        packages=packages,
        download=TORCH_DOWNLOAD if torch else 1_000_000 * len(packages),
        disk=TORCH_DISK if torch else 4_000_000 * len(packages),
        free=shutil.disk_usage(folder).free,
        folder=folder,
    )


def check_plan(plan: Plan) -> None:
    """Refuse before anything is downloaded what could only fail.

    Raises: IUINetError "disk-full", "no-permission" or "set-up-busy" for what stands in the way.
    """
    if installing_elsewhere():
        raise IUINetError(
            "another module is installing packages", code="set-up-busy", hint="Wait until it has finished."
        )
    hint = "Free some space and try again."
    require_space(plan.folder, plan.disk, "the packages need about", hint, refusal=IUINetError)
    try:
        with tempfile.TemporaryFile(dir=plan.folder):
            pass
    except OSError as error:
        raise IUINetError(
            f"Slicer's folder for packages may not be written to: {plan.folder} ({error.strerror})",
            code="no-permission",
            hint="Install Slicer into a folder of your own, or ask whoever administers this computer.",
        ) from error


def set_up(plan: Plan) -> None:
    """Install what the plan names; Slicer shows the progress. Only in the main thread.

    Raises: Cancelled for a user who declines; IUINetError for the cause that pip's last words name.
    """
    check_plan(plan)
    printed = Tee(sys.stdout)
    try:
        # pip's words reach the error only by way of the console, where Slicer prints them.
        with redirect_stdout(printed):
            if plan.torch:
                _install_torch()
            if plan.packages:
                from slicer.packaging import pip_ensure

                # Our own dialog has asked already, with sizes.
                pip_ensure(
                    list(plan.packages), requester="IUINet", prompt_install=False, skip_in_testing=False
                )
    except subprocess.CalledProcessError as error:
        raise _failed(error, printed.text) from error
    except RuntimeError as error:  # slicer.packaging's way to report that the user declined
        raise declined() from error
    if make_plan().needed:
        raise IUINetError(
            "the packages were installed, but Slicer does not see them yet",
            code="restart-needed",
            hint="Restart Slicer to finish.",
        )


def _torch_is_new_enough() -> bool:
    try:
        found = re.match(r"(\d+)\.(\d+)", importlib.metadata.version("torch"))
    except importlib.metadata.PackageNotFoundError:
        return False
    return found is not None and tuple(map(int, found.groups())) >= OLDEST_TORCH


def _install_torch() -> None:
    try:
        from PyTorchUtils import PyTorchUtilsLogic
    except ImportError as error:
        raise IUINetError(
            "the PyTorch extension, which brings the library that runs the model, is not installed",
            code="extension-missing",
            hint="Install the extension PyTorch in the Extensions Manager, and restart Slicer.",
        ) from error
    try:
        # Our own dialog has asked already, with sizes.
        done = PyTorchUtilsLogic().installTorch(
            askConfirmation=False, torchVersionRequirement=TORCH_REQUIREMENT
        )
    except (ImportError, OSError) as error:
        # The extension ends by importing PyTorch into Slicer. Whether it works is the worker's answer.
        if _torch_is_new_enough():
            return
        raise IUINetError(
            f"PyTorch could not be installed: {error}",
            code="set-up-failed",
            hint="The log in Slicer's Python console says more.",
        ) from error
    if done is None:
        raise declined()


def installing_elsewhere() -> bool:
    """Whether another module is installing packages just now."""
    from slicer.packaging import isPipInstallInProgress

    return bool(isPipInstallInProgress())


def declined() -> Cancelled:
    """The user declined the set-up."""
    return Cancelled("the set-up was declined", hint="Nothing was installed.", code="declined")


def _failed(error: subprocess.CalledProcessError, printed: str) -> IUINetError:
    """The error for a pip that failed: its last words, and what they mean."""
    words = "\n".join(str(part) for part in (printed, error.output, error.stderr) if part)
    for code, pattern, meaning, hint in _CAUSES:
        if re.search(pattern, words, re.IGNORECASE):
            return IUINetError(f"the packages could not be installed: {meaning}", code=code, hint=hint)
    last = next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "pip gave no reason")
    return IUINetError(
        f"the packages could not be installed: {last[:200]}",
        code="set-up-failed",
        hint="The log in Slicer's Python console says more.",
    )
