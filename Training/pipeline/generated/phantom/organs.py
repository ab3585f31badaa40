"""The solid organs and the gallbladder; arteries and veins, three of them labelled."""

from __future__ import annotations

import numpy as np

from .appearance import table
from .canvas import Canvas, Window
from .shapes import ellipsoid, local, rotation, segment_distance, smooth_max, tube
from .surfaces import liver_underside
from .torso import Torso

SPLEEN, RIGHT_KIDNEY, LEFT_KIDNEY, GALLBLADDER, ESOPHAGUS, LIVER, STOMACH = range(1, 8)
AORTA, VENA_CAVA, PORTAL_VEINS, PANCREAS, RIGHT_ADRENAL, LEFT_ADRENAL = range(8, 14)
# name, tissue, label, flattening (x, y, z); in the order of painting.
VESSELS = (
    ("left_iliac_vein", "vena_cava", 0, (1, 1.2, 1)),
    ("right_iliac_vein", "vena_cava", 0, (1, 1.2, 1)),
    ("left_renal_vein", "vena_cava", 0, (1, 1, 1)),
    ("right_renal_vein", "vena_cava", 0, (1, 1, 1)),
    ("left_iliac_artery", "aorta", 0, (1, 1, 1)),
    ("right_iliac_artery", "aorta", 0, (1, 1, 1)),
    ("left_renal_artery", "aorta", 0, (1, 1, 1)),
    ("right_renal_artery", "aorta", 0, (1, 1, 1)),
    ("mesenteric_artery", "aorta", 0, (1, 1, 1)),
    ("celiac_artery", "aorta", 0, (1, 1, 1)),
    ("hepatic_artery", "aorta", 0, (1, 1, 1)),
    ("mesenteric_vein", "portal_vein", 0, (1, 1, 1)),
    ("vena_cava", "vena_cava", VENA_CAVA, (0.92, 1.15, 1)),
    ("aorta", "aorta", AORTA, (1, 1, 1)),
)
PORTAL = ("portal_vein", "portal_left", "splenic_vein")


class Variation:
    """The individual differences of one patient: factors and shifts, drawn once."""

    def __init__(self, rng: np.random.Generator, strength: float) -> None:
        """strength: 0 for the standard patient, 1 for ordinary differences."""
        self._rng, self._strength = rng, strength

    def factor(self, spread: float) -> float:
        """A size factor around 1, log-normal."""
        step = float(np.clip(self._rng.standard_normal(), -2, 2))
        return float(np.exp(spread * self._strength * step))

    def shift(self, spread_mm: float) -> np.ndarray:
        """A displacement (x, y, z) in mm."""
        step = np.clip(self._rng.standard_normal(3), -2, 2)
        return step * spread_mm * self._strength


def resized(points, factor: float, shift=0.0) -> np.ndarray:
    """Tube points with their radii scaled and their places shifted."""
    points = np.array(points, dtype=float)
    points[:, 3] *= factor
    points[:, :3] += shift
    return points


def paint_liver(canvas: Canvas, torso: Torso, hu: dict[str, float], vary: Variation) -> None:
    """The liver: all room from the right dome down to its underside, split by the falciform fissure."""
    drop = float(vary.shift(5)[2])
    window = canvas.window((-180, -190, -110), (125, 60, 110))
    lowered = Window(window.slices, window.x, window.y, window.z - np.float32(drop))
    under = -liver_underside().signed(lowered)
    field = smooth_max(torso.diaphragm.signed(window) + 2.2, under, 9)
    field = smooth_max(field, torso.inside(window, 2.5), 6)
    field += 1.1 * canvas.grain(34.0, window)
    fissure = np.maximum(np.abs(window.x + 4 + 0.2 * (window.y + 140)) - 2.2, window.y + 118)
    field = np.maximum(field, -np.maximum(fissure, window.z - 24))
    base = hu["liver"] + 2.0 * canvas.grain(34.0, window) + 1.5 * canvas.grain(16.0, window)
    canvas.paint(window, field, base, LIVER)


def paint_liver_vessels(canvas: Canvas, hu: dict[str, float], rng: np.random.Generator) -> None:
    """Hepatic veins that meet at the vena cava, and portal branches; they keep the liver's label."""
    vein_root, portal_root = np.array([-24, -56, 76.0]), np.array([-52, -84, 30.0])
    trees = [
        (vein_root, (-118, -40, 30), 4.6),
        (vein_root, (-78, -124, 34), 4.4),
        (vein_root, (20, -128, 46), 4.2),
        (vein_root, (-100, -88, 10), 3.4),
        (portal_root, (-122, -98, -6), 4.0),
        (portal_root, (-112, -34, 40), 4.0),
        (portal_root, (-86, -120, 58), 3.6),
        (np.array([-20, -108, 40.0]), (44, -134, 44), 3.6),
        (np.array([-20, -108, 40.0]), (-14, -138, 8), 3.2),
    ]
    for root, tip, radius in trees:
        value = hu["liver_vein"] if root is vein_root else hu["portal_vein"] - 8
        tip = np.array(tip, dtype=float) + rng.normal(0, 7, 3)
        branches = [_branch(rng, root, tip, radius, 1.4)]
        for share in (0.3, 0.5, 0.7):
            start = root + share * (tip - root)
            end = start + rng.normal(0, 1, 3) * 30 + 0.35 * (tip - root)
            branches.append(_branch(rng, start, end, radius * (1 - 0.5 * share), 0.9))
        for points in branches:
            window, field, _ = tube(canvas, points, 12)
            canvas.paint(window, field, value, None, canvas.labels[window.slices] == LIVER)


