"""A run's folder: the names of its files, and ``run.json``, which says what the run is made of.

``run.json`` holds the recipe, the data with its split, the seed, the environment, and when the run started,
was resumed (and what had changed by then) and ended. It can be given to anyone: no host name, user name or
absolute path is written.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy
import safetensors
import torch

import iuinet
from iuinet.errors import InputRefused, UsageError
from iuinet.writing import write_json

FORMAT = 2
RUN = "run.json"
LAST, BEST = "last.safetensors", "best.safetensors"
STEPS, EPOCHS, ATTENTION = "steps.jsonl", "epochs.csv", "dyfc.jsonl"
CURVES, TENSORBOARD = "curves.png", "tensorboard"
_CHANGING = ("recipe", "data", "environment")  # from one resumption to the next
_ROOT = Path(__file__).resolve().parents[3]

# What a change of each entry means to those who compare numbers before and after it.
_WORDS = {
    "iuinet": "IUINet's version",
    "revision": "the git revision",
    "dirty": "whether the checkout had changes that are not committed",
    "threads": "the number of threads",
    "processes": "the number of processes",
    "devices": "the devices",
}


class RunFolder:
    """A run's folder. Make one with ``create`` or ``open``; ``document`` is what run.json holds."""

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        self.path, self.document = path, document

    @classmethod
    def create(cls, path: Path, made_of: Mapping[str, Any]) -> RunFolder:
        """Begin a run in a new or empty folder. made_of: what every checkpoint says of the run.

        Raises: UsageError "run-exists" where a run lies already, OutputError for what the disk refuses.
        """
        if (path / RUN).is_file() or (path / LAST).is_file():
            raise UsageError(
                f"{path} holds a training already",
                hint="Go on with it by --resume, or choose another folder.",
                code="run-exists",
            )
        kept = {key: made_of[key] for key in ("recipe", "data", "seed", "start", "environment")}
        document = {"format": FORMAT, "started": now(), **kept, "resumed": [], "ended": None}
        folder = cls(path, without_paths(document))
        folder._write()
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run that lies in a folder. Raises: InputRefused "no-run", "run-damaged" or "run-newer"."""
        try:
            document = json.loads((path / RUN).read_text(encoding="utf-8"))
            newer = document["format"] > FORMAT
            if not isinstance(document["resumed"], list) or not isinstance(document["environment"], dict):
                raise ValueError("resumed is not a list, or environment not an object")
        except FileNotFoundError as error:
            hint = "Name the folder that train.py was given as --run."
            raise InputRefused(f"{path} holds no training", hint=hint, code="no-run") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputRefused(
                f"{path / RUN} cannot be read",
                hint="Copy the run's folder again; its checkpoints say the same as this file.",
                code="run-damaged",
            ) from error
        if newer:
            text = f"{path / RUN} has format {document['format']}, this version reads up to {FORMAT}"
            raise InputRefused(text, hint="Update these scripts.", code="run-newer")
        return cls(path, document)

    def resumed(
        self, step: int, made_of: Mapping[str, Any], whole: Callable[[Any], Any] = lambda recipe: recipe
    ) -> list[str]:
        """Record that the run goes on from this step; returns the changes since it last ran, in sentences.

        whole: completes the recipe of an earlier version by what it did not know.
        """
        present = without_paths({key: made_of[key] for key in _CHANGING})
        before = self._latest()
        sentences = changes(before["environment"], present["environment"])
        sentences += differences(without_paths(whole(before["recipe"])), present["recipe"], "recipe")
        sentences += differences(before["data"], known(before["data"], present["data"]), "data")
        record = {"time": now(), "step": step, "changed": sentences}
        # Only what differs is kept, so that hundreds of resumptions do not bloat the file.
        record |= {key: value for key, value in present.items() if value != before[key]}
        self.document["resumed"].append(record)
        self.document["ended"] = None
        self._write()
        return sentences

    def ended(self, step: int, reason: str) -> None:
        """Record that the run is over: reason is a sentence, such as why it stopped early."""
        self.document["ended"] = {"time": now(), "step": step, "reason": reason}
        self._write()

    def _latest(self) -> dict[str, Any]:
        latest = {key: self.document[key] for key in _CHANGING}
        for record in self.document["resumed"]:
            latest |= {key: record[key] for key in latest if key in record}
        return latest

    def _write(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / RUN, self.document, overwrite=True)


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def differences(before: Any, after: Any, name: str) -> list[str]:
    """What differs between two JSON values, a sentence for each place that differs."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = dict.fromkeys([*before, *after])
        return [
            line for key in keys for line in differences(before.get(key), after.get(key), f"{name}.{key}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        nested = [(n, a, b) for n, (a, b) in pairs if isinstance(a, Mapping) and isinstance(b, Mapping)]
        if len(nested) == len(before):
            return [line for n, a, b in nested for line in differences(a, b, f"{name}.{a.get('name', n)}")]
    if before == after:
        return []
    return [f"{name} was {_short(before)} and is now {_short(after)}"]


def known(before: Any, after: Any) -> Any:
    """What comes after without the entries that before did not have: a later version tells more.

    The sentence that tells the rest in words is left as it was.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        kept = {key: known(before[key], value) for key, value in after.items() if key in before}
        return {**kept, **{key: before[key] for key in ("statement",) if key in kept}}
    if isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        return [known(a, b) for a, b in zip(before, after, strict=True)]
    return after


def without_paths(value: Any) -> Any:
    """A JSON-ready copy in which an absolute path is its last name only, and tuples are lists."""
    if isinstance(value, Mapping):
        return {str(key): without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(item) for item in value]
    if isinstance(value, str | Path):
        text = str(value)
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(text).is_absolute():
                return kind(text).name
        return text
    return value


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


# Where a run computes -----------------------------------------------------------------------------------


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
