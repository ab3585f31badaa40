"""The command line of ``evaluate.py``, and the cases that it asks for."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dataset.prepared import PreparedData
from dataset.splits import choose_split
from synthesis.sources import HELD_OUT, TRAINING

from iuinet.console import Parser
from iuinet.errors import UsageError

from .candidates import Member
from .metrics import CONVENTIONS, IUINET, TOLERANCE_MM, TRANSUNET

SUBSETS = ("test", "validation", "train", "all")


def parse(arguments: Sequence[str] | None, description: str) -> argparse.Namespace:
    """The options. Raises UsageError for those that do not go together."""
    parser = Parser(
        prog="evaluate.py",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--data", type=Path, help="folder that prepare.py wrote")
    add("--weights", nargs="+", default=[], metavar="FILE|ID", help="model files, or ids of installed models")
    add("--run", nargs="+", default=[], type=Path, help="run folders of train.py: their best weights")
    add("--out", type=Path, required=True, help="folder for all results (a JSON file with --development)")
    add("--subset", choices=SUBSETS, default="test", help="which cases of the split (default test)")
    add("--split", help="name of the split; by default the one that the models were trained with")
    add("--partial", action="store_true", help="go on where cases of the split are not in the data")
    add(
        "--cross-validation",
        action="store_true",
        help="the models are folds: each case is scored by the fold that held it out, and all are pooled",
    )
    add(
        "--all-pieces", action="store_true", help="keep all pieces of an organ; the product keeps the largest"
    )
    add("--fast", action="store_true", help="one pass of models that were made for two")
    add(
        "--metric-convention",
        choices=CONVENTIONS,
        default=IUINET,
        help=f"{TRANSUNET}: TransUNet's own rules, only to compare with published tables",
    )
    add("--tolerance", type=float, default=TOLERANCE_MM, metavar="MM", help="of the NSD (default 3 mm)")
    add(
        "--keep-labels",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the label maps that the models found (default: they are kept)",
    )
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
    if options.data is None:
        raise _usage("no data are named", "Give the folder that prepare.py wrote as --data.")
    if not options.weights and not options.run:
        raise _usage("no model is named", "Give model files as --weights, or run folders as --run.")
    if not 0 < options.tolerance < 1000:
        raise _usage(f"{options.tolerance} is no tolerance in mm", "Give a positive number, such as 3.")
    if options.workers < 1:
        raise _usage(f"{options.workers} threads cannot compute", "Give 1 or more as --workers.")
    if options.cross_validation and (options.split or options.subset != "test"):
        raise _usage("--cross-validation chooses the cases itself", "Leave --split and --subset out.")
    if options.out.exists() and not options.out.is_dir():
        raise _usage(f"{options.out} is a file", "Name a folder for the results as --out.")


@dataclass(frozen=True)
class Chosen:
    """Cases to score on. about: split, its statement and the subset, as the document has them."""

    cases: tuple[str, ...]
    about: dict[str, str]


def choose_cases(data: PreparedData, members: Sequence[Member], options: argparse.Namespace) -> Chosen:
    """The cases of the split and subset.

    Raises UsageError "split-unknown" where the models name no split or different ones, "no-cases".
    """
    everything = tuple(case.id for case in data.cases if case.kind == "case")
    split_name = options.split or _common_split(members, needed=options.subset != "all")
    if not split_name:
        statement = "All labelled cases of the data; no split is known."
        return Chosen(everything, {"split": "", "statement": statement, "subset": "all"})
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
    return Chosen(cases, {"split": split_name, "statement": statement or "", "subset": options.subset})


def _common_split(members: Sequence[Member], needed: bool) -> str:
    """The split that all models were trained with, "" where none is known and none is needed."""
    names = {member.name: _split_of(member) for member in members}
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


def _split_of(member: Member) -> str:
    data = member.training.get("data")
    return str(data.get("split") or "") if isinstance(data, dict) else ""


def _usage(message: str, hint: str) -> UsageError:
    return UsageError(message, hint=hint, code="usage")
