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
from typing import TYPE_CHECKING

from iuinet.console import Console, Parser, run_command
from iuinet.errors import UsageError
from iuinet.files import atomic
from iuinet.weights import resolve
from iuinet.weights.load import save_model
from iuinet.weights.model_file import SUFFIX, check_file
from pipeline.evaluation.exposure import standing
from pipeline.exporting.card import read_card, read_metrics
from pipeline.exporting.model import (
    check_place,
    enter,
    entry_of,
    find_checkpoint,
    model_document,
    read_trained,
)
from pipeline.exporting.model_card import model_card
from pipeline.exporting.verify import verify

if TYPE_CHECKING:
    from pipeline.dataset.prepared import PreparedData


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    return run_command(lambda: _parser().parse_args(arguments), run)


def run(options: argparse.Namespace, console: Console) -> None:
    """Build the model's document; write the file, compare its labels, and write its card and entry."""
    # All that can be refused is looked at before anything is kept.
    given = {key: getattr(options, key) for key in ("id", "version", "license", "intended_use")}
    card = read_card(options.card, {**given, "attributions": options.attribution})
    trained, exact = read_trained(find_checkpoint(options.run, options.which)), None
    if options.keep_start:
        start = options.start or (trained.document.get("start") or {}).get("id")
        trained = trained.keeping(options.keep_start, resolve(start))
    if options.round:
        trained, exact = trained.rounded(), trained
    metrics = {}
    if options.results:
        metrics = read_metrics(options.results, trained, card["id"], options.results_model)
    document = model_document(trained, card, metrics)
    data = _prepared(options.data)
    manifest = options.manifest or options.out / "manifest.json"
    check_place(manifest, options.out, options.url)
    _make_folder(options.out)

    path = options.out / f"{card['id']}-{card['version']}{SUFFIX}"
    with atomic(path, overwrite=True) as draft:
        net = trained.net()
        save_model(draft, net.half() if options.round else net, document)
        found = verify(draft, trained, exact, data, options.cases, partial(_show, console))
    weights = check_file(path)
    card_path = path.with_suffix(".md")
    with atomic(card_path, overwrite=True) as draft:
        draft.write_text(model_card(weights, found), encoding="utf-8", newline="\n")
    entry = entry_of(weights, options.url)
    enter(manifest, entry, options.default)

    precision = ", half precision" if options.round else ""
    for sentence in standing(weights.document["training"]):
        console.say(f"WARNING: this model {sentence}")
    console.say(f"{trained.which} checkpoint of {trained.run}, step {trained.document['step']}{precision}")
    for sentence in found:
        console.say(sentence)
    console.say(f"model: {path} ({entry['size'] / 1e6:.1f} MB, SHA-256 {entry['sha256']})")
    console.say(f"card: {card_path}")
    console.say(f"list: {manifest}")
    if not metrics:
        console.say("No results were given: the card says that nothing was measured.")


def _prepared(folder: Path | None) -> PreparedData | None:
    if folder is None:
        return None
    from pipeline.dataset.prepared import open_prepared

    return open_prepared(folder)


def _make_folder(folder: Path) -> None:
    """Make the folder for models, or refuse it (UsageError "output-no-folder")."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder {folder} cannot be made: {error.strerror}",
            hint="Choose another folder for --out.",
            code="output-no-folder",
        ) from error


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
    hint = "half the size: round the weights first, say how many voxels that changes; measure that file"
    add("--round", action="store_true", help=hint)
    hint = "mean of the run's weights and those of the model it started from: what part is that model's"
    add("--keep-start", type=_share, metavar="SHARE", help=hint)
    add("--start", metavar="FILE|ID", help="that model, where its id no longer names it")
    add("--debug", action="store_true", help="show tracebacks and the libraries' warnings")
    return parser


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1")
    return share


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of cases")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
