"""Draws one section of a preview into matplotlib axes: CT, outlines, the patient's sides, a scale bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from iuinet.labels import Organ

from .sections import PLANES, Picture, Plane, Range, Scan, cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patheffects import AbstractPathEffect
    from matplotlib.text import Text

WINDOW_HU = (-160.0, 240.0)  # level 40, width 400
LINE, FOCUS_LINE, OTHER_LINE = 1.6, 1.8, 1.0  # points
LETTERS, SMALL_LETTERS = 12, 8  # points
FLAT = 90  # pixels: a picture so low has no room for more
TINT = 0.2
NOTE_COLOR = "#e8eaed"
BAR_LENGTHS_MM = (200, 100, 50, 20, 10, 5, 2, 1)
# Where the letters of the left, right, top and bottom side stand, as shares of the axes.
LETTER_PLACES = (
    (0.012, 0.5, "left", "center"),
    (0.988, 0.5, "right", "center"),
    (0.5, 0.988, "center", "top"),
    (0.5, 0.014, "center", "bottom"),
)


def draw_section(
    axes: Axes,
    scan: Scan,
    plane: Plane,
    index: int,
    ranges: Sequence[Range],
    organs: Sequence[Organ],
    focus: Organ | None = None,
) -> None:
    """A section with the outlines of the organs and the letters of the patient's sides.

    ranges: what to show along the canonical axes; the axes must have the same proportions, so that a
    millimetre is as long across as down. focus: the organ that it is about, drawn stronger.

    >>> draw_section(axes, scan, PLANES[0], 40, overview_ranges(scan, organs), organs)  # doctest: +SKIP
    """
    picture = cut(scan, plane, index, ranges)
    if picture is not None:
        left, right = picture.x[0] - picture.step_x / 2, picture.x[-1] + picture.step_x / 2
        top, bottom = picture.y[0] - picture.step_y / 2, picture.y[-1] + picture.step_y / 2
        axes.imshow(
            picture.ct,
            cmap="gray",
            vmin=WINDOW_HU[0],
            vmax=WINDOW_HU[1],
            interpolation="bicubic",
            extent=(left, right, bottom, top),
            aspect="auto",
        )
        for organ in organs:
            _draw_outline(axes, picture, organ, focus)
    _set_limits(axes, plane, ranges)
    size = LETTERS if focus is None and axes.get_window_extent().height > FLAT else SMALL_LETTERS
    for letter, (x, y, ha, va) in zip(plane.letters, LETTER_PLACES, strict=True):
        note(axes, x, y, letter, size=size, weight="bold", ha=ha, va=va)


def _set_limits(axes: Axes, plane: Plane, ranges: Sequence[Range]) -> None:
    """Show exactly the ranges; y runs down the picture, as in Picture."""
    low, high = ranges[plane.rows]
    axes.set_xlim(*ranges[plane.columns])
    axes.set_ylim(*((-low, -high) if plane.upwards else (high, low)))


def _draw_outline(axes: Axes, picture: Picture, organ: Organ, focus: Organ | None) -> None:
    """The edge of an organ's voxels, closed at the scan's border; the organ in focus is tinted too."""
    mask = picture.labels == organ.label
    if not mask.any():
        return
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    values = np.pad(mask[box].astype(np.float32), 1)
    x, y = _extended(picture.x[box[1]], picture.step_x), _extended(picture.y[box[0]], picture.step_y)
    color = rgb(organ)
    width = LINE if focus is None else OTHER_LINE
    if organ == focus:
        width = FOCUS_LINE
        axes.contourf(x, y, values, levels=[0.5, 2], colors=[color], alpha=TINT)
    lines = axes.contour(x, y, values, levels=[0.5], colors=[color], linewidths=width)
    lines.set_path_effects([_rim(width + 0.8, 0.4)])


def _extended(positions: np.ndarray, step: float) -> np.ndarray:
    """The positions and one more on either side."""
    return np.concatenate([[positions[0] - step], positions, [positions[-1] + step]])


def mark_sections(axes: Axes, plane: Plane, sections: Sequence[int], scan: Scan) -> None:
    """Fine lines where the other two planes of the overview cut this one.

    >>> mark_sections(axes, PLANES[0], focus_sections(scan, organs), scan)  # doctest: +SKIP
    """
    style = {"color": "white", "alpha": 0.35, "linewidth": 0.7, "linestyle": (0, (2, 4))}
    for other in PLANES:
        position = sections[other.axis] * scan.spacing[other.axis]
        if other.axis == plane.columns:
            axes.axvline(position, **style)
        elif other.axis == plane.rows:
            axes.axhline(-position if plane.upwards else position, **style)


def draw_bar(axes: Axes, width_mm: float) -> None:
    """A scale bar in the lower right corner, of a round length under a quarter of the width.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> draw_bar(axes, width_mm=300)
    >>> axes.texts[0].get_text()
    '50 mm'
    """
    length = next((mm for mm in BAR_LENGTHS_MM if mm <= width_mm / 4), None)
    if length is None or axes.get_window_extent().height < FLAT:
        return
    share = length / width_mm
    for color, line_width in (("black", 4.0), (NOTE_COLOR, 2.0)):
        axes.plot([0.98 - share, 0.98], [0.03, 0.03], transform=axes.transAxes, color=color, lw=line_width)
    note(axes, 0.98 - share / 2, 0.04, f"{length} mm", size=7, ha="center", va="bottom")


def note(axes: Axes, x: float, y: float, text: str, **style: object) -> Text:
    """A text at a place in shares of the axes.

    >>> from matplotlib.figure import Figure
    >>> note(Figure().add_subplot(), 0.5, 0.5, "R").get_text()
    'R'
    """
    style = {"size": 9, "color": NOTE_COLOR, "path_effects": [_rim(2.2, 0.8)], **style}
    return axes.text(x, y, text, transform=axes.transAxes, parse_math=False, **style)


def _rim(width: float, alpha: float) -> AbstractPathEffect:
    """A dark rim, so that lines and letters can be seen on any tissue."""
    from matplotlib.patheffects import withStroke

    return withStroke(linewidth=width, foreground="black", alpha=alpha)


def rgb(organ: Organ) -> tuple[float, ...]:
    """An organ's colour as matplotlib takes it.

    >>> rgb(Organ("liver", 1, (255, 0, 51)))
    (1.0, 0.0, 0.2)
    """
    return tuple(part / 255 for part in organ.color)
