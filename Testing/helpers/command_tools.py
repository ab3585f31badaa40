"""What the command's tests share: how it is run, and what a refusal looks like."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import SimpleITK as sitk

from iuinet.volume import Volume
from iuinet.worker import protocol

PACKAGE_ROOT = Path(protocol.__file__).parents[2]
Finished = subprocess.CompletedProcess
ANSWER = re.compile(r"error\[([a-z0-9-]+)\]: \S.*\nhint: \S.*\n")


def write_ct(path: Path, volume: Volume, **metadata: str) -> Path:
    """Write a volume as an image file."""
    image = sitk.GetImageFromArray(volume.array)
    image.SetSpacing(volume.grid.spacing)
    image.SetOrigin(volume.grid.origin)
    for name, value in metadata.items():
        image.SetMetaData(name, value)
    sitk.WriteImage(image, str(path))
    return path


def work_folder(tmp_path: Path) -> Path:
    """The folder that the command runs in."""
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    return folder


def environment(**variables: str) -> dict[str, str]:
    """The environment of the command."""
    return {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), **variables}


def refusal(finished: Finished, status: int) -> str:
    """The code of a refusal, after a look at its form: two lines, and nothing anywhere else."""
    assert finished.returncode == status, finished.stderr
    assert finished.stdout == ""
    answer = ANSWER.fullmatch(finished.stderr)
    assert answer, finished.stderr
    return answer[1]


def write_index(path: Path) -> Path:
    """A list of models that names one, toy, whose file is not there."""
    listed = {"id": "toy", "version": "1", "file": "toy.safetensors", "sha256": "0" * 64, "size": 1}
    path.write_text(json.dumps({"format": 1, "default": "toy", "models": [listed]}), encoding="utf-8")
    return path
