"""Looks things up in a result document (``document.py``) for the page; what is missing is no error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iuinet.labels import NEUTRAL_COLOR

from .metrics import TRANSUNET
from .statistics import ABSOLUTE, MEAN

NATIVE, NETWORK, CEILING = "native", "network", "ceiling"
FAILURES = ("missed", "extra")


@dataclass(frozen=True)
class Column:
    """A metric as people see it. form: of ``format``. high_is_good: None where neither way is better."""

    metric: str
    title: str
    form: str
    high_is_good: bool | None = False


DSC = Column("dsc", "DSC", ".3f", True)
HD95 = Column("hd95_mm", "HD95 mm", ".1f")
HD95_VOXELS = Column("hd95_voxels", "HD95 voxels", ".1f")
ASSD = Column("assd_mm", "ASSD mm", ".2f")
NSD = Column("nsd", "NSD", ".3f", True)
VOLUME_PERCENT = Column(ABSOLUTE, "|Volume error| %", ".1f")
VOLUME_ML = Column("volume_error_ml", "Volume error ml", "+.1f", None)
COLUMNS = (DSC, HD95, HD95_VOXELS, ASSD, NSD, VOLUME_PERCENT, VOLUME_ML)


@dataclass(frozen=True)
class Shade:
    """An organ of the document. color: red, green, blue."""

    name: str
    label: int
    color: tuple[int, int, int]

    @property
    def css(self) -> str:
        """The colour as CSS and SVG take it."""
        return "rgb({},{},{})".format(*self.color)


class Found:
    """The document's parts by name."""

    def __init__(self, results: dict[str, Any]) -> None:
        self.results = results
        self.data: dict[str, Any] = results.get("data") or {}
        self.models: Sequence[dict[str, Any]] = results.get("models") or ()
        self.names = [model["name"] for model in self.models]
        self.organs = [_shade(entry) for entry in results.get("organs") or ()]
        self.cases: list[str] = list(self.data.get("cases") or ())
        self.convention: str = results.get("convention") or ""
        self._summary = {
            (entry["model"], entry["grid"], entry["organ"], entry["metric"]): entry
            for entry in results.get("summary") or ()
        }
        self._rows = {
            (row["model"], row["grid"], row["organ"], row["case"]): row for row in results.get("rows") or ()
        }
        known = {metric for _, _, _, metric in self._summary}
        self.columns = tuple(column for column in COLUMNS if column.metric in known) or (DSC,)
        self.distance = next((c for c in self.columns if c in (HD95, HD95_VOXELS)), None)

    @property
    def foreign_rules(self) -> bool:
        """Whether the numbers are by other rules than ours."""
        return self.convention == TRANSUNET

    def summary(
        self, model: str, organ: str = MEAN, metric: str = "dsc", grid: str = NATIVE
    ) -> dict[str, Any]:
        """An entry of the summary, {} where there is none."""
        return self._summary.get((model, grid, organ, metric), {})

    def row(self, model: str, organ: str, case: str, grid: str = NATIVE) -> dict[str, Any] | None:
        """One row, None where a case or an organ was not scored."""
        return self._rows.get((model, grid, organ, case))

    def rows(self, model: str, organ: str, grid: str = NATIVE) -> list[dict[str, Any]]:
        """All cases of an organ, in the order of the cases."""
        of_cases = (self.row(model, organ, case, grid) for case in self.cases)
        return [row for row in of_cases if row is not None]

    def organs_of(self, model: str) -> list[Shade]:
        """The organs that a model was scored on."""
        return [organ for organ in self.organs if self.rows(model, organ.name)]

    def failures(self) -> list[dict[str, Any]]:
        """Rows of the native grid where an organ was missed or invented."""
        return [
            row
            for name in self.names
            for organ in self.organs
            for row in self.rows(name, organ.name)
            if row.get("state") in FAILURES
        ]

    def exposures(self) -> list[str] | None:
        """What each model knew of each case, "" for nothing; None where the document does not say."""
        told = [model.get("exposure") for model in self.models]
        if not told or any(exposure is None for exposure in told):
            return None
        return [kind for exposure in told for kind in exposure.values()]


def _shade(entry: dict[str, Any]) -> Shade:
    color = tuple(int(part) for part in entry.get("color") or NEUTRAL_COLOR)
    return Shade(entry["name"], int(entry["label"]), color)
