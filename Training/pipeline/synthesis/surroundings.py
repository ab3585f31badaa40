"""Everything around the organs: wall, fat, vessels, lungs, effusions, bone, arms and the table."""

from __future__ import annotations

import torch

from .contents import Canvas
from .tissues import NUMBER

FAT = NUMBER["fat"]


def paint_body_wall(canvas: Canvas, drawn_wall: bool) -> torch.Tensor:
    """Muscle at the hull, fat under the skin, air outside; returns where the body is.

    drawn_wall: the anatomy has its own wall muscles, so that little is added to them.
    """
    chance = canvas.chance
    wavy = canvas.noise(90)
    wall = chance.uniform(0, 3) if drawn_wall else chance.uniform(4, 13)
    subcutaneous = chance.uniform(3, 14) if chance.happens(0.5) else chance.uniform(10, 42)
    skin = canvas.hull - wall - subcutaneous * (1 + 0.25 * wavy).clamp(0.3, 1.8)
    body = skin < 0
    unlabelled = canvas.tissue == FAT
    inwards = chance.uniform(2, 9)
    muscle = unlabelled & (canvas.hull > -inwards + 3 * wavy) & (canvas.hull < wall)
    muscle |= unlabelled & (canvas.bone < chance.uniform(2, 6)) & (canvas.hull < wall)
    canvas.paint(muscle, canvas.means[NUMBER["muscle"]] + 9 * canvas.noise(10))
    canvas.paint(body & (skin > -2.0), chance.uniform(-20, 60))
    # Where labels end outside the drawn skin (deformation), the labels win.
    body |= ~unlabelled
    canvas.paint(~body, -1000.0)
    return body


def paint_fat_space(canvas: Canvas, body: torch.Tensor) -> None:
    """Unlabelled space: vessels, lymph nodes and loops that no label map holds; ascites."""
    chance = canvas.chance
    free = (canvas.tissue == FAT) & body & (canvas.hull < -4) & (canvas.hu < 0)
    vessel = canvas.noise(22).abs() + canvas.noise(22).abs() < chance.uniform(0.1, 0.28)
    blood = canvas.means[NUMBER["vein"]] if chance.happens(0.5) else canvas.means[NUMBER["artery"]]
    canvas.paint(free & vessel & (canvas.inside > 2), blood)
    blob = canvas.noise(chance.uniform(10, 22))
    canvas.paint(free & (blob > chance.uniform(1.0, 2.2)), chance.uniform(15, 75))
    if chance.happens(0.3):
        bright = free & (canvas.noise(26) > 1.5) & (canvas.inside > 3)
        canvas.paint(bright, chance.uniform(80, 450) if chance.happens(0.6) else -800.0)
    if chance.happens(0.12):  # the thin have little fat between their organs
        lean = free & (canvas.noise(40) > chance.uniform(-1.5, 0.5)) & (canvas.hull < -8)
        canvas.paint(lean, chance.uniform(15, 55) + 8 * canvas.noise(10))
    if chance.happens(0.10):
        ascites = free & (canvas.noise(70) > chance.uniform(-0.8, 0.8)) & (canvas.hull < -10)
        canvas.paint(ascites, chance.uniform(0, 22))


def paint_loops(canvas: Canvas, body: torch.Tensor) -> None:
    """Bowel that no label map holds: winding tubes through the unlabelled space, with wall and contents."""
    chance = canvas.chance
    if not chance.happens(0.55):
        return
    free = (canvas.tissue == FAT) & body & (canvas.hull < -8) & (canvas.inside > 2)
    wavelength = chance.uniform(45, 80)
    # Two smooth fields are zero together along curves, and grow away from them by about 1.2 per wavelength.
    away = torch.hypot(canvas.noise(wavelength), canvas.noise(wavelength)) * wavelength / 1.2
    radius = chance.uniform(8, 20)
    canvas.paint(free & (away < radius), canvas.means[NUMBER["small bowel"]] + 5 * canvas.noise(8))
    lumen = free & (away < radius - chance.uniform(1.5, 4))
    kind = chance.choose((0.35, 0.35, 0.3))
    level = chance.uniform(*((0, 40), (90, 500), (-60, 250))[kind])
    mottled = chance.uniform(*((3, 15), (5, 60), (30, 160))[kind])
    canvas.paint(lumen, level + mottled * canvas.noise(chance.uniform(6, 12)))
    canvas.paint(lumen & (canvas.noise(50) > chance.uniform(0.6, 2)), chance.uniform(-980, -850))


