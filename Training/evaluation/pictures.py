"""Pictures of an evaluation: sections of the CT with the reference's and the result's outline.

For each organ of a model the best, the median and the worst case by DSC on the scan's own grid. Two axial
sections of each: the one that shows most of the organ (reference and result together), and the one with most
voxels in which they differ, so that a good-looking middle hides no error. True proportions, window 40/400 HU,
the patient's right on the left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from iuinet.errors import InputRefused
from iuinet.geometry import canonical_axes, canonical_grid, to_canonical
from iuinet.preview.drawing import WINDOW_HU
from iuinet.preview.sections import AXIAL, Picture, Scan, cut, place_of
from iuinet.volume import Volume

from .metrics import UNKNOWN
from .page_markup import Markup, tag
from .page_outlines import outline
from .page_png import data_uri
from .page_results import Found, Shade

LookUp = Callable[[str, str], tuple[Volume, np.ndarray, np.ndarray]]

MARGIN_MM, SMALLEST_MM = 16.0, 90.0
MOST_PIXELS = 180  # across a picture: larger sections are averaged down to this
MOST_PICTURES = 240  # on a page, with about 15 kB each: three models of 13 organs
GREY_STEP = 4  # 64 greys: as many as eyes tell apart, and a third less data
_BARS_MM = (50, 20, 10)


@dataclass(frozen=True)
class Choice:
    """A case to be shown. kind: "best", "median", "worst", or "only" where there is one case."""

    model: str
    organ: Shade
    kind: str
    row: dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """A choice and its pictures, each with a sentence on where it lies. refused: why there are none."""

    choice: Choice
    pictures: Sequence[tuple[Markup, str]] = ()
    refused: str = ""


def choose(found: Found, model: str) -> list[Choice]:
    """The cases of a model to be shown: up to three per organ, by the order of the organs."""
    chosen = []
    for organ in found.organs_of(model):
        rows = [row for row in found.rows(model, organ.name) if row.get("dsc") is not None]
        rows = [row for row in rows if row.get("state") != "absent"]
        rows.sort(key=lambda row: (-row["dsc"], row["case"]))
        places = {"best": 0, "median": len(rows) // 2, "worst": len(rows) - 1}
        if len(rows) < 3:
            places = {"best": 0, "worst": 1} if len(rows) == 2 else {"only": 0} if rows else {}
        chosen += [Choice(model, organ, kind, rows[place]) for kind, place in places.items()]
    return chosen


def models_shown(found: Found) -> list[str]:
    """The first models, as many as a page can hold with all their pictures, and at least one."""
    shown, pictures = [], 0
    for model in found.names:
        pictures += 2 * len(choose(found, model))
        if shown and pictures > MOST_PICTURES:
            break
        shown.append(model)
    return shown


def draw(choices: Sequence[Choice], look_up: LookUp) -> list[Shown]:
    """All pictures, in the order of the choices; each model's case is looked up once."""
    drawn: dict[int, Shown] = {}
    places = {}
    for n, choice in enumerate(choices):
        places.setdefault((choice.row["case"], choice.model), []).append(n)
    for (case, model), numbers in sorted(places.items()):
        try:
            scans = _scans(*look_up(model, case))
        except InputRefused as error:  # the scan is no longer there: the scores are, and the page is
            drawn |= {n: Shown(choices[n], refused=str(error)) for n in numbers}
            continue
        drawn |= {n: Shown(choices[n], list(_pictures(choices[n], *scans))) for n in numbers}
    return [drawn[n] for n in range(len(choices))]


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


def _pictures(choice: Choice, reference: Scan, result: Scan) -> Iterator[tuple[Markup, str]]:
    label = choice.organ.label
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
        yield _picture(choice, reference, result, index, expected[index] | found[index], name)


