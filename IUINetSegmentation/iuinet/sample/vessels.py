"""Arteries and veins of the abdomen, three of them labelled, and the small vessels of the mesentery."""

from __future__ import annotations

import numpy as np

from iuinet.sample.canvas import Canvas
from iuinet.sample.organs import AORTA, PORTAL_VEINS, VENA_CAVA, Variation, resized
from iuinet.sample.shapes import tube
from iuinet.sample.tissues import table

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
        if window.size:
            fat = canvas.hu[window.slices] < -60
            canvas.paint(window, field, hu["portal_vein" if number % 2 else "aorta"] - 15, None, fat)
