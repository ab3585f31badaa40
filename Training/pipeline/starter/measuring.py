"""Measuring on the development scans: ``evaluate.py --development``.

Overlap per organ on CT whose anatomy no training saw, on a real slab, and on two real scans as far as edges
in the image tell where organs end (``references``); the same with their contrast computed away, and in narrow
fields of view; volumes and places. The scans come from the folder that IUINET_DATA names. Inference is the
program's own, largest piece of each organ included; all scores are on the scan's own grid.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from scipy import ndimage

from iuinet.console import Console
from iuinet.errors import UsageError
from iuinet.files import atomic
from iuinet.geometry import canonical_axes, to_canonical
from iuinet.inference import Segmenter
from iuinet.options import Options
from iuinet.report import RIGHT_OF, out_of_order
from iuinet.weights import resolve
from pipeline.evaluation.exposure import exposure, only_seen, refuse_seen, warnings
from pipeline.synthesis import ORGANS, data_folder, load

from .scans import REAL, Case, generated, narrow, plain, slab, whole_scans

PHASES = ("portal", "arterial", "non_contrast")
GENERATED_IDS = {name: number for number, name in enumerate(ORGANS, start=1)}
LARGE = ("liver", "spleen", "stomach")


def measure(segmenter: Segmenter, case: Case, islands: bool = True, fast: bool = False) -> dict:
    """One case: volumes, pieces, misplaced organs, and overlap of the organs whose reference is known.

    pieces: of each organ before only the largest was kept. islands, fast: see ``Options``.
    """
    prediction = segmenter(case.volume, Options(islands=islands, fast=fast))
    ids = {organ.name: organ.label for organ in segmenter.organs}
    grid = case.volume.grid
    voxels = {name: int(np.count_nonzero(prediction.labels == number)) for name, number in ids.items()}
    canonical = to_canonical(prediction.labels, canonical_axes(grid.direction))
    result = {
        "name": case.name,
        "group": case.group,
        "seconds": round(sum(prediction.seconds.values()), 1),
        "millilitres": {name: round(count * grid.voxel_volume_ml, 1) for name, count in voxels.items()},
        "pieces": prediction.components,
        "misplaced": misplaced(canonical, ids),
    }
    truth = np.zeros(case.truth.shape, np.uint8)
    for name, number in case.ids.items():
        if name in ids:
            truth[case.truth == number] = ids[name]
    truth[case.truth == 255] = 255
    common = {name: ids[name] for name in case.ids if name in ids}
    scores = dice(prediction.labels, truth, common)
    result["dice"] = {name: round(value, 4) for name, value in scores.items()}
    return result


def print_table(results: list[dict], organs: list[str], say: Callable[[str], None] = print) -> None:
    """Overlap per group as means; volumes and pieces of the real scans."""
    scored: dict[str, list[dict]] = {}
    for result in results:
        scored.setdefault(result["group"], []).append(result["dice"])
    groups, means = list(scored), {group: mean_scores(scores) for group, scores in scored.items()}
    say("DSC".ljust(26) + "".join(group.rjust(24) for group in groups))
    rows = {organ: [means[group].get(organ) for group in groups] for organ in organs}
    whole = [means[group] if set(LARGE) <= set(means[group]) else {} for group in groups]
    for name, found in (
        ("mean of large organs", [[mean[organ] for organ in LARGE if mean] for mean in whole]),
        ("mean of all organs", [list(means[group].values()) for group in groups]),
    ):
        rows[name] = [float(np.mean(values)) if values else None for values in found]
    for name, values in rows.items():
        cells = ("-" if value is None else f"{value:.3f}" for value in values)
        say(name.ljust(26) + "".join(cell.rjust(24) for cell in cells))
    scans = [result for result in results if result["group"] == REAL]
    if scans:
        say("\nml (pieces before the largest was kept)")
        say("".ljust(26) + "".join(scan["name"].rjust(24) for scan in scans))
        for organ in organs:
            cells = (f"{scan['millilitres'][organ]:.0f} ({scan['pieces'].get(organ, 0)})" for scan in scans)
            say(organ.ljust(26) + "".join(cell.rjust(24) for cell in cells))
    for result in results:
        for sentence in result["misplaced"]:
            say(f"{result['name']}: {sentence}")


def run(options: argparse.Namespace, console: Console) -> None:
    """Measure one model on all development scans.

    options: weights, cache, out, anatomy, seeds, device, all_pieces, fast, allow_seen.
    """
    data = data_folder()
    if data is None:
        raise UsageError(
            "IUINET_DATA names no folder with the development scans",
            hint="Set it to that folder, or measure on prepared data with --data.",
            code="no-data",
        )
    if len(options.weights) != 1 or options.cache is None:
        raise UsageError(
            "--development measures one model and keeps prepared label maps",
            hint="Give --weights once, and --cache FOLDER.",
            code="usage",
        )
    weights = resolve(options.weights[0])
    training = {**weights.document.get("training", {}), "sources": weights.document.get("sources") or []}
    met = {options.anatomy: exposure(training, options.anatomy)}
    if not options.allow_seen:
        refuse_seen(weights.id, met)
    said = warnings(weights.id, only_seen(met))
    segmenter = Segmenter(weights, options.device)
    ids = {organ.name: organ.label for organ in segmenter.organs}
    anatomy = load(options.anatomy, data, options.cache)
    real = [slab(data), *whole_scans(data)]
    cases = [*real, *map(plain, real), *chain.from_iterable(map(narrow, real))]
    results = []
    for case in [*cases, *generated(anatomy, range(options.seeds), GENERATED_IDS, PHASES)]:
        results.append(measure(segmenter, case, not options.all_pieces, options.fast))
        console.status(f"{case.name}: {results[-1]['seconds']} s")
    console.clear()
    for sentence in said:
        console.say(f"WARNING: {sentence}")
    print_table(results, list(ids), console.say)
    if options.out:
        about = {"anatomy": options.anatomy, "fast": options.fast, "all_pieces": options.all_pieces}
        document = {"format": 1, "weights": segmenter.weights.summary(), **about, "cases": results}
        document |= {"warnings": said}
        with atomic(Path(options.out), overwrite=True) as draft:
            draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


# Overlap with a reference, and whether organs lie where they belong -----------------------------------


FEWEST_VOXELS = 20


def dice(
    labels: np.ndarray, truth: np.ndarray, ids: Mapping[str, int], ignore: int = 255
) -> dict[str, float]:
    """DSC per organ that the reference holds; voxels that the reference marks ``ignore`` do not count.

    labels, truth: integer arrays of one shape. ids: organ name -> label id.
    """
    if labels.shape != truth.shape:
        raise ValueError(f"labels {labels.shape} and reference {truth.shape} differ in shape")
    known = truth != ignore
    scores = {}
    for name, number in ids.items():
        reference = truth == number
        if reference.sum() >= FEWEST_VOXELS:
            found = (labels == number) & known
            overlap = np.count_nonzero(found & reference)
            scores[name] = 2 * overlap / (np.count_nonzero(found) + np.count_nonzero(reference))
    return scores


def mean_scores(cases: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean per organ over the cases that hold it."""
    names = dict.fromkeys(name for case in cases for name in case)
    return {name: float(np.mean([case[name] for case in cases if name in case])) for name in names}


def misplaced(labels: np.ndarray, ids: Mapping[str, int]) -> list[str]:
    """What lies on the wrong side, as sentences; labels in canonical axes (k, j, i to the patient's left)."""
    centres = {}
    for name in ("liver", "spleen", "right kidney", "left kidney", "stomach", "aorta", "inferior vena cava"):
        mask = labels == ids[name]
        if mask.any():
            centres[name] = ndimage.center_of_mass(mask)[2]
    right_of = (*RIGHT_OF, ("liver", "stomach"), ("inferior vena cava", "aorta"))
    pairs = out_of_order(centres, right_of)
    return [f"the {first} is not to the right of the {second}" for first, second in pairs]
