"""The picture of a result: an overview in three planes, and each organ's largest sections.

True millimetres, window 40/400 HU, radiological sides (see ``preview.sections``). Needs matplotlib, which
is imported when a picture is drawn.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from iuinet.errors import IUINetError
from iuinet.files import atomic
from iuinet.labels import Organ
from iuinet.quality import RELIABLE, WORDS
from iuinet.report import millilitres_text
from iuinet.volume import Grid, Volume

from .drawing import draw_bar, draw_section, mark_sections, rgb
from .sections import (
    PLANES,
    Range,
    Scan,
    focus_sections,
    found_organs,
    overview_ranges,
    place_of,
    scan_of,
    tile_ranges,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
# All in pixels.
WIDTH, EDGE, GAP = 1800, 28, 8
HEADER, CAPTION, HEADING, BETWEEN, FOOTER = 72, 26, 32, 18, 44
LEGEND, LEGEND_LINE = 300, 27
OVERVIEW_HEIGHT = 560  # at most
ROOM = WIDTH - 2 * EDGE - LEGEND - 4 * GAP  # for the overview's three planes
FEW = 4  # up to so many organs two stand beside each other, else three
GROUND, TEXT, FAINT = "#101216", "#e8eaed", "#8b929c"
FOOTNOTE = (
    "Window 40/400 HU. Axial and coronal pictures have the patient's right on their left. "
    "For research; not a diagnosis."
)


def draw_preview(
    path: str | os.PathLike,
    volume: Volume,
    labels: np.ndarray,
    organs: Sequence[Organ],
    title: str = "",
    verdicts: Mapping[str, str] | None = None,
) -> None:
    """Draw a result as a PNG file; one that is there is replaced.

    labels: uint8 (k, j, i), the volume's shape. organs: what the labels mean, in the order of the legend.
    title: stands over the picture, so it should be no name of a patient, nor of a file that may hold one.
    verdicts: what the model is good for, by organ (``quality.verdicts_of``); None says nothing of it.
    Raises: OutputError if the file cannot be written, IUINetError "no-matplotlib".

    >>> draw_preview("ct.preview.png", volume, labels, organs, title="starter-tiny")  # doctest: +SKIP
    """
    with quiet_matplotlib():
        figure = make_figure(volume, labels, organs, title, verdicts)
        with atomic(path, overwrite=True) as draft:
            figure.savefig(draft, format="png", facecolor=GROUND)


@contextmanager
def quiet_matplotlib() -> Iterator[None]:
    """matplotlib with its own settings instead of the user's, and without its remarks on fonts.

    >>> with quiet_matplotlib():
    ...     import matplotlib
    ...     matplotlib.rcParams["font.size"]
    10.0
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as for a title with letters that no font has
            try:
                import matplotlib
                import matplotlib.figure
            except ImportError as error:
                raise IUINetError(
                    f"pictures cannot be drawn without matplotlib: {error}",
                    hint="Install it with 'pip install matplotlib', or leave the pictures out.",
                    code="no-matplotlib",
                ) from error
            with matplotlib.rc_context():
                matplotlib.rcdefaults()
                yield
    finally:
        logger.setLevel(level)


def make_figure(
    volume: Volume,
    labels: np.ndarray,
    organs: Sequence[Organ],
    title: str = "",
    verdicts: Mapping[str, str] | None = None,
) -> Figure:
    """The figure of ``draw_preview``. Its axes are labelled "overview axial", "liver coronal", and so on.

    >>> volume = Volume(np.full((8, 8, 8), 40), Grid((8, 8, 8), (5, 5, 5)))
    >>> labels, organs = np.ones((8, 8, 8), np.uint8), [Organ("liver", 1)]
    >>> make_figure(volume, labels, organs).axes[0].get_label()
    'overview axial'
    """
    from matplotlib.figure import Figure

    scan = scan_of(volume, labels)
    found = found_organs(scan, organs)
    ranges = overview_ranges(scan, organs)
    scale = _overview_scale(ranges)
    overview = CAPTION + max(scale * (high - low) for low, high in ranges[:2])
    overview = round(max(overview, LEGEND_LINE * len(organs)))
    columns = 2 if len(found) <= FEW else 3
    card = (WIDTH - 2 * EDGE - (columns - 1) * 2 * BETWEEN) // columns
    tile = (card - 2 * GAP) // 3
    row_height = BETWEEN + HEADING + tile
    height = HEADER + overview + -(-len(found) // columns) * row_height + FOOTER
    sheet = Sheet(Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI), WIDTH, height)
    _draw_header(sheet, volume.grid, title)
    _draw_overview(sheet, scan, organs, ranges, scale)
    _draw_legend(sheet, scan, organs, verdicts or {})
    for number, organ in enumerate(found):
        row, column = divmod(number, columns)
        place = EDGE + column * (card + 2 * BETWEEN), HEADER + overview + BETWEEN + row * row_height
        _draw_heading(sheet, scan, organ, place, 3 * tile + 2 * GAP, (verdicts or {}).get(organ.name))
        _draw_organ(sheet, scan, organ, organs, place, tile)
    sheet.write(EDGE, height - FOOTER / 2, FOOTNOTE, size=9, color=FAINT)
    return sheet.figure


