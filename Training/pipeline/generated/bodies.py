"""The scans of a generated Synapse set: what each is like, its body, and the voxels of its file.

Ranges of the real set are ``dataset/synapse.toml``'s. Two frames are used. The body's frame is LPS with its
origin on the body's axis at the first lumbar vertebra, arrays canonical. The file's frame is the scanner's:
the couch puts the body anywhere, and columns and rows may run either way. Bodies are drawn at a low
resolution and enlarged to the voxels of a real scan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from iuinet.labels import organ_by_name
from iuinet.preprocessing import HIGHEST_HU, LOWEST_HU, resize, resize_weights
from iuinet.volume import Grid
from pipeline.dataset.arrays import touched
from pipeline.dataset.splits import slices_per_case
from pipeline.dataset.synapse import official_facts

from .files import turned
from .phantom import SampleOptions, draw_options, make_sample
from .phantom.noise import stream

Shape = tuple[int, int, int]

MATRIX = 128  # columns and rows at which bodies are made; slices are about as thick as here:
SLICE_MM = 5.0
_FAT_HU, _FAT_DEVIATION_HU = -100.0, 12.0
# Longer than this (mm) a scan shows little but legs and chest, which the procedural body has few details of.
COMFORTABLE_MM = 480.0
# Columns to the patient's left or right, rows to the back or front. The first is what converters from DICOM
# mostly leave (nifti's LAS); which real file has which is not known to us.
ORIENTATIONS = ((1, -1), (1, 1), (-1, -1))
ORIENTATION_SHARES = (0.5, 0.3, 0.2)
ABSENT = {"gallbladder": 0.15, "right kidney": 0.05}  # how often an organ was taken out
_PER_SEED = 10_000  # case ids have four digits


@dataclass(frozen=True)
class Scan:
    """One generated scan.

    seed: of the body. field_mm: width and height. slices, slice_mm: along the body. columns, rows: 1 where
    they run to the patient's left and back, else -1. couch_mm: LPS position of the body's origin in the
    file. absent: organs that the patient lacks.
    """

    id: str
    seed: int
    field_mm: float
    slices: int
    slice_mm: float
    options: SampleOptions
    columns: int
    rows: int
    couch_mm: tuple[float, float, float]
    absent: tuple[str, ...]

    def body_grid(self, matrix: int, slices: int | None = None) -> Grid:
        """The field of view in the body's frame, canonical, as matrix x matrix voxels in so many slices."""
        slices = slices or self.slices
        pixel, step = self.field_mm / matrix, self.slices * self.slice_mm / slices
        bottom = self.options.top_mm - self.options.length_mm
        corner = -(matrix - 1) / 2 * pixel
        return Grid((matrix, matrix, slices), (pixel, pixel, step), (corner, corner, bottom + step / 2))

    def file_grid(self, matrix: int) -> Grid:
        """The same field of view as the file has it."""
        grid = self.body_grid(matrix)
        origin = tuple(couch + start for couch, start in zip(self.couch_mm, grid.origin, strict=True))
        return turned(replace(grid, origin=origin), (self.columns, self.rows, 1))


def draw_scan(case: str, seed: int) -> Scan:
    """The scan of an official case id; portal venous, as all of the set are."""
    known = official_facts()
    rng = np.random.default_rng([seed, int(case), 30])
    slices = slices_per_case().get(case) or int(rng.integers(85, 199))
    low, high = known["spacing_of_slices"]
    shortest, longest = known["field_of_slices"]
    low = max(low, shortest / slices)
    slice_mm = float(rng.uniform(low, max(low, min(high, COMFORTABLE_MM / slices, longest / slices))))
    length = slices * slice_mm
    body = _PER_SEED * seed + int(case)
    options = draw_options(body)
    plane = known["plane"]
    field = float(np.clip(options.field_of_view_mm, *(plane * step for step in known["spacing_in_plane"])))
    top = float(rng.uniform(130, 165) + 0.25 * (length - shortest))
    options = replace(
        options, phase="portal", field_of_view_mm=field, length_mm=length, top_mm=top, thickness_mm=None
    )
    columns, rows = ORIENTATIONS[rng.choice(len(ORIENTATIONS), p=ORIENTATION_SHARES)]
    couch = tuple(float(part) for part in rng.uniform((-25, -220, -900), (25, -120, 300)))
    absent = tuple(organ for organ, share in ABSENT.items() if rng.random() < share)
    return Scan(case, body, field, slices, slice_mm, options, columns, rows, couch, absent)


@dataclass(frozen=True)
class Body:
    """hu: float32 (k, j, i). labels: uint8, organ ids. grid: canonical, in the frame of the body."""

    hu: np.ndarray
    labels: np.ndarray
    grid: Grid


def low_grid(scan: Scan, matrix: int) -> Grid:
    """The scan's field of view at the resolution at which bodies are made, never finer than its own."""
    slices = min(scan.slices, round(scan.slices * scan.slice_mm / SLICE_MM))
    return scan.body_grid(min(MATRIX, matrix), slices)


def make_body(scan: Scan, matrix: int) -> Body:
    """The body of a scan whose file has matrix x matrix voxels per slice."""
    grid = low_grid(scan, matrix)
    sample = make_sample(scan.seed, grid.size, scan.options)
    hu, labels = sample.volume.array.astype(np.float32), sample.labels.copy()
    for organ in scan.absent:
        _take_out(hu, labels, organ_by_name(organ).label, scan.seed)
    return Body(hu, labels, grid)


def _take_out(hu: np.ndarray, labels: np.ndarray, label: int, seed: int) -> None:
    """Fat where an organ was, and where it shared voxels with what is not labelled."""
    organ = labels == label
    place = ndimage.binary_dilation(organ) & ((labels == 0) | organ)
    noise = stream(seed, f"without-{label}").standard_normal(np.count_nonzero(place), dtype=np.float32)
    hu[place] = _FAT_HU + _FAT_DEVIATION_HU * noise
    labels[organ] = 0


def enlarge_image(hu: np.ndarray, shape: Shape) -> np.ndarray:
    """HU (k, j, i) on a grid of the same extent and another shape, int16."""
    return resize(hu, shape).round_().clamp_(LOWEST_HU, HIGHEST_HU).numpy().astype(np.int16)


def enlarge_labels(labels: np.ndarray, shape: Shape) -> np.ndarray:
    """Labels (k, j, i) on a grid of the same extent, where an organ's interpolated mask is over a half."""
    weights = [resize_weights(n, m) for n, m in zip(labels.shape, shape, strict=True)]
    result = np.zeros(shape, np.uint8)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        place, parts = touched(weights, box)
        along_k, along_j, along_i = (part.numpy() for part in parts)
        mask = (labels[box] == label).astype(np.float32)
        share = np.tensordot(along_k, along_j @ (mask @ along_i.T), axes=1)
        result[place][share > 0.5] = label
    return result
