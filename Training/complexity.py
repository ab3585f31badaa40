#!/usr/bin/env python3
"""What IUINet, its ablations and its peers cost: parameters, multiply-adds, memory, and time.

    python Training/complexity.py
    python Training/complexity.py --models iuinet-small unet swinunetr --size 96 --classes 14 --device cuda
    python Training/complexity.py --json costs.json --csv costs.csv

Counting needs no memory and takes seconds. With --device each network is also run there and timed.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from iuinet.console import Console, run_command
from iuinet.devices import choose_device, device_name
from iuinet.errors import UsageError
from iuinet.writing import write_json
from pipeline.evaluation.tables import write_csv
from pipeline.experiments.costs import measure, versions
from pipeline.experiments.jobs import configuration, default_names, find_networks
from pipeline.experiments.report import Column, gib, giga, mega, print_table
from pipeline.fitting.run_folder import environment

COLUMNS: tuple[Column, ...] = (
    ("model", "model", str),
    ("classes", "classes", str),
    ("params M", "parameters", mega),
    ("GMAC ptflops", "macs_pytorch", giga),
    ("GMAC aten", "macs_aten", giga),
    ("GMAC in truth", "macs_true", giga),
    ("forward GiB", "forward_bytes", gib),
    ("training GiB", "training_bytes", gib),
)
TIMED: tuple[Column, ...] = (
    ("seconds", "seconds", lambda value: f"{value:.3f}"),
    ("device GiB", "device_bytes", gib),
)
NOTES = (
    "ptflops: its default backend, module calls alone; the count that the paper printed as FLOPs. It misses "
    "IUINet's DyFC products and shifts.",
    "aten: ptflops' count of convolutions and matrix products, whoever calls them. In truth: of IUINet, all.",
    "GiB: what lives at most in one pass for use, and in forward and backward pass, fp32, batch 1, without "
    "the weights.",
)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    return run_command(lambda: _parse(arguments), run)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--models", nargs="+", metavar="NAME", help="iuinet-<preset>[-no-shift][-conv-head] or peers")
    add("--size", type=int, default=128, metavar="N", help="edge of the input in voxels (default 128)")
    add("--classes", type=int, metavar="N", help="with background (default: the preset's; of peers 4)")
    add("--device", metavar="NAME", help="also time it: auto, cpu, cuda or cuda:N")
    add("--repeats", type=int, default=3, metavar="N", help="timed passes (default 3)")
    add("--json", type=Path, metavar="FILE", help="write the figures there")
    add("--csv", type=Path, metavar="FILE", help="write the figures there")
    add("--debug", action="store_true", help="show tracebacks and what libraries say")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, console: Console) -> None:
    """Measure one after another, print, write."""
    for name, least in (("size", 1), ("classes", 2), ("repeats", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UsageError(f"--{name} is {value}", hint=f"Give {least} or more.")
    device = choose_device(options.device) if options.device else None
    chosen = {  # all before the first of them takes its time
        name: configuration(network, options.size, options.classes)
        for name, network in find_networks(options.models or default_names()).items()
    }
    rows: list[dict[str, Any]] = []
    for name, config in chosen.items():
        console.status(f"{name} ({len(rows) + 1} of {len(chosen)})")
        costs = measure(name, config, device, options.repeats)
        rows.append(dataclasses.asdict(costs))
    about, libraries = environment(device), versions()
    console.say(f"One volume of {options.size}^3 voxels")
    print_table(rows, COLUMNS + (TIMED if device else ()), console.say)
    notes = [*NOTES, *where_measured(about, libraries, device, options.repeats), *untimed(rows)]
    for note in notes:
        console.say(note)
    if rows[0]["macs_aten"] is None:
        console.say("ptflops is not installed, so its columns are empty: pip install iuinet[test]")
    if options.json:
        document = {"format": 1, "environment": about, "libraries": libraries, "notes": notes, "models": rows}
        write_json(options.json, document, overwrite=True)
    if options.csv:
        write_csv(options.csv, list(rows[0]), rows)


def where_measured(
    about: dict[str, Any], libraries: dict[str, str | None], device: torch.device | None, repeats: int
) -> list[str]:
    """Sentences on what was counted with what, and what was timed on which machine."""
    used = [f"{name} {version}" for name, version in libraries.items() if version]
    sentences = [
        f"Counted with {', '.join([*used, 'torch ' + about['torch']])}, on tensors without memory: "
        "the same on every machine."
    ]
    if device is not None:
        name = device_name(device)
        if device.type == "cpu":
            name = f"{about['processor']} ({about['threads']} thread{'s' * (about['threads'] > 1)})"
        sentences.append(
            f"Seconds: median of {repeats} passes after one that warms up, fp32 by torch's own settings, on "
            f"{name}, {about['platform']}."
        )
    return sentences


def untimed(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence per network that has no time although one was requested."""
    return [f"{row['model']} {row['untimed']}." for row in rows if row["untimed"]]


if __name__ == "__main__":
    sys.exit(main())
