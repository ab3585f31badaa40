"""One segmentation in numbers: a dictionary for JSON, and the table that is printed.

A report names no patient, file or folder. Needs numpy only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__
from .geometry import canonical_axes, to_canonical
from .labels import Organ
from .quality import RELIABLE, WORDS, Quality, for_summary, qualities
from .volume import Grid, Volume

if TYPE_CHECKING:
    from .checks import Finding
    from .inference import Prediction
    from .weights.model_file import Weights

FORMAT = 1
# An organ is marked as uncertain where its softmax leads the runner-up by less than this on average: about
# where the network holds it for three times as likely as one other. A choice, not calibrated on patients.
LOW_MARGIN = 0.5
# Who lies on the right of whom in nearly everybody, and what is said where it is not so.
RIGHT_OF = {
    ("liver", "spleen"): "the liver lies left of the spleen",
    ("right kidney", "left kidney"): "the right kidney lies left of the left one",
}
_CHUNK = 1 << 19  # voxels whose statistics are taken at once: few enough for the processor's cache


@dataclass(frozen=True)
class Measurements:
    """Statistics of all labels of a volume; every array has 256 rows, one per label id.

    voxels: counts. mean_hu, std_hu: of the CT under each label, NaN without voxels.
    centroid: LPS mm, (256, 3), NaN without voxels. edges: per label, the sides of the scan that it touches.
    """

    voxels: np.ndarray
    mean_hu: np.ndarray
    std_hu: np.ndarray
    centroid: np.ndarray
    edges: Mapping[int, tuple[str, ...]]


def measure(volume: Volume, labels: np.ndarray) -> Measurements:
    """Measure every label in one walk through the slices, so that the memory needed stays small.

    labels: uint8 (k, j, i), the volume's shape.

    >>> volume = Volume(np.full((2, 2, 2), 40), Grid((2, 2, 2), (1, 1, 1)))
    >>> float(measure(volume, np.ones((2, 2, 2), np.uint8)).mean_hu[1])
    40.0
    """
    voxels, total, squares = np.zeros(256, np.int64), np.zeros(256), np.zeros(256)
    indices = np.zeros((256, 3))  # sums of i, j, k
    rows, columns = labels.shape[1:]
    step = max(1, _CHUNK // (rows * columns))
    for start in range(0, labels.shape[0], step):
        slab = labels[start : start + step].ravel()
        place, label = _not_zero(slab)
        value = volume.array[start : start + step].ravel()[place].astype(np.float64)
        # Not divmod, which is several times as slow.
        k = place // (rows * columns)
        place -= k * (rows * columns)
        j = place // columns
        i = place - j * columns
        voxels += np.bincount(label, minlength=256)
        total += np.bincount(label, value, 256)
        squares += np.bincount(label, value * value, 256)
        for axis, index in enumerate((i, j, k + start)):
            indices[:, axis] += np.bincount(label, index, 256)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN for labels without voxels
        mean = total / voxels
        std = np.sqrt(np.maximum(squares / voxels - mean * mean, 0.0))
        matrix = volume.grid.index_to_lps()
        centroid = indices / voxels[:, None] @ matrix[:3, :3].T + matrix[:3, 3]
    return Measurements(voxels, mean, std, centroid, _touched_edges(labels, volume.grid))


def _not_zero(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where uint8 that is mostly 0 is not, as ``np.flatnonzero``, and what is there, as bincount wants it.

    Eight voxels are looked at in one go.
    """
    whole = flat.size // 8 * 8
    small = np.int32 if flat.size < 2**31 else np.int64
    words = np.flatnonzero(flat[:whole].view(np.uint64)).astype(small)
    inside = words[:, None] * small(8) + np.arange(8, dtype=small)
    eight = flat[:whole].reshape(-1, 8)[words]
    taken = eight != 0
    rest = np.flatnonzero(flat[whole:])
    place = np.concatenate([inside[taken], (whole + rest).astype(small)])
    return place, np.concatenate([eight[taken], flat[whole:][rest]]).astype(np.intp)


