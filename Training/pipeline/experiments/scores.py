"""What the networks of an experiment reach: one evaluation of all their runs, by ``evaluate.py`` itself."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from typing import Any

from iuinet.console import Console
from pipeline.evaluation.statistics import MEAN

FOLDER = "evaluation"


def evaluate_all(
    trainings: Sequence[dict[str, Any]], options: argparse.Namespace, console: Console
) -> dict[str, Any] | None:
    """Measure all runs that did not fail into --run/evaluation; returns its results.json, None for no run."""
    import evaluate  # the script, and all that it needs, only where something is measured

    runs = [options.run / training["run"] for training in trainings if "run" in training]
    if not runs:
        return None
    out = options.run / FOLDER
    words = ["--data", options.data, "--run", *runs, "--out", out, "--device", options.device]
    words += ["--partial"] if options.partial else []
    evaluate.run(evaluate.parse([str(word) for word in words]), console)
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


def organs_of(results: dict[str, Any] | None) -> tuple[str, ...]:
    """Names of the organs that were scored."""
    return tuple(organ["name"] for organ in results["organs"]) if results else ()


def scores_of(runs: Sequence[str], results: dict[str, Any]) -> dict[str, float | None]:
    """DSC of one network: means over its runs, which differ in their seed.

    "dsc", "dsc_network": mean over the organs on the scans' own grid and at the network's size; "dsc_sd": of
    the first over the seeds, None for one; "dsc <organ>": on the scans' own grid. None for what no run has.
    """
    found = {
        (entry["model"], entry["grid"], entry["organ"]): entry["mean"]
        for entry in results["summary"]
        if entry["metric"] == "dsc"
    }

    def values(grid: str, organ: str) -> list[float]:
        every = [found.get((run, grid, organ)) for run in runs]
        return [value for value in every if value is not None]

    means = values("native", MEAN)
    return {
        "dsc": mean(means),
        "dsc_sd": statistics.stdev(means) if len(means) > 1 else None,
        "dsc_network": mean(values("network", MEAN)),
        **{f"dsc {organ}": mean(values("native", organ)) for organ in organs_of(results)},
    }


def mean(values: Sequence[float]) -> float | None:
    """None for no values."""
    return statistics.fmean(values) if values else None
