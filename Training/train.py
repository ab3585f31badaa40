#!/usr/bin/env python3
"""Train IUINet on synthetic CT made from label maps.

    python Training/train.py --config Training/config/tiny.toml --run runs/tiny --cache runs/cache

Run the same command again after an interruption: it goes on from the last checkpoint in the run folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from fitting.loop import train
from fitting.options import read_options
from fitting.state import CHECKPOINT
from synthesis import data_folder, load


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, help="TOML file with options (see Training/config)")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoint and log")
    parser.add_argument("--cache", type=Path, required=True, help="folder for prepared label maps")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change an option")
    parser.add_argument("--limit-steps", type=int, help="stop after this many steps in all")
    parser.add_argument("--restart", action="store_true", help="forget the run folder's checkpoint")
    options = parser.parse_args(arguments)
    try:
        settings = read_options(options.config, options.set)
        anatomies = [load(name, data_folder(), options.cache) for name in settings.anatomies]
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.restart:
        (options.run / CHECKPOINT).unlink(missing_ok=True)
    options.run.mkdir(parents=True, exist_ok=True)
    (options.run / "options.json").write_text(json.dumps(dataclasses.asdict(settings), indent=1) + "\n")
    train(settings, anatomies, options.run, options.limit_steps, lambda line: print(line, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
