#!/usr/bin/env python3
"""Draws synthetic CT beside the two real whole scans into Documentation/synthetic-beside-real.png.

    PYTHONPATH=Training .venv/bin/python Testing/tools/draw_synthesis.py --cache runs/anatomies

IUINET_DATA names the development data. The seeds are the first ones, not chosen; the field of view, over the
liver, and the phase (portal) are like the real scans'.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch

from iuinet.geometry import canonical_axes, canonical_grid, to_canonical
from iuinet.preprocessing import resize
from iuinet.reading import read_volume
from pipeline.synthesis import TRAINING, data_folder, generate, load
from pipeline.synthesis.view import View

ROOT = Path(__file__).resolve().parents[2]
REAL = ("CRLM-CT-1004", "CRLM-CT-1006")
SIZE = 160
WINDOW = (-160, 240)
ABOVE_MM, BELOW_MM, AROUND = 25.0, 40.0, 1.12  # of the liver; of half the torso's width


def main() -> int:
    """Draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="of the prepared anatomies")
    parser.add_argument("--out", type=Path, default=ROOT / "Documentation" / "synthetic-beside-real.png")
    options = parser.parse_args()
    real = [(name, *real_scan(name)) for name in REAL]
    made = [(name, *synthetic_scan(name, seed, options.cache)) for seed, name in enumerate(TRAINING, start=1)]
    figure, axes = plt.subplots(2, 5, figsize=(20, 8.2), facecolor="#101216")
    for column, (name, hu, extent_mm) in enumerate([*real, *made]):
        kind = "real" if name in REAL else "synthetic, from"
        axes[0, column].set_title(f"{kind} {name}", color="#e8eaed")
        show(axes[0, column], hu[int(0.5 * SIZE)], extent_mm[1] / extent_mm[2])
        show(axes[1, column], hu[::-1, int(0.52 * SIZE)], extent_mm[0] / extent_mm[2])
    figure.tight_layout()
    figure.savefig(options.out, dpi=80, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return 0


def real_scan(name: str) -> tuple[np.ndarray, list[float]]:
    """HU (S, S, S) in canonical order, as the network would be given it, and its extent (k, j, i) in mm."""
    volume = read_volume(data_folder() / "ct" / name)
    grid = canonical_grid(volume.grid)
    array = to_canonical(volume.array, canonical_axes(volume.grid.direction))
    extent = [n * step for n, step in zip(grid.size, grid.spacing, strict=True)]
    return resize(array, (SIZE,) * 3).numpy(), extent[::-1]


def synthetic_scan(name: str, seed: int, cache: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    """The same of a synthetic scan of an anatomy, over its liver."""
    anatomy = load(name, data_folder(), cache)
    low, high = anatomy.boxes["liver"]
    torso = torch.nonzero(anatomy.distance[1, int((low[0] + high[0]) / 4)] < 15).float() * 2.0
    first, last = torso.min(0).values, torso.max(0).values
    half = float((last - first).max()) / 2 * AROUND
    j, i = ((first + last) / 2).tolist()
    view = View((low[0] - BELOW_MM, j - half, i - half), (high[0] + ABOVE_MM, j + half, i + half))
    sample = generate(anatomy, seed, SIZE, phase="portal", view=view)
    return sample.image[0, 0].numpy(), view.extent_mm


def show(axis: plt.Axes, section: np.ndarray, aspect: float) -> None:
    """A section with true millimetres."""
    axis.imshow(section, cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1], aspect=aspect)
    axis.axis("off")


if __name__ == "__main__":
    raise SystemExit(main())
