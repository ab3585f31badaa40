#!/usr/bin/env python3
"""Turn a training run into a model file, and enter it into a list of models.

    python Training/export.py --run runs/tiny --card Training/config/starter-tiny.json \\
        --metrics runs/evaluation.json --out IUINetSegmentation/Resources/Weights --default

Writes ID-VERSION.safetensors (the averaged weights with their document) into OUT and the entry into
OUT/manifest.json. Run it first without --metrics, measure that file with evaluate.py, then run it again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

from evaluation.scores import mean_scores
from fitting.options import Options
from fitting.state import CHECKPOINT, read_average
from synthesis import ORGANS

from iuinet.model import save_model
from iuinet.model_file import check_file
from iuinet.network import IUINet
from iuinet.weights import MANIFEST_FORMAT


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="run folder of train.py")
    parser.add_argument("--card", type=Path, required=True, help="JSON: id, version, licence, data, use")
    parser.add_argument("--metrics", type=Path, help="what evaluate.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model and its manifest.json")
    parser.add_argument("--default", action="store_true", help="make it the list's default model")
    options = parser.parse_args(arguments)
    card = json.loads(options.card.read_text(encoding="utf-8"))
    metrics = summary(json.loads(options.metrics.read_text())) if options.metrics else {}
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{card['id']}-{card['version']}.safetensors"
    settings = export(options.run / CHECKPOINT, path, card, metrics)
    enter(options.out / "manifest.json", path, settings.preset, options.default)
    print(path)
    return 0


def export(checkpoint: Path, path: Path, card: dict, metrics: dict) -> Options:
    """Write the averaged weights of a checkpoint as a model file; returns the run's options."""
    tensors, state = read_average(checkpoint)
    settings = Options(**{key: _tuples(value) for key, value in state["options"].items()})
    net = IUINet(settings.network)
    net.load_state_dict(tensors)
    save_model(path, net, document(card, settings, state["step"], metrics))
    return settings


def document(card: dict, settings: Options, steps: int, metrics: dict) -> dict:
    """What the model file says about itself."""
    recipe = {
        "steps": steps,
        "stages": settings.stages,
        "seed": settings.seed,
        "anatomies": settings.anatomies,
        "learning_rate": settings.learning_rate,
    }
    return {
        "format": 1,
        "id": card["id"],
        "version": card["version"],
        "organs": [{"name": name, "label": label} for label, name in enumerate(ORGANS, start=1)],
        "preprocessing": {"orientation": "LPS", "size": settings.size, "window": list(settings.window)},
        "training": {**card["training"], "recipe": recipe, "revision": revision(), "date": str(date.today())},
        "metrics": metrics,
        "license": card["license"],
        "attributions": card["attributions"],
        "intended_use": card["intended_use"],
    }


def revision() -> str:
    """The git revision of these scripts, "unknown" outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def summary(evaluation: dict) -> dict:
    """Mean DSC per group of cases and organ, and the volumes on scans without reference."""
    cases = evaluation["cases"]
    groups = dict.fromkeys(case["group"] for case in cases if "dice" in case)
    means = {g: mean_scores([c["dice"] for c in cases if c["group"] == g and "dice" in c]) for g in groups}
    return {
        "dice": {g: {organ: round(value, 3) for organ, value in mean.items()} for g, mean in means.items()},
        "cases": {g: sum(c["group"] == g for c in cases) for g in groups},
    }


def enter(manifest: Path, path: Path, preset: str, default: bool) -> None:
    """Put the model's entry into a list of models, in the place of an older one of the same id."""
    listed = {"format": MANIFEST_FORMAT, "default": "", "models": []}
    if manifest.exists():
        listed = json.loads(manifest.read_text(encoding="utf-8"))
    weights = check_file(path)
    entry = {
        "id": weights.id,
        "version": weights.version,
        "file": path.name,
        "sha256": weights.sha256,
        "size": path.stat().st_size,
        "urls": [],
        "preset": preset,
        "organs": [organ["name"] for organ in weights.document["organs"]],
        "metrics": weights.document["metrics"],
        "license": weights.document["license"],
    }
    listed["models"] = [entry, *(model for model in listed["models"] if model["id"] != weights.id)]
    if default or not listed["default"]:
        listed["default"] = weights.id
    manifest.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")


def _tuples(value: object) -> object:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
