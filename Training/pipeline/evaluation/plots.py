"""Plots of an evaluation: matplotlib's SVG inside the page, sharp on paper and in the page's own colours.

Every dot has a title (what a mouse shows); the same numbers stand in the page's tables for everyone else.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape

from iuinet.preview import quiet_matplotlib

from .document import CEILING, FAILURES, Column, Results, Shade

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, LANE, DOT = 660, 30, 8.0
LIMITS_OF_AGREEMENT = 1.96  # standard deviations: 95 % of normally distributed differences
_LOG_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
# Stand-ins for colours that only the page knows, because it may be light or dark.
_INK, _SOFT, _LINE, _BAD, _PAPER = "#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f"
_METADATA = ("Creator", "Date", "Format", "Type")  # left out
_THEME = {_INK: "ink", _SOFT: "soft", _LINE: "line", _BAD: "bad", _PAPER: "paper"}
_STYLE = {
    "font.sans-serif": ["sans-serif"],
    "figure.dpi": 72,
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.labelcolor": _SOFT,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 1,
    "axes.titley": 1.0,  # else matplotlib looks for a place in half of its time
    **dict.fromkeys(("xtick.major.size", "ytick.major.size", "ytick.minor.size"), 0),
    **{f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")},
}


def dot_plot(results: Results, model: str, column: Column) -> Markup | None:
    """Dots of every case, a lane per organ, with the median as a bar; None if there is no dot.

    The mean ceiling is an open triangle. Distances stand on a logarithmic axis; those below its end are drawn
    at its end.
    """
    organs, metric = results.organs_of(model), column.metric
    rows = [[r for r in results.rows(model, organ.name) if r.get(metric) is not None] for organ in organs]
    rows = [sorted(lane, key=lambda row: row[metric]) for lane in rows]
    values = [np.array([row[metric] for row in lane], float) for lane in rows]
    ceilings = [results.summary(model, organ.name, metric, CEILING).get("mean") for organ in organs]
    if not any(map(len, values)):
        return None
    everything = [*np.concatenate(values), *(ceiling for ceiling in ceilings if ceiling is not None)]
    with _plot(WIDTH, LANE * len(organs) + 56, edges=(168, 12, 12, 44), size=13) as plot:
        axes = plot.axes
        low = _scale(axes, everything, column)
        axes.set_ylim(len(organs) - 0.5, -0.5)
        axes.set_yticks(range(len(organs)), [organ.name for organ in organs])
        axes.set_yticks(np.arange(len(organs)) + 0.5, minor=True)
        axes.tick_params(axis="y", pad=10)
        axes.grid(axis="x")
        axes.grid(axis="y", which="minor")
        for y, organ in enumerate(organs):
            if len(values[y]):
                x = max(low, np.median(values[y]))
                axes.plot([x, x], [y - 0.37, y + 0.37], color=_INK, linewidth=2)
            if (ceiling := ceilings[y]) is not None:
                style = {"mfc": _PAPER, "ms": 10}
                plot.mark("mark", f"ceiling {ceiling:.3g}", max(low, ceiling), y - 0.33, "v", **style)
            places = np.maximum(values[y], low)
            shifts = _swarm(np.array([axes.transData.transform((x, y))[0] for x in places]))
            for row, x, shift in zip(rows[y], places, shifts, strict=True):
                text = f"{row['case']}: {row[metric]:{column.form}}"
                plot.dot(organ, text, row.get("state"), x, y + shift / LANE)
        return plot.svg(f"{model}: {column.title} of each case and organ, on the scan's own grid", "wide")


def agreement(differences: np.ndarray) -> tuple[float, float, float] | None:
    """Bland and Altman's mean difference and its 95 % limits of agreement; None for fewer than 3 cases."""
    if len(differences) < 3:
        return None
    mean, spread = float(differences.mean()), LIMITS_OF_AGREEMENT * float(differences.std(ddof=1))
    return mean, mean - spread, mean + spread


def agreement_plot(model: str, organ: Shade, rows: Sequence[dict[str, Any]]) -> Markup | None:
    """Difference against mean of both volumes (Bland and Altman, Lancet 1986); None without a case."""
    keys = "volume_ml", "reference_ml"
    rows = [row for row in rows if row.get("state") != "absent" and None not in map(row.get, keys)]
    if not rows:
        return None
    found, reference = np.array([[row[key] for key in keys] for row in rows], float).T
    alt = f"{organ.name}: volume errors of {len(rows)} cases"
    with _plot(240, 180, edges=(50, 14, 26, 40), size=11) as plot:
        axes = plot.axes
        axes.set_title(organ.name, loc="left", size=13, weight="bold")
        axes.set_xlabel("mean of both, ml")
        axes.locator_params(nbins=5)
        axes.grid(axis="y")
        axes.margins(0.08)
        axes.axhline(0, color=_SOFT, linewidth=1)
        if limits := agreement(found - reference):
            for value, dashes in zip(limits, ((6, 4), (1.5, 3.5), (1.5, 3.5)), strict=True):
                axes.axhline(value, color=_INK, linewidth=1, dashes=dashes)
            alt += f", mean {limits[0]:+.1f} ml, limits of agreement {limits[1]:+.1f} to {limits[2]:+.1f} ml"
        for row, mean, error in zip(rows, (found + reference) / 2, found - reference, strict=True):
            text = f"{row['case']}: {row['volume_ml']:.1f} ml found, {row['reference_ml']:.1f} ml reference"
            plot.dot(organ, text, row.get("state"), mean, error)
        return plot.svg(f"{alt} ({model})", "panel")


