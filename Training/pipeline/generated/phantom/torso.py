"""The trunk around the organs: skin, fat, muscle wall, couch, lungs, diaphragm and the muscles inside."""

from __future__ import annotations

import numpy as np

from .appearance import table
from .canvas import Canvas, Window
from .options import SampleOptions
from .shapes import coverage, ellipsoid, segment_distance, smooth_max, smooth_min, tube
from .surfaces import Profile, diaphragm, lookup

SKIN_MM = 2.0
# Thickness of the wall in front, by distance from the midline: linea alba, rectus, semilunar line, obliques.
FRONT_WALL_MM = ([0, 3, 9, 30, 58, 72, 82, 105, 400], [6, 7, 11, 12, 11, 7, 9, 17, 17])


class Torso:
    """Outlines that other parts are placed by, for the whole picture.

    muscle_depth: mm below the surface of the muscular wall (negative outside), shape (k, j, i).
    wall: thickness of that wall, mm.
    """

    def __init__(self, canvas: Canvas, options: SampleOptions) -> None:
        """Measure depths for all voxels of the canvas."""
        body = table("anatomy")["body"]
        space = canvas.whole
        half, front, back = (Profile(body["z"], body[key])(space.z) for key in ("half", "front", "back"))
        self.muscle_depth = outline_depth(space.x, space.y, half, front, back)
        self.skin_depth = self._skin(space, half, front, back, options.fat_mm)
        middle, reach = (front + back) / 2, (back - front) / 2
        self.u, self.v = np.abs(space.x) / half, (space.y - middle) / reach
        self.wall = self._wall(space)
        self.diaphragm = diaphragm()

    @staticmethod
    def _skin(space: Window, half, front, back, fat_mm: float) -> np.ndarray:
        """Depth below the skin: the muscular outline, padded by fat, with the grooves of back and navel."""
        fat = np.float32(fat_mm)
        low = np.clip((20 - space.z) / 120, 0, 1)  # fat gathers below the waist
        groove = 7 * np.exp(-((space.x / 16) ** 2)) * (space.y > 0)
        dent = 3 * np.exp(-((space.x / 9) ** 2)) + 9 * np.exp(
            -((space.x / 8) ** 2 + ((space.z + 112) / 10) ** 2)
        )
        y = space.y + groove - dent * (space.y < -60)
        return outline_depth(
            space.x,
            y,
            half + fat * (0.55 + 0.45 * low),
            front - fat * (0.6 + 0.4 * low),
            back + 3 + fat * (0.35 + 0.75 * low),
        )

    def _wall(self, space: Window) -> np.ndarray:
        """Thickness of the muscular wall: ribs and muscles at the chest, flat muscles below."""
        chest = np.clip((space.z + 10) / 60, 0, 1)
        front = lookup(np.abs(space.x), *FRONT_WALL_MM)
        front += (14 - front) * chest
        side = 18 + 2 * chest
        share = np.clip((-0.15 - self.v) / 0.3, 0, 1)
        return side + (front - side) * share

    def inside(self, window: Window, margin_mm: float) -> np.ndarray:
        """Field of the room inside the wall, kept ``margin_mm`` away from it."""
        return self.wall[window.slices] + np.float32(margin_mm) - self.muscle_depth[window.slices]


def outline_depth(x, y, half, front, back) -> np.ndarray:
    """About the depth (mm) below a superellipse of exponent 2.25 with the given half width and y limits."""
    u = np.abs(x) / half
    reach = (back - front) / 2
    v = np.abs(y - (front + back) / 2) / reach
    u125, v125 = u * np.sqrt(np.sqrt(u)), v * np.sqrt(np.sqrt(v))
    radius = np.maximum(u125 * u + v125 * v, 1e-6) ** np.float32(1 / 2.25)
    slope = np.sqrt((u125 / half) ** 2 + (v125 / reach) ** 2) / (radius * np.sqrt(np.sqrt(radius)))
    return (1 - radius) / np.maximum(slope, np.float32(1e-4))


def paint_couch(canvas: Canvas, hu: dict[str, float], back_y: float) -> None:
    """A couch below the back at ``back_y``: a curved shell, and the flat underside that carries it.

    It does not bend with the body, so it is drawn once in the plane, for all slices alike.
    """
    x, y = canvas.axes[2][None, :], canvas.axes[1][:, None]
    curve = np.hypot(x, y + 520) - (520 + back_y + 12)
    shell = np.maximum(np.abs(curve) - 2.2, np.abs(x) - 220)
    floor = np.maximum(np.abs(y - back_y - 58) - 1.8, np.abs(x) - 130)
    flank = np.maximum(np.abs(y - back_y - 58 + (np.abs(x) - 130) * 0.7) - 2.0, np.abs(np.abs(x) - 165) - 35)
    inside = np.maximum(-curve, y - back_y - 58 + np.maximum(np.abs(x) - 130, 0) * 0.7)
    plane = canvas.hu[0]
    hard = np.minimum(shell, np.minimum(floor, flank))
    for field, value in ((inside, hu["couch_foam"]), (hard, hu["couch_shell"])):
        share = coverage(np.broadcast_to(field, plane.shape).astype(np.float32)[None], canvas.softness)[0]
        plane += share * (value - plane)
    canvas.hu[:] = plane


