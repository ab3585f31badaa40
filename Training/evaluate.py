#!/usr/bin/env python3
"""Measure models on labelled cases: DSC, HD95, ASSD, NSD and volume error per organ and case.

    python Training/evaluate.py --data prepared --run runs/paper-seed1 runs/paper-seed2 --out evaluation
    python Training/evaluate.py --data prepared --weights model.safetensors --split transunet --out evaluation

Inference is the program's own. Scores are given on the scan's own grid (the headline), at the network's size
(as papers have them), and for the reference itself sent through the network's size and back (the ceiling).
OUT gets results.json, cases.csv, summary.csv, index.html to look at, and the label maps. The same command
again goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iuinet.console import Console, Parser, run_command
from iuinet.errors import UsageError
from iuinet.labels import organs_of_model
from iuinet.preview import quiet_matplotlib
from iuinet.writing import write_json
from pipeline.dataset.prepared import PreparedData, open_prepared
from pipeline.dataset.splits import choose_split
from pipeline.evaluation.candidates import (
    Candidate,
    Member,
    check_organs,
    cross_validation,
    find_members,
    single,
)
from pipeline.evaluation.document import build
from pipeline.evaluation.metrics import CONVENTIONS, IUINET, TOLERANCE_MM, TRANSUNET, Rules
from pipeline.evaluation.page import write_page
from pipeline.evaluation.runner import LABELS, Runner, Settings, Store, make_folder
from pipeline.evaluation.tables import print_results, write_cases, write_summary
from pipeline.starter import measuring as development
from pipeline.synthesis.sources import HELD_OUT, TRAINING

SUBSETS = ("test", "validation", "train", "all")
POOLED = (
    "Cross-validation: each case was scored by the one fold that held it out. Where that fold's weights were "
    "chosen by these cases too, scores are optimistic."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    return run_command(lambda: parse(arguments), run)


def run(options: argparse.Namespace, console: Console) -> None:
    """Do it, cheapest checks first."""
    if options.development:
        development.run(options, console)
        return
    data = open_prepared(options.data)
    rules = Rules(options.metric_convention, options.tolerance)
    make_folder(options.out)
    with quiet_matplotlib():
        pass  # where it is missing, the page is refused now and not after hours
    with tempfile.TemporaryDirectory() as folder:
        console.status("Reading the models")
        members = find_members(options.weights, options.run, Path(folder), data)
        organs = organs_of_model({"organs": list(data.organs)})
        check_organs(members, organs)
        if options.cross_validation:
            candidates = cross_validation(members, (case.id for case in data.cases if case.kind == "case"))
            about = {"split": "folds", "statement": POOLED, "subset": "test"}
        else:
            cases, about = choose_cases(data, members, options)
            candidates = single(members, cases)
        islands = not options.all_pieces
        settings = Settings(rules, islands, options.device, options.workers, options.fast)
        runner = Runner(data, organs, settings, Store(options.out), console)
        rows = runner.run(candidates)
        results = build(data, about, candidates, organs, rows, rules, islands, options.fast)
        console.status("Drawing the page")
        write_all(options.out, results, runner, candidates)
        console.clear()
    if not options.keep_labels:
        shutil.rmtree(options.out / LABELS, ignore_errors=True)
    print_results(results, console.say)
    console.say()
    console.say(f"results  {options.out.absolute()}")


def write_all(out: Path, results: dict[str, Any], runner: Runner, candidates: Sequence[Candidate]) -> None:
    """Every output, each complete or as it was before."""
    by_name = {candidate.name: candidate for candidate in candidates}
    write_json(out / "results.json", results, overwrite=True)
    write_cases(out / "cases.csv", results)
    write_summary(out / "summary.csv", results)
    write_page(out / "index.html", results, lambda model, case: runner.look_up(by_name[model], case))


# Options and the cases that they choose ----------------------------------------------------------------


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options. Raises: UsageError for those that do not go together."""
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="evaluate.py", description=__doc__, formatter_class=form, allow_abbrev=False)
    add = parser.add_argument
    add("--data", type=Path, help="folder that prepare.py wrote")
    add("--weights", nargs="+", default=[], metavar="FILE|ID", help="model files, or ids of installed models")
    add("--run", nargs="+", default=[], type=Path, help="run folders of train.py: their best weights")
    add("--out", type=Path, required=True, help="folder for all results (a JSON file with --development)")
    add("--subset", choices=SUBSETS, default="test", help="which cases of the split (default test)")
    add("--split", help="name of the split; by default the one that the models were trained with")
    add("--partial", action="store_true", help="go on where cases of the split are not in the data")
    words = "the models are folds: each case is scored by the fold that held it out, and all are pooled"
    add("--cross-validation", action="store_true", help=words)
    words = "keep all pieces of an organ; the product keeps the largest"
    add("--all-pieces", action="store_true", help=words)
    add("--fast", action="store_true", help="one pass of models that were made for two")
    words = f"{TRANSUNET}: TransUNet's own rules, only to compare with published tables"
    add("--metric-convention", choices=CONVENTIONS, default=IUINET, help=words)
    add("--tolerance", type=float, default=TOLERANCE_MM, metavar="MM", help="of the NSD (default 3 mm)")
    words = "keep the label maps that the models found (default: they are kept)"
    add("--keep-labels", action=argparse.BooleanOptionalAction, default=True, help=words)
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    add("--workers", type=int, default=min(4, os.cpu_count() or 1), help="threads that compute scores")
    add("--debug", action="store_true", help="show where an error came from")
    group = parser.add_argument_group("measuring on the development scans instead")
    group.add_argument("--development", action="store_true", help="the scans that IUINET_DATA names")
    group.add_argument("--cache", type=Path, help="folder for prepared label maps")
    group.add_argument(
        "--anatomy", default=HELD_OUT[0], choices=(*HELD_OUT, *TRAINING), help="to generate scans of"
    )
    group.add_argument("--seeds", type=int, default=4, help="generated scans per contrast phase (default 4)")
    options = parser.parse_args(arguments)
    if not options.development:
        _check(options)
    return options


