"""What Slicer does not bring: whether it is here, what it would take to bring it, and what forbids that.

PyTorch itself is never imported here: whether it works is the worker process's answer. What brings the
packages is in ``installing.py``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
import shutil
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

import slicer

from iuinet.errors import Cancelled, IUINetError
from iuinet.files import require_space
from iuinet.requirements import requirement, torch_will_do

OLDEST_SLICER = (5, 12)
EXTENSION = "PyTorch"
REQUIREMENTS = Path(__file__).resolve().parent.parent / "Resources" / "requirements.txt"
# Made for one version of torch each: they are brought along where it changes.
_COMPANIONS = ("torchvision", "torchaudio")


@dataclass(frozen=True)
class Plan:
    """What a set-up would do. torch: whether PyTorch is missing or does not do. packages: other requirements.

    replaces: version of the PyTorch that would be replaced, "" for none. requirements: all, as pip takes
    them. download, disk, free: bytes, estimated. folder: where the packages go.
    """

    torch: bool
    packages: tuple[str, ...]
    replaces: str
    requirements: tuple[str, ...]
    download: int
    disk: int
    free: int
    folder: Path

    @property
    def needed(self) -> bool:
        """Whether anything is missing."""
        return bool(self.requirements)


def make_plan() -> Plan:
    """What is missing now. Starts nothing and uses no network."""
    from slicer.packaging import load_requirements, pip_check

    importlib.invalidate_caches()
    # Slicer returns its own objects for requirements, not text.
    wanted = map(str, load_requirements(str(REQUIREMENTS)))
    packages = tuple(name for name in wanted if not pip_check(name))
    present = installed_version("torch")
    torch = not torch_will_do(present)
    platform = requirement()
    companions = tuple(name for name in _COMPANIONS if torch and installed_version(name))
    folder = Path(sysconfig.get_paths()["purelib"])
    return Plan(
        torch=torch,
        packages=packages,
        replaces=present if torch else "",
        requirements=(*platform.packages, *companions, *packages) if torch else packages,
        download=platform.download if torch else 1_000_000 * len(packages),
        disk=platform.disk if torch else 4_000_000 * len(packages),
        free=shutil.disk_usage(folder).free,
        folder=folder,
    )


def check_plan(plan: Plan) -> None:
    """Refuse before anything is downloaded what could only fail.

    Raises: IUINetError "set-up-busy", "extension-missing", "files-in-use", "disk-full" or "no-permission" for
    what stands in the way.
    """
    if installing_elsewhere():
        raise IUINetError(
            "another module is installing packages", code="set-up-busy", hint="Wait until it has finished."
        )
    if plan.torch and not _extension_is_here():
        raise IUINetError(
            "the PyTorch extension, which looks after the library that runs the model, is not installed",
            code="extension-missing",
            hint="Install the extension PyTorch in the Extensions Manager, and restart Slicer.",
        )
    if plan.replaces and "torch" in sys.modules:
        raise IUINetError(
            f"PyTorch {plan.replaces} has to be replaced, and Slicer is using it",
            code="files-in-use",
            hint="Restart Slicer, and set up IUINet first, before another module uses PyTorch.",
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


def installed_version(name: str) -> str:
    """The version of a package, "" where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def installing_elsewhere() -> bool:
    """Whether another module is installing packages just now."""
    try:
        from slicer.packaging import isPipInstallInProgress
    except ImportError:  # a Slicer that is too old
        return False
    return bool(isPipInstallInProgress())


def declined() -> Cancelled:
    """The user declined the set-up."""
    return Cancelled("the set-up was declined", hint="Nothing was installed.", code="declined")


def slicer_too_old() -> IUINetError | None:
    """What to say of a Slicer that lacks what the module needs; None for one that has it."""
    version = str(slicer.app.applicationVersion)
    found = re.match(r"(\d+)\.(\d+)", version)
    # An application of another name, built on Slicer, counts its own versions.
    named = found is not None and slicer.app.applicationName == "Slicer"
    old = named and tuple(map(int, found.groups())) < OLDEST_SLICER
    try:
        from slicer import packaging  # noqa: F401 - whether it is there
    except ImportError:
        old = True
    if not old:
        return None
    return IUINetError(
        f"this is Slicer {version}, and IUINet needs Slicer {'{}.{}'.format(*OLDEST_SLICER)} or newer",
        code="slicer-too-old",
        hint="Install a newer Slicer to segment; segmentations made elsewhere can be used in this one.",
    )


def _extension_is_here() -> bool:
    try:
        from PyTorchUtils import PyTorchUtilsLogic  # noqa: F401 - whether it is there
    except ImportError:
        return False
    return True
