"""Package installation as Slicer offers it, without any pip: ``slicer.packaging`` and ``PyTorchUtils``.

Packages are not really installed: those that a test hides become visible when they are "installed", here and
in worker processes. Both fakes can be told to fail in the ways of the real ones.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer
from packaging.requirements import Requirement

FOLDER = Path(__file__).parent / "hidden_packages"


class Packages:
    """calls: what was asked for. failure: pip's last words in the next one. declined: the user says no.

    extension: whether the PyTorch extension is installed. in_progress: another installation is under way.
    needs_restart: what is installed is not seen before Slicer starts again. import_fails: the extension
    installs PyTorch, but cannot import it.
    """

    def __init__(self) -> None:
        self.reset()
        self._hider: ModuleType | None = None

    def reset(self) -> None:
        """Everything is installed and works."""
        self.calls: list[tuple[str, Any]] = []
        self.failure: str | None = None
        self.declined = False
        self.in_progress = False
        self.extension = True
        self.needs_restart = False
        self.import_fails = False
        self.hide()

    def hide(self, *names: str) -> None:
        """Behave as if these packages, and only these, were not installed."""
        os.environ["HARNESS_HIDDEN"] = " ".join(names)

    def installed(self, name: str) -> bool:
        """Whether a package is visible."""
        return name not in os.environ.get("HARNESS_HIDDEN", "").split()

    def install(self, kind: str, names: list[str]) -> None:
        """What an installation comes down to."""
        self.calls.append((kind, names))
        # Slicer shows pip's output in a window, and lets the application work meanwhile.
        for _ in range(5):
            slicer.app.processEvents()
            time.sleep(0.01)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            print(failure)
            slicer.util.errorDisplay("Package installation failed.", detailedText=failure)
            raise subprocess.CalledProcessError(1, "pip install")
        if self.needs_restart:
            return
        still = [n for n in os.environ.get("HARNESS_HIDDEN", "").split() if n not in names]
        self.hide(*still)

    def install_stand_ins(self) -> None:
        """Put the fakes where scripts look for them, and the hiding into this and later processes."""
        spec = importlib.util.spec_from_file_location("harness_hidden_packages", FOLDER / "sitecustomize.py")
        self._hider = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self._hider)
        paths = [str(FOLDER), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        packaging = _packaging(self)
        sys.modules["slicer.packaging"] = slicer.packaging = packaging
        sys.modules["PyTorchUtils"] = _pytorch_utils(self)


def plain_name(requirement: str | Requirement) -> str:
    """The package's name in a requirement such as ``safetensors>=0.4``."""
    return Requirement(requirement).name if isinstance(requirement, str) else requirement.name


def _packaging(packages: Packages) -> ModuleType:
    """``slicer.packaging`` as documented for Slicer 5.12."""
    module = ModuleType("slicer.packaging")

    def load_requirements(path: str | Path) -> list[Requirement]:
        lines = (line.partition("#")[0].strip() for line in Path(path).read_text().splitlines())
        return [Requirement(line) for line in lines if line and not line.startswith("-")]

    def pip_check(requirements: str | Requirement | list[str | Requirement]) -> bool:
        names = requirements if isinstance(requirements, list) else [requirements]
        return all(packages.installed(plain_name(name)) for name in names)

    def pip_ensure(
        requirements: list[str | Requirement],
        requester: str = "",
        prompt_install: bool = True,
        skip_in_testing: bool = True,
        **_: Any,
    ) -> None:
        if pip_check(requirements) or (skip_in_testing and slicer.app.testingEnabled()):
            return
        no = prompt_install and not slicer.util.confirmOkCancelDisplay("Packages need to be installed.")
        if packages.declined or no:
            raise RuntimeError("the user declined")
        packages.install("pip_ensure", [plain_name(name) for name in requirements])

    module.load_requirements = load_requirements
    module.pip_check = pip_check
    module.pip_ensure = pip_ensure
    module.pip_install = lambda requirements, **_: packages.install("pip_install", [plain_name(requirements)])
    module.isPipInstallInProgress = lambda: packages.in_progress
    return module


def _pytorch_utils(packages: Packages) -> ModuleType:
    """The PyTorch extension's module; importing it fails where the extension is not installed."""

    class Logic:
        def torchInstalled(self) -> bool:
            return packages.installed("torch")

        def installTorch(self, askConfirmation: bool = False, **options: Any) -> Any:
            if packages.declined and askConfirmation:
                return None
            packages.install("installTorch", ["torch"])
            if packages.import_fails:
                raise OSError("[WinError 126] Error loading c10.dll")
            return sys.modules[__name__]

    class Module(ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name == "PyTorchUtilsLogic" and packages.extension:
                return Logic
            if name.startswith("__"):
                raise AttributeError(name)  # Python itself asks every module for such names
            raise ImportError("the PyTorch extension is not installed", name="PyTorchUtils")

    return Module("PyTorchUtils")
