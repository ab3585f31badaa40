"""Where a run computes: versions, devices, threads, revision. Nothing names a person or machine."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy
import safetensors
import torch

import iuinet

_ROOT = Path(__file__).resolve().parents[2]

# What a change of each entry means to whoever compares numbers before and after it.
_WORDS = {
    "iuinet": "IUINet's version",
    "revision": "the git revision",
    "dirty": "whether the checkout had changes that are not committed",
    "threads": "the number of threads",
    "processes": "the number of processes",
    "devices": "the devices",
}


def environment(device: torch.device | str | None = None, processes: int = 1) -> dict[str, Any]:
    """What the numbers of a run may depend on besides its recipe and data; JSON-ready.

    device: what the run computes on. processes: how many share the work.
    No host name, user name or path is in it.
    """
    number, dirty = revision()
    return {
        "iuinet": iuinet.__version__,
        "revision": number,
        "dirty": dirty,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        "numpy": numpy.__version__,
        "safetensors": safetensors.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": None if device is None else torch.device(device).type,
        "devices": [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())],
        "threads": torch.get_num_threads(),
        "processes": processes,
    }


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two environments, a sentence each; what only one of them knows is left out."""
    return [
        f"{_WORDS.get(key, key)} was {_plain(before[key])} and is now {_plain(now[key])}"
        for key in now
        if key in before and before[key] != now[key]
    ]


def revision() -> tuple[str, bool | None]:
    """The git revision of these scripts, and whether tracked files were changed since.

    ("unknown", None) outside a checkout of this repository, also where a copy lies in another repository.
    """
    top = _git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != _ROOT:
        return "unknown", None
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return _git("rev-parse", "HEAD") or "unknown", None if changed is None else bool(changed)


def processor() -> str:
    """The processor's model; what the platform calls it where the system does not say."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    # A hook or another tool may have these set to a repository of its own.
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        command = ["git", "-C", str(_ROOT), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=surroundings)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _plain(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