def _picture(
    choice: Choice, reference: Scan, result: Scan, index: int, shown: np.ndarray, name: str
) -> tuple[Markup, str]:
    """One section around what is shown (rows, columns), and where it lies."""
    ranges = _around(shown, reference)
    with_reference, with_result = (cut(scan, AXIAL, index, ranges) for scan in (reference, result))
    known = with_reference.labels != UNKNOWN
    masks = with_reference.labels == choice.organ.label, (with_result.labels == choice.organ.label) & known
    (top, bottom), (left, right) = ranges[1], ranges[2]
    side = right - left
    place = place_of(reference, AXIAL, index, ranges)
    said = (
        f"Axial CT section at {place} of case {choice.row['case']} with the outlines of the "
        f"{choice.organ.name} in the reference and in the result ({choice.kind} case, {name})"
    )
    parts = [
        _image(with_reference),
        _line(with_reference, masks[1], "result", choice.organ.css),
        _line(with_reference, masks[0], "reference"),
        _text("R", left + 0.02 * side, (top + bottom) / 2, side),
        _text("L", right - 0.02 * side, (top + bottom) / 2, side, "end"),
        *_bar(right, bottom, side),
    ]
    view = f"{left:.2f} {top:.2f} {side:.2f} {bottom - top:.2f}"
    return tag("svg", parts, viewBox=view, role="img", aria_label=said, class_="ct"), f"{name}\n{place}"


def _around(shown: np.ndarray, scan: Scan) -> tuple[tuple[float, float], ...]:
    """A square around a mask (rows, columns) in mm along the canonical axes."""
    boxes = []
    for axis, across in ((1, 1), (2, 0)):
        indices = np.flatnonzero(shown.any(axis=across))
        step = scan.spacing[axis]
        boxes.append(((indices[0] - 0.5) * step, (indices[-1] + 0.5) * step))
    half = max(SMALLEST_MM, *(high - low + 2 * MARGIN_MM for low, high in boxes)) / 2
    return (0.0, 0.0), *(((low + high) / 2 - half, (low + high) / 2 + half) for low, high in boxes)


def _image(picture: Picture) -> Markup:
    """The CT as greys, averaged down if it is large."""
    ct, step_x, step_y = picture.ct, picture.step_x, picture.step_y
    factors = [max(1, -(-n // MOST_PIXELS)) for n in ct.shape]
    width, height = ct.shape[1] * step_x, ct.shape[0] * step_y
    if max(factors) > 1:
        rows, columns = (n // factor for n, factor in zip(ct.shape, factors, strict=True))
        width, height = columns * factors[1] * step_x, rows * factors[0] * step_y
        blocks = ct[: rows * factors[0], : columns * factors[1]]
        ct = blocks.reshape(rows, factors[0], columns, factors[1]).mean(axis=(1, 3))
    low, high = WINDOW_HU
    greys = (np.clip((ct - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return tag(
        "image",
        href=data_uri(greys // GREY_STEP * GREY_STEP),
        x=round(picture.x[0] - step_x / 2, 2),
        y=round(picture.y[0] - step_y / 2, 2),
        width=round(width, 2),
        height=round(height, 2),
        preserveAspectRatio="none",
    )


def _line(picture: Picture, mask: np.ndarray, kind: str, color: str | None = None) -> Markup | None:
    """A mask's outline with a dark rim, so that it can be seen on any tissue."""
    path = outline(mask)
    if not path:
        return None
    x, y = picture.x[0] - picture.step_x / 2, picture.y[0] - picture.step_y / 2
    place = f"translate({x:.3f} {y:.3f}) scale({picture.step_x:.5g} {picture.step_y:.5g})"
    rim = tag("path", d=path, class_="rim") if kind == "result" else None
    return tag("g", rim, tag("path", d=path, class_=kind, stroke=color), transform=place)


def _text(text: str, x: float, y: float, side: float, anchor: str = "start") -> Markup:
    size = round(0.06 * side, 2)
    return tag("text", text, x=round(x, 2), y=round(y, 2), font_size=size, text_anchor=anchor)


def _bar(right: float, bottom: float, side: float) -> list[Markup]:
    """A scale bar in the lower right corner."""
    length = next(mm for mm in _BARS_MM if mm <= side / 4 or mm == _BARS_MM[-1])
    end, y = right - 0.03 * side, bottom - 0.03 * side
    place = {"x": round(end - length, 2), "y": round(y, 2), "width": length, "height": round(0.012 * side, 2)}
    return [tag("rect", **place, class_="bar"), _text(f"{length} mm", end, y - 0.02 * side, side, "end")]
