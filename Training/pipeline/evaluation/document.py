"""``results.json``: everything an evaluation found, in a document that explains itself, and its reader."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import iuinet
from iuinet.labels import LARGEST, NEUTRAL_COLOR, Organ, organs_of_model, plain_name
from pipeline.dataset.prepared import PreparedData

from .candidates import SINGLE, Candidate, group_name, groups_of
from .exposure import only_seen, other_data, standing, warnings
from .metrics import TRANSUNET, Rules
from .runner import Settings
from .scoring import not_scored
from .statistics import ABSOLUTE, FEWEST_CASES, GRIDS, MEAN, over_seeds, paired_tests, summarise

FORMAT = 2
_MARK = (
    "Scored by the rules of TransUNet, for comparison with published tables only: HD95 in voxels, both "
    "directions pooled; a missed organ has HD95 0, an invented one DSC 1, one that is absent in both DSC 0. "
    "All pieces of every organ are kept, as the published code does."
)


def build(
    data: PreparedData,
    about: dict[str, Any],
    candidates: Sequence[Candidate],
    organs: Sequence[Organ],
    rows: Sequence[dict[str, Any]],
    settings: Settings,
) -> dict[str, Any]:
    """The document. about: of the data ("split", "statement", "subset"). organs: the data's."""
    rules = settings.rules
    scored = {row["organ"] for row in rows}
    organs = [organ for organ in organs if organ.name in scored]
    names = [organ.name for organ in organs]
    cases = list(dict.fromkeys(case for candidate in candidates for case in candidate.cases))
    summary = summarise(rows, [candidate.name for candidate in candidates], names)
    own = [(c.name, [row for row in rows if row["model"] == c.name]) for c in candidates]
    return {
        "format": FORMAT,
        "software": iuinet.__version__,
        "convention": rules.convention,
        "tolerance_mm": rules.tolerance_mm,
        "largest_piece_only": settings.islands,
        "one_pass_only": settings.fast,
        "created": str(date.today()),
        "warnings": _warnings(data, candidates, rules),
        "definitions": _definitions(rules),
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            **about,
            "millimetres": data.millimetres,
            "generated": data.generated,
            "cases": cases,
            "references": {case: data.case(case).label_sha256 for case in cases},
        },
        "organs": [{"name": o.name, "label": o.label, "color": list(o.color)} for o in organs],
        "models": [_model(candidate, organs, data) for candidate in candidates],
        "rows": list(rows),
        "summary": summary,
        "seeds": over_seeds(summary, _seed_groups(candidates)),
        "paired": paired_tests(own, names),
    }


def _model(candidate: Candidate, organs: Sequence[Organ], data: PreparedData) -> dict[str, Any]:
    """A candidate's entry in "models". organs: those that were scored."""
    known = organs_of_model(candidate.members[0].weights.document)
    first = candidate.members[0]
    alone = candidate.kind == SINGLE
    standings = {member.name: standing(member.training) for member in candidate.members}
    exposures = {case: candidate.exposure(case) for case in candidate.cases}
    left_out = not_scored(known, organs)
    held = {plain_name(organ["name"]) for organ in data.organs}
    hashes = [member.sha256 for member in candidate.members]
    return {
        "name": candidate.name,
        "kind": candidate.kind,
        "id": first.weights.id if alone and not first.run else "",
        "version": first.weights.version if alone and not first.run else "",
        "sha256": first.sha256 if alone else hashlib.sha256("".join(hashes).encode()).hexdigest(),
        "training": first.training if alone else {},
        "checkpoint": first.which if alone else "",
        "standing": [f"{name} {text}" for name, texts in standings.items() for text in texts]
        + warnings(candidate.name, only_seen(exposures)),
        "size": first.weights.document["preprocessing"]["size"],
        "members": len(candidate.members),
        "member_names": [member.name for member in candidate.members],
        "member_sha256": hashes,
        "one_piece": [organ.name for organ in known if organ.pieces == LARGEST],
        "not_scored": [name for name in left_out if plain_name(name) not in held],
        "unlabelled": [name for name in left_out if plain_name(name) in held],
        "folds": {case: member.name for case, member in candidate.member_of.items()},
        "exposure": exposures,
    }


def _warnings(data: PreparedData, candidates: Sequence[Candidate], rules: Rules) -> list[str]:
    sentences = [_MARK] if rules.convention == TRANSUNET else []
    if not rules.millimetres:
        sentences.append(f"{data.name} tells no size of its voxels: nothing is measured in mm or ml.")
    if unlabelled := [organ["name"] for organ in data.organs if organ["name"] not in data.labelled]:
        sentences.append(f"{data.name} does not label {', '.join(unlabelled)}: nothing is said of them.")
    members = {member.name: member for candidate in candidates for member in candidate.members}
    for name, member in members.items():
        sentences += [f"{name} {text}" for text in standing(member.training)]
    for candidate in candidates:
        sentences += warnings(candidate.name, {case: candidate.exposure(case) for case in candidate.cases})
    for name, member in members.items():
        sentences += other_data(name, member.training, data.name)
        sentences += _clipped(name, member.weights.document["preprocessing"]["window"], data)
    return sentences