def _touched_edges(labels: np.ndarray, grid: Grid) -> dict[int, tuple[str, ...]]:
    """Per label, the sides of the scan whose outermost layer of voxels it touches.

    It is cut there, or at best just not cut; sides are those of the patient nearest to the scan's axes.
    """
    view = to_canonical(labels, canonical_axes(grid.direction))
    layers = {
        "superior": view[-1],
        "inferior": view[0],
        "anterior": view[:, 0],
        "posterior": view[:, -1],
        "right": view[:, :, 0],
        "left": view[:, :, -1],
    }
    edges: dict[int, tuple[str, ...]] = {}
    for name, layer in layers.items():
        for label in np.flatnonzero(np.bincount(layer.ravel(), minlength=256)).tolist():
            edges[label] = (*edges.get(label, ()), name)
    return edges


def build_report(
    volume: Volume, prediction: Prediction, findings: Sequence[Finding], weights: Weights
) -> dict[str, Any]:
    """The report on a prediction of the volume: ready for JSON, with None for what is not known.

    findings: those of the checks, which were no reason to stop. weights: the model that was used.

    >>> report = build_report(volume, prediction, check_volume(volume), weights)  # doctest: +SKIP
    >>> report["organs"][0]["name"], report["organs"][0]["millilitres"]  # doctest: +SKIP
    ('spleen', 214.3)
    """
    found = measure(volume, prediction.labels)
    grid, known = volume.grid, qualities(weights.document)
    organs = [
        _organ(organ, found, prediction, grid, known.get(organ.name, Quality()))
        for organ in prediction.organs
    ]
    return {
        "format": FORMAT,
        "input": {
            "size": [int(count) for count in grid.size],
            "spacing_mm": [float(step) for step in grid.spacing],
            "origin_mm": [float(part) for part in grid.origin],
            "direction": np.asarray(grid.direction, dtype=float).tolist(),
            "dtype": str(volume.array.dtype),
            "modality": volume.modality,
        },
        "checks": [
            {key: volume.unnamed(text) for key, text in asdict(finding).items()} for finding in findings
        ],
        "notes": [volume.unnamed(note) for note in volume.notes],
        "weights": weights.summary(),
        "device": prediction.device,
        "passes": prediction.passes,
        "seconds": {stage: round(float(time), 3) for stage, time in prediction.seconds.items()},
        "fallbacks": list(prediction.fallbacks),
        "organs": organs,
        "summary": for_summary(organs),
        "plausibility": _check_sides(prediction.organs, found),
    }


def _organ(
    organ: Organ, found: Measurements, prediction: Prediction, grid: Grid, quality: Quality
) -> dict[str, Any]:
    """The report's part on one requested organ. quality: the model's for it, whatever the scan."""
    label, voxels = organ.label, int(found.voxels[organ.label])
    margin = prediction.margins.get(organ.name) if voxels else None
    edges = found.edges.get(label, ())
    return {
        "name": organ.name,
        "label": label,
        "found": voxels > 0,
        "voxels": voxels,
        "millilitres": round(voxels * grid.voxel_volume_ml, 3),
        "mean_hu": _rounded(found.mean_hu[label], 2),
        "std_hu": _rounded(found.std_hu[label], 2),
        "margin": None if margin is None else _rounded(margin, 4),
        # Found without a margin means that it lies between the network's voxels only.
        "low_confidence": voxels > 0 and (margin is None or margin < LOW_MARGIN),
        "touches_edge": bool(edges),
        "edges": list(edges),
        "components": prediction.components.get(organ.name),
        "quality": quality.verdict,
        "measured": {"cases": quality.cases, "median_dsc": quality.median, "worst_dsc": quality.worst}
        if quality.cases
        else None,
    }


def _check_sides(organs: Sequence[Organ], found: Measurements) -> list[dict[str, str]]:
    """Liver right of the spleen, right kidney right of the left one: else the scan may be mirrored.

    Goes by the organs' centroids along LPS x, which rises to the patient's left.
    """
    left_mm = {organ.name.casefold(): found.centroid[organ.label, 0] for organ in organs}
    return [
        {"code": "check-orientation", "message": f"Check the scan's orientation: {RIGHT_OF[pair]}."}
        for pair in out_of_order(left_mm, RIGHT_OF)
    ]


