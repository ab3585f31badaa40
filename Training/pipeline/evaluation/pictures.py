"""Pictures of an evaluation: sections of the CT with the reference's and the result's outline.

For each organ of a model the best, the median and the worst case by DSC on the scan's own grid. Two axial
sections of each: the one that shows most of the organ (reference and result together), and the one with most
voxels in which they differ, so that a good-looking middle hides no error. True proportions, window 40/400 HU,
the patient's right on the left. Pillow and contourpy come with matplotlib.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from iuinet.errors import InputRefused
from iuinet.geometry import canonical_axes, canonical_grid, to_canonical
from iuinet.preview.drawing import WINDOW_HU
from iuinet.preview.sections import AXIAL, Scan, cut, place_of
from iuinet.volume import Volume

from .document import Results, Shade
from .metrics import UNKNOWN

LookUp = Callable[[str, str], tuple[Volume, np.ndarray, np.ndarray]]

MARGIN_MM, SMALLEST_MM = 16.0, 90.0
MOST_PIXELS = 180  # across a picture: larger sections are averaged down to this
MOST_PICTURES = 240  # on a page, with about 15 kB each: three models of 13 organs
GREY_STEP = 4  # 64 greys: as many as eyes tell apart, and a third less data
_BARS_MM = (50, 20, 10)


@dataclass(frozen=True)
class Overlay:
    """One section of a CT with outlines, as SVG takes it: lengths in hundredths of the picture's side.

    alt: what it shows. png: the CT as a data URI; box: its x, y, width and height. result, reference: path
    data of their outlines, "" where there is none. bar: length of a bar of bar_mm.
    """

    name: str
    place: str
    alt: str
    png: str
    box: tuple[float, float, float, float]
    result: str
    reference: str
    bar: float
    bar_mm: int


@dataclass
class Shown:
    """A case to be shown. kind: "best", "median", "worst", or "only" where there is one case.

    refused: why there are no pictures.
    """

    organ: Shade
    kind: str
    row: dict[str, Any]
    pictures: Sequence[Overlay] = ()
    refused: str = ""


def choose(results: Results, model: str) -> list[Shown]:
    """The cases of a model to be shown: up to three per organ, by the order of the organs."""
    chosen = []
    for organ in results.organs_of(model):
        rows = [row for row in results.rows(model, organ.name) if row.get("dsc") is not None]
        rows = [row for row in rows if row.get("state") != "absent"]
        rows.sort(key=lambda row: (-row["dsc"], row["case"]))
        places = {"best": 0, "median": len(rows) // 2, "worst": len(rows) - 1}
        if len(rows) < 3:
            places = {"best": 0, "worst": 1} if len(rows) == 2 else {"only": 0} if rows else {}
        chosen += [Shown(organ, kind, rows[place]) for kind, place in places.items()]
    return chosen


def models_shown(results: Results) -> list[str]:
    """The first models, as many as a page can hold with all their pictures, and at least one."""
    shown, pictures = [], 0
    for model in results.names:
        pictures += 2 * len(choose(results, model))
        if shown and pictures > MOST_PICTURES:
            break
        shown.append(model)
    return shown


def overlays(results: Results, model: str, look_up: LookUp) -> list[Shown]:
    """The chosen cases of a model with their pictures; each case is looked up once."""
    chosen = choose(results, model)
    for case in sorted({one.row["case"] for one in chosen}):
        shown = [one for one in chosen if one.row["case"] == case]
        try:
            scans = _scans(*look_up(model, case))
        except InputRefused as error:  # the scan is no longer there: the scores are, and the page is
            for one in shown:
                one.refused = str(error)
            continue
        for one in shown:
            one.pictures = list(_pictures(one, *scans))
    return chosen


def _scans(volume: Volume, reference: np.ndarray | None, labels: np.ndarray) -> tuple[Scan, Scan]:
    """The CT with the reference and with the result, in canonical order. No reference: an empty one."""
    if reference is None:
        reference = np.zeros_like(labels)
    axes, grid = canonical_axes(volume.grid.direction), canonical_grid(volume.grid)
    scan = Scan(
        ct=to_canonical(volume.array, axes),
        labels=to_canonical(reference, axes),
        spacing=grid.spacing[::-1],
        matrix=grid.index_to_lps(),
        areas=(),
        voxel_ml=grid.voxel_volume_ml,
    )
    return scan, replace(scan, labels=to_canonical(labels, axes))


def _pictures(shown: Shown, reference: Scan, result: Scan) -> Iterator[Overlay]:
    label = shown.organ.label
    expected = reference.labels == label
    found = (result.labels == label) & (reference.labels != UNKNOWN)
    either = np.count_nonzero(expected | found, axis=(1, 2))
    if not either.any():
        return
    largest = int(either.argmax())
    different = int(np.count_nonzero(expected ^ found, axis=(1, 2)).argmax())
    names = {largest: "largest section"}
    names[different] = "largest section and difference" if different == largest else "largest difference"
    for index, name in names.items():
        yield _overlay(shown, reference, result, index, expected[index] | found[index], name)


def _overlay(
    shown: Shown, reference: Scan, result: Scan, index: int, around: np.ndarray, name: str
) -> Overlay:
    """One section around a mask (rows, columns)."""
    ranges = _around(around, reference)
    with_reference, with_result = (cut(scan, AXIAL, index, ranges) for scan in (reference, result))
    known, label = with_reference.labels != UNKNOWN, shown.organ.label
    (top, _), (left, right) = ranges[1:]
    scale = 100 / (right - left)
    step = scale * np.array([with_reference.step_x, with_reference.step_y])
    origin = scale * np.array([with_reference.x[0] - left, with_reference.y[0] - top]) - step / 2
    png, size = _png(with_reference.ct)
    place = place_of(reference, AXIAL, index, ranges)
    bar_mm = next((mm for mm in _BARS_MM if mm <= (right - left) / 4), _BARS_MM[-1])
    return Overlay(
        name=name,
        place=place,
        alt=f"Axial CT section at {place} of case {shown.row['case']} with the outlines of the "
        f"{shown.organ.name} in the reference and in the result ({shown.kind} case, {name})",
        png=png,
        box=tuple(np.round([*origin, *(step * size)], 3).tolist()),
        result=outline((with_result.labels == label) & known, origin, step),
        reference=outline(with_reference.labels == label, origin, step),
        bar=round(bar_mm * scale, 2),
        bar_mm=bar_mm,
    )


def _around(shown: np.ndarray, scan: Scan) -> tuple[tuple[float, float], ...]:
    """A square around a mask (rows, columns) in mm along the canonical axes."""
    boxes = []
    for axis, across in ((1, 1), (2, 0)):
        indices = np.flatnonzero(shown.any(axis=across))
        step = scan.spacing[axis]
        boxes.append(((indices[0] - 0.5) * step, (indices[-1] + 0.5) * step))
    half = max(SMALLEST_MM, *(high - low + 2 * MARGIN_MM for low, high in boxes)) / 2
    return (0.0, 0.0), *(((low + high) / 2 - half, (low + high) / 2 + half) for low, high in boxes)


def _png(ct: np.ndarray) -> tuple[str, np.ndarray]:
    """The CT as greys in a data URI, averaged down if it is large, and its columns and rows as they were."""
    from PIL import Image

    factors = [max(1, -(-n // MOST_PIXELS)) for n in ct.shape[::-1]]
    image = Image.fromarray(ct).reduce(tuple(factors))
    low, high = WINDOW_HU
    greys = (np.clip((np.asarray(image) - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(greys // GREY_STEP * GREY_STEP).save(file, "png", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return uri, np.multiply(image.size, factors)


def outline(mask: np.ndarray, origin: Sequence[float] = (0, 0), step: Sequence[float] = (1, 1)) -> str:
    """Closed lines around a bool mask (rows, columns) as SVG path data; "" for an empty one.

    The lines run through the middles of the borders between mask and background; holes have lines of their
    own. origin: x and y of the first pixel's upper left corner. step: width and height of a pixel.
    """
    from contourpy import contour_generator

    parts = []
    for line in contour_generator(z=np.pad(mask, 1).astype(np.float32)).lines(0.5):
        points = line[:-1]  # without the first one again at the end
        onwards = np.roll(points, -1, 0) - points
        corners = points[(onwards != np.roll(onwards, 1, 0)).any(1)]
        places = np.asarray(origin) + (corners - 0.5) * np.asarray(step)
        parts.append("M" + "L".join(f"{x:.4g} {y:.4g}" for x, y in places) + "Z")
    return "".join(parts)
