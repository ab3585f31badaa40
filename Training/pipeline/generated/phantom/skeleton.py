"""Bones: the spine with its discs and canal, the ribs with the costal arch, the sternum and the pelvis."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .appearance import table
from .canvas import Canvas, Window
from .shapes import segment_distance, smooth_max, tube
from .surfaces import Profile
from .torso import Torso

# Ribs 3 to 12: how far each reaches around the body (share of the way from back to front).
RIB_REACH = {3: 0.84, 4: 0.84, 5: 0.83, 6: 0.82, 7: 0.78, 8: 0.75, 9: 0.71, 10: 0.63, 11: 0.47, 12: 0.33}
RIB_FALL_MM = 205.0
RIB_DEPTH_MM = 12.0
FIRST_VERTEBRA = 3
RIB_MARGIN_MM = 6.0
# The iliac blade seen from above, (|x|, y) from the sacrum to the front.
ILIAC_BLADE = ((44, 48), (68, 42), (94, 24), (114, -6), (126, -40), (130, -62))


def paint_bone(canvas: Canvas, window, field, hu: dict[str, float], shell_mm: float) -> None:
    """A bone: a compact shell around marrow with a grainy texture."""
    canvas.paint(window, field, hu["compact_bone"])
    marrow = hu["marrow"] + 26 * canvas.grain(16.0, window)
    canvas.paint(window, field + np.float32(shell_mm), marrow)


def paint_spine(canvas: Canvas, hu: dict[str, float]) -> None:
    """Vertebral bodies and discs, arches with their processes, and the canal."""
    spine = table("anatomy")["spine"]
    window = canvas.window((-62, -60, -400), (62, 85, 400))
    x, y, z = np.abs(window.x), window.y, window.z
    half = Profile(spine["z"], spine["half"])(z)
    deep = Profile(spine["z"], spine["depth"])(z)
    centre = Profile(spine["z"], spine["front"])(z) + deep
    level = Profile(spine["z"], np.arange(len(spine["z"])), 4.0)(z)
    pitch = Profile(spine["z"], -np.gradient(np.array(spine["z"], dtype=float)))(z)
    pitch = np.maximum(pitch, 20)
    rise = (np.rint(level) - level) * pitch  # mm above the middle of the own vertebra
    height = pitch / 2 - 3.2 - np.clip(-z / 40, 0, 1.2)

    # Bodies have a waist and flat ends; the column of discs runs through between them.
    waist = 1 - 0.10 * np.clip(1 - (rise / height) ** 2, 0, 1)
    u, v = x / half, np.abs(y - centre) / deep
    v = np.where(y > centre, v * 1.12, v)
    ring = (u**2.4 + v**2.4) ** np.float32(1 / 2.4)
    canvas.paint(window, (ring - 1.0) * deep, hu["disc"])
    body = smooth_max((ring / waist - 1) * deep, np.abs(rise) - height, 2)

    # The arch around the canal, with its processes, drawn for one side and mirrored.
    lumbar = np.clip((40 - z) / 30, 0, 1)
    canal_y = centre + deep + 9
    ring_mm = np.sqrt((x / 1.25) ** 2 + (y - canal_y) ** 2)
    arch = smooth_max(np.abs(ring_mm - 11.5) - 2.6, np.abs(rise - 2) - 9.5, 2)
    spinous = _spinous(x, y, rise, canal_y, lumbar)
    outwards = canal_y + 2 + 4 * (1 - lumbar) + (0.40 - 0.30 * lumbar) * (x - 12)
    side = np.maximum(np.abs(y - outwards) - 4.6 + 0.05 * x, np.abs(rise - 3) - 5.5)
    transverse = smooth_max(side, x - (29 + 11 * lumbar), 3)
    facet = np.sqrt((x - 17) ** 2 + (y - canal_y - 8) ** 2 + ((np.abs(rise) - 13) * 0.7) ** 2) - 7
    process = np.minimum(np.minimum(arch, spinous), np.minimum(transverse, facet))
    paint_bone(canvas, window, process, hu, 2.2)
    canvas.paint(window, body, hu["compact_bone"])
    canvas.paint(window, body + 0.7, hu["endplate"])
    canvas.paint(window, body + 1.8, hu["marrow"] + 22 * canvas.grain(16.0, window))

    canal = (np.sqrt((x / 11.5) ** 2 + ((y - canal_y) / 8.5) ** 2) - 1) * 8.5
    canvas.paint(window, canal, hu["fat"])
    canvas.paint(window, canal + 1.8, hu["thecal_sac"])
    cord = np.maximum(np.sqrt(x**2 + ((y - canal_y) * 1.15) ** 2) - 4.8, -12 - z)
    canvas.paint(window, cord, hu["cord"])


def _spinous(x, y, rise, canal_y, lumbar) -> np.ndarray:
    """The spinous process: a hatchet in the loins, a thin blade that slopes down behind the chest."""
    back = y - canal_y - 10
    drop = rise + 2 + back * (0.65 - 0.5 * lumbar)
    tall = 5.5 + 5.5 * lumbar
    plate = np.maximum(x - 2.6 - 0.05 * back, np.abs(drop) - tall)
    return smooth_max(plate, np.maximum(-back - 2, back - 24), 2)


def paint_ribs(canvas: Canvas, torso: Torso, hu: dict[str, float]) -> None:
    """Ribs that fall around the wall, the cartilage of the costal arch and the sternum."""
    spine = table("anatomy")["spine"]
    space = canvas.whole
    depth = torso.muscle_depth
    shell = (depth > 0) & (depth < 28) & (space.z > -70)
    # Share of the way around: 0 at the midline of the back, 1 at the one in front, both sides alike.
    way = (np.arctan2(torso.u[shell], torso.v[shell]) / np.float32(np.pi)).astype(np.float32)
    fall = RIB_FALL_MM * (way - 0.08) - 12 * np.exp(-((way / 0.05) ** 2))
    origin = space.z[shell] + fall - 8
    level = Profile(spine["z"], np.arange(len(spine["z"])), 4.0)(origin)
    nearest = np.rint(level)
    reach = np.zeros(len(spine["z"]) + 1, dtype=np.float32)
    for rib, share in RIB_REACH.items():
        reach[rib - FIRST_VERTEBRA] = share
    reach = reach[np.clip(nearest, 0, len(spine["z"])).astype(int)]
    radial = (depth[shell] - RIB_DEPTH_MM - 4 * np.clip(0.2 - way, 0, 1) * 5) / 4.2
    vertical = (level - nearest) * 26 / 7.6
    inside = np.maximum((np.sqrt(radial**2 + vertical**2) - 1) * 4.2, (way - reach) * 420)
    inside = np.maximum(inside, (0.035 - way) * 420)
    field = np.full(space.shape, RIB_MARGIN_MM, dtype=np.float32)
    field[shell] = np.minimum(inside, RIB_MARGIN_MM)
    paint_bone(canvas, space, field, hu, 1.7)

    arch = np.array(table("anatomy")["tubes"]["costal_arch"], dtype=float)
    for side in (-1, 1):
        points = arch.copy()
        points[:, 0] *= side
        window, bar, _ = tube(canvas, points, 12)
        bar = smooth_max(bar, np.abs(torso.muscle_depth[window.slices] - 8.5) - 4.5, 3)
        canvas.paint(window, bar, hu["cartilage"])
    window = canvas.window((-24, -200, 80), (24, -130, 420))
    plate = np.maximum(np.abs(window.x) - 17, np.abs(torso.muscle_depth[window.slices] - 9) - 5)
    paint_bone(canvas, window, smooth_max(plate, 92 - window.z, 6), hu, 1.8)


def paint_pelvis(canvas: Canvas, hu: dict[str, float]) -> None:
    """Sacrum wings and iliac blades with the gluteal muscles behind them, for pictures that reach so low."""
    window = canvas.window((-165, -110, -420), (165, 80, -95))
    x = np.abs(window.x)
    plan = Window(window.slices, x, window.y, np.zeros_like(x))
    blade, along = None, None
    for number, (a, b) in enumerate(pairwise(ILIAC_BLADE)):
        distance, t = segment_distance(plan, (*a, 0), (*b, 0), (1, 1, 1))
        way = (number + t) / (len(ILIAC_BLADE) - 1)
        along = way if blade is None else np.where(distance < blade, way, along)
        blade = distance if blade is None else np.minimum(blade, distance)
    crest = -156 + 54 * np.sin(np.pi * np.clip(0.15 + 0.75 * along, 0, 1))
    flesh = smooth_max(blade - np.clip(0.45 * (crest - window.z) - 4, 2, 26), window.z - crest + 12, 8)
    canvas.paint(window, flesh, hu["muscle"] + 5 * canvas.grain(16.0, window))
    thin = 4.8 + 1.5 * np.clip(1 - np.abs(window.z - crest) / 14, 0, 1)
    paint_bone(canvas, window, smooth_max(blade - thin, window.z - crest, 4), hu, 1.6)
    sacrum = np.maximum(np.abs(window.y - 14 - 0.1 * x) - 22, x - 50)
    paint_bone(canvas, window, smooth_max(sacrum, window.z + 162, 5), hu, 1.8)
