"""What large vessels show beside blood: plaques, a stent, streams of blood with and without contrast."""

from __future__ import annotations

from .contents import Canvas


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
