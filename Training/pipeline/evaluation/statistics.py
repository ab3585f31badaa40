"""Means over cases, organs and seeds, and paired tests between models.

An organ's mean is over the cases that have a value; the row "mean" is the mean of the organs' means, as in
published tables. Its spread is over the cases: of each case's own mean over its organs. Intervals are the
middle 95 % of 2000 means over cases drawn with replacement, from a fixed seed.

Tests between models on the same cases: Wilcoxon's signed-rank test, two-sided, on the cases' differences (for
MEAN: of the cases' means over the organs that both models have); Holm's correction over all pairs of models
in MEAN, and over all pairs and organs for the single organs, per metric and grid. The interval of the mean
difference is a bootstrap's. A test tells of these models and cases: not of other seeds of the same recipe,
nor of other hospitals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

MEAN = "mean"
GRIDS = ("native", "network", "ceiling")
METRICS = ("dsc", "hd95_mm", "assd_mm", "nsd", "volume_error_ml", "volume_error_percent")
# Signed volume errors cancel out over cases; the size of the errors is reported as well.
ABSOLUTE = "absolute_volume_error_percent"
RESAMPLES, SEED = 2000, 0
# With 5 cases the smallest p there is, 2 / 2^5, is above 0.05: such a test can show nothing.
FEWEST_CASES = 6
TESTED_GRIDS = ("native", "network")
TESTED = ("dsc", "hd95_mm", "nsd", "hd95_voxels")

Rows = Sequence[dict[str, Any]]
Side = tuple[str, Rows]  # a model's name and its rows


def metrics_of(rows: Rows) -> tuple[str, ...]:
    """The metrics that the rows can have, by their convention and what is known of the voxels' size."""
    names = METRICS
    if any("hd95_voxels" in row for row in rows):
        names = ("dsc", "hd95_voxels", "volume_error_ml", "volume_error_percent")
    return (*(name for name in names if any(name in row for row in rows)), ABSOLUTE)


def value_of(row: dict[str, Any], metric: str) -> float:
    """A row's value, NaN where there is none."""
    value = row.get(metric.removeprefix("absolute_") if metric == ABSOLUTE else metric)
    return np.nan if value is None else abs(value) if metric == ABSOLUTE else value


def table_of(rows: Rows, metric: str, organs: Sequence[str], cases: Sequence[str]) -> np.ndarray:
    """Values (cases, organs) of rows of one model and grid; NaN where there is none."""
    table = np.full((len(cases), len(organs)), np.nan)
    at_case, at_organ = ({name: n for n, name in enumerate(names)} for names in (cases, organs))
    for row in rows:
        if row["organ"] in at_organ and row["case"] in at_case:
            table[at_case[row["case"]], at_organ[row["organ"]]] = value_of(row, metric)
    return table


def means(values: np.ndarray, axis: int) -> np.ndarray:
    """Means without the NaN along an axis; NaN where there is nothing else."""
    known = ~np.isnan(values)
    counts = known.sum(axis)
    sums = np.where(known, values, 0).sum(axis)
    return np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0)


def summarise(rows: Rows, models: Sequence[str], organs: Sequence[str]) -> list[dict[str, Any]]:
    """The document's "summary": one entry per model, grid, organ (and MEAN) and metric."""
    entries = []
    for model in models:
        for grid in GRIDS:
            chosen = [row for row in rows if row["model"] == model and row["grid"] == grid]
            cases = list(dict.fromkeys(row["case"] for row in chosen))
            present = [organ for organ in organs if any(row["organ"] == organ for row in chosen)]
            states = {(row["case"], row["organ"]): row["state"] for row in chosen}
            for metric in metrics_of(rows) if chosen else ():
                table = table_of(chosen, metric, present, cases)
                for index, organ in [*enumerate(present), (None, MEAN)]:
                    numbers = table if index is None else table[:, [index]]
                    mine = [state for (_, of), state in states.items() if organ in (of, MEAN)]
                    counts = {
                        "cases": int((~np.isnan(numbers)).any(1).sum()),
                        "left_out": mine.count("absent"),
                        "failures": mine.count("missed") + mine.count("extra"),
                    }
                    head = {"model": model, "grid": grid, "organ": organ, "metric": metric}
                    entries.append({**head, **_statistics(numbers), **counts})
    return entries


