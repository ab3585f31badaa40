"""What the paper prints of its ablations (``published.toml``), to be read beside what is measured here."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("published.toml")


def published_rows() -> list[dict[str, Any]]:
    """Rows of the same keys as those of ``ablate.py``."""
    tables = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return [
        {
            "model": f"published: {title}",
            "parameters": table["parameters_millions"] * 1e6,
            "macs_pytorch": table["macs_thousand_millions"] * 1e9,
            "dsc": sum(table["dsc"].values()) / len(table["dsc"]),
            **{f"dsc {organ}": value for organ, value in table["dsc"].items()},
        }
        for title, table in tables.items()
    ]
