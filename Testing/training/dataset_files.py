"""Small raw data on disk: a body of boxes in the official layout, with official ids and slices."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from helpers.sample_ct import CHALLENGE

from iuinet.volume import Grid
from pipeline.dataset.prepared import Case, PreparedData
from pipeline.dataset.splits import slices_per_case

PLANE = 40
SPACING = (9.0, 9.0, 3.0)
ORIGIN = (-180.0, -170.0, -300.5)
FEW = ("0001", "0005", "0027", "0028")
LIVER, SPLEEN, STOMACH, AORTA = 6, 1, 7, 8
# Boxes as shares of the volume: k, j, i from and to.
BOXES = {
    LIVER: ((0.3, 0.6), (0.2, 0.7), (0.1, 0.5)),
    SPLEEN: ((0.4, 0.6), (0.5, 0.8), (0.7, 0.9)),
    STOMACH: ((0.3, 0.6), (0.2, 0.4), (0.5, 0.8)),
    AORTA: ((0.0, 1.0), (0.6, 0.7), (0.45, 0.55)),
}


def body(slices: int, seed: int = 0, plane: int = PLANE) -> tuple[np.ndarray, np.ndarray]:
    """CT int16 HU and labels uint8 (slices, plane, plane): organs in fat in air, with noise."""
    shape = (slices, plane, plane)
    labels = np.zeros(shape, np.uint8)
    image = np.full(shape, -1000, np.int16)
    image[:, plane // 10 : -plane // 10, plane // 20 : -plane // 20] = -90
    for label, box in BOXES.items():
        place = tuple(slice(int(a * n), int(b * n)) for (a, b), n in zip(box, shape, strict=True))
        labels[place] = label
        image[place] = 60 + 10 * label
    noise = np.random.default_rng(seed).normal(0, 15, shape)
    return (image + noise).astype(np.int16), labels


def write(path: Path, array: np.ndarray, spacing=SPACING, origin=ORIGIN, direction=None) -> None:
    """Write a volume by the path's ending."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if direction is not None:
        image.SetDirection(np.asarray(direction, dtype=float).ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def write_case(root: Path, case: str, folder: str = "RawData/Training", **grid) -> tuple[Path, Path]:
    """One labelled case; its image and label file."""
    image, labels = body(slices_per_case().get(case, 90), int(case))
    paths = (root / folder / f"img/img{case}.nii.gz", root / folder / f"label/label{case}.nii.gz")
    for path, array in zip(paths, (image, labels), strict=True):
        write(path, array, **grid)
    return paths


def write_pair(root: Path, pair: str, labels: np.ndarray | None = None) -> None:
    """One registered pair."""
    image, usual = body(90, int(pair[:4]))
    folder, fixed = root / "RegData/Training-Testing", pair[5:]
    write(folder / f"img/{fixed}/img{pair}.nii.gz", image)
    write(folder / f"label/{fixed}/label{pair}.nii.gz", usual if labels is None else labels)


def write_set(
    root: Path, cases: Iterable[str] = FEW, pairs: Iterable[str] = ("0001-0061", "0005-0062")
) -> Path:
    """Cases and pairs; the root."""
    for case in cases:
        write_case(root, case)
    for pair in pairs:
        write_pair(root, pair)
    return root


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not os.path.islink(path)
    }


def official(cases: Iterable[str], pairs: Iterable[str] = (), name: str = "synapse", **more) -> PreparedData:
    """Prepared data that exist as an index only."""
    organs = tuple({"name": organ.name, "label": organ.label} for organ in CHALLENGE)
    grid = Grid((4, 4, 4), (1.0, 1.0, 1.0))
    entries = [Case(c, "case", None, "i", "l", "", "", grid, "a", {}) for c in cases]
    entries += [Case(p, "pair", p[:4], "i", "l", "", "", grid, "a", {}) for p in pairs]
    return PreparedData(Path("nowhere"), name, 32, Path("nowhere"), organs, tuple(entries), **more)
