#!/usr/bin/env python3
"""Measure a model: overlap per organ on CT whose anatomy no training saw, volumes and places on real scans.

    python Training/evaluate.py --weights FILE --cache runs/cache --out runs/evaluation.json

The scans come from the folder that IUINET_DATA names. Inference is the program's own, largest piece of each
organ included; all scores are on the scan's own grid.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from evaluation.cases import Case, generated, slab, whole_scans
from evaluation.scores import dice, mean_scores, misplaced
from synthesis import HELD_OUT, data_folder, load

from iuinet.geometry import canonical_axes, to_canonical
from iuinet.inference import Segmenter
from iuinet.weights import resolve

PHASES = ("portal", "arterial", "non_contrast")


def measure(segmenter: Segmenter, case: Case) -> dict:
    """One case: volumes, pieces, misplaced organs, and overlap where a reference is known.

    pieces: of each organ before only the largest was kept.
    """
    prediction = segmenter(case.volume)
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
    if case.truth is not None:
        truth = np.zeros(case.truth.shape, np.uint8)
        for name, number in case.ids.items():
            truth[case.truth == number] = ids[name]
        truth[case.truth == 255] = 255
        common = {name: ids[name] for name in case.ids if name in ids}
        scores = dice(prediction.labels, truth, common)
        result["dice"] = {name: round(value, 4) for name, value in scores.items()}
    return result


def print_table(results: list[dict], organs: list[str]) -> None:
    """Overlap per group as means; volumes and pieces of scans without reference."""
    scored: dict[str, list[dict]] = {}
    for result in results:
        if "dice" in result:
            scored.setdefault(result["group"], []).append(result["dice"])
    groups, means = list(scored), {group: mean_scores(scores) for group, scores in scored.items()}
    print("DSC".ljust(26) + "".join(group.rjust(24) for group in groups))
    for organ in organs:
        cells = (f"{means[g][organ]:.3f}" if organ in means[g] else "-" for g in groups)
        print(organ.ljust(26) + "".join(cell.rjust(24) for cell in cells))
    scans = [result for result in results if "dice" not in result]
    if scans:
        print("\nml (pieces before the largest was kept)")
        print("".ljust(26) + "".join(scan["name"].rjust(24) for scan in scans))
        for organ in organs:
            cells = (f"{scan['millilitres'][organ]:.0f} ({scan['pieces'].get(organ, 0)})" for scan in scans)
            print(organ.ljust(26) + "".join(cell.rjust(24) for cell in cells))
    for result in results:
        for sentence in result["misplaced"]:
            print(f"{result['name']}: {sentence}")


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", required=True, help="model file, or the id of an installed model")
    parser.add_argument("--cache", type=Path, required=True, help="folder for prepared label maps")
    parser.add_argument("--out", type=Path, help="JSON file for all numbers")
    parser.add_argument("--seeds", type=int, default=4, help="generated scans per contrast phase (default 4)")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    data = data_folder()
    if data is None:
        print("error: IUINET_DATA names no folder with the scans", file=sys.stderr)
        return 2
    segmenter = Segmenter(resolve(options.weights), options.device)
    ids = {organ.name: organ.label for organ in segmenter.organs}
    anatomy = load(HELD_OUT[0], data, options.cache)
    cases = [slab(data), *whole_scans(data)]
    results = []
    for case in [*cases, *generated(anatomy, range(options.seeds), ids, PHASES)]:
        results.append(measure(segmenter, case))
        print(f"{case.name}: {results[-1]['seconds']} s", file=sys.stderr, flush=True)
    print_table(results, list(ids))
    if options.out:
        document = {"format": 1, "weights": segmenter.weights.summary(), "cases": results}
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
