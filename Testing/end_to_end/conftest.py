"""What the end-to-end tests share: a worker, a folder for its files, models, and the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.command_tools import Finished, environment, work_folder, write_ct
from helpers.worker_tools import make_slow_model, make_volume

from iuinet.worker import WorkerClient


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder for temporary files: its name tests every path on the way, and it must end up empty."""
    folder = tmp_path_factory.mktemp("Lékař 中文 'ü'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr("tempfile.tempdir", None)  # forget the folder that was asked for before
        yield folder
    patch.setattr("tempfile.tempdir", None)


@pytest.fixture(scope="module")
def client(exchange: Path) -> Iterator[WorkerClient]:
    """A worker that the tests share, started in a plain C locale."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LANG", "LC_CTYPE", "PYTHONUTF8", "PYTHONIOENCODING"):
            patch.delenv(name, raising=False)
        patch.setenv("LC_ALL", "C")
        client = WorkerClient()
        client.warm_up()
    with client:
        yield client


@pytest.fixture
def in_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Let every worker of this test begin with a program."""

    def begin_with(program: str) -> None:
        (tmp_path / "sitecustomize.py").write_text(program, encoding="utf-8")
        monkeypatch.setenv(
            "PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(__file__).resolve().parents[1])])
        )

    return begin_with


@pytest.fixture(scope="session")
def model(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model under a difficult path."""
    return shutil.copy(small_model, tmp_path_factory.mktemp("modèles 肝 (1)") / "petit modèle.safetensors")


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose one pass takes many seconds."""
    return make_slow_model(tmp_path_factory.mktemp("slow") / "slow.safetensors")


@pytest.fixture(scope="session")
def ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small generated CT under a difficult path."""
    return write_ct(tmp_path_factory.mktemp("Lékař 中文 'ü'") / "Bauch CT.nii.gz", make_volume())


@pytest.fixture
def iuinet(tmp_path: Path) -> Callable[..., Finished]:
    """Run the command in an empty folder."""

    def run(*arguments: object, **variables: str) -> Finished:
        return subprocess.run(
            [sys.executable, "-m", "iuinet", *map(str, arguments)],
            cwd=work_folder(tmp_path),
            env=environment(**variables),
            capture_output=True,
            text=True,
            check=False,
        )

    return run