def _check(options: argparse.Namespace) -> None:
    folds = options.cross_validation and (options.split or options.subset != "test")
    named = options.weights or options.run
    mm, out = options.tolerance, options.out
    refused = (
        (options.data is None, "no data are named", "Give the folder that prepare.py wrote as --data."),
        (not named, "no model is named", "Give model files as --weights, or run folders as --run."),
        (not 0 < mm < 1000, f"{mm} is not a tolerance in mm", "Give a positive number, such as 3."),
        (options.workers < 1, f"{options.workers} threads cannot compute", "Give 1 or more as --workers."),
        (folds, "--cross-validation chooses the cases itself", "Leave --split and --subset out."),
        (out.exists() and not out.is_dir(), f"{out} is a file", "Name a folder for the results as --out."),
    )
    for wrong, message, hint in refused:
        if wrong:
            raise UsageError(message, hint=hint, code="usage")


def choose_cases(
    data: PreparedData, members: Sequence[Member], options: argparse.Namespace
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The cases of the split and subset, and the split, its statement and the subset for the document.

    Raises: UsageError "split-unknown" where the models name no split or different ones, "no-cases".
    """
    everything = tuple(case.id for case in data.cases if case.kind == "case")
    split_name = options.split or _common_split(members, needed=options.subset != "all")
    if not split_name:
        statement = "All labelled cases of the data; no split is known."
        return everything, {"split": "", "statement": statement, "subset": "all"}
    split = choose_split(data, split_name, partial=options.partial)
    cases = everything if options.subset == "all" else getattr(split, options.subset)
    if not cases:
        raise UsageError(
            f"the split {split_name!r} has no {options.subset} cases",
            hint="Choose another --subset or --split.",
            code="no-cases",
        )
    # What the split says of pre-training holds for its own pairs, not for those that the models saw.
    said = {(member.training.get("data") or {}).get("statement") for member in members}
    statement = said.pop() if len(said) == 1 and not options.split else split.statement
    return cases, {"split": split_name, "statement": statement or "", "subset": options.subset}


def _common_split(members: Sequence[Member], needed: bool) -> str:
    """The split that all models were trained with, "" where none is known and none is needed."""
    names = {}
    for member in members:
        data = member.training.get("data")
        names[member.name] = str(data.get("split") or "") if isinstance(data, dict) else ""
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


if __name__ == "__main__":
    sys.exit(main())
