"""Tries the readers on damaged inputs and prints a table by format; ends with 1 if any was a fault.

PYTHONPATH=Testing:Training:IUINetSegmentation .venv/bin/python -m fuzz --cases 10000 --seed 1
... -m fuzz --only NIfTI --number 17 --keep folder     # one case again, its files kept
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import SimpleITK as sitk

from . import documents, images
from .bombs import bombs
from .children import FAULTS, KINDS, Outcome, in_child

MOST_SHOWN = 40


def main() -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10_000, help="in all (default 10000); bombs come on top")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="formats whose names begin so")
    parser.add_argument("--number", type=int, help="this case of each format alone")
    parser.add_argument("--keep", type=Path, help="folder for the files of faults")
    options = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # a forked child must find no other thread
    began = time.monotonic()
    counts: dict[str, Counter] = {}
    faults = []
    for name, number, outcome, files in outcomes(options):
        counts.setdefault(name, Counter())[outcome.kind] += 1
        if outcome.kind in FAULTS:
            faults.append(f"{name} {number}: {outcome.kind}: {outcome.detail}")
            keep(options.keep, f"{name}-{number}", files)
    print(table(counts))
    took = time.monotonic() - began
    print(f"\n{sum(map(Counter.total, counts.values()))} cases, seed {options.seed}, {took:.0f} s")
    print(*faults[:MOST_SHOWN], sep="\n")
    return 1 if faults else 0


def outcomes(options: argparse.Namespace) -> Iterator[tuple[str, int | str, Outcome, dict[str, bytes]]]:
    """Format, number and outcome of every case, and the files of an image."""
    truth, made = images.truth(), [*images.volume_kinds(), *images.dicom_kinds()]
    kinds = {kind.name: kind for kind in made}
    names = [name for name in (*kinds, *documents.NAMES) if name.startswith(options.only)]
    each = -(-options.cases // len(names))
    for name in names:
        if name in kinds and options.number is None:
            good = in_child(images.read_case(kinds[name], dict(kinds[name].files), truth))
            if good.kind != "read rightly":
                raise SystemExit(f"the undamaged {name} is not read rightly: {good}")
        for number in range(each) if options.number is None else (options.number,):
            rng = random.Random(f"{options.seed} {name} {number}")
            if name in kinds:
                files = kinds[name].damaged(rng)
                yield name, number, in_child(images.read_case(kinds[name], files, truth)), files
            else:
                yield name, number, in_child(documents.case(name, rng)), {}
    if options.number is None:
        for number, (name, files) in enumerate(bombs(kinds)):
            if name.startswith(options.only):
                yield name, f"bomb {number}", in_child(images.read_case(kinds[name], files, truth)), files


def keep(folder: Path | None, name: str, files: dict[str, bytes]) -> None:
    """Write the files of a fault, to look at them."""
    if folder is None:
        return
    place = folder / name.replace(" ", "-")
    place.mkdir(parents=True, exist_ok=True)
    for file, data in files.items():
        (place / file).write_bytes(data)


def table(counts: dict[str, Counter]) -> str:
    """A line per format, and their sum."""
    rows = {**counts, "all": sum(counts.values(), Counter())}
    lines = [["format", "tried", *KINDS]]
    lines += [[name, str(row.total()), *(str(row[kind]) for kind in KINDS)] for name, row in rows.items()]
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


if __name__ == "__main__":
    sys.exit(main())
