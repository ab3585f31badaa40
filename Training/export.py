#!/usr/bin/env python3
"""Turn a training run into a model that IUINet loads: its file, model card and entry in a list of models.

    python Training/export.py --run runs/better --out models --card card.toml \\
        --data prepared --results results.json

Writes ID-VERSION.safetensors, ID-VERSION.md and manifest.json into OUT, in the place of earlier ones. What
the run knows (data, split, recipe, seed, revision) comes from its checkpoint; what it cannot know (id,
version, licence, attributions, intended use) from the card or the options. Before
anything is kept, the file's labels are compared with the checkpoint's through IUINet's own inference: on
cases of --data, else on a generated CT.

The model then works by its file, or by its id where IUINET_WEIGHTS_INDEX names the manifest:

    iuinet segment CT --weights models/ID-VERSION.safetensors
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from exporting.card import read_card
from exporting.listing import check_place, enter
from exporting.measured import Known, read_metrics
from exporting.model import check_folder, find_checkpoint, read_trained, write_model
from exporting.model_card import model_card
from exporting.verify import rounding, verify

from iuinet.atomic import atomic
from iuinet.console import Console, Parser, run_command
from iuinet.model_file import SUFFIX, check_file, file_sha256


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives the exit status."""
    return run_command(lambda: _parser().parse_args(arguments), run)


def run(options: argparse.Namespace, console: Console) -> None:
    """Write model, card and entry. Everything that can be refused is looked at before."""
    changes = {key: getattr(options, key) for key in ("id", "version", "license", "intended_use")}
    card = read_card(options.card, {**changes, "attributions": options.attribution})
    checkpoint = find_checkpoint(options.run, options.which)
    half = options.half or options.round
    trained = as_read = read_trained(checkpoint)
    if options.round:
        trained = as_read.rounded()
    metrics = {}
    if options.results:
        about = trained.document["data"]
        known = Known(trained.run, file_sha256(checkpoint), card["id"], trained.document["step"])
        metrics = read_metrics(options.results, options.results_model, known, about)
    data = None
    if options.data:
        from dataset.prepared import open_prepared

        data = open_prepared(options.data)
    check_folder(options.out)
    manifest = options.manifest or options.out / "manifest.json"
    check_place(manifest, options.out, options.url)
    path = options.out / f"{card['id']}-{card['version']}{SUFFIX}"
    with atomic(path, overwrite=True) as draft:
        write_model(trained, draft, card, metrics, half)
        show = partial(_show, console)
        said = [verify(draft, trained, data, options.cases, show).sentence()]
        if options.round:
            said.append(rounding(as_read, trained, data, options.cases, show))
    card_path = path.with_suffix(".md")
    with atomic(card_path, overwrite=True) as draft:
        text = model_card(check_file(path), path.stat().st_size, said)
        draft.write_text(text, encoding="utf-8", newline="\n")
    entry = enter(manifest, path, options.default, options.url)
    precision = ", half precision" if half else ""
    console.say(f"{trained.which} checkpoint of {trained.run}, step {trained.document['step']}{precision}")
    for sentence in said:
        console.say(sentence)
    console.say(f"model: {path} ({entry['size'] / 1e6:.1f} MB, SHA-256 {entry['sha256']})")
    console.say(f"card: {card_path}")
    console.say(f"list: {manifest}")
    if not metrics:
        console.say("No results were given: the card says that nothing was measured.")


def _show(console: Console, name: str) -> None:
    console.status(f"Comparing labels of {name}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--run", type=Path, required=True, help="run folder of train.py")
    add("--which", choices=("best", "last"), help="checkpoint; default: best, last where there is no best")
    add("--out", type=Path, required=True, help="folder for the model, its card and manifest.json")
    add("--card", type=Path, help="TOML or JSON: id, version, license, attributions, intended_use, ...")
    add("--id", help="name of the model, such as abdomen-13")
    add("--version", help="version of the model, such as 1.0.0")
    add("--license", help="SPDX identifier, or a sentence; never made up")
    add("--attribution", action="append", help="sentence on data or work it builds on (again for more)")
    add("--intended-use", help="default: research, not for clinical use")
    add("--results", type=Path, help="results.json of evaluate.py, for the metrics")
    add("--results-model", help="name of the model in the results; default: the one of this run")
    add("--data", type=Path, help="prepared data, to compare labels on; default: a generated CT")
    add("--cases", type=_positive, default=2, help="how many of its cases to compare on; default: 2")
    add("--manifest", type=Path, help="list of models; default: manifest.json in OUT")
    add("--default", action="store_true", help="make it the list's default model")
    add("--url", action="append", default=[], help="address that serves this very file (again for mirrors)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--half", action="store_true", help="half the size, where that changes no label")
    size.add_argument(
        "--round",
        action="store_true",
        help="half the size: round the weights first, say how many voxels that changes; measure that file",
    )
    add("--debug", action="store_true", help="show tracebacks and the libraries' warnings")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of cases")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