def _branch(rng: np.random.Generator, start, end, radius: float, tip_radius: float) -> np.ndarray:
    """A slightly curved vessel from start to end that tapers."""
    middle = (np.asarray(start) + end) / 2 + rng.normal(0, 4, 3)
    radii = [radius, (radius + tip_radius) / 2, tip_radius]
    return np.column_stack([[start, middle, end], radii])


def paint_spleen(canvas: Canvas, torso: Torso, hu: dict[str, float], vary: Variation) -> None:
    """The spleen: a crescent between the wall and the stomach; patchy in the arterial phase."""
    outer, inner = table("anatomy")["spleen"]["outer"], table("anatomy")["spleen"]["inner"]
    factor, shift = vary.factor(0.08), vary.shift(2.5)
    radii = np.array(outer["radii"]) * factor
    centre = np.array(outer["centre"]) + shift
    window = canvas.window(centre - radii, centre + radii)
    field = smooth_max(ellipsoid(window, centre, radii), torso.inside(window, 2.5), 6)
    field = smooth_max(field, torso.diaphragm.signed(window) + 2.2, 4)
    field = smooth_max(field, -ellipsoid(window, inner["centre"], inner["radii"], rotation(z_deg=-18)), 5)
    field += 0.8 * canvas.grain(34.0, window)
    patches = max(0.0, hu["aorta"] - 220) * 0.35 * canvas.grain(16.0, window)
    canvas.paint(window, field, hu["spleen"] + patches + 1.5 * canvas.grain(16.0, window), SPLEEN)


def paint_kidneys(canvas: Canvas, hu: dict[str, float], vary: Variation) -> None:
    """Both kidneys, of nearly the same size."""
    size = vary.factor(0.05)
    for side in ("right", "left"):
        _paint_kidney(canvas, hu, side, size * vary.factor(0.02), vary.shift(3))


def _paint_kidney(canvas: Canvas, hu: dict[str, float], side: str, size: float, shift: np.ndarray) -> None:
    """A kidney: a bean with cortex, pyramids, and the fat and pelvis of the sinus, in a capsule of fat."""
    shape = table("anatomy")["kidneys"][side]
    sign = 1 if side == "left" else -1
    label = LEFT_KIDNEY if side == "left" else RIGHT_KIDNEY
    centre = np.array(shape["centre"]) + shift
    radii = np.array(shape["radii"]) * size
    # Local axes: a to the hilum (inwards and forwards), b across, c along the kidney; the upper pole
    # leans inwards and back.
    axes = _kidney_axes(sign)
    window = canvas.window(centre - radii.max() - 6, centre + radii.max() + 6)
    a, b, c = local(window, centre, axes)
    bent = a + 7 * (1 - (c / radii[2]) ** 2) - 4
    body = Window(window.slices, bent, b, c)
    field = ellipsoid(body, (0, 0, 0), radii) + 0.7 * canvas.grain(34.0, window)
    sinus = ellipsoid(Window(window.slices, a, b, c), (16, 0, 0), (23, 9.5, 24))
    field = smooth_max(field, -sinus, 4)
    capsule = field - 5 - 1.5 * canvas.grain(34.0, window)
    canvas.paint(window, capsule, hu["fat"] + 4 * canvas.grain(16.0, window))
    spokes = np.cos(np.arctan2(c, bent + 12) * 6 + 0.4) + 0.35 * canvas.grain(16.0, window)
    canvas.paint(window, field, hu["kidney_cortex"], label)
    pyramids = smooth_max(field + 6.5, 2.5 * (0.15 - spokes), 1.5)
    canvas.paint(window, pyramids, hu["kidney_medulla"], None)
    pelvis = np.minimum(
        ellipsoid(Window(window.slices, a, b, c), (17, 0, 0), (14, 4, 11)),
        np.sqrt((a - 10) ** 2 + b**2 + ((np.abs(c) - 11) * 0.7) ** 2) - 4,
    )
    canvas.paint(window, pelvis, hu["kidney_pelvis"], None, canvas.labels[window.slices] != label)


def _kidney_axes(sign: int) -> np.ndarray:
    """Rows: towards the hilum, across, along (to the upper pole), as orthonormal vectors."""
    along = np.array([-sign * 0.20, 0.16, 1.0])
    along /= np.linalg.norm(along)
    hilum = np.array([-sign * 0.86, -0.52, 0.0])
    hilum -= (hilum @ along) * along
    hilum /= np.linalg.norm(hilum)
    return np.array([hilum, np.cross(along, hilum), along])


