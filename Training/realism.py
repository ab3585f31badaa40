#!/usr/bin/env python3
"""Measure how far generated CT is from real CT: HU of organs, and a classifier that tells both apart.

    python Training/realism.py --data PREPARED

PREPARED is what prepare.py made of real labelled scans. Label maps come from IUINET_DATA or --anatomy-cache.
Per organ: the lowest, middle and highest median of the scans, the slow variation inside, the noise between
neighbours, real beside generated. Last the classifier's accuracy on patients that it did not learn from: 0.5
would mean that generated patches cannot be told from real ones.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from iuinet.console import Console, Parser, run_command
from pipeline.dataset.prepared import PreparedData, open_prepared
from pipeline.synthesis import TRAINING, data_folder, load
from pipeline.synthesis.realism import Scan, accuracy, generated_scan, organ_values
from pipeline.synthesis.tissues import ORGANS


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    return run_command(lambda: _parse(arguments), run)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    whole = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="realism.py", description=__doc__, formatter_class=whole, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="prepared folder of real scans")
    parser.add_argument(
        "--anatomy-cache", type=Path, default=Path("anatomies"), help="folder of prepared anatomies"
    )
    parser.add_argument("--phase", default="portal", help="contrast phase of the generated scans")
    parser.add_argument("--count", type=int, default=40, help="generated scans")
    parser.add_argument("--steps", type=int, default=300, help="of the classifier, in each fold")
    parser.add_argument("--debug", action="store_true", help="show tracebacks and what libraries say")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, console: Console) -> None:
    """Print the table and the accuracy."""
    data = open_prepared(options.data)
    real = [_real(data, case.id) for case in data.cases]
    generated = _generated(data, options, console)
    console.clear()
    console.say(f"{len(real)} real scans of {data.name}, {len(generated)} generated ones ({options.phase})")
    console.say(
        f"{'HU':<26}{'real: medians':>18}{'slow':>6}{'noise':>6}{'generated':>18}{'slow':>6}{'noise':>6}"
    )
    for label, name in enumerate(ORGANS, start=1):
        if name in data.labelled:
            console.say(f"{name:<26}{_cells(real, label)}{_cells(generated, label)}")
    found = accuracy(
        real, generated, steps=options.steps, progress=lambda part: console.status(f"Classifier {part:.0%}")
    )
    console.say(
        f"A classifier tells real from generated patches with accuracy {found:.3f} (0.5: not at all)."
    )


def _real(data: PreparedData, case: str) -> Scan:
    image, labels = data.arrays(case)
    number = {name: label for label, name in enumerate(ORGANS, start=1)}
    lookup = labels.new_zeros(256).long()
    for organ in data.organs:
        if organ["name"] in data.labelled:
            lookup[organ["label"]] = number[organ["name"]]
    return _clipped(Scan(image.float(), lookup[labels.long()]), data)


def _generated(data: PreparedData, options: argparse.Namespace, console: Console) -> list[Scan]:
    anatomies = [load(name, data_folder(), options.anatomy_cache) for name in TRAINING]
    scans = []
    for number in range(options.count):
        console.status(f"Generating scan {number + 1} of {options.count}")
        grid = data.cases[number % len(data.cases)].grid
        extent = [n * step for n, step in zip(grid.size, grid.spacing, strict=True)][::-1]
        anatomy = anatomies[number % len(anatomies)]
        scan = generated_scan(anatomy, anatomies, extent, options.phase, data.size, number)
        known = [label for label, name in enumerate(ORGANS, start=1) if name in data.labelled]
        labels = scan.labels * sum(scan.labels == label for label in known)
        scans.append(_clipped(Scan(scan.image, labels), data))
    return scans


def _clipped(scan: Scan, data: PreparedData) -> Scan:
    low, high = data.clipped or (-1000.0, 1000.0)
    return Scan(scan.image.clamp(low, high), scan.labels)


def _cells(scans: list[Scan], label: int) -> str:
    """Lowest, middle and highest median, then the middle of the deviations."""
    values = [found for scan in scans if (found := organ_values(scan, label))]
    if not values:
        return f"{'-':>18}{'-':>6}{'-':>6}"
    medians = sorted(value.median for value in values)
    text = f"{medians[0]:.0f} {statistics.median(medians):.0f} {medians[-1]:.0f}"
    slow, noise = (statistics.median(getattr(value, name) for value in values) for name in ("slow", "noise"))
    return f"{text:>18}{slow:>6.0f}{noise:>6.0f}"


if __name__ == "__main__":
    sys.exit(main())
