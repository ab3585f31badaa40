"""A whole measurement: models found, cases chosen, everything scored, and every output written.

``evaluate.py`` calls it with what its user chose, an experiment with its own runs.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from iuinet.console import Console
from iuinet.errors import UsageError
from iuinet.labels import organs_of_model
from iuinet.preview import quiet_matplotlib
from iuinet.writing import write_json
from pipeline.dataset.prepared import PreparedData, open_prepared
from pipeline.dataset.splits import choose_split

from .candidates import Candidate, Member, check_organs, cross_validation, find_members, single
from .document import build
from .exposure import is_synthetic, refuse_seen
from .page import write_page
from .runner import LABELS, Runner, Settings, Store, make_folder
from .tables import print_results, write_cases, write_summary

SUBSETS = ("test", "validation", "train", "all")
POOLED = (
    "Cross-validation: each case was scored by the one fold that held it out. Where that fold's weights were "
    "chosen by these cases too, scores are optimistic."
)


@dataclass(frozen=True)
class Choices:
    """What is measured, and how.

    data: folder that prepare.py wrote. out: for all results. weights: model files, or ids of models.
    runs: folders of train.py. which: their "best" or "last" weights; None for the best if there are.
    subset: of the split. split: by default the models' own. partial: go on without cases that are missing.
    cross_validation: the models are folds, and all are pooled.
    settings: of inference and scores. keep_labels: whether the label maps are kept. allow_seen: whether a
    model may be scored on cases that it has seen; every table then says so.
    """

    data: Path
    out: Path
    weights: Sequence[str] = ()
    runs: Sequence[Path] = ()
    which: str | None = None
    subset: str = "test"
    split: str | None = None
    partial: bool = False
    cross_validation: bool = False
    settings: Settings = field(default_factory=Settings)
    keep_labels: bool = True
    allow_seen: bool = False


def measure(choices: Choices, console: Console) -> dict[str, Any]:
    """Do it, cheapest checks first, and print the tables; returns what ``results.json`` holds.

    Raises: IUINetError for what cannot be measured or written.
    """
    data = open_prepared(choices.data)
    make_folder(choices.out)
    with quiet_matplotlib():
        pass  # where it is missing, the page is refused now and not after hours
    with tempfile.TemporaryDirectory() as folder:
        console.status("Reading the models")
        members = find_members(choices.weights, choices.runs, Path(folder), data, choices.which)
        organs = organs_of_model({"organs": list(data.organs)})
        check_organs(members, [organ for organ in organs if organ.name in data.labelled])
        if choices.cross_validation:
            candidates = cross_validation(members, (case.id for case in data.cases if case.kind == "case"))
            about = {"split": "folds", "statement": POOLED, "subset": "test"}
        else:
            cases, about = choose_cases(data, members, choices)
            candidates = single(members, cases)
        for candidate in () if choices.allow_seen else candidates:
            refuse_seen(candidate.name, {case: candidate.exposure(case) for case in candidate.cases})
        settings = replace(
            choices.settings, rules=replace(choices.settings.rules, millimetres=data.millimetres)
        )
        runner = Runner(data, organs, settings, Store(choices.out), console)
        rows = runner.run(candidates)
        results = build(data, about, candidates, organs, rows, settings)
        console.status("Drawing the page")
        write_all(choices.out, results, runner, candidates)
        console.clear()
    if not choices.keep_labels:
        shutil.rmtree(choices.out / LABELS, ignore_errors=True)
    print_results(results, console.say)
    console.say()
    console.say(f"results  {choices.out.absolute()}")
    return results


def write_all(out: Path, results: dict[str, Any], runner: Runner, candidates: Sequence[Candidate]) -> None:
    """Every output, each complete or as it was before."""
    by_name = {candidate.name: candidate for candidate in candidates}
    write_json(out / "results.json", results, overwrite=True)
    write_cases(out / "cases.csv", results)
    write_summary(out / "summary.csv", results)
    write_page(out / "index.html", results, lambda model, case: runner.look_up(by_name[model], case))


def choose_cases(
    data: PreparedData, members: Sequence[Member], choices: Choices
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The cases of the split and subset, and the split, its statement and the subset for the document.

    Raises: UsageError "split-unknown" where the models name no split or different ones, "no-cases".
    """
    everything = tuple(case.id for case in data.cases if case.kind == "case")
    split_name = choices.split or _common_split(members, needed=choices.subset != "all")
    if not split_name:
        statement = "All labelled cases of the data; no split is known."
        return everything, {"split": "", "statement": statement, "subset": "all"}
    split = choose_split(data, split_name, partial=choices.partial)
    cases = everything if choices.subset == "all" else getattr(split, choices.subset)
    if not cases:
        raise UsageError(
            f"the split {split_name!r} has no {choices.subset} cases",
            hint="Choose another --subset or --split.",
            code="no-cases",
        )
    # What the split says of pre-training holds for its own pairs, not for those that the models saw.
    said = {(member.training.get("data") or {}).get("statement") for member in members}
    statement = said.pop() if len(said) == 1 and not choices.split else split.statement
    return cases, {"split": split_name, "statement": statement or "", "subset": choices.subset}


def _common_split(members: Sequence[Member], needed: bool) -> str:
    """The split that all models were trained with, "" where none is known and none is needed."""
    names = {}
    for member in members:
        data = member.training.get("data")
        stated = isinstance(data, dict) and not is_synthetic(data)  # whose split is that of no data
        names[member.name] = str(data.get("split") or "") if stated else ""
    found = set(names.values())
    if len(found) == 1 and (name := found.pop()):
        return name
    if not needed:
        return ""
    said = "; ".join(f"{model}: {split or 'none'}" for model, split in names.items())
    raise UsageError(
        f"the models do not say which split to use ({said})",
        hint="Name it with --split, or take all cases with --subset all.",
        code="split-unknown",
    )
