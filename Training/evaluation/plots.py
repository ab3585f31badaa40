"""Plots of an evaluation as SVG inside the page: sharp on paper, in the page's own colours, no library.

Every dot has a title (what a mouse shows); the same numbers stand in the page's tables for everybody else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .page_markup import Markup, number, tag

WIDTH, LANE, LEFT, RIGHT, TOP, BOTTOM = 660, 30, 168, 12, 12, 44
DOT = 4.0
PANEL_WIDTH, PANEL_HEIGHT = 240, 180
_LOG_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
LIMITS_OF_AGREEMENT = 1.96  # standard deviations: 95 % of normally distributed differences


@dataclass(frozen=True)
class Dot:
    """One case. text: what it says when pointed at. failed: drawn as a cross."""

    value: float
    text: str
    failed: bool = False


@dataclass(frozen=True)
class Lane:
    """A line of dots. color: CSS. mark: a reference value, drawn as an open triangle."""

    name: str
    color: str
    dots: Sequence[Dot]
    mark: float | None = None


@dataclass(frozen=True)
class Scale:
    """From values to pixels. ticks: (value, text)."""

    place: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]


def dot_plot(title: str, axis: str, lanes: Sequence[Lane], logarithmic: bool = False) -> Markup | None:
    """Dots of every case, a lane per organ, with the median as a bar; None if there is no dot.

    logarithmic: for distances; values below the scale's end are drawn at its end.
    """
    values = [dot.value for lane in lanes for dot in lane.dots]
    if not values:
        return None
    values += [lane.mark for lane in lanes if lane.mark is not None]
    scale = (_logarithmic if logarithmic else _shares)(values, LEFT, WIDTH - RIGHT)
    bottom = TOP + LANE * len(lanes)
    parts = [_grid_line(scale.place(value), text, bottom) for value, text in scale.ticks]
    for n, lane in enumerate(lanes):
        parts.append(_lane(lane, scale, TOP + LANE * (n + 0.5)))
    parts.append(tag("text", axis, x=(LEFT + WIDTH - RIGHT) / 2, y=bottom + 38, class_="axis middle"))
    return _svg(title, WIDTH, bottom + BOTTOM, parts, "plot wide")


def _grid_line(x: float, text: str, bottom: float) -> list[Markup]:
    return [
        tag("line", x1=x, x2=x, y1=TOP, y2=bottom, class_="grid"),
        tag("text", text, x=x, y=bottom + 17, class_="middle"),
    ]


def _lane(lane: Lane, scale: Scale, y: float) -> Markup:
    parts = [
        tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y + LANE / 2, y2=y + LANE / 2, class_="grid"),
        tag("text", lane.name, x=LEFT - 12, y=y + 4, class_="end"),
    ]
    if lane.dots:
        x = scale.place(float(np.median([dot.value for dot in lane.dots])))
        parts.append(tag("line", x1=x, x2=x, y1=y - 11, y2=y + 11, class_="median"))
    if lane.mark is not None:
        x = scale.place(lane.mark)
        shape = tag("path", d=f"M{x - 5:.1f} {y - 14:.1f}h10l-5 8z", class_="mark")
        parts.append(tag("g", tag("title", f"ceiling {lane.mark:.3g}"), shape))
    for dot, x, shift in _swarm(lane.dots, scale):
        parts.append(_dot(dot, x, y + shift, lane.color))
    return tag("g", parts)


def _swarm(dots: Sequence[Dot], scale: Scale) -> Iterator[tuple[Dot, float, float]]:
    """Each dot with its x, and a shift up or down that keeps it off its neighbours while there is room."""
    placed: list[tuple[float, float]] = []
    for dot in sorted(dots, key=lambda dot: dot.value):
        x = scale.place(dot.value)
        for shift in (0.0, 4.0, -4.0, 8.0, -8.0):
            if all(math.hypot(x - other, shift - beside) >= DOT * 1.8 for other, beside in placed):
                break
        else:
            shift = 0.0
        placed.append((x, shift))
        yield dot, x, shift


def _dot(dot: Dot, x: float, y: float, color: str) -> Markup:
    if dot.failed:
        shape = tag("path", d=f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8", class_="failed")
    else:
        shape = tag("circle", cx=round(x, 1), cy=round(y, 1), r=DOT, fill=color, class_="dot")
    return tag("g", tag("title", dot.text), shape)


def _shares(values: Sequence[float], left: float, right: float) -> Scale:
    """A scale for shares of 1, from the tenth below the smallest value to 1."""
    low = min(0.9, math.floor(min(values) * 10 + 1e-9) / 10)
    step = 0.1 if low >= 0.3 else 0.2
    if low >= 0.8:
        step = 0.05
    count = math.floor((1 - low) / step + 1e-9)
    ticks = [(1 - n * step, f"{1 - n * step:.2g}") for n in range(count + 1)]
    return Scale(lambda value: left + 8 + (value - low) / (1 - low) * (right - left - 16), ticks)


def _logarithmic(values: Sequence[float], left: float, right: float) -> Scale:
    low = max([tick for tick in _LOG_TICKS if tick <= max(min(values), 0.5)])
    high = next(
        (tick for tick in _LOG_TICKS if tick >= max(values) and tick > low), max(max(values), low * 2)
    )
    span = math.log(high / low)

    def place(value: float) -> float:
        return left + 8 + math.log(max(value, low) / low) / span * (right - left - 16)

    return Scale(place, [(tick, f"{tick:g}") for tick in _LOG_TICKS if low <= tick <= high])


# Agreement of volumes -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Volumes of one case, ml."""

    case: str
    found: float
    reference: float

    @property
    def mean(self) -> float:
        """Where it stands on the x axis."""
        return (self.found + self.reference) / 2

    @property
    def difference(self) -> float:
        """Found minus reference."""
        return self.found - self.reference


