"""What organs hold (gas, water, food, stool, contrast), their walls, what solid ones consist of, vessels."""

from __future__ import annotations

import torch

from .chance import Chance
from .tissues import NUMBER


class Canvas:
    """A scan while it is painted: tissue and image in HU (S, S, S), distances, field of view, draws."""

    def __init__(self, tissue, distance, hu, means, extent_mm, chance: Chance) -> None:
        self.tissue, self.hu, self.means = tissue, hu, means
        self.inside, self.hull, self.bone = distance
        self.extent_mm, self.chance = extent_mm, chance

    def noise(self, wavelength_mm: float, stretch: float = 1.0) -> torch.Tensor:
        """Smooth noise (S, S, S) of about unit deviation; stretch > 1 makes it longer along the body."""
        lengths = (wavelength_mm * stretch, wavelength_mm, wavelength_mm)
        nodes = [
            min(n, max(2, round(extent / length) + 1))
            for n, extent, length in zip(self.tissue.shape, self.extent_mm, lengths, strict=True)
        ]
        return self.chance.noise(nodes, self.tissue.shape)[0]

    def mask(self, *names: str) -> torch.Tensor:
        """Where one of these tissues is."""
        found = self.tissue == NUMBER[names[0]]
        for name in names[1:]:
            found |= self.tissue == NUMBER[name]
        return found

    def paint(self, where: torch.Tensor, value: torch.Tensor | float) -> None:
        """Set HU where the mask is true."""
        value = value if isinstance(value, torch.Tensor) else torch.tensor(float(value))
        self.hu = torch.where(where, value, self.hu)


def paint_kidneys(canvas: Canvas) -> None:
    """Cortex, and fat with the pelvis in the middle."""
    chance = canvas.chance
    kidney = canvas.mask("right kidney", "left kidney")
    cortex = chance.uniform(5, 8)
    brighter = float(canvas.means[NUMBER["renal cortex"]] - canvas.means[NUMBER["right kidney"]])
    if chance.happens(0.8):
        canvas.paint(kidney & (canvas.inside < cortex), canvas.hu + brighter)
    sinus = kidney & (canvas.inside > chance.uniform(9, 16)) & (canvas.noise(9) > chance.uniform(-0.5, 0.8))
    canvas.paint(sinus, canvas.means[NUMBER["renal sinus"]])
    enhanced = float(canvas.means[NUMBER["renal cortex"]]) > 60
    if enhanced and chance.happens(0.25):  # contrast already in the pelvis
        canvas.paint(sinus & (canvas.noise(9) > 0), chance.uniform(250, 700))
    if chance.happens(0.25):  # a simple cyst
        cyst = kidney & (canvas.noise(30) > 1.3)
        canvas.paint(cyst, chance.uniform(-5, 25))


def paint_stomach(canvas: Canvas) -> None:
    """Wall, fluid or food or contrast, and gas above a level: the patient lies on the back."""
    chance = canvas.chance
    stomach = canvas.mask("stomach")
    lumen = stomach & (canvas.inside > chance.uniform(2.5, 6))
    kind = chance.choose((0.38, 0.27, 0.22, 0.13))
    if kind == 0:
        content = chance.uniform(-5, 35) + 3 * canvas.noise(12)
    elif kind == 1:
        content = chance.uniform(-10, 60) + chance.uniform(15, 60) * canvas.noise(7)
    elif kind == 2:
        content = chance.uniform(100, 500) + 20 * canvas.noise(20)
    else:  # empty: folded wall
        content = canvas.means[NUMBER["stomach"]] + chance.uniform(5, 25) * canvas.noise(7)
    canvas.paint(lumen, content)
    if chance.happens(0.7):
        _paint_gas(canvas, lumen, chance.uniform(0.05, 0.6))


def _paint_gas(canvas: Canvas, lumen: torch.Tensor, part: float) -> None:
    """Gas in the front part of a lumen, above one level."""
    rows = torch.where(lumen.any(2).any(0))[0]
    if len(rows) == 0:
        return
    level = int(rows[0]) + part * (int(rows[-1]) - int(rows[0]))
    row = torch.arange(lumen.shape[1], dtype=torch.float32).view(1, -1, 1)
    canvas.paint(lumen & (row < level), canvas.chance.uniform(-980, -800))


