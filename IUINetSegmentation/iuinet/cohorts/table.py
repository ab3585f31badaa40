"""The table of a cohort: a row per case and organ, one for each case without a result. CSV, and Parquet."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from iuinet.files import atomic

from .figures import OUTLIER, Figures, Spread, doubts_of
from .ledger import DONE
from .source import Odd

FILE = "organs.csv"
PARQUET = "organs.parquet"
ODD = "odd"
_TAKEN = ("found", "millilitres", "mean_hu", "std_hu", "margin", "low_confidence", "components", "quality")
_BATCH = 20_000  # rows of Parquet written at once
# Columns and their types: text, whole numbers, numbers, yes or no.
COLUMNS: dict[str, type] = {
    "case": str, "state": str, "organ": str, "found": bool, "millilitres": float, "volume_z": float,
    "outlier": bool, "mean_hu": float, "std_hu": float, "margin": float, "low_confidence": bool,
    "cut_by_edge": bool, "edges": str, "components": int, "quality": str, "doubts": str, "code": str,
    "message": str, "slices": int, "spacing_mm": str, "device": str, "seconds": float, "model": str,
    "model_version": str, "model_sha256": str, "iuinet": str,
}  # fmt: skip
Row = dict[str, Any]


def write_table(
    folder: Path,
    figures: Figures,
    ended: Sequence[Mapping[str, Any]],
    odd: Sequence[tuple[str, Odd]],
) -> None:
    """Write the table anew, complete or not at all.

    ended: outcomes of the cases without a result. odd: ids and what made no case.
    Raises: OutputError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_table(Path(place), Figures(Path(place), []), [], [])
    ...     Path(place, FILE).read_text().split(",")[:2]
    ['case', 'state']
    """
    with (
        atomic(folder / FILE, overwrite=True) as draft,
        open(draft, "w", encoding="utf-8", newline="") as file,
    ):
        rows = csv.DictWriter(file, COLUMNS, restval="")
        rows.writeheader()
        rows.writerows(_rows(figures, ended, odd))
    if importlib.util.find_spec("pyarrow") is not None:
        with atomic(folder / PARQUET, overwrite=True) as draft:
            _write_parquet(draft, _rows(figures, ended, odd))


def _rows(
    figures: Figures, ended: Sequence[Mapping[str, Any]], odd: Sequence[tuple[str, Odd]]
) -> Iterator[Row]:
    for outcome in ended:
        yield {key: outcome[key] for key in ("case", "state", "code", "message") if key in outcome}
    for case, report in figures.reports():
        yield from _organ_rows(case, report, figures.spreads)
    for name, one in odd:
        yield {"case": name, "state": ODD, "code": one.code, "message": one.message}


def _organ_rows(case: str, report: Mapping[str, Any], spreads: Mapping[str, Spread]) -> Iterator[Row]:
    weights = report["weights"]
    common = {
        "case": case,
        "state": DONE,
        "doubts": "; ".join(doubts_of(report, spreads)),
        "slices": report["input"]["size"][2],
        "spacing_mm": " ".join(f"{step:.4g}" for step in report["input"]["spacing_mm"]),
        "device": report["device"],
        "seconds": round(sum(report["seconds"].values()), 3),
        "model": weights["id"],
        "model_version": weights["version"],
        "model_sha256": weights["sha256"],
        "iuinet": report["iuinet"],
    }
    for organ in report["organs"]:
        z = spreads[organ["name"]].z(organ["millilitres"]) if organ["found"] else None
        yield {
            **common,
            "organ": organ["name"],
            **{key: organ[key] for key in _TAKEN if organ[key] is not None},
            **({} if z is None else {"volume_z": round(z, 2), "outlier": abs(z) > OUTLIER}),
            "cut_by_edge": organ["touches_edge"],
            "edges": " ".join(organ["edges"]),
        }


def _write_parquet(path: Path, rows: Iterator[Row]) -> None:
    import pyarrow
    from pyarrow import parquet

    kinds = {str: pyarrow.string(), bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    with parquet.ParquetWriter(path, schema) as writer:
        batch: list[Row] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                writer.write_table(pyarrow.Table.from_pylist(batch, schema))
                batch = []
        writer.write_table(pyarrow.Table.from_pylist(batch, schema))
