#!/usr/bin/env python3
"""Find, check and cache training data.

    python Training/prepare.py /data/Abdomen --out /data/prepared
    python Training/prepare.py /data/Abdomen --check-only
    python Training/prepare.py /data/nnUNet_raw/Dataset042_Liver --out /data/prepared-liver

RAW is one of these:

* The Synapse/BTCV abdomen set (syn3193805): a folder with RawData and RegData at any depth. Unzip RawData.zip
  and Reg-Training-Testing.zip there; zip files are not read. A copy that differs says how in an organs.toml
  in RAW, as below: which organs are labelled, what the images are clipped to.
* TransUNet's preprocessed copy of it: a folder with train_npz and test_vol_h5. Its files tell no spacing, so
  that nothing is measured in mm or ml.
* A data set in nnU-Net's raw layout: dataset.json, imagesTr, labelsTr; NIfTI, NRRD or MetaImage. Labels run
  from 1 to 254; 0 is background, and "ignore" names the number of unknown voxels. A splits_final.json beside
  them holds the folds, and an organs.toml what else there is to say, all of it optional:

      [[organs]]
      name = "liver"                # as dataset.json has it
      color = [221, 130, 101]
      terminology = {type = {scheme = "SCT", value = "10200004", meaning = "Liver"}}
      pieces = "largest"            # a result keeps its largest piece only; else it keeps "all"

      labelled = ["liver"]              # above all tables: of other organs nothing is known, and nothing said
      clipped = [-125, 275]             # likewise: the images end at these HU,
      air = -125                        # and this stands for air in them

      [splits.mine]
      train = ["case a", "case b"]
      validation = ["case c"]
      test = ["case c"]

Everything is looked at first, and what is wrong is listed. A finding marked REFUSED ends the command (status
3) before anything is prepared. Then each case is brought to the network's size. The command can be stopped at
any time: the same command again goes on, and does only what is missing or has changed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from iuinet.console import Console, run_command
from iuinet.errors import Cancelled, UsageError
from iuinet.files import size_text
from iuinet.writing import write_json
from pipeline.dataset.findings import WARNING, print_table
from pipeline.dataset.organs import label_maps
from pipeline.dataset.parallel import usual_workers
from pipeline.dataset.prepared import (
    CHECKS,
    PreparedData,
    open_prepared,
    prepared_folder,
    unused_arrays,
    writable_json,
)
from pipeline.dataset.preparing import Checked, Settings, check, find_sources, prepare
from pipeline.dataset.splits import choose_split, split_names

SIZE_STEP = 16  # the network halves its input four times


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    return run_command(lambda: _parse(arguments), run)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("raw", nargs="+", type=Path, metavar="RAW", help="folder with the raw data")
    add("--out", type=Path, metavar="DIR", help="folder for the prepared data (made if needed)")
    add("--size", type=int, default=128, help="voxels along every axis (default 128)")
    hint = "colours and codes of the organs, and splits (default: RAW/organs.toml)"
    add("--organs", type=Path, metavar="FILE.toml", help=hint)
    hint = "numbers of the organs in a copy of the Synapse set (default: the challenge's own)"
    add("--label-map", choices=sorted(label_maps()), help=hint)
    hint = "use the registered pairs of Training-Testing for pre-training (default: if they are there)"
    add("--pairs", action=argparse.BooleanOptionalAction, default=True, help=hint)
    hint = 'leave out cases ("0025"), pairs ("0025-0061"), several ("0025-*"), a folder ("Cervix")'
    add("--exclude", nargs="+", action="extend", default=[], metavar="ID", help=hint)
    hint = "processes, about 1 GB each (default: one per core)"
    add("--workers", type=int, default=usual_workers(), help=hint)
    add("--check-only", action="store_true", help="only say what is wrong; nothing is prepared")
    add("--partial", action="store_true", help="go on although official cases are missing")
    add("--json", type=Path, metavar="FILE", help="write the findings there, too")
    add("--debug", action="store_true", help="show tracebacks and what libraries say")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, console: Console) -> None:
    """Find, check, prepare; what must not be is refused before the long work."""
    _check_options(options)
    found = find_sources(options.raw, options.organs, options.pairs, options.label_map)
    console.say(f"{found.name}: {_count(found.sources)} found in {found.root}")
    for note in [*found.notes, *found.declared()]:
        console.say(f"note: {note}")
    settings = Settings(options.size, options.exclude, options.workers, options.partial, console)
    if options.check_only:
        checked = check(found, settings, None)
        _report(checked, options, console)
        checked.enforce()
        return
    try:
        with prepared_folder(options.out):
            checked = check(found, settings, options.out)
            write_json(options.out / CHECKS, checked.to_json(), overwrite=True)
            _report(checked, options, console)
            made, there = prepare(checked, settings, options.out)
            _say_result(options.out, made, there, console)
    except KeyboardInterrupt:
        console.interrupted = False  # the frame would say that nothing was written
        hint = "What is done stays done: the same command goes on from there."
        raise Cancelled("stopped before it was done", hint=hint) from None


def _check_options(options: argparse.Namespace) -> None:
    if options.out is None and not options.check_only:
        text = "no folder for the prepared data is given"
        raise UsageError(text, hint="Give one with --out.", code="no-out")
    if options.size < SIZE_STEP or options.size % SIZE_STEP:
        text = f"--size {options.size} is not a multiple of {SIZE_STEP}"
        raise UsageError(text, hint="The paper uses 128.", code="bad-size")
    if options.workers < 1:
        text = f"--workers {options.workers} is less than 1"
        raise UsageError(text, hint="Give 1 or more.", code="bad-workers")
    if options.json is not None:
        writable_json(options.json)


def _report(checked: Checked, options: argparse.Namespace, console: Console) -> None:
    """Print and write what was found."""
    if checked.excluded:
        console.say(f"left out by --exclude: {', '.join(checked.excluded)}")
    if checked.unmatched:
        console.say(f"note: --exclude names what is not there: {', '.join(checked.unmatched)}")
    print_table(checked.findings, console.say)
    warnings = sum(finding.severity == WARNING for finding in checked.findings)
    left_out = sum(finding.left_out for finding in checked.findings)
    console.say(
        f"checked {_count(checked.found.sources)}: {checked.refused} refused, {warnings} warnings, "
        f"{left_out} left out, {_count(checked.sources)} to use"
    )
    if options.json is not None:
        write_json(options.json, checked.to_json(), overwrite=True)


def _say_result(out: Path, made: int, there: int, console: Console) -> None:
    data = open_prepared(out)
    console.say(f"prepared {made}, already there {there}: {out.absolute()}")
    console.say(f"size {data.size}, fingerprint {data.fingerprint[:16]}")
    complete = [name for name in split_names(data) if _is_complete(data, name)]
    incomplete = [name for name in split_names(data) if name not in complete]
    rest = f"; with missing cases: {', '.join(incomplete)}" if incomplete else ""
    console.say(f"splits: {', '.join(complete) or 'none'}{rest}")
    count, size = unused_arrays(out)
    if count:
        console.say(
            f"note: {count} files ({size_text(size)}) in {out / 'arrays'} are of other files or "
            "settings; the index does not use them, and you may delete them."
        )


def _is_complete(data: PreparedData, split: str) -> bool:
    try:
        choose_split(data, split)
    except UsageError:
        return False
    return True


def _count(sources: list) -> str:
    pairs = sum(source.kind == "pair" for source in sources)
    cases = len(sources) - pairs
    text = f"{cases} case{'' if cases == 1 else 's'}"
    return f"{text} and {pairs} registered pair{'' if pairs == 1 else 's'}" if pairs else text


if __name__ == "__main__":
    sys.exit(main())
