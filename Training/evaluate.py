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
import sys
from collections.abc import Sequence
from pathlib import Path

from iuinet.console import Console, Parser, run_command
from iuinet.errors import UsageError
from pipeline.evaluation.measuring import SUBSETS, Choices, measure
from pipeline.evaluation.metrics import CONVENTIONS, IUINET, TOLERANCE_MM, TRANSUNET, Rules
from pipeline.evaluation.runner import Settings, usual_threads
from pipeline.starter import measuring as development
from pipeline.synthesis.sources import HELD_OUT, TRAINING


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    return run_command(lambda: parse(arguments), run)


def run(options: argparse.Namespace, console: Console) -> None:
    """Measure on prepared data, or on the development scans."""
    if options.development:
        development.run(options, console)
        return
    rules = Rules(options.metric_convention, options.tolerance)
    settings = Settings(rules, not options.all_pieces, options.device, options.workers, options.fast)
    same = ("data", "out", "weights", "which", "subset", "split", "partial", "cross_validation")
    chosen = {name: getattr(options, name) for name in (*same, "keep_labels", "allow_seen")}
    measure(Choices(**chosen, runs=options.run, settings=settings), console)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options. Raises: UsageError for those that do not go together."""
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="evaluate.py", description=__doc__, formatter_class=form, allow_abbrev=False)
    add = parser.add_argument
    add("--data", type=Path, help="folder that prepare.py wrote")
    add("--weights", nargs="+", default=[], metavar="FILE|ID", help="model files, or ids of installed models")
    add("--run", nargs="+", default=[], type=Path, help="run folders of train.py")
    words = "the runs' weights that selection cases chose, or the last ones; default: best, if there are"
    add("--which", choices=("best", "last"), help=words)
    add("--out", type=Path, required=True, help="folder for all results (a JSON file with --development)")
    add("--subset", choices=SUBSETS, default="test", help="which cases of the split (default test)")
    add("--split", help="name of the split; by default the one that the models were trained with")
    add("--partial", action="store_true", help="go on where cases of the split are not in the data")
    words = "the models are folds: each case is scored by the fold that held it out, and all are pooled"
    add("--cross-validation", action="store_true", help=words)
    words = "score models also on cases that they, or models before them, have seen; every table then says so"
    add("--allow-seen", action="store_true", help=words)
    words = "keep all pieces of every organ; the product does as the model says of each"
    add("--all-pieces", action="store_true", help=words)
    add("--fast", action="store_true", help="one pass of models that were made for two")
    words = f"{TRANSUNET}: TransUNet's own rules, only to compare with published tables"
    add("--metric-convention", choices=CONVENTIONS, default=IUINET, help=words)
    add("--tolerance", type=float, default=TOLERANCE_MM, metavar="MM", help="of the NSD (default 3 mm)")
    words = "keep the label maps that the models found (default: they are kept)"
    add("--keep-labels", action=argparse.BooleanOptionalAction, default=True, help=words)
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    add("--workers", type=int, default=usual_threads(), help="threads that compute scores")
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


if __name__ == "__main__":
    sys.exit(main())
