"""``curves.png``: a run's loss, DSC, DyFC and learning rate over its steps, with its phases as bands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iuinet.errors import IUINetError
from iuinet.files import atomic
from iuinet.labels import organ_by_name
from iuinet.preview import quiet_matplotlib

from .attention import STATIC
from .history import ORGAN_COLUMN, read_attention, read_epochs, read_steps
from .run_folder import CURVES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 1500  # a line with more is no clearer, only slower
_BANDS = ("#ffffff", "#eef2f7")
_TRAIN, _VALIDATION, _MEAN, _RATE = "#1f5fa8", "#c8502d", "#111111", "#5b3f95"
_DYNAMIC = "#2d7a4f"
_OTHERS = ("#8c6d31", "#637939", "#7b4173", "#3182bd", "#e6550d", "#31a354", "#756bb1", "#636363")
_said: set[str] = set()


@dataclass(frozen=True)
class Course:
    """A run's history as arrays; what is not known is NaN.

    steps, loss, rate: per step (thinned). epochs: steps at which epochs ended. train, validation, mean: per
    epoch. organs: DSC per epoch by name. phases: name, first and last step. measured: steps at which the DyFC
    were. entropy, deviation: of each, (measured, DyFC).
    """

    steps: np.ndarray
    loss: np.ndarray
    rate: np.ndarray
    epochs: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    mean: np.ndarray
    organs: dict[str, np.ndarray]
    phases: list[tuple[str, int, int]]
    measured: np.ndarray
    entropy: np.ndarray
    deviation: np.ndarray


def draw_curves(folder: Path, notice: Callable[[str], None] = lambda sentence: None) -> Path | None:
    """Draw a run's curves.png from its history; returns its path.

    Without matplotlib, or before the first step, nothing is drawn and None returned; that matplotlib is
    missing is reported to ``notice`` once. Raises: OutputError for what the disk refuses.
    """
    course = read_course(folder)
    if course.steps.size + course.epochs.size == 0:
        return None
    path = folder / CURVES
    try:
        with quiet_matplotlib(), atomic(path, overwrite=True) as draft:
            make_figure(course).savefig(draft, format="png")
    except IUINetError as error:
        if error.code != "no-matplotlib":
            raise
        if error.code not in _said:
            _said.add(error.code)
            notice("matplotlib is not installed: curves.png is left out (pip install matplotlib).")
        return None
    return path


def make_figure(course: Course) -> Figure:
    """The figure of ``draw_curves``: panels over the same steps, one for the DyFC where there are any."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 10), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)  # no window, no state shared with other figures
    parts = {draw_loss: 5, draw_scores: 7, draw_rate: 3}
    if course.measured.size:
        parts[draw_attention] = 4
    panels = figure.subplots(len(parts), 1, sharex=True, height_ratios=list(parts.values()))
    for panel, draw in zip(panels, parts, strict=True):
        draw(panel, course)
        draw_phases(panel, course.phases, named=panel is panels[0])
        panel.grid(alpha=0.25, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("step")
    return figure


def read_course(folder: Path) -> Course:
    """The history in a run's folder, ready to be drawn."""
    lines, rows = read_steps(folder), read_epochs(folder)
    steps = np.array([line["step"] for line in lines], dtype=float)
    groups = np.arange(len(lines)) * min(MOST_POINTS, max(len(lines), 1)) // max(len(lines), 1)
    attention = read_attention(folder)
    columns = [name for name in (rows[0] if rows else {}) if name.startswith(ORGAN_COLUMN)]
    return Course(
        steps=_means(steps, groups),
        loss=_means(_floats(line.get("loss") for line in lines), groups),
        rate=_means(_floats(line.get("learning_rate") for line in lines), groups),
        epochs=_floats(row["step"] for row in rows),
        train=_floats(row["train_loss"] for row in rows),
        validation=_floats(row["validation_loss"] for row in rows),
        mean=_floats(row["mean_dsc"] for row in rows),
        organs={name.removeprefix(ORGAN_COLUMN): _floats(row[name] for row in rows) for name in columns},
        phases=_phases([(entry["phase"], int(entry["step"])) for entry in lines or rows]),
        measured=_floats(line["step"] for line in attention),
        **{
            key: np.array([[layer[key] for layer in line["layers"].values()] for line in attention])
            for key in ("entropy", "deviation")
        },
    )


# Panels -------------------------------------------------------------------------------------------------


def draw_loss(panel: Axes, course: Course) -> None:
    """Loss of the single steps in the background, of the epochs in front."""
    panel.plot(course.steps, course.loss, color=_TRAIN, alpha=0.25, linewidth=0.8)
    _line(panel, course.epochs, course.train, label="training", color=_TRAIN, linewidth=1.8)
    _line(panel, course.epochs, course.validation, label="validation", color=_VALIDATION, linewidth=1.8)
    shown = np.concatenate([course.loss, course.train, course.validation])
    shown = shown[np.isfinite(shown)]
    if shown.size:
        # A few outliers must not press everything else onto the axis.
        low, high = min(0.0, shown.min()), np.percentile(shown, 99.5)
        panel.set_ylim(low, low + 1.1 * max(high - low, 1e-6))
    panel.set_ylabel("loss")
    if panel.get_legend_handles_labels()[0]:
        panel.legend(loc="upper right", frameon=False)


def draw_scores(panel: Axes, course: Course) -> None:
    """Mean DSC thick, the organs thin, each named at its end."""
    lines = [("mean", course.mean, _MEAN, 2.6), *((n, v, c, 1.0) for n, v, c in _colored(course.organs))]
    ends: list[tuple[float, str, str]] = []
    for name, values, color, width in reversed(lines):  # the mean is drawn last, over the others
        known = np.flatnonzero(np.isfinite(values))
        if known.size:
            _line(panel, course.epochs, values, color=color, linewidth=width)
            ends.append((float(values[known[-1]]), name, color))
    panel.set_ylim(0, 1)
    panel.set_ylabel("DSC on the validation cases")
    if not ends:
        panel.text(0.5, 0.5, "not measured", transform=panel.transAxes, ha="center", color="gray")
    ends.sort()
    places = spread([value for value, _, _ in ends], least=0.047)
    for (value, name, color), place in zip(ends, places, strict=True):
        beside = panel.get_yaxis_transform()
        panel.plot([1.0, 1.015], [value, place], color=color, linewidth=0.7, transform=beside, clip_on=False)
        weight = "bold" if name == "mean" else "normal"
        style = {"color": color, "weight": weight, "fontsize": 9, "va": "center"}
        panel.text(1.02, place, f"{name} {value:.2f}", transform=beside, **style)


def draw_rate(panel: Axes, course: Course) -> None:
    """Learning rate on a logarithmic scale."""
    rate = np.where(course.rate > 0, course.rate, np.nan)
    panel.plot(course.steps, rate, color=_RATE, linewidth=1.5)
    if np.isfinite(rate).any():
        panel.set_yscale("log")
        # A constant rate would have no decade on its axis.
        panel.set_ylim(np.nanmin(rate) / 2, np.nanmax(rate) * 2)
    panel.set_ylabel("learning rate")


def draw_attention(panel: Axes, course: Course) -> None:
    """How much the coefficients of every DyFC vary over the validation cases, and how mixed they are."""
    shown = np.maximum(course.deviation, 1e-5)  # 0 has no place on a logarithmic scale
    for values in shown.T:
        _line(panel, course.measured, values, color=_DYNAMIC, alpha=0.5, linewidth=0.7)
    panel.axhline(STATIC, color=_DYNAMIC, linewidth=0.8, linestyle="--")
    panel.set_yscale("log")
    panel.set_ylabel("DyFC: deviation")
    static = int((course.deviation[-1] < STATIC).sum())
    said = f"{static} of {shown.shape[1]} DyFC answer all cases alike (below {STATIC:g})"
    panel.text(0.01, 0.04, said, transform=panel.transAxes, fontsize=9, color=_DYNAMIC)
    beside = panel.twinx()
    _line(beside, course.measured, np.median(course.entropy, 1), color=_MEAN, linewidth=1.5)
    beside.set_ylim(0, 1.02)
    beside.set_ylabel("median entropy")
    beside.spines["top"].set_visible(False)


def draw_phases(panel: Axes, phases: Sequence[tuple[str, int, int]], named: bool) -> None:
    """A band behind each phase; its name above the first panel."""
    for number, (name, first, last) in enumerate(phases):
        begin = first - 1
        panel.axvspan(begin, last, color=_BANDS[number % 2], zorder=-2, linewidth=0)
        if number:
            panel.axvline(begin, color="#9aa5b1", linewidth=0.8, linestyle=":")
        if named:
            style = {"ha": "center", "va": "bottom", "fontsize": 10, "color": "#44505c"}
            style |= {"xycoords": panel.get_xaxis_transform(), "textcoords": "offset points"}
            panel.annotate(name, ((begin + last) / 2, 1.0), (0, 4), **style)
    if phases:
        panel.set_xlim(0, phases[-1][2])


def spread(values: Sequence[float], least: float, low: float = 0.0, high: float = 1.0) -> list[float]:
    """Places as near as can be to the ascending values, at least so far apart, and within [low, high].

    least becomes less where not all fit. Least squares by pooling neighbours (isotonic regression).
    """
    if len(values) < 2:
        return list(values)
    least = min(least, (high - low) / (len(values) - 1))
    blocks: list[tuple[float, int]] = []  # sum and number of what lies together
    for index, value in enumerate(values):
        total, count = value - index * least, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            before = blocks.pop()
            total, count = total + before[0], count + before[1]
        blocks.append((total, count))
    top = high - (len(values) - 1) * least
    starts = [min(max(total / count, low), top) for total, count in blocks for _ in range(count)]
    return [start + index * least for index, start in enumerate(starts)]


# Numbers ------------------------------------------------------------------------------------------------


def _line(panel: Axes, x: np.ndarray, y: np.ndarray, **style: Any) -> None:
    """A line through what is known; a single point is shown as one."""
    known = np.isfinite(y)
    if known.any():
        if known.sum() == 1:
            style |= {"marker": "o", "markersize": 4, "clip_on": False}
        panel.plot(x[known], y[known], **style)


def _colored(organs: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray, str]]:
    """The organs with their own colours, darkened to be seen on white; others take one of a few."""
    result = []
    for number, (name, values) in enumerate(organs.items()):
        color = _OTHERS[number % len(_OTHERS)]
        if known := organ_by_name(name):
            color = "#" + "".join(f"{round(0.8 * part):02x}" for part in known.color)
        result.append((name, values, color))
    return result


def _floats(values: Any) -> np.ndarray:
    return np.array([math.nan if value in (None, "") else float(value) for value in values], dtype=float)


def _means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean of each group's finite values, NaN for a group that has none."""
    if not values.size:
        return values
    finite = np.isfinite(values)
    count = np.bincount(groups, finite)
    total = np.bincount(groups, np.where(finite, values, 0.0))
    return np.divide(total, count, out=np.full(count.shape, math.nan), where=count > 0)


def _phases(entries: Sequence[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Name, first and last step of each phase, in order."""
    phases: list[tuple[str, int, int]] = []
    for name, step in entries:
        if phases and phases[-1][0] == name:
            phases[-1] = (name, phases[-1][1], step)
        else:
            phases.append((name, phases[-1][2] + 1 if phases else 1, step))
    return phases