def paint_liver_and_spleen(canvas: Canvas) -> None:
    """Fatty liver, vessels in the liver, lesions in both, the spleen's arterial stripes."""
    chance = canvas.chance
    liver, spleen = canvas.mask("liver"), canvas.mask("spleen")
    if chance.happens(0.15):
        canvas.paint(liver, canvas.hu - chance.uniform(15, 65))
    vein = canvas.means[NUMBER["portal and splenic veins"]]
    if chance.happens(0.85):
        width = chance.uniform(0.06, 0.2)
        vessel = canvas.noise(35).abs() + canvas.noise(35).abs() < width
        mixed = canvas.hu + (vein - canvas.hu) * chance.uniform(0.4, 1.0)
        canvas.paint(liver & vessel & (canvas.inside > 4), mixed)
    if chance.happens(0.3):
        lesion = (liver | spleen) & (canvas.noise(chance.uniform(18, 50)) > chance.uniform(1.3, 2.2))
        value = canvas.means[NUMBER["lesion"]]
        if chance.happens(0.2):
            value = torch.tensor(chance.uniform(60, 200))
        canvas.paint(lesion, value + 6 * canvas.noise(8))
    if float(canvas.means[NUMBER["aorta"]]) > 220 and chance.happens(0.5):
        canvas.paint(spleen, canvas.hu + chance.uniform(10, 35) * canvas.noise(14))


def paint_chest(canvas: Canvas) -> None:
    """Vessels in the lungs, effusion or collapse at their back, muscle around the heart's cavities."""
    chance = canvas.chance
    lung = canvas.mask("lung")
    vessel = canvas.noise(14).abs() + canvas.noise(14).abs() < 0.15
    canvas.paint(lung & vessel & (canvas.inside > 4), canvas.means[NUMBER["vein"]])
    if chance.happens(0.22):
        rows = torch.where(lung.any(2).any(0))[0]
        if len(rows):
            level = int(rows[-1]) - chance.uniform(0.05, 0.4) * (int(rows[-1]) - int(rows[0]))
            row = torch.arange(lung.shape[1], dtype=torch.float32).view(1, -1, 1)
            wet = lung & (row + 2 * canvas.noise(40) > level)
            canvas.paint(wet, chance.uniform(0, 30) if chance.happens(0.6) else chance.uniform(30, 100))
    heart = canvas.mask("heart")
    wall = heart & ((canvas.inside < chance.uniform(4, 10)) | (canvas.noise(40).abs() < 0.25))
    canvas.paint(wall, torch.minimum(canvas.hu, canvas.means[NUMBER["muscle"]] + chance.uniform(0, 55)))


def paint_bone(canvas: Canvas) -> None:
    """A dense shell around the marrow."""
    bone = canvas.mask("bone")
    shell = canvas.chance.uniform(300, 800)
    canvas.paint(bone & (canvas.inside < 2.2), shell)


def paint_outside(canvas: Canvas, body: torch.Tensor) -> None:
    """Arms beside the body, clothes and blankets, the table under it."""
    chance, size = canvas.chance, canvas.tissue.shape
    _, step_j, step_i = (extent / n for extent, n in zip(canvas.extent_mm, size, strict=True))
    j = (torch.arange(size[1], dtype=torch.float32) * step_j).view(1, -1, 1)
    i = (torch.arange(size[2], dtype=torch.float32) * step_i).view(1, 1, -1)
    rows, columns = torch.where(body.any(2).any(0))[0], torch.where(body.any(1).any(0))[0]
    if len(rows) == 0:
        return
    back = float(rows[-1]) * step_j
    left, right = float(columns[0]) * step_i, float(columns[-1]) * step_i
    outside = ~body
    if chance.happens(0.15):
        for x in (left - chance.uniform(30, 60), right + chance.uniform(30, 60)):
            radius = chance.uniform(30, 45)
            depth = back - chance.uniform(40, 130)
            far = ((j - depth) ** 2 + (i - x) ** 2).sqrt().expand(size)
            for edge, value in ((radius, -90.0), (0.8 * radius, 55.0), (12.0, 600.0), (7.0, 100.0)):
                canvas.paint(outside & (far < edge), value)
    if chance.happens(0.3):
        canvas.paint(outside & (canvas.noise(25).abs() < 0.03), chance.uniform(-300, -20))
    if chance.happens(0.85):
        curve = chance.uniform(0, 0.0012) * (i - (left + right) / 2) ** 2
        depth = j + curve - back - chance.uniform(-3, 12)
        thick, shell = chance.uniform(15, 60), chance.uniform(2, 7)
        edge = ((depth > 0) & (depth < shell)) | ((depth > thick - shell) & (depth < thick))
        canvas.paint(outside & edge, chance.uniform(-600, 150))
        canvas.paint(outside & (depth >= shell) & (depth <= thick - shell), chance.uniform(-1000, -850))