def paint_adrenal(canvas: Canvas, hu: dict[str, float], vary: Variation, side: str) -> None:
    """An adrenal: two thin limbs that meet at an edge, like a Y or V turned over."""
    shape = table("anatomy")["adrenals"][side]
    shift = vary.shift(1.0)
    points = np.array([shape["apex"], *shape["ends"]], dtype=float) + shift[:2]
    low, high = shape["low"] + shift[2], shape["high"] + shift[2]
    half = shape["half"] * vary.factor(0.06)
    window = canvas.window((*points.min(0) - 4, low - 4), (*points.max(0) + 4, high + 4))
    middle, reach = (low + high) / 2, (high - low) / 2
    level = (window.z - np.float32(middle)) / np.float32(reach)
    # The limbs spread and lengthen downwards; the gland leans back as it rises.
    spread = np.clip(1.0 - 0.3 * level, 0.5, 1.3)
    apex = points[0]
    x = (window.x - apex[0]) / spread
    y = (window.y - apex[1] - 2.5 * level) / spread
    plan = Window(window.slices, x, y, np.zeros_like(x))
    field = None
    for end in points[1:]:
        distance, _ = segment_distance(plan, (0, 0, 0), (*(end - apex), 0), (1, 1, 1))
        field = distance if field is None else np.minimum(field, distance)
    field = field * spread - half * np.sqrt(np.clip(1 - 0.6 * level**2, 0.1, 1))
    field = smooth_max(field, (np.abs(level) - 1) * np.float32(reach), 2)
    label = LEFT_ADRENAL if side == "left" else RIGHT_ADRENAL
    canvas.paint(window, field, hu["adrenal"], label)


def paint_pancreas(canvas: Canvas, hu: dict[str, float], vary: Variation) -> None:
    """The pancreas: head, neck, body and tail with a lobulated surface and a thin duct."""
    points = resized(table("anatomy")["tubes"]["pancreas"], vary.factor(0.07))
    window, field, _ = tube(canvas, points, 7, squash=(1, 1.15, 0.95))
    field += 1.7 * canvas.grain(12.0, window)
    clefts = -16 * np.clip(np.abs(canvas.grain(12.0, window)) - 0.9, 0, 1.5)
    canvas.paint(window, field, hu["pancreas"] + clefts, PANCREAS)


def paint_gallbladder(canvas: Canvas, hu: dict[str, float], vary: Variation) -> None:
    """The gallbladder: a pear of bile with a thin wall, from the porta to the liver's edge."""
    points = resized(table("anatomy")["tubes"]["gallbladder"], vary.factor(0.14))
    window, field, _ = tube(canvas, points, 5)
    canvas.paint(window, field, hu["gallbladder_wall"], GALLBLADDER)
    canvas.paint(window, field + 1.4, hu["bile"], GALLBLADDER)


def paint_vessels(canvas: Canvas, hu: dict[str, float], vary: Variation) -> None:
    """All named vessels except the portal ones (those lie in front of the pancreas's back and come later)."""
    tubes = table("anatomy")["tubes"]
    factors = {"aorta": vary.factor(0.07), "vena_cava": vary.factor(0.07), "portal_vein": 1.0}
    for name, tissue, label, squash in VESSELS:
        window, field, _ = tube(canvas, resized(tubes[name], factors[tissue]), 9, squash)
        canvas.paint(window, field, hu[tissue], label)


def paint_portal_veins(canvas: Canvas, hu: dict[str, float], vary: Variation) -> None:
    """The portal vein with its main branches, and the splenic vein behind the pancreas."""
    tubes = table("anatomy")["tubes"]
    factor = vary.factor(0.05)
    for name in PORTAL:
        window, field, _ = tube(canvas, resized(tubes[name], factor), 7)
        canvas.paint(window, field, hu["portal_vein"], PORTAL_VEINS)


def paint_mesentery(canvas: Canvas, hu: dict[str, float], rng: np.random.Generator) -> None:
    """Thin vessels that fan out from the root of the mesentery, and scattered ones in the fat."""
    for number in range(46):
        root = np.array([rng.uniform(-6, 16), -86, rng.uniform(-100, -30)])
        angle = rng.uniform(-0.5, np.pi + 0.5)
        tip = root + np.array([75 * np.cos(angle), rng.uniform(-45, 5), rng.uniform(-60, 10)])
        middle = (root + tip) / 2 + rng.normal(0, 8, 3)
        points = np.column_stack([[root, middle, tip], [2.2, 1.6, 0.9]])
        window, field, _ = tube(canvas, points, 12)
        fat = canvas.hu[window.slices] < -60
        canvas.paint(window, field, hu["portal_vein" if number % 2 else "aorta"] - 15, None, fat)