def _clipped(model: str, window: Sequence[float], data: PreparedData) -> list[str]:
    """A sentence where the images end within the window that a model looks through."""
    low, high = data.clipped or window
    if low <= window[0] and window[1] <= high:
        return []
    return [
        f"The images of {data.name} are clipped to {low:g} to {high:g} HU, within the window of {model} "
        f"({window[0]:g} to {window[1]:g}): it does not see what it would see of a scanner's image."
    ]


def _definitions(rules: Rules) -> dict[str, str]:
    """What the numbers mean, for those who read the file alone."""
    common = {
        "grids": "native: the scan's own grid. network: the cube that the network sees. ceiling: the "
        "reference itself, resized to the network's cube and back: what the geometry loses.",
        "volume_error": "result minus reference; percent of the reference.",
        "summary": "mean over the cases that have a value; organ 'mean': the mean of the organs' means, its "
        "sd and median over the cases' own means. low, high: 95 % bootstrap interval of the mean over cases.",
        "paired": "a minus b over the cases of both; Wilcoxon's signed-rank test, two-sided; p_holm: Holm's "
        "correction over all pairs of models in 'mean', and over all pairs and organs in the organs. p is "
        f"null for fewer than {FEWEST_CASES} cases: no test is possible.",
        "seeds": "mean and standard deviation of the means of models of one recipe.",
    }
    if rules.convention == TRANSUNET:
        return {"rules": _MARK, **common}
    if not rules.millimetres:
        return {
            "missing organs": "absent in both: left out. Missed, or found where there is none: DSC 0.",
            **common,
        }
    return {
        "surface": "voxels that share a face with the background; distances between voxel centres, mm.",
        "hd95_mm": "the larger of the two directed 95th percentiles of the surface distances.",
        "assd_mm": "the mean of the surface distances of both directions together.",
        "nsd": f"the share of both surfaces within {rules.tolerance_mm:g} mm of the other.",
        "missing organs": "absent in both: left out. Missed, or found where there is none: DSC 0, NSD 0, "
        "HD95 and ASSD the diagonal of the image; counted in 'failures'.",
        **common,
    }


def _seed_groups(candidates: Sequence[Candidate]) -> list[tuple[str, list[str]]]:
    members = [candidate.members[0] for candidate in candidates if candidate.kind == SINGLE]
    groups = [group for group in groups_of(members) if len(group) > 1]
    return [(group_name(group), [member.name for member in group]) for group in groups]


# Looking things up ---------------------------------------------------------------------------------------


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
COLUMNS = (
    DSC,
    HD95,
    HD95_VOXELS,
    Column("assd_mm", "ASSD mm", ".2f"),
    Column("nsd", "NSD", ".3f", True),
    Column(ABSOLUTE, "|Volume error| %", ".1f"),
    Column("volume_error_ml", "Volume error ml", "+.1f", None),
)
NATIVE, NETWORK, CEILING = GRIDS
FAILURES = ("missed", "extra")


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


class Results:
    """A document's parts by name, for the page; what is missing in it is not an error."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.data: dict[str, Any] = document.get("data") or {}
        self.models: Sequence[dict[str, Any]] = document.get("models") or ()
        self.names = [model["name"] for model in self.models]
        self.organs = [_shade(entry) for entry in document.get("organs") or ()]
        self.cases: list[str] = list(self.data.get("cases") or ())
        self._summary = {
            (entry["model"], entry["grid"], entry["organ"], entry["metric"]): entry
            for entry in document.get("summary") or ()
        }
        self._rows = {
            (row["model"], row["grid"], row["organ"], row["case"]): row for row in document.get("rows") or ()
        }
        known = {metric for _, _, _, metric in self._summary}
        self.columns = tuple(column for column in COLUMNS if column.metric in known) or (DSC,)
        self.distance = next((c for c in self.columns if c in (HD95, HD95_VOXELS)), None)

    def summary(
        self, model: str, organ: str = MEAN, metric: str = "dsc", grid: str = NATIVE
    ) -> dict[str, Any]:
        """An entry of the summary, {} where there is none."""
        return self._summary.get((model, grid, organ, metric), {})

    def row(self, model: str, organ: str, case: str) -> dict[str, Any] | None:
        """One row of the native grid, None where a case or an organ was not scored."""
        return self._rows.get((model, NATIVE, organ, case))

    def rows(self, model: str, organ: str) -> list[dict[str, Any]]:
        """All cases of an organ on the native grid, in the order of the cases."""
        return [row for case in self.cases if (row := self.row(model, organ, case)) is not None]

    def organs_of(self, model: str) -> list[Shade]:
        """The organs that a model was scored on."""
        return [organ for organ in self.organs if self.rows(model, organ.name)]

    def failures(self) -> list[dict[str, Any]]:
        """Rows of the native grid where an organ was missed or invented."""
        rows = (row for name in self.names for organ in self.organs for row in self.rows(name, organ.name))
        return [row for row in rows if row.get("state") in FAILURES]

    def exposures(self) -> list[str] | None:
        """What each model knew of each case, "" for nothing; None where the document does not say."""
        stated = [model.get("exposure") for model in self.models]
        if not stated or any(exposure is None for exposure in stated):
            return None
        return [kind for exposure in stated for kind in exposure.values()]


def _shade(entry: dict[str, Any]) -> Shade:
    color = tuple(int(part) for part in entry.get("color") or NEUTRAL_COLOR)
    return Shade(entry["name"], int(entry["label"]), color)