def agreement(pairs: Sequence[Pair]) -> tuple[float, float, float] | None:
    """Bland and Altman's mean difference and its 95 % limits of agreement; None for fewer than 3 cases."""
    if len(pairs) < 3:
        return None
    differences = np.array([pair.difference for pair in pairs])
    mean, spread = float(differences.mean()), LIMITS_OF_AGREEMENT * float(differences.std(ddof=1))
    return mean, mean - spread, mean + spread


def agreement_plot(name: str, color: str, pairs: Sequence[Pair]) -> Markup | None:
    """Difference against mean of both volumes (Bland and Altman, Lancet 1986); None without a case."""
    if not pairs:
        return None
    limits = agreement(pairs)
    y_values = [0.0, *(pair.difference for pair in pairs), *(limits or ())]
    x = _linear([pair.mean for pair in pairs], 50, PANEL_WIDTH - 12)
    y = _linear(y_values, PANEL_HEIGHT - 40, 26)
    parts = [tag("text", name, x=50, y=15, class_="panel-title")]
    for value, text in y.ticks:
        parts.append(_level(y.place(value), "zero" if value == 0 else "grid"))
        parts.append(tag("text", text, x=45, y=y.place(value) + 4, class_="end"))
    for value, text in x.ticks:
        parts.append(tag("text", text, x=x.place(value), y=PANEL_HEIGHT - 20, class_="middle"))
    if limits:
        parts += [
            _level(y.place(value), kind)
            for value, kind in zip(limits, ("bias", "limit", "limit"), strict=True)
        ]
    for pair in pairs:
        text = (
            f"{pair.case}: {number(pair.found, '.1f')} ml found, {number(pair.reference, '.1f')} ml reference"
        )
        failed = not pair.found or not pair.reference
        parts.append(_dot(Dot(0, text, failed), x.place(pair.mean), y.place(pair.difference), color))
    parts.append(
        tag("text", "mean of both, ml", x=(50 + PANEL_WIDTH) / 2, y=PANEL_HEIGHT - 4, class_="middle axis")
    )
    said = f"{name}: volume errors of {len(pairs)} cases"
    if limits:
        said += f", mean {limits[0]:+.1f} ml, limits of agreement {limits[1]:+.1f} to {limits[2]:+.1f} ml"
    return _svg(said, PANEL_WIDTH, PANEL_HEIGHT, parts, "plot panel")


def _level(y: float, kind: str) -> Markup:
    return tag("line", x1=50, x2=PANEL_WIDTH - 6, y1=y, y2=y, class_=kind)


def _linear(values: Sequence[float], start: float, end: float) -> Scale:
    """A scale with at most five round ticks within the values' range, and some room beyond."""
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or max(abs(high) * 0.1, 1.0)
    low, high = low - room, high + room
    step = 10 ** math.floor(math.log10(high - low))
    step = next(step * part for part in (0.2, 0.25, 0.5, 1, 2) if (high - low) / (step * part) <= 5)
    ticks = [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return Scale(
        lambda value: start + (value - low) / (high - low) * (end - start),
        [(tick, f"{tick:.6g}".replace("-", "−")) for tick in ticks],
    )


def _svg(said: str, width: float, height: float, parts: Sequence[object], class_: str) -> Markup:
    return tag("svg", parts, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=said, class_=class_)
