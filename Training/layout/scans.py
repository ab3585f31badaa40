"""What each scan of a generated Synapse set is like: patient, field of view, and how the file holds its axes.

The ranges of the real set are ``dataset/synapse.toml``'s. Two frames are used. The body's frame is LPS with
its origin on the body's axis at the first lumbar vertebra, arrays canonical. The file's frame is the
scanner's: the couch puts the body anywhere, and columns and rows may run either way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from dataset.splits import slices_per_case
from dataset.synapse import official_facts
from pipeline.generated.phantom import SampleOptions, draw_options

from iuinet.volume import Grid

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
        signs = (self.columns, self.rows, 1)
        origin = tuple(
            couch + start + (0 if sign > 0 else (size - 1) * step)
            for couch, start, sign, size, step in zip(
                self.couch_mm, grid.origin, signs, grid.size, grid.spacing, strict=True
            )
        )
        return Grid(grid.size, grid.spacing, origin, np.diag(np.array(signs, dtype=float)))


def draw_scan(case: str, seed: int, thin: int = 1) -> Scan:
    """The scan of an official case id; portal venous, as all of the set are.

    thin: slices are so many times fewer and thicker.
    """
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
    fewer = -(-slices // thin)
    return Scan(case, body, field, fewer, length / fewer, options, columns, rows, couch, absent)