def paint_wall(canvas: Canvas, torso: Torso, hu: dict[str, float]) -> None:
    """Skin, subcutaneous fat with septa, the layered muscle wall, and fat in the room inside."""
    space = canvas.whole
    canvas.paint(space, -torso.skin_depth, hu["skin"])
    septa = 45 * np.clip(1 - np.abs(canvas.grain(16.0, space)) * 14, 0, 1)
    texture = 5 * canvas.grain(34.0, space)
    canvas.paint(space, SKIN_MM - torso.skin_depth, hu["fat"] + texture + septa)
    canvas.paint(space, -torso.muscle_depth, hu["muscle"] + texture)
    # Fat planes between the flat muscles of the flank and below the outer muscles of the chest.
    flank = (torso.u > 0.42) & (torso.v < 0.75)
    uneven = canvas.grain(34.0, space)
    for depth in (6.5, 12.5):
        plane = np.abs(torso.muscle_depth - depth - 1.2 * uneven) - 0.45 - 0.4 * uneven
        canvas.paint(space, plane, hu["fat"] * 0.25, only=flank)
    canvas.paint(space, torso.inside(space, 0), hu["fat"] + texture + 0.4 * septa)


def paint_muscles(canvas: Canvas, hu: dict[str, float]) -> None:
    """Muscles beside the spine: erectors, psoas, quadratus lumborum, crura of the diaphragm."""
    tubes = table("anatomy")["tubes"]
    texture = 6 * canvas.grain(16.0, canvas.whole)
    streaks = np.clip(1 - np.abs(canvas.grain(34.0, canvas.whole) + 0.4) * 9, 0, 1)
    muscle = hu["muscle"] + texture - 35 * streaks
    window = canvas.window((-14, 0, -400), (14, 75, 400))
    deep = np.maximum(np.abs(window.x) - 12, np.abs(window.y - 42) - 22)
    canvas.paint(window, deep, muscle[window.slices])
    for side in (-1, 1):
        window = canvas.window((-85 if side < 0 else 0, 10, -400), (0 if side < 0 else 85, 80, 400))
        grow = np.clip((80 - window.z) / 110, 0, 1)  # thicker in the loins than behind the chest
        u = (window.x - side * (22 + 15 * grow)) / (20 + 18 * grow)
        v = (window.y - 49 + 4 * grow + 0.10 * (np.abs(window.x) - 30)) / (15 + 11 * grow)
        field = ((u**2 * np.abs(u) ** 0.4 + v**2) ** np.float32(0.5) - 1) * (15 + 11 * grow)
        canvas.paint(window, field, muscle[window.slices])
        for name, squash in (("left_psoas", (1, 1, 1)), ("left_quadratus", (1, 1.5, 1))):
            points = np.array(tubes[name], dtype=float)
            points[:, 0] *= side
            window, field, _ = tube(canvas, points, 14, squash)
            canvas.paint(window, field, muscle[window.slices])
    for name in ("left_crus", "right_crus"):
        window, field, _ = tube(canvas, tubes[name], squash=(1.25, 0.8, 1))
        canvas.paint(window, field, hu["muscle"])


def paint_chest(canvas: Canvas, torso: Torso, hu: dict[str, float], rng: np.random.Generator) -> None:
    """Lungs above the diaphragm, their vessels, the mediastinum's fat and the heart."""
    window = canvas.window((-180, -190, 20), (180, 80, 420))
    if window.size == 0:
        return
    heart = table("anatomy")["heart"]
    centre, radii = heart["centre"], heart["radii"]
    above = -torso.diaphragm.signed(window)
    lung = smooth_max(torso.inside(window, 3), above, 4)
    column = np.maximum(np.abs(window.x - 8) - 21, np.abs(window.y + 22) - 40)
    front = np.maximum(np.abs(window.x - 4) - 12, window.y + 120)
    sack = ellipsoid(window, centre, np.array(radii) + 4)
    middle = smooth_min(smooth_min(column, front, 8), sack, 8)
    lung = smooth_max(lung, -middle, 4)
    canvas.paint(window, lung, hu["lung"] + 18 * canvas.grain(34.0, window))
    # The muscle sheet lies on the dome, and turns down along the wall.
    canvas.paint(window, np.abs(lung - 1.2) - 1.2, hu["muscle"], only=above > -12)
    for _ in range(80):
        side = rng.choice((-1, 1))
        hilum = np.array([side * 40 + 8, -40, 150.0])
        tip = hilum + np.array([side * rng.uniform(0, 100), rng.uniform(-95, 80), rng.uniform(-125, 30)])
        bend = (hilum + tip) / 2 + rng.normal(0, 9, 3)
        points = np.column_stack([[hilum, bend, tip], [4.2, 2.6, 1.2]])
        part, field, _ = tube(canvas, points, 16)
        canvas.paint(part, field, hu["lung_vessel"], only=canvas.hu[part.slices] < -600)
    paint_heart(canvas, hu, centre, radii)


def paint_heart(canvas: Canvas, hu: dict[str, float], centre, radii) -> None:
    """The heart's muscle and chambers: left ventricle, right ventricle, right atrium above the vena cava."""
    x, y, z = centre
    window = canvas.window(np.subtract(centre, radii), np.add(centre, radii))
    canvas.paint(window, ellipsoid(window, centre, radii), hu["heart_muscle"])
    body = ellipsoid(window, centre, np.array(radii) - 9)
    # The septum runs obliquely from the right at the back to the left in front.
    septum = (window.x - (x + 4)) * 0.78 + (window.y - (y + 4)) * 0.62
    septum += 0.006 * ((window.y - y) ** 2 + (window.z - z) ** 2) - 6
    canvas.paint(window, smooth_max(body, 5 - septum, 5), hu["heart_left"])
    canvas.paint(window, smooth_max(body - 5, septum + 5, 5), hu["heart_right"])
    atrium = ellipsoid(window, (x - 42, y + 24, z - 4), (27, 26, 30))
    canvas.paint(window, atrium, hu["heart_right"])
    distance, _ = segment_distance(window, (x - 44, y + 40, z - 36), (x - 42, y + 30, z - 14), (1, 1, 1))
    canvas.paint(window, distance - 13, hu["heart_right"])
