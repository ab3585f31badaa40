"""Paired tests between models on the same cases: is a difference more than chance between cases?

Wilcoxon's signed-rank test, two-sided, on the cases' differences (for MEAN: of the cases' means over the
organs that both models have); Holm's correction over all pairs of models in MEAN, and over all pairs and
organs for the single organs, per metric and grid. The interval of the mean difference is a bootstrap's.
A test tells of these models and cases: not of other seeds of the same recipe, nor of other hospitals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from .summary import MEAN, interval, means, metrics_of, number, table_of

# With 5 cases the smallest p there is, 2 / 2^5, is above 0.05: such a test can show nothing.
FEWEST_CASES = 6
GRIDS = ("native", "network")
TESTED = ("dsc", "hd95_mm", "nsd", "hd95_voxels")

Side = tuple[str, Sequence[dict[str, Any]]]  # a model's name and its rows


def paired_tests(sides: Sequence[Side], organs: Sequence[str]) -> list[dict[str, Any]]:
    """The document's "paired": every two of the models.

    A difference is a minus b, over the cases that both have. p and p_holm are None for fewer than
    FEWEST_CASES cases.
    """
    entries = []
    for grid in GRIDS:
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
