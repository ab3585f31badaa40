"""A volume in memory and its place in the patient: the one carrier between all layers.

Arrays are in SimpleITK's and Slicer's order, ``array[k, j, i]``; grids describe the axes in the order
i, j, k, in patient coordinates LPS (DICOM PS3.3 C.7.6.2: x to the left, y to the back, z to the head),
in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from .boxes import Box, lengths


@dataclass(frozen=True)
class Grid:
    """Where the voxels of an image lie.

    size: voxels along i, j, k.
    spacing: mm along i, j, k, positive.
    origin: LPS position of the centre of voxel (0, 0, 0), mm.
    direction: 3 x 3, column n is the unit vector of axis n in LPS (ITK's convention).
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: np.ndarray = field(default_factory=lambda: np.eye(3))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the array on this grid: (k, j, i)."""
        return self.size[::-1]

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres, also for sheared axes."""
        return float(np.prod(self.spacing) * abs(np.linalg.det(self.direction)) / 1000.0)

    def part(self, box: Box) -> Grid:
        """The grid of the voxels in a box (k, j, i), at their place.

        >>> Grid((8, 8, 4), (1, 1, 5)).part((slice(1, 3), slice(0, 8), slice(2, 8))).origin
        (2.0, 0.0, 5.0)
        """
        first = np.array([edges.start for edges in reversed(box)] + [1.0])
        origin = tuple((self.index_to_lps() @ first)[:3].tolist())
        return replace(self, size=lengths(box)[::-1], origin=origin)

    def index_to_lps(self) -> np.ndarray:
        """4 x 4 matrix from homogeneous voxel index (i, j, k, 1) to LPS millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(self.direction) * np.asarray(self.spacing)
        matrix[:3, 3] = self.origin
        return matrix


@dataclass(frozen=True)
class Doubt:
    """What a file leaves open and a person should decide: ``check_volume`` makes it a warning.

    code, message, hint: as in IUINetError.
    """

    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class Volume:
    """A scalar CT volume in Hounsfield units.

    array: (k, j, i), any real dtype.
    grid: its place; ``grid.shape == array.shape``.
    name: file stem for outputs, the input's own: it may be a patient's name, so no file holds it.
    modality: DICOM modality (0008,0060) where it is known, else None.
    notes: sentences a user should read, such as which of several series was taken, and those of the doubts;
        what is written or sent goes through ``unnamed`` first.
    doubts: what the file says in two ways, or not at all.
    names: of files that notes and doubts may mention.
    slices: the DICOM file and the frame in it, from 0, that each slice along k was read from; () for others.
    """

    array: np.ndarray
    grid: Grid
    name: str = "volume"
    modality: str | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    names: tuple[str, ...] = ()
    slices: tuple[tuple[Path, int], ...] = ()

    def part(self, box: Box) -> Volume:
        """The voxels in a box (k, j, i), at their place; a view on the same voxels."""
        return replace(self, array=self.array[box], grid=self.grid.part(box), slices=self.slices[box[0]])

    def unnamed(self, text: str) -> str:
        """A sentence without the names of files, which may be a patient's."""
        for name in sorted(self.names, key=len, reverse=True):
            text = text.replace(name, "[file]")
        return text