def paint_bowel(canvas: Canvas) -> None:
    """Duodenum, small bowel and colon: segments of gas, fluid, stool or positive contrast; folded loops."""
    chance = canvas.chance
    oral = chance.happens(0.4)
    gut = canvas.mask("duodenum", "small bowel")
    lumen = gut & (canvas.inside > chance.uniform(1.5, 4))
    segment = canvas.noise(45)
    canvas.paint(lumen, chance.uniform(0, 40) + 12 * canvas.noise(8))
    if oral:
        density = chance.uniform(110, 550)
        filled = lumen & (segment > chance.uniform(-1.2, 0.5))
        canvas.paint(filled, density * (1 + chance.uniform(0.05, 0.4) * canvas.noise(chance.uniform(7, 14))))
    gas = lumen & (segment < chance.uniform(-2.0, -0.9))
    canvas.paint(gas, -900)
    colon = canvas.mask("colon")
    lumen = colon & (canvas.inside > chance.uniform(2, 4))
    stool = chance.uniform(-60, 60)
    if chance.happens(0.5 if oral else 0.08):  # contrast from a day before, mixed with stool and gas
        stool = chance.uniform(60, 350)
    canvas.paint(lumen, stool + chance.uniform(20, 160) * canvas.noise(chance.uniform(5, 9)))
    segment = canvas.noise(60)
    if chance.happens(0.35 if oral else 0.12):
        canvas.paint(lumen & (segment < chance.uniform(-0.6, 1)), chance.uniform(120, 600))
    canvas.paint(lumen & (segment > chance.uniform(-0.3, 1.2)), -950)
    if chance.happens(0.3):  # water
        canvas.paint(lumen & (canvas.noise(50) > 0.7), chance.uniform(0, 30))


def paint_gallbladder(canvas: Canvas) -> None:
    """Now and then a stone, or bile that holds contrast."""
    chance = canvas.chance
    if chance.happens(0.1):
        stone = canvas.mask("gallbladder") & (canvas.noise(10) > 1.0)
        canvas.paint(stone, chance.uniform(60, 500))
    if chance.happens(0.06):
        canvas.paint(canvas.mask("gallbladder"), chance.uniform(30, 150))


def paint_esophagus(canvas: Canvas) -> None:
    """Often a little gas in it, seldom contrast."""
    chance = canvas.chance
    lumen = canvas.mask("esophagus", "unknown esophagus") & (canvas.inside > chance.uniform(2, 4))
    if chance.happens(0.4):
        filled = lumen & (canvas.noise(30) > chance.uniform(-0.5, 1))
        canvas.paint(filled, chance.uniform(-950, -300) if chance.happens(0.8) else chance.uniform(80, 400))


def paint_pancreas(canvas: Canvas) -> None:
    """With age fat grows between its lobules; sometimes its duct is wide, or a cyst lies in it."""
    chance = canvas.chance
    pancreas = canvas.mask("pancreas")
    if chance.happens(0.35):
        part = (canvas.noise(chance.uniform(5, 9)) - chance.uniform(-0.5, 1)).clamp(0, 1)
        canvas.paint(pancreas, canvas.hu + part * (canvas.means[NUMBER["fat"]] - canvas.hu))
    if chance.happens(0.08):
        wet = pancreas & (canvas.noise(chance.uniform(10, 25)) > chance.uniform(1, 2))
        canvas.paint(wet, chance.uniform(0, 30))


def paint_vessels(canvas: Canvas) -> None:
    """Calcified plaques and now and then a stent in the arteries' wall, mixing streams in the vena cava."""
    chance = canvas.chance
    wall = canvas.mask("aorta", "artery") & (canvas.inside < 2.5)
    if chance.happens(0.4):
        plaques = canvas.noise(chance.uniform(6, 14)) > chance.uniform(0.8, 2.0)
        canvas.paint(wall & plaques, chance.uniform(250, 900))
    if chance.happens(0.03):
        canvas.paint(wall & canvas.mask("aorta"), chance.uniform(300, 900))
    if chance.happens(0.3):
        cava = canvas.mask("inferior vena cava")
        streams = chance.uniform(5, 40) * canvas.noise(chance.uniform(10, 20), stretch=3)
        canvas.paint(cava, canvas.hu + streams)
