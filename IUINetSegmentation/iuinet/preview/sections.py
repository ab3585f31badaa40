"""Which sections a preview shows and how they lie in the picture: arrays and millimetres, no drawing.

Everything is in canonical order (``geometry``): axis 0 to the head, 1 to the back, 2 to the patient's left.
Pictures follow radiology: axial and coronal as if seen from the feet and from the front, so that the
patient's right is on the left; sagittal with the front on the left; the front or the head on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from iuinet.geometry import canonical_axes, canonical_grid, to_canonical
from iuinet.labels import Organ
from iuinet.volume import Volume

Range = tuple[float, float]  # from, to along a canonical axis, in mm from the centre of voxel 0

SKIN_HU = -300  # between air and the body
BODY_STEP_MM = 4.0  # the body is looked for on voxels of this size, where the couch is one voxel thick
MARGIN_MM = 10.0
ORGAN_MARGIN_MM = 60.0  # of the scan above and below the organs that is shown
SMALLEST_TILE_MM = 110.0
TILE_MARGIN = 1.3


@dataclass(frozen=True)
class Plane:
    """A way to cut. axis: perpendicular to it. rows, columns: axes down and across the picture.

    upwards: whether the row axis runs up. letters: of the picture's left, right, top and bottom side.
    """

    name: str
    axis: int
    rows: int
    columns: int
    upwards: bool
    letters: tuple[str, str, str, str]


AXIAL = Plane("axial", 0, 1, 2, False, ("R", "L", "A", "P"))
CORONAL = Plane("coronal", 1, 0, 2, True, ("R", "L", "S", "I"))
SAGITTAL = Plane("sagittal", 2, 0, 1, True, ("A", "P", "S", "I"))
PLANES = (AXIAL, CORONAL, SAGITTAL)


@dataclass(frozen=True)
class Scan:
    """A CT and its labels in canonical order. Make it with ``scan_of``.

    spacing: mm along the canonical axes. matrix: 4 x 4, voxel index along axes 2, 1, 0 to LPS mm.
    areas: per axis an array (256, length): voxels of each label in each section.
    """

    ct: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    matrix: np.ndarray
    areas: tuple[np.ndarray, ...] = field(repr=False)
    voxel_ml: float

    @property
    def voxels(self) -> np.ndarray:
        """Voxels of each label, 256 numbers."""
        return self.areas[0].sum(axis=1)

    def extent(self, axis: int) -> Range:
        """From edge to edge of the scan."""
        return (-0.5 * self.spacing[axis], (self.labels.shape[axis] - 0.5) * self.spacing[axis])

    def labelled(self, labels: Sequence[int], axis: int) -> Range:
        """From edge to edge of what has one of these labels, which must be there."""
        indices = np.flatnonzero(self.areas[axis][list(labels)].sum(axis=0))
        return ((indices[0] - 0.5) * self.spacing[axis], (indices[-1] + 0.5) * self.spacing[axis])

    def largest_section(self, label: int, axis: int) -> int:
        """Index of the section with most voxels of the label; of several, the one in the middle."""
        area = self.areas[axis][label]
        best = np.flatnonzero(area == area.max())
        return int(best[(len(best) - 1) // 2])


def scan_of(volume: Volume, labels: np.ndarray) -> Scan:
    """Bring a volume and its labels, uint8 (k, j, i), into canonical order, and count.

    >>> from iuinet.volume import Grid
    >>> volume = Volume(np.full((4, 6, 8), 40), Grid((8, 6, 4), (10, 10, 50)))
    >>> scan_of(volume, np.ones((4, 6, 8), np.uint8)).spacing
    (50, 10, 10)
    """
    axes, grid = canonical_axes(volume.grid.direction), canonical_grid(volume.grid)
    view = to_canonical(labels, axes)
    return Scan(
        ct=to_canonical(volume.array, axes),
        labels=view,
        spacing=grid.spacing[::-1],
        matrix=grid.index_to_lps(),
        areas=_areas(view),
        voxel_ml=grid.voxel_volume_ml,
    )


def _areas(labels: np.ndarray) -> tuple[np.ndarray, ...]:
    areas = tuple(np.zeros((256, length), np.int64) for length in labels.shape)
    for k, section in enumerate(labels):
        j, i = np.nonzero(section)
        found = section[j, i].astype(np.int64)
        areas[0][:, k] = np.bincount(found, minlength=256)
        for area, index in ((areas[1], j), (areas[2], i)):
            length = area.shape[1]
            area += np.bincount(found * length + index, minlength=256 * length).reshape(256, length)
    return areas


def found_organs(scan: Scan, organs: Sequence[Organ]) -> list[Organ]:
    """Those with voxels.

    >>> from iuinet.volume import Grid
    >>> volume = Volume(np.full((4, 6, 8), 40), Grid((8, 6, 4), (10, 10, 50)))
    >>> scan = scan_of(volume, np.ones((4, 6, 8), np.uint8))
    >>> [organ.name for organ in found_organs(scan, [Organ("liver", 1), Organ("spleen", 2)])]
    ['liver']
    """
    return [organ for organ in organs if scan.voxels[organ.label]]


def focus_sections(scan: Scan, organs: Sequence[Organ]) -> tuple[int, int, int]:
    """Section per axis for the overview: through the liver, else the largest organ, else the middle.

    >>> from iuinet.volume import Grid
    >>> volume = Volume(np.full((4, 6, 8), 40), Grid((8, 6, 4), (10, 10, 50)))
    >>> scan = scan_of(volume, np.ones((4, 6, 8), np.uint8))
    >>> focus_sections(scan, [Organ("liver", 1)])
    (1, 2, 3)
    """
    found = found_organs(scan, organs)
    if not found:
        return tuple(length // 2 for length in scan.labels.shape)
    livers = [organ for organ in found if organ.name.casefold() == "liver"]
    focus = livers[0] if livers else max(found, key=lambda organ: scan.voxels[organ.label])
    return tuple(scan.largest_section(focus.label, axis) for axis in range(3))


def overview_ranges(scan: Scan, organs: Sequence[Organ]) -> tuple[Range, Range, Range]:
    """What the overview shows along each axis: the body, and of a long scan the part with the organs.

    >>> from iuinet.volume import Grid
    >>> volume = Volume(np.full((4, 6, 8), 40), Grid((8, 6, 4), (10, 10, 50)))
    >>> scan = scan_of(volume, np.ones((4, 6, 8), np.uint8))
    >>> [float(mm) for mm in overview_ranges(scan, [Organ("liver", 1)])[2]]
    [-5.0, 75.0]
    """
    ranges = [scan.extent(axis) for axis in range(3)]
    labels = [organ.label for organ in found_organs(scan, organs)]
    for axis, (low, high) in _body_box(scan).items():
        ranges[axis] = _within((low - MARGIN_MM, high + MARGIN_MM), ranges[axis])
    if labels:
        low, high = scan.labelled(labels, 0)
        ranges[0] = _within((low - ORGAN_MARGIN_MM, high + ORGAN_MARGIN_MM), ranges[0])
        for axis in (1, 2):  # never without an organ, wherever it was found
            low, high = scan.labelled(labels, axis)
            ranges[axis] = (min(low, ranges[axis][0]), max(high, ranges[axis][1]))
    return tuple(ranges)


def _body_box(scan: Scan) -> dict[int, Range]:
    """From edge to edge of the patient along axes 1 and 2, without the couch; empty if there is none."""
    from scipy.ndimage import binary_opening, find_objects, label

    steps = [max(1, round(BODY_STEP_MM / step)) for step in scan.spacing]
    body = scan.ct[:: steps[0], :: steps[1], :: steps[2]] > SKIN_HU
    pieces, count = label(binary_opening(body, np.ones((1, 3, 3))))
    if not count:
        return {}
    largest = np.bincount(pieces.ravel())[1:].argmax()
    box = find_objects(pieces)[largest]
    size = [step * mm for step, mm in zip(steps, scan.spacing, strict=True)]
    return {axis: (box[axis].start * size[axis], (box[axis].stop - 1) * size[axis]) for axis in (1, 2)}


def tile_ranges(scan: Scan, organ: Organ) -> tuple[Range, Range, Range]:
    """A cube around an organ, so that its three pictures have one scale.

    >>> from iuinet.volume import Grid
    >>> volume = Volume(np.full((4, 6, 8), 40), Grid((8, 6, 4), (10, 10, 50)))
    >>> scan = scan_of(volume, np.ones((4, 6, 8), np.uint8))
    >>> [float(mm) for mm in tile_ranges(scan, Organ("liver", 1))[0]]
    [-55.0, 205.0]
    """
    boxes = [scan.labelled([organ.label], axis) for axis in range(3)]
    half = max(SMALLEST_TILE_MM, *(TILE_MARGIN * (high - low) for low, high in boxes)) / 2
    return tuple(((low + high) / 2 - half, (low + high) / 2 + half) for low, high in boxes)


def _within(wanted: Range, there: Range) -> Range:
    low, high = max(wanted[0], there[0]), min(wanted[1], there[1])
    return (low, high) if low < high else there


@dataclass(frozen=True)
class Picture:
    """One section, cut out, its first row on top.

    ct, labels: (rows, columns). x: mm of the columns' centres. y: mm of the rows' centres, down the picture.
    Both are positions along the plane's canonical axes, y with its sign changed where that axis runs up.
    step_x, step_y: size of a pixel.
    """

    ct: np.ndarray
    labels: np.ndarray
    x: np.ndarray
    y: np.ndarray
    step_x: float
    step_y: float


def cut(scan: Scan, plane: Plane, index: int, ranges: Sequence[Range]) -> Picture | None:
    """The part of a section that lies in the ranges of its two axes; None if that is empty.

    >>> from iuinet.volume import Grid
    >>> volume = Volume(np.full((4, 6, 8), 40), Grid((8, 6, 4), (10, 10, 50)))
    >>> scan = scan_of(volume, np.ones((4, 6, 8), np.uint8))
    >>> cut(scan, AXIAL, 1, overview_ranges(scan, [Organ("liver", 1)])).ct.shape
    (6, 8)
    """
    parts = [slice(None)] * 3
    parts[plane.axis] = index
    positions = {}
    for axis in (plane.rows, plane.columns):
        centres = np.arange(scan.labels.shape[axis]) * scan.spacing[axis]
        low, high = ranges[axis]
        more = 1.5 * scan.spacing[axis]  # voxels that are seen in part, and one for the interpolation
        seen = np.flatnonzero((centres > low - more) & (centres < high + more))
        if not len(seen):
            return None
        parts[axis] = slice(seen[0], seen[-1] + 1)
        positions[axis] = centres[parts[axis]]
    ct, labels = scan.ct[tuple(parts)], scan.labels[tuple(parts)]
    y = positions[plane.rows]
    if plane.upwards:
        ct, labels, y = ct[::-1], labels[::-1], -y[::-1]
    steps = scan.spacing[plane.columns], scan.spacing[plane.rows]
    return Picture(np.asarray(ct, np.float32), labels, positions[plane.columns], y, *steps)


def place_of(scan: Scan, plane: Plane, index: int, ranges: Sequence[Range]) -> str:
    """Where a section lies, as Slicer writes it, such as "S: 12.5 mm": at the middle of what is shown.

    >>> from iuinet.volume import Grid
    >>> volume = Volume(np.full((4, 6, 8), 40), Grid((8, 6, 4), (10, 10, 50)))
    >>> scan = scan_of(volume, np.ones((4, 6, 8), np.uint8))
    >>> place_of(scan, AXIAL, 1, overview_ranges(scan, [Organ("liver", 1)]))
    'S: 50.0 mm'
    """
    point = [(low + high) / 2 / step for (low, high), step in zip(ranges, scan.spacing, strict=True)]
    point[plane.axis] = index
    left, back, head, _ = scan.matrix @ [point[2], point[1], point[0], 1.0]
    value, letters = [(head, "SI"), (-back, "AP"), (left, "LR")][plane.axis]
    return f"{letters[int(value < 0)]}: {abs(value):.1f} mm"
