"""One anatomy, prepared for synthesis: tissues on a 2 mm grid, three distances, and landmarks.

What no label map draws is added here once: the torso's hull, and with completion.py an atrium, lungs, a
heart, a place for the esophagus. A prepared anatomy is cached as safetensors.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from scipy import ndimage
from torch.nn.functional import grid_sample

from .completion import add_spine, complete, extend_chest
from .sources import SPACING_MM, read_tissues
from .tissues import NAMES, NUMBER, ORGANS

FORMAT = 5
MARGIN_MM = 60.0
FAR_MM = 60.0
ORGANS_TO_RIBS_MM = 12.0  # a label map of organs alone: ribs and wall lie this far outside their hull
INSIDE, HULL, BONE = range(3)


@dataclass(frozen=True)
class Anatomy:
    """A label map ready for synthesis, axes (k to the head, j to the back, i to the left), 2 mm.

    tissue: uint8 (K, J, I).
    distance: float32 (3, K, J, I), mm: to the edge of the voxel's own tissue, to the torso's hull (negative
        inside), to the nearest bone.
    boxes: per tissue name its lowest and highest position in mm, ((k, j, i), (k, j, i)).
    """

    name: str
    tissue: torch.Tensor
    distance: torch.Tensor
    boxes: dict[str, tuple[tuple[float, ...], tuple[float, ...]]]

    @property
    def extent_mm(self) -> tuple[float, ...]:
        """Size of the grid along k, j, i."""
        return tuple(n * SPACING_MM for n in self.tissue.shape)

    def at(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tissue int64 (S, S, S) and distances (3, S, S, S) at positions (k, j, i) in mm, (3, S, S, S).

        Beyond the grid its edge is repeated.
        """
        size = torch.tensor(self.tissue.shape).view(3, 1, 1, 1)
        grid = 2 * positions / (size * SPACING_MM) - 1
        grid = grid.flip(0).permute(1, 2, 3, 0)[None]
        options = {"padding_mode": "border", "align_corners": False}
        tissue = grid_sample(self.tissue[None, None].float(), grid, mode="nearest", **options)[0, 0].long()
        distance = grid_sample(self.distance[None], grid, mode="bilinear", **options)[0]
        return tissue, distance


def prepare(name: str, tissue: np.ndarray) -> Anatomy:
    """Make an Anatomy of tissue numbers uint8 (k, j, i) at 2 mm, fat where nothing is labelled."""
    pad = round(MARGIN_MM / SPACING_MM)
    tissue = np.pad(tissue, ((0, 0), (pad, pad), (pad, pad)), constant_values=NUMBER["fat"])
    drawn = len(tissue)
    tissue = extend_chest(tissue)
    organs_only = add_spine(tissue)
    hull = hull_distance(tissue, drawn, organs_only) - (ORGANS_TO_RIBS_MM if organs_only else 0)
    tissue = complete(tissue, hull)
    bone = tissue == NUMBER["bone"]
    to_bone = np.full(bone.shape, FAR_MM)
    if bone.any():
        to_bone = ndimage.distance_transform_edt(~bone) * SPACING_MM
    distance = np.stack([inside_distance(tissue), hull, to_bone]).astype(np.float32)
    distance.clip(-FAR_MM, FAR_MM, out=distance)
    return Anatomy(name, torch.from_numpy(tissue), torch.from_numpy(distance), _boxes(tissue))


def load(name: str, data: Path | None, cache: Path) -> Anatomy:
    """The prepared anatomy from the cache folder; made from the data folder first where it is missing.

    Raises: FileNotFoundError where neither holds it.
    """
    path = _cached(name, cache)
    if not path.exists():
        if data is None:
            raise FileNotFoundError(f"{path} is missing, and IUINET_DATA names no folder to make it from")
        save(prepare(name, read_tissues(name, data)), cache)
    with safe_open(path, framework="pt") as file:
        boxes = json.loads(file.metadata()["boxes"])
        return Anatomy(name, file.get_tensor("tissue"), file.get_tensor("distance").float(), boxes)


def save(anatomy: Anatomy, cache: Path) -> None:
    """Write a prepared anatomy into the cache folder, complete or not at all."""
    path = _cached(anatomy.name, cache)
    cache.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    tensors = {"tissue": anatomy.tissue, "distance": anatomy.distance.half()}
    save_file(tensors, part, metadata={"boxes": json.dumps(anatomy.boxes)})
    os.replace(part, path)


def _cached(name: str, cache: Path) -> Path:
    return cache / f"{name}-v{FORMAT}.safetensors"


def hull_distance(tissue: np.ndarray, drawn: int, organs_only: bool = False) -> np.ndarray:
    """Distance in mm to the convex hull of what is labelled, slice by slice, negative inside.

    The hull is kept as its support function at 72 angles, smoothed along the body, so that slices with few
    labels take their shape from their neighbours; slices from number ``drawn`` on take the last one's.
    organs_only: the torso is no narrower than 0.9 of what it is where the organs need most room.
    """
    labelled = tissue != NUMBER["fat"]
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    normals = np.stack([np.sin(angles), np.cos(angles)])
    _, height, width = tissue.shape
    support = np.full((len(tissue), 72), np.nan)
    for k in range(drawn):
        points = np.argwhere(labelled[k])
        if len(points) > 50:
            support[k] = (points @ normals).max(0)
    known = np.flatnonzero(~np.isnan(support[:, 0]))
    support = np.stack([np.interp(np.arange(len(tissue)), known, column[known]) for column in support.T], 1)
    support = ndimage.gaussian_filter1d(ndimage.maximum_filter1d(support, 9, axis=0), 6, axis=0)
    if organs_only:
        middle = (support[:, :36] - support[:, 36:]).mean(0) / 2
        middle = np.concatenate([middle, -middle])
        support = np.maximum(support, middle + 0.9 * (support.max(0) - middle))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    distance = np.full(tissue.shape, -np.inf, np.float32)
    for angle in range(72):
        plane = rows * normals[0, angle] + columns * normals[1, angle]
        np.maximum(distance, plane - support[:, angle, None, None].astype(np.float32), out=distance)
    return distance * SPACING_MM


def inside_distance(tissue: np.ndarray) -> np.ndarray:
    """Distance in mm from every voxel to the edge of its own tissue."""
    same = np.ones(tissue.shape, bool)
    for axis in range(3):
        step = np.diff(tissue, axis=axis) == 0
        along, steps = np.moveaxis(same, axis, 0), np.moveaxis(step, axis, 0)  # views
        along[:-1] &= steps
        along[1:] &= steps
    return (ndimage.distance_transform_edt(same) + 0.5) * SPACING_MM


def _boxes(tissue: np.ndarray) -> dict:
    boxes = {}
    for number, found in enumerate(ndimage.find_objects(tissue, len(NAMES)), start=1):
        if found is not None and (NAMES[number] in ORGANS or NAMES[number] in ("heart", "bladder", "colon")):
            low = tuple(part.start * SPACING_MM for part in found)
            high = tuple(part.stop * SPACING_MM for part in found)
            boxes[NAMES[number]] = (low, high)
    return boxes
