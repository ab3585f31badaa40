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
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataset.prepared import open_prepared
from evaluation import development
from evaluation.candidates import Candidate, check_organs, cross_validation, find_members, single
from evaluation.document import build
from evaluation.metrics import Rules
from evaluation.options import choose_cases, parse
from evaluation.page import write_page
from evaluation.runner import Runner, Settings
from evaluation.store import LABELS, Store, make_folder
from evaluation.tables import print_results, write_cases, write_summary

from iuinet.console import Console, run_command
from iuinet.labels import organs_of_model
from iuinet.writing import write_json


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    return run_command(lambda: parse(arguments, __doc__), run)


def run(options: argparse.Namespace, console: Console) -> None:
    """Do it, cheapest checks first."""
    if options.development:
        development.run(options, console)
        return
    data = open_prepared(options.data)
    rules = Rules(options.metric_convention, options.tolerance)
    make_folder(options.out)
    with tempfile.TemporaryDirectory() as folder:
        console.status("Reading the models")
        members = find_members(options.weights, options.run, Path(folder), data)
        organs = organs_of_model({"organs": list(data.organs)})
        check_organs(members, organs)
        if options.cross_validation:
            candidates = cross_validation(members, (case.id for case in data.cases if case.kind == "case"))
            about = {"split": "folds", "statement": POOLED, "subset": "test"}
        else:
            chosen = choose_cases(data, members, options)
            candidates, about = single(members, chosen.cases), chosen.about
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


POOLED = (
    "Cross-validation: each case was scored by the one fold that held it out. Where that fold's weights were "
    "chosen by these cases too, scores are optimistic."
)


def write_all(out: Path, results: dict[str, Any], runner: Runner, candidates: Sequence[Candidate]) -> None:
    """Every output, each complete or as it was before."""
    by_name = {candidate.name: candidate for candidate in candidates}
    write_json(out / "results.json", results, overwrite=True)
    write_cases(out / "cases.csv", results)
    write_summary(out / "summary.csv", results)
    write_page(out / "index.html", results, lambda model, case: runner.look_up(by_name[model], case))


if __name__ == "__main__":
    sys.exit(main())
