"""How long a run will take on this computer: from runs of the past, before the first one from a calibration.

A run costs the network's time, which depends on model, device and passes alone, and the time for the voxels,
which grows with their number. Both are remembered in the user's folder; no name, path or image is.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from iuinet.atomic import atomic
from iuinet.weights_places import user_folder

KEPT_RUNS = 5
# Seconds per million voxels for the rest of the work, where no run has told yet: measured on two slow cores.
FIRST_RATE = 0.02


def _file() -> Path:
    return user_folder() / "timing.json"


def expected_seconds(
    device: str, weights: str, voxels: int, network_seconds: float | None, passes: int = 1
) -> float | None:
    """Seconds that a run will probably take; None where nothing is known.

    device: as reports name it. weights: SHA-256 of the model. network_seconds: what the probe measured of
    this model on this device (``iuinet.self_check``), None if it could not. passes: of the network.
    """
    runs = _read().get(_key(device, weights), [])
    if runs:
        network = statistics.median(run["network"] for run in runs)
        rate = statistics.median(run["rate"] for run in runs)
    elif network_seconds is not None:
        network, rate = network_seconds, FIRST_RATE
    else:
        return None
    return passes * network + rate * voxels / 1e6


def remember(report: Mapping[str, Any], total_seconds: float) -> None:
    """Learn from a finished run. A file that cannot be written is no reason to disturb anybody.

    report: the run's report. total_seconds: from the click to the result.
    """
    voxels = 1
    for count in report["input"]["size"]:
        voxels *= count
    network = report["seconds"].get("segmenting", 0.0)
    rest = max(0.0, total_seconds - network)
    document = _read()
    key = _key(report["device"], report["weights"]["sha256"])
    runs = [*document.get(key, []), {"network": network / report["passes"], "rate": rest / voxels * 1e6}]
    document[key] = runs[-KEPT_RUNS:]
    with suppress(Exception):
        _file().parent.mkdir(parents=True, exist_ok=True)
        with atomic(_file(), overwrite=True) as draft:
            draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def in_words(seconds: float) -> str:
    """About how long, as people say it."""
    if seconds < 5:
        return "a few seconds"
    if seconds < 90:
        return f"about {5 * round(seconds / 5)} s"
    return f"about {seconds / 60:.0f} min"


def _key(device: str, weights: str) -> str:
    return f"{device} {weights[:16]}"


def _read() -> dict[str, Any]:
    with suppress(OSError, ValueError):
        document = json.loads(_file().read_text(encoding="utf-8"))
        if isinstance(document, dict):
            return document
    return {}