def out_of_order(places: Mapping[str, float], pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the pairs whose first organ lies behind its second one.

    places: along one axis, by the organs' names, mm; NaN for an organ that was not found. pairs: first and
    second, as they lie in nearly everybody.

    >>> out_of_order({"liver": 40.0, "spleen": -60.0}, [("liver", "spleen")])
    [('liver', 'spleen')]
    """
    return [
        (one, other)
        for one, other in pairs
        if one in places and other in places and places[one] > places[other]  # False with NaN
    ]


def report_table(report: Mapping[str, Any]) -> str:
    """The organs of a report as a table for people, with the warnings below.

    >>> organ = {"name": "liver", "found": False}
    >>> print(report_table({"organs": [organ], "checks": [], "plausibility": [], "fallbacks": []}))
    organ  volume, ml  mean HU  remarks
    -------------------------------------
    liver           -        -  not found
    """
    rows = [("organ", "volume, ml", "mean HU", "remarks")]
    for organ in report["organs"]:
        row = ("-", "-", "not found")
        if organ["found"]:
            numbers = millilitres_text(organ["millilitres"]), str(round(organ["mean_hu"]))
            row = (*numbers, "; ".join(_remarks(organ)))
        rows.append((organ["name"], *row))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"{name:<{widths[0]}}  {ml:>{widths[1]}}  {hu:>{widths[2]}}  {remarks}".rstrip()
        for name, ml, hu, remarks in rows
    ]
    lines.insert(1, "-" * max(len(line) for line in lines))
    lines += [f"warning: {check['message']}" for check in report["checks"] if check["severity"] == "warning"]
    lines += [f"warning: {remark['message']}" for remark in report["plausibility"]]
    lines += [f"note: {text}" for text in (*report.get("notes", ()), *report["fallbacks"])]
    return "\n".join(lines)


def picture_title(report: Mapping[str, Any]) -> str:
    """What stands over a picture of the result: the model. The scan's name may be the patient's.

    >>> picture_title({"weights": {"id": "starter-tiny", "version": "0.5.0"}})
    'IUINet, model starter-tiny 0.5.0'
    """
    return "IUINet, model {id} {version}".format(**report["weights"])


def algorithm_name(report: Mapping[str, Any]) -> str:
    """What made a segment, for Slicer's tags and DICOM's Segment Algorithm Name (at most 64 letters).

    >>> algorithm_name({"weights": {"id": "starter-tiny", "version": "0.5.0"}})
    'IUINet starter-tiny 0.5.0'
    """
    text = "IUINet {id} {version}".format(**report["weights"])
    # Slicer's files separate tags with | and DICOM values with a backslash; neither can be escaped.
    return "".join(" " if sign in "|\\" or not sign.isprintable() else sign for sign in text)[:64].strip()


def provenance(report: Mapping[str, Any]) -> dict[str, str]:
    """With what a result was made, to be read from the scene or the file years later.

    report: the run's. The device is the one that was really used.

    >>> weights = {"id": "toy", "version": "1", "sha256": "ab"}
    >>> run = {"weights": weights, "checks": [], "device": "cpu", "passes": 1, "fallbacks": []}
    >>> provenance(run)["IUINet.WeightsId"]
    'toy'
    """
    weights = report["weights"]
    accepted = [check["code"] for check in report["checks"] if check["severity"] == "warning"]
    facts = {
        "ModuleVersion": __version__,
        "WeightsId": weights["id"],
        "WeightsVersion": weights["version"],
        "WeightsSha256": weights["sha256"],
        "Device": report["device"],
        "Passes": report["passes"],
        "Date": datetime.now(UTC).isoformat(timespec="seconds"),
        # A warning that is in the report of a finished run was accepted: without that there is no run.
        "AcceptedWarnings": ", ".join(accepted),
        # What had to be changed because a GPU was short of memory or failed.
        "Fallbacks": " ".join(report["fallbacks"]),
    }
    return {f"IUINet.{name}": str(value) for name, value in facts.items()}


def _remarks(organ: Mapping[str, Any]) -> list[str]:
    quality = organ.get("quality")
    found = [("" if quality in RELIABLE else "! ") + WORDS[quality]] if quality else []
    if organ["touches_edge"]:
        found.append(f"cut by the scan's edge ({', '.join(organ['edges'])})")
    return found + (["low confidence"] if organ["low_confidence"] else [])


def millilitres_text(value: float) -> str:
    """A volume for people: a decimal where it is significant, never 0 for an organ that was found.

    >>> millilitres_text(1234.5), millilitres_text(12.34), millilitres_text(0.01)
    ('1234', '12.3', '< 0.1')
    """
    if value < 0.05:
        return "< 0.1"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _rounded(value: float, digits: int) -> float | None:
    """For JSON, which has no NaN."""
    return round(float(value), digits) if np.isfinite(value) else None
