"""A document of results with real scores and its scans, and a reader that checks a page as HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np
from helpers.sample_ct import CHALLENGE

from pipeline.evaluation.metrics import Rules, score_labels
from pipeline.evaluation.statistics import over_seeds, paired_tests, summarise
from pipeline.generated.phantom import make_sample

CASES = ("0001", "0002", "0003", "0004")
MODELS = ("run-seed1", "run-seed2")
VOID = {"meta"}


class Reader(HTMLParser):
    """Holds a page against what HTML asks for: every element closed, in order; ids once; texts collected."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open
        self.ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, name: str, attributes: list) -> None:
        assert len(attributes) == len({key for key, _ in attributes})
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name: str, attributes: list) -> None:
        self.elements.append((name, dict(attributes)))

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for element, attributes in self.elements if element == name]


def shifted(labels: np.ndarray, step: int) -> np.ndarray:
    """A result that is off by some voxels, without the gallbladder."""
    moved = np.roll(labels, step, axis=2)
    return np.where(moved == 4, 0, moved).astype(np.uint8)


def make_scans() -> dict[tuple[str, str], tuple]:
    """CT, reference and result by model and case."""
    found = {}
    for seed, case in enumerate(CASES):
        sample = make_sample(seed=seed, size=(40, 36, 30))
        for step, model in enumerate(MODELS, start=1):
            found[model, case] = sample.volume, sample.labels, shifted(sample.labels, step)
    return found


def make_results(scans: dict[tuple[str, str], tuple]) -> dict[str, Any]:
    """A document as evaluate.py makes it, from real scores. The ceiling is the reference itself."""
    organs = {organ.name: organ.label for organ in CHALLENGE}
    rows = []
    for (model, case), (volume, reference, labels) in scans.items():
        for grid, map_ in (("native", labels), ("network", labels), ("ceiling", reference)):
            scores = score_labels(map_, reference, organs, volume.grid.spacing[::-1])
            rows += [{"model": model, "case": case, "organ": o, "grid": grid, **s} for o, s in scores.items()]
    summary = summarise(rows, MODELS, list(organs))
    own = [(model, [row for row in rows if row["model"] == model]) for model in MODELS]
    return {
        "format": 2,
        "software": "9.8.7",
        "convention": "iuinet",
        "tolerance_mm": Rules().tolerance_mm,
        "largest_piece_only": True,
        "created": "2026-01-02",
        "warnings": ["run-seed1 was SELECTED by its scores on all 4 evaluated cases"],
        "definitions": {"hd95_mm": "the larger of two"},
        "data": {
            "name": "Synapse",
            "fingerprint": "f" * 64,
            "split": "transunet",
            "statement": "Selection and test share the cases.",
            "subset": "test",
            "cases": list(CASES),
        },
        "organs": [{"name": o.name, "label": o.label, "color": list(o.color)} for o in CHALLENGE],
        "models": [
            {
                "name": model,
                "kind": "model",
                "sha256": "a" * 64,
                "training": {"seed": 1, "recipe": {"a": 1}, "data": {"train": ["0005"], "validation": 3}},
                "size": 128,
                "exposure": dict.fromkeys(CASES, "selection"),
                "not_scored": ["urinary bladder"],
            }
            for model in MODELS
        ],
        "rows": rows,
        "summary": summary,
        "seeds": over_seeds(summary, [("run", MODELS)]),
        "paired": paired_tests(own, list(organs)),
    }
