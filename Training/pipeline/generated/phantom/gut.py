"""The hollow organs: esophagus, stomach, duodenum, colon and small bowel, with their contents."""

from __future__ import annotations

import numpy as np

from .appearance import table
from .canvas import Canvas
from .options import SampleOptions
from .organs import ESOPHAGUS, STOMACH, Variation, resized
from .shapes import tube

STOMACH_WALL_MM = 4.5
STOMACH_AIR = 0.30
BOWEL_WALL_MM = 2.2


def paint_stomach(canvas: Canvas, hu: dict[str, float], options: SampleOptions, vary: Variation) -> None:
    """Esophagus and stomach: wall with folds, air in front (the patient lies on the back), content below."""
    tubes = table("anatomy")["tubes"]
    window, field, _ = tube(canvas, tubes["esophagus"])
    canvas.paint(window, field, hu["esophagus"], ESOPHAGUS)
    canvas.paint(window, field + 6.5, hu["fluid"], None)

    points = resized(tubes["stomach"], vary.factor(0.08))
    window, field, _ = tube(canvas, points, 6)
    field += 0.8 * canvas.grain(34.0, window)
    canvas.paint(window, field, hu["stomach_wall"], STOMACH)
    folds = STOMACH_WALL_MM + np.clip(1.3 * canvas.grain(12.0, window), -1.5, 2.5)
    lumen = field + folds
    content = {"water": "water", "food": "food", "contrast": "oral_contrast"}[options.stomach_content]
    lumps = (90 if options.stomach_content == "food" else 6) * np.clip(canvas.grain(12.0, window), -0.5, 1)
    canvas.paint(window, lumen, hu[content] + lumps, None)
    inside = lumen < 0
    if inside.any():
        level = np.quantile(window.y[inside], STOMACH_AIR)
        canvas.paint(window, np.maximum(lumen, window.y - level), hu["gas"], None)


def paint_bowel(
    canvas: Canvas, hu: dict[str, float], options: SampleOptions, rng: np.random.Generator
) -> None:
    """Small bowel, then the colon that frames it, then the duodenum."""
    for points in small_bowel_loops(rng):
        _paint_loop(canvas, hu, options, rng, points)
    tubes = table("anatomy")["tubes"]
    for name, gas in (("ascending_colon", 0.25), ("transverse_colon", 0.6), ("descending_colon", 0.12)):
        _paint_colon(canvas, hu, resized(tubes[name], 1 + 0.06 * float(rng.standard_normal())), gas)
    window, field, _ = tube(canvas, tubes["duodenum"])
    canvas.paint(window, field, hu["bowel_wall"])
    canvas.paint(window, field + BOWEL_WALL_MM + np.abs(canvas.grain(12.0, window)), hu["fluid"], None)


def small_bowel_loops(rng: np.random.Generator) -> list[np.ndarray]:
    """Limbs of bowel in restless rows, which fill the room that the colon frames."""
    limbs = []
    for height in (-22, -44, -66):  # the first loops lie high on the left, below the stomach
        for depth in (-58, -84, -108):
            xs = np.array([48, 66, 84, 103]) + rng.normal(0, 5, 4)
            ys, zs = depth + rng.normal(0, 7, 4), height - rng.uniform(-6, 8) + rng.normal(0, 7, 4)
            limbs.append(np.column_stack([xs, ys, zs, rng.uniform(9, 13, 4)]))
    for depth, low in ((-66, -170), (-94, -190), (-120, -185)):
        height, side = -44.0 - rng.uniform(0, 8), 1
        while height > low:
            right = -52 - 10 * (height < -110)
            left = 98 if height < -60 else 90
            ends = (left, right) if side > 0 else (right, left)
            xs = np.linspace(*ends, 6) + rng.normal(0, 7, 6)
            ys = depth + rng.normal(0, 6, 6) - 0.10 * (np.abs(xs) < 35) * 60 * (depth > -80)
            zs = height + rng.normal(0, 8, 6)
            radii = rng.uniform(10, 14) * rng.uniform(0.8, 1.15, 6)
            points = np.column_stack([xs, ys, zs, radii])
            limbs += [points[:4], points[3:]]
            height -= rng.uniform(22, 27)
            side = -side
    return limbs


def _paint_loop(canvas: Canvas, hu, options: SampleOptions, rng: np.random.Generator, points) -> None:
    """One limb of small bowel with its own filling: collapsed, fluid, contrast, some with gas on top."""
    filling = rng.random()
    gas, offset = rng.random() < 0.15, rng.uniform(2, 7)
    window, field, along = tube(canvas, points, 9)
    field += 0.9 * canvas.grain(16.0, window)
    canvas.paint(window, field - 1.5, hu["fat"])
    canvas.paint(window, field, hu["bowel_wall"])
    if filling < options.bowel_contrast:
        content = hu["oral_contrast"] + 40 * canvas.grain(16.0, window)
    elif filling < options.bowel_contrast + 0.25 * (1 - options.bowel_contrast):
        return
    else:
        content = hu["fluid"] + 12 * canvas.grain(16.0, window)
    folds = BOWEL_WALL_MM + 1.2 * np.clip(np.sin(along * 1.1), 0, 1)
    canvas.paint(window, field + folds, content)
    if gas:
        bubble = np.maximum(field + BOWEL_WALL_MM, window.y - points[:, 1].mean() + offset)
        canvas.paint(window, bubble, hu["gas"])


def _paint_colon(canvas: Canvas, hu, points: np.ndarray, gas: float) -> None:
    """A piece of colon: haustra, mottled stool, and gas in its front part."""
    window, field, along = tube(canvas, points, 8)
    field += 2.4 * np.abs(np.sin(along * np.pi / 34)) ** 6 + 0.8 * canvas.grain(34.0, window)
    canvas.paint(window, field - 1.5, hu["fat"])
    canvas.paint(window, field, hu["bowel_wall"])
    lumen = field + BOWEL_WALL_MM
    mottled = canvas.grain(12.0, window)
    stool = hu["stool"] + 45 * mottled - 260 * np.clip(mottled - 1.1, 0, 1)
    canvas.paint(window, lumen, stool)
    inside = lumen < 0
    if inside.any():
        # The level differs along the colon, as its gas does not communicate.
        front = -window.y + 7 * canvas.grain(34.0, window)
        level = np.quantile(front[inside], 1 - gas)
        canvas.paint(window, np.maximum(lumen, (level - front) * 0.9), hu["gas"])
