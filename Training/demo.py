#!/usr/bin/env python3
"""A whole training on generated data, from the official folder layout to a segmented CT. ``make train-demo``.

Runs the commands that a researcher would type for the real data, and prints each before it runs. What is
done stays done: the same command goes on where it was stopped; remove the folder to begin again. The bodies
are drawn by a program, so the scores say that the chain works, and nothing about patients.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODEL = "demo-1.safetensors"  # id and version of the card
TEST_SCAN = "RawData/Testing/img/img0061.nii.gz"


@dataclass(frozen=True)
class Step:
    """One command. what: a line for the user."""

    what: str
    command: tuple[str, ...]


def main(arguments: list[str] | None = None) -> int:
    """Run all steps; the exit status of the first that fails."""
    options = _parse(arguments)
    began = time.monotonic()
    if options.folder.exists():
        print(f"{options.folder} exists: what is done there stays done. Remove the folder to start again.")
    all_steps = steps(options)
    for number, step in enumerate(all_steps, start=1):
        print(f"\n== {number} of {len(all_steps)}: {step.what}\n$ {shlex.join(step.command)}", flush=True)
        status = _run(step.command)
        if status:
            print(f"\nThe step above ended with status {status}. The same command goes on from there.")
            return status
    print(f"\nDone in {(time.monotonic() - began) / 60:.1f} minutes.")
    print(f"scores         {options.folder / 'evaluation' / 'index.html'}")
    print(f"segmentation   {options.folder / 'segmented'}")
    print("The bodies are generated: the scores show that the chain works, and nothing about patients.")
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--folder", type=Path, default=Path("runs/demo"), help="everything goes there (default runs/demo)")
    add("--matrix", type=int, default=512, help="columns and rows of the generated scans (default 512)")
    add("--pairs", type=int, default=20, help="registered pairs (default 20)")
    add("--size", type=int, default=48, help="the network's size (default 48)")
    add("--config", type=Path, default=_short(HERE / "config" / "demo.toml"), help="recipe of the training")
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help="changes of the recipe")
    add("--workers", type=int, help="processes that generate and prepare (default: one per core)")
    hint = "segment with the command iuinet, not through the module"
    add("--without-slicer", action="store_true", help=hint)
    return parser.parse_args(arguments)


def steps(options: argparse.Namespace) -> list[Step]:
    """The commands, as one types them in the repository."""
    folder = options.folder
    raw, prepared, run = folder / "Abdomen", folder / "prepared", folder / "training"
    results, model = folder / "evaluation", folder / "model"
    workers = ("--workers", options.workers) if options.workers else ()
    changes = ("--set", *options.set) if options.set else ()
    sizes = ("--matrix", options.matrix, "--pairs", options.pairs)
    card = _short(HERE / "config" / "demo-card.toml")
    return [
        _script("generate data in the official layout", "phantom", "--synapse", raw, *sizes, *workers),
        _script(
            "find, check and cache them", "prepare", raw, "--out", prepared, "--size", options.size, *workers
        ),
        _script(
            "pre-train on the registered pairs, then train on the cases",
            *("train", "--config", options.config, "--data", prepared, "--run", run, *changes),
        ),
        _script("measure on the test cases", "evaluate", "--data", prepared, "--run", run, "--out", results),
        _script(
            "make the model file, with its card",
            *("export", "--run", run, "--card", card, "--data", prepared),
            *("--results", results / "results.json", "--out", model),
        ),
        _segment(raw / TEST_SCAN, model / MODEL, folder / "segmented", options.without_slicer),
    ]


def _script(what: str, name: str, *words: object) -> Step:
    return Step(what, (_short(Path(sys.executable)), _short(HERE / f"{name}.py"), *map(str, words)))


def _segment(scan: Path, model: Path, out: Path, without_slicer: bool) -> Step:
    what = "segment a test scan with it"
    if not without_slicer:
        return Step(what, ("make", "segment", f"WEIGHTS={model}", f"CT={scan}", f"OUT={out}"))
    out.mkdir(parents=True, exist_ok=True)
    name = scan.name.removesuffix(".nii.gz")
    words = ("segment", scan, "--weights", model, "--output", out / f"{name}.seg.nrrd", "--overwrite")
    return Step(what, (_short(Path(sys.executable)), "-m", "iuinet", *map(str, words)))


def _short(path: Path) -> str:
    """A path as one would type it here. Not resolved: an environment's Python is a link that matters."""
    path = Path(os.path.abspath(path))
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _run(command: tuple[str, ...]) -> int:
    # A make inside of make would take over the options and variables of the outer one.
    unwanted = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "CT", "OUT", "WEIGHTS"}
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    except FileNotFoundError:
        print(f"{command[0]} is not installed.")
        return 127
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