class Sheet:
    """A figure that is filled by pixels, counted from its upper left corner."""

    def __init__(self, figure: Figure, width: float, height: float) -> None:
        self.figure, self.width, self.height = figure, width, height

    def axes(self, left: float, top: float, width: float, height: float, label: str) -> Axes:
        """Black axes without frame or ticks."""
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box, label=label, facecolor="black")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        return axes

    def write(self, left: float, middle: float, text: str, size: float, **style: str) -> None:
        """One line of text; a dollar sign is a dollar sign."""
        style = {"color": TEXT, "va": "center_baseline", **style}
        place = (left / self.width, 1 - middle / self.height)
        self.figure.text(*place, text, size=size, parse_math=False, **style)

    def swatch(self, left: float, middle: float, organ: Organ) -> None:
        """A little square of an organ's colour."""
        from matplotlib.patches import Rectangle

        size = 13
        corner = (left / self.width, 1 - (middle + size / 2) / self.height)
        square = Rectangle(corner, size / self.width, size / self.height, color=rgb(organ), linewidth=0)
        self.figure.add_artist(square)


def _draw_header(sheet: Sheet, grid: Grid, title: str) -> None:
    """The title, and what was segmented."""
    size = " × ".join(str(count) for count in grid.size)
    spacing = " × ".join(f"{step:.3g}" for step in grid.spacing)
    sheet.write(EDGE, 28, title or "Segmentation", size=17, weight="bold")
    sheet.write(EDGE, 56, f"{size} voxels of {spacing} mm", size=10, color=FAINT)


def _overview_scale(ranges: Sequence[Range]) -> float:
    """Pixels per mm at which the three planes fit beside each other and are not too high."""
    head, back, left = (high - low for low, high in ranges)
    return min(ROOM / (2 * left + back), OVERVIEW_HEIGHT / max(head, back))


def _draw_overview(
    sheet: Sheet, scan: Scan, organs: Sequence[Organ], ranges: Sequence[Range], scale: float
) -> None:
    """The three planes through the liver or the largest organ, at one scale."""
    sections = focus_sections(scan, organs)
    lengths = [scale * (high - low) for low, high in ranges]
    sizes = [(lengths[plane.columns], lengths[plane.rows]) for plane in PLANES]
    spare = (ROOM - sum(width for width, _ in sizes)) / 3
    left = EDGE
    for plane, (width, height) in zip(PLANES, sizes, strict=True):
        axes = sheet.axes(left, HEADER + CAPTION, width, height, f"overview {plane.name}")
        index = sections[plane.axis]
        draw_section(axes, scan, plane, index, ranges, organs)
        mark_sections(axes, plane, sections, scan)
        where = place_of(scan, plane, index, ranges)
        sheet.write(left, HEADER + CAPTION / 2, f"{plane.name}  {where}", size=10, color=FAINT)
        draw_bar(axes, ranges[plane.columns][1] - ranges[plane.columns][0])
        left += width + GAP + spare


def _draw_legend(sheet: Sheet, scan: Scan, organs: Sequence[Organ], verdicts: Mapping[str, str]) -> None:
    """Every requested organ, with its colour and volume."""
    left, right = WIDTH - EDGE - LEGEND + 2 * GAP, WIDTH - EDGE
    for line, organ in enumerate(organs):
        middle = HEADER + CAPTION / 2 + LEGEND_LINE * line
        if scan.voxels[organ.label]:
            sheet.swatch(left, middle, organ)
            name, style = _named(organ, verdicts.get(organ.name))
            sheet.write(left + 24, middle, name, size=10 if style else 11, **style)
            sheet.write(right, middle, _amount(scan, organ), size=11, ha="right", **style)
        else:
            sheet.write(left + 24, middle, organ.name, size=11, color=FAINT)
            sheet.write(right, middle, "not found", size=11, color=FAINT, ha="right")


def _named(organ: Organ, verdict: str | None) -> tuple[str, dict[str, str]]:
    """An organ's name and its style: marked, faint and slanted where nobody may rely on it."""
    if verdict is None or verdict in RELIABLE:
        return organ.name, {}
    return f"\u26a0 {organ.name}", {"color": FAINT, "style": "italic"}


def _draw_heading(
    sheet: Sheet, scan: Scan, organ: Organ, place: tuple[float, float], width: float, verdict: str | None
) -> None:
    """An organ's name, what the model is good for in it, and its volume. place: left and top."""
    left, middle = place[0], place[1] + HEADING / 2
    name, style = _named(organ, verdict)
    sheet.swatch(left, middle, organ)
    sheet.write(left + 22, middle, name if verdict is None else f"{name}: {WORDS[verdict]}", size=11, **style)
    sheet.write(left + width, middle, _amount(scan, organ), size=11, color=FAINT, ha="right")


def _draw_organ(
    sheet: Sheet,
    scan: Scan,
    organ: Organ,
    organs: Sequence[Organ],
    place: tuple[float, float],
    tile: int,
) -> None:
    """One organ's largest section in each plane. place: left and top of its card."""
    left, top = place
    ranges = tile_ranges(scan, organ)
    for number, plane in enumerate(PLANES):
        corner = left + number * (tile + GAP), top + HEADING
        axes = sheet.axes(*corner, tile, tile, f"{organ.name} {plane.name}")
        index = scan.largest_section(organ.label, plane.axis)
        draw_section(axes, scan, plane, index, ranges, organs, organ)
        if plane is PLANES[-1]:
            draw_bar(axes, ranges[0][1] - ranges[0][0])


def _amount(scan: Scan, organ: Organ) -> str:
    return f"{millilitres_text(scan.voxels[organ.label] * scan.voxel_ml)} ml"