def _scale(axes: Axes, values: Sequence[float], column: Column) -> float:
    """The x axis of a metric around all values, with some room beyond; returns its lower end."""
    if column.high_is_good:  # from the tenth below the smallest share to 1
        low = min(0.9, math.floor(min(values) * 10 + 1e-9) / 10)
        axes.set(xlabel=column.title, xlim=(low - 0.02 * (1 - low), 1 + 0.02 * (1 - low)))
        return low
    low = max(tick for tick in _LOG_TICKS if tick <= max(min(values), 0.5))
    above = (tick for tick in _LOG_TICKS if tick >= max(values) and tick > low)
    high = next(above, max(max(values), low * 2))
    room = (high / low) ** 0.02
    axes.set(xlabel=f"{column.title}, logarithmic", xscale="log", xlim=(low / room, high * room))
    ticks = [tick for tick in _LOG_TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    return low


def _swarm(x: np.ndarray) -> np.ndarray:
    """Shifts up or down, in pixels, that keep dots off their neighbours. x: rising, pixels."""
    apart = np.diff(x, prepend=-np.inf) >= DOT
    in_row = np.arange(len(x)) - np.flatnonzero(apart)[np.cumsum(apart) - 1]
    return np.array([0, 8, -8, 4, -4])[in_row % 5]


@dataclass
class _Plot:
    """A plot in the making. titles: of the marks that say what they are when pointed at."""

    axes: Axes
    titles: list[str]

    def dot(self, organ: Shade, text: str, state: str | None, x: float, y: float) -> None:
        """A case: a dot of the organ's colour, or a cross where the organ was missed or invented."""
        if state in FAILURES:
            self.mark("failed", f"{text} ({state})", x, y, "x", mec=_BAD, mew=2, ms=DOT)
        else:
            color = [part / 255 for part in organ.color]
            self.mark("dot", text, x, y, "o", mfc=color, mew=0.7, ms=DOT)

    def mark(self, kind: str, title: str, x: float, y: float, marker: str, **style: Any) -> None:
        """A mark with a title. kind: its class in the page."""
        style = {"mec": _INK, "marker": marker, "gid": f"{kind}-{len(self.titles)}", **style}
        self.axes.plot([x], [y], **style)
        self.titles.append(title)

    def svg(self, alt: str, kind: str) -> Markup:
        """The plot for an HTML page: no address and no style that is not its own, titles for its marks."""
        import matplotlib

        matplotlib.rcParams["svg.hashsalt"] = alt  # of its ids, which no two plots of a page may share
        file, figure = io.StringIO(), self.axes.figure
        figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
        text = re.sub(r"<defs>\s*<(style|clipPath).*?</defs>", "", file.getvalue(), flags=re.DOTALL)
        text = text[text.index("<g ") :].replace("xlink:href", "href")
        text = re.sub(r'\n\s*| clip-path="[^"]*"|<g id="[^"]*"/>', "", text)
        text = re.sub(r'<g id="(?:(dot|failed|mark)-(\d+)|[^"]*)">', self._group, text)
        for color, name in _THEME.items():
            text = text.replace(color, f"var(--{name})")
        size = " ".join(f"{72 * inches:g}" for inches in figure.get_size_inches())
        head = '<svg viewBox="0 0 {}" role="img" aria-label="{}" class="plot {}">'
        return Markup(head).format(size, alt, kind) + Markup(text)

    def _group(self, found: re.Match[str]) -> str:
        kind, number = found.groups()
        return f'<g class="{kind}"><title>{escape(self.titles[int(number)])}</title>' if kind else "<g>"


@contextmanager
def _plot(width: int, height: int, edges: tuple[int, int, int, int], size: int) -> Iterator[_Plot]:
    """A plot of so many pixels. edges: left, right, top, bottom. size: of its text."""
    left, right, top, bottom = edges
    with quiet_matplotlib():
        import matplotlib
        from matplotlib.figure import Figure

        matplotlib.rcParams.update({**_STYLE, "font.size": size})
        figure = Figure(figsize=(width / 72, height / 72))  # SVG of matplotlib has 72 pixels per inch
        box = (left, bottom, width - left - right, height - top - bottom)
        axes = figure.add_axes(tuple(np.divide(box, (width, height, width, height))))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        yield _Plot(axes, [])