def _statistics(table: np.ndarray) -> dict[str, float | None]:
    per_case = means(table, 1)
    per_case = per_case[~np.isnan(per_case)]
    mean = means(means(table, 0), 0)
    low, high = interval(table)
    return {
        "mean": number(mean),
        "sd": number(per_case.std(ddof=1)) if len(per_case) > 1 else None,
        "median": number(np.median(per_case)) if len(per_case) else None,
        "low": low,
        "high": high,
    }


def interval(table: np.ndarray) -> tuple[float | None, float | None]:
    """95 % bootstrap interval of the mean of the organs' means; None for fewer than 2 cases.

    table: (cases, organs), NaN where there is no value.
    """
    table = table[~np.isnan(table).all(1)]
    if len(table) < 2:
        return None, None
    draws = np.random.default_rng(SEED).integers(len(table), size=(RESAMPLES, len(table)))
    drawn = means(means(table[draws], 1), 1)
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return number(low), number(high)


def number(value: float) -> float | None:
    """A plain float for JSON, None for NaN."""
    return None if np.isnan(value) else float(value)


def over_seeds(
    summary: Sequence[dict[str, Any]], groups: Sequence[tuple[str, Sequence[str]]]
) -> list[dict[str, Any]]:
    """The document's "seeds": mean and standard deviation of the models' means. groups: (name, models)."""
    entries = []
    for name, models in groups:
        cells: dict[tuple[str, str, str], list[float]] = {}
        for entry in summary:
            if entry["model"] in models and entry["mean"] is not None:
                cells.setdefault((entry["grid"], entry["organ"], entry["metric"]), []).append(entry["mean"])
        for (grid, organ, metric), values in cells.items():
            if len(values) == len(models):
                head = {"group": name, "models": list(models), "grid": grid, "organ": organ, "metric": metric}
                entries.append({**head, "mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1))})
    return entries


def paired_tests(sides: Sequence[Side], organs: Sequence[str]) -> list[dict[str, Any]]:
    """The document's "paired": every two of the models.

    A difference is a minus b, over the cases that both have. p and p_holm are None for fewer than
    FEWEST_CASES cases.
    """
    entries = []
    for grid in TESTED_GRIDS:
        chosen = [
            tuple((name, [row for row in rows if row["grid"] == grid]) for name, rows in pair)
            for pair in combinations(sides, 2)
        ]
        rows = [row for pair in chosen for _, part in pair for row in part]
        for metric in [name for name in metrics_of(rows) if name in TESTED]:
            found = [entry for a, b in chosen for entry in _compare(a, b, metric, grid, organs)]
            for family in (True, False):
                holm([entry for entry in found if (entry["organ"] == MEAN) == family])
            entries += found
    return entries


def _compare(a: Side, b: Side, metric: str, grid: str, organs: Sequence[str]) -> Iterator[dict[str, Any]]:
    shared = [{row["case"] for row in rows} for _, rows in (a, b)]
    cases = sorted(shared[0] & shared[1])
    first, second = (table_of(rows, metric, organs, cases) for _, rows in (a, b))
    differences = first - second  # NaN where one of them has no value
    for index, organ in [(None, MEAN), *enumerate(organs)]:
        table = differences if index is None else differences[:, [index]]
        per_case = means(table, 1)
        per_case = per_case[~np.isnan(per_case)]
        if not len(per_case):
            continue
        low, high = interval(means(table, 1)[:, None])
        yield {
            "a": a[0],
            "b": b[0],
            "organ": organ,
            "metric": metric,
            "grid": grid,
            "difference": float(per_case.mean()),
            "low": low,
            "high": high,
            "p": wilcoxon(per_case),
            "p_holm": None,
            "cases": len(per_case),
        }


def wilcoxon(differences: np.ndarray) -> float | None:
    """Two-sided p of the signed-rank test; 1 if nothing differs, None for fewer than FEWEST_CASES."""
    if len(differences) < FEWEST_CASES:
        return None
    # Sums of products differ in their last digits where nothing differs in truth, and would count as signs.
    rounded = np.round(differences, 12)
    if not rounded.any():
        return 1.0
    return number(stats.wilcoxon(rounded, zero_method="pratt").pvalue)


def holm(entries: list[dict[str, Any]]) -> None:
    """Fill in p_holm of one family: p times the number of tests not yet passed, never falling (Holm 1979)."""
    tested = sorted((entry for entry in entries if entry["p"] is not None), key=lambda entry: entry["p"])
    reached = 0.0
    for rank, entry in enumerate(tested):
        reached = max(reached, min(1.0, entry["p"] * (len(tested) - rank)))
        entry["p_holm"] = reached
