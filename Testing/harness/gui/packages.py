"""Package installation as Slicer offers it: ``slicer.packaging``, ``PyTorchUtils``, and a stand-in for pip.

Packages are not really installed: those that a test hides become visible when the stand-in "installs" them,
here and in worker processes. pip is a real child process (``hidden_packages/standin.py``) that says, waits
and fails as it is told.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer
from packaging.requirements import Requirement

FOLDER = Path(__file__).parent / "hidden_packages"


class Packages:
    """extension: whether the PyTorch extension is installed. in_progress: another
    installation is under way. folder: what the stand-in for pip reads and writes.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="iuinet-harness-pip-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        os.environ["HARNESS_PIP"] = str(self.folder)
        self._hider: ModuleType | None = None
        self.reset()

    def reset(self) -> None:
        """Everything is installed and works."""
        for path in self.folder.iterdir():
            path.unlink()
        self.in_progress = False
        self.extension = True
        self.hide()
        self.pip()

    def hide(self, *names: str) -> None:
        """Behave as if these packages, and only these, were not installed."""
        (self.folder / "hidden").write_text("\n".join(names))

    def installed(self, name: str) -> bool:
        """Whether a package is visible."""
        return name not in (self.folder / "hidden").read_text().split()

    def pretend(self, **versions: str) -> None:
        """Give packages other versions than they have, until they are installed."""
        (self.folder / "versions.json").write_text(json.dumps(versions))

    def pip(self, **orders: Any) -> None:
        """What the stand-in does from now on: see ``standin.py``."""
        (self.folder / "orders.json").write_text(json.dumps(orders))

    @property
    def calls(self) -> list[tuple[str, list[str]]]:
        """What pip was asked for: the program and its requirements, in order."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(program, asked) for program, asked in map(json.loads, lines)]

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

    module.load_requirements = load_requirements
    module.pip_check = pip_check
    module.isPipInstallInProgress = lambda: packages.in_progress
    return module


def _pytorch_utils(packages: Packages) -> ModuleType:
    """The PyTorch extension's module; importing it fails where the extension is not installed.

    Nothing of it may be called: all of it waits, and imports PyTorch into Slicer.
    """

    class Module(ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name == "PyTorchUtilsLogic" and packages.extension:
                return object
            if name.startswith("__"):
                raise AttributeError(name)  # Python itself asks every module for such names
            raise ImportError("the PyTorch extension is not installed", name="PyTorchUtils")

    return Module("PyTorchUtils")
