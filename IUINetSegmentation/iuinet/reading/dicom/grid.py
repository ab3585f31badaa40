"""From the positions in every header to one regular grid, or to a refusal that names the slice.

SimpleITK reads a series with missing, doubled, tilted or uneven slices with a wrong spacing and only a
warning. So the order and the spacing come from here, and pixels are read only if they are right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iuinet.errors import InputRefused
from iuinet.volume import Grid

from .header import Slice

UNEVEN = 0.01  # a gap may be off by this share of the step,
UNEVEN_MM = 0.1  # or by less than this: a tenth of a pixel, and headers are written with few digits
UNEVEN_SHARE = 0.25  # but never by more than this share of the step
ROUNDED_MM = 0.06  # nor does a slice so near to its place matter; archives that round to 0.1 mm stay under it
DRIFT, DRIFT_MM = 0.05, 0.1  # how far a slice may lie from its place in an even stack: share of a step, mm
DOUBLED_MM = 0.01  # slices closer than this lie at the same position
MAX_TILT_DEGREES = 0.1  # 0.9 mm sideways over 500 mm; rounding in headers stays under 0.05 degrees
MAX_SIDEWAYS_MM = 0.5  # one slice beside the others: under a pixel of any body CT
ORIENTATION_TOLERANCE = 1e-3  # length and right angle of the two image axes
INTERLEAVED = 0.25  # of the slices: so often neighbours return to an acquisition that was left
ONE_SLICE_STEP_MM = 1.0  # a single slice whose header names no thickness; refused by the checks anyway


def order_slices(slices: Sequence[Slice]) -> tuple[list[Slice], Grid, list[str]]:
    """Sorts along the normal of the image plane; (slices, grid, notes). Pixel sizes must be alike already.

    Raises: InputRefused "no-position", "bad-spacing", "bad-orientation", "slices-doubled", "gantry-tilt",
    "slices-shifted", "slices-missing", "slices-uneven", "slices-interleaved".

    >>> from pydicom.data import get_testdata_file
    >>> from iuinet.reading.dicom.header import Path, read_slices
    >>> order_slices(read_slices(Path(get_testdata_file("CT_small.dcm"))))[1].size
    (128, 128, 1)
    """
    axes = _axes(slices)
    positions = np.array([piece.position for piece in slices], dtype=float)
    order = np.argsort(positions @ axes[:, 2], kind="stable")
    ordered, positions = [slices[n] for n in order], positions[order]
    notes: list[str] = []
    if len(ordered) > 1:
        _check_doubled(ordered, positions @ axes[:, 2])
        _check_sideways(ordered, positions, axes[:, 2])
        step, note = _check_gaps(ordered, positions @ axes[:, 2])
        _check_interleaved(ordered)
        notes += [note] if note else []
    else:
        step = ordered[0].thickness or ONE_SLICE_STEP_MM
    first = ordered[0]
    grid = Grid(
        size=(first.layout.columns, first.layout.rows, len(ordered)),
        spacing=(first.pixel_spacing[1], first.pixel_spacing[0], float(step)),
        origin=tuple(float(x) for x in positions[0]),
        direction=axes,
    )
    return ordered, grid, notes


def normal_of(orientation: Sequence[float]) -> np.ndarray:
    """Unit normal of the image plane in LPS; zero where the two axes span no plane.

    >>> normal_of((1, 0, 0, 0, 1, 0)).tolist()
    [0.0, 0.0, 1.0]
    """
    normal = np.cross(orientation[:3], orientation[3:])
    length = np.linalg.norm(normal)
    return normal / length if length > 0 else normal


def _axes(slices: Sequence[Slice]) -> np.ndarray:
    """Direction matrix: columns i (along a row), j (down a column), k (normal), made exactly orthonormal."""
    for piece in slices:
        if piece.position is None or piece.orientation is None or piece.pixel_spacing is None:
            kind = " of a multi-frame file" if piece.layout.frames > 1 else ""
            raise InputRefused(
                f"The header of {piece.label}{kind} does not say where the image lies (position, orientation "
                "and pixel spacing are needed).",
                hint="Export the original CT images; screen shots have no place in space.",
                code="no-position",
            )
        if min(piece.pixel_spacing) <= 0:
            height, width = piece.pixel_spacing
            raise InputRefused(
                f"The pixel spacing of {piece.label} is {height:g} x {width:g} mm.",
                hint="Export the series again from the scanner or the archive.",
                code="bad-spacing",
            )
        row, column = np.array(piece.orientation[:3]), np.array(piece.orientation[3:])
        lengths = np.linalg.norm(row), np.linalg.norm(column)
        off = max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(row @ column))
        if off > ORIENTATION_TOLERANCE:
            raise InputRefused(
                f"The orientation of {piece.label} is not two unit vectors at a right angle: lengths "
                f"{lengths[0]:.4g} and {lengths[1]:.4g}, product {row @ column:.4g}.",
                hint="Export the series again from the scanner or the archive.",
                code="bad-orientation",
            )
    row = np.array(slices[0].orientation[:3])
    row /= np.linalg.norm(row)
    normal = normal_of(slices[0].orientation)
    return np.column_stack([row, np.cross(normal, row), normal])


def _check_doubled(slices: Sequence[Slice], along: np.ndarray) -> None:
    doubled = np.flatnonzero(np.diff(along) < DOUBLED_MM)
    if not len(doubled):
        return
    one, other = slices[doubled[0]], slices[doubled[0] + 1]
    what = f"are both at {along[doubled[0]]:.2f} mm"
    where = f"{len(doubled)} of {len(slices)} slices lie where another one lies"
    hint = "The series holds several phases or reconstructions: export only one of them."
    if one.path != other.path and one.uid and one.uid == other.uid:
        what, hint = "are the same image", "Remove the copies of the files."
    elif len(doubled) == len(slices) - 1 and len(slices) > 2:
        where = f"All {len(slices)} slices have the same position in their headers"
        hint = "Export the series again with the true positions; one place shown over time is no volume."
    raise InputRefused(f"{where}: {one.label} and {other.label} {what}.", hint=hint, code="slices-doubled")


def _check_interleaved(slices: Sequence[Slice]) -> None:
    """Two acquisitions half a step apart make an even stack too, of organs that have moved in between."""
    for keyword in sorted({word for piece in slices for word in piece.acquisition}):
        values = [piece.acquisition.get(keyword, "none") for piece in slices]
        groups = _groups(values)
        changes = np.flatnonzero(groups[1:] != groups[:-1])
        returns = len(changes) - (len(np.unique(groups)) - 1)
        if returns < max(2, INTERLEAVED * len(slices)):
            continue
        n = changes[0]
        raise InputRefused(
            f"Two acquisitions lie interleaved: {keyword} changes {len(changes)} times from slice to slice, "
            f"first from '{values[n]}' of {slices[n].label} to '{values[n + 1]}' of {slices[n + 1].label}.",
            hint="The series holds several acquisitions, phases or reconstructions: export only one of them.",
            code="slices-interleaved",
        )


def _groups(values: Sequence[str]) -> np.ndarray:
    """A number for each distinct value; where most differ (times), the side of the widest gap they lie on."""
    distinct, groups = np.unique(values, return_inverse=True)
    if 2 * len(distinct) <= len(values):
        return groups
    try:
        numbers = np.array(values, dtype=float)
    except ValueError:  # texts, and times that some slices lack
        return groups
    ordered = np.unique(numbers)
    if len(ordered) < 2:
        return groups
    widest = int(np.argmax(np.diff(ordered)))
    return (numbers > ordered[widest]).astype(int)


def _check_sideways(slices: Sequence[Slice], positions: np.ndarray, normal: np.ndarray) -> None:
    steps = np.diff(positions, axis=0)
    along = steps @ normal
    drift = (steps - along[:, None] * normal) / along[:, None]  # sideways mm per mm
    usual = np.median(drift, axis=0)
    degrees = float(np.degrees(np.arctan(np.linalg.norm(usual))))
    if degrees > MAX_TILT_DEGREES:
        raise InputRefused(
            f"The slices are tilted: each lies beside the one before, by {degrees:.1f} degrees against the "
            "normal of the images (gantry tilt).",
            hint="Correct the tilt first: Slicer's DICOM module loads the series straightened; "
            "harden the transform and save the volume.",
            code="gantry-tilt",
        )
    sideways = np.linalg.norm((drift - usual) * along[:, None], axis=1)
    if sideways.max() > MAX_SIDEWAYS_MM:
        n = int(np.argmax(sideways > MAX_SIDEWAYS_MM)) + 1
        raise InputRefused(
            f"The {slices[n].label} lies {sideways[n - 1]:.1f} mm beside the {slices[n - 1].label}.",
            hint="The series is put together from several scans: export each one by itself.",
            code="slices-shifted",
        )


def _check_gaps(slices: Sequence[Slice], along: np.ndarray) -> tuple[float, str]:
    """The step in mm, and a note where the slices are even only roughly."""
    gaps = np.diff(along)
    step = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    numbers = np.arange(len(along))
    fit = np.polyfit(numbers, along, 1)
    worst = float(np.abs(np.polyval(fit, numbers) - along).max())
    off = np.abs(gaps - step)
    allowed = max(UNEVEN * step, min(UNEVEN_MM, UNEVEN_SHARE * step))
    wrong = np.flatnonzero(off >= allowed)
    if worst > max(DRIFT_MM, DRIFT * step) or (len(wrong) and worst > ROUNDED_MM):
        raise _wrong_gap(slices, gaps, step, wrong if len(wrong) else np.flatnonzero(off >= off.max()))
    if off.max() <= UNEVEN * step:
        return float((along[-1] - along[0]) / len(gaps)), ""
    note = f"The slices lie up to {worst:.2g} mm beside an even step, as if rounded to 0.1 mm; "
    return float(fit[0]), note + f"taken as {fit[0]:.4g} mm apart."


def _wrong_gap(slices: Sequence[Slice], gaps: np.ndarray, step: float, off: np.ndarray) -> InputRefused:
    n = int(off[0])
    between = f"between {slices[n].label} and {slices[n + 1].label}"
    others = f" ({len(off)} such gaps in all)" if len(off) > 1 else ""
    count = round(gaps[n] / step) - 1
    if count >= 1 and abs(gaps[n] - (count + 1) * step) <= UNEVEN * (count + 1) * step:
        return InputRefused(
            f"{count} slice{'s are' if count > 1 else ' is'} missing {between}: the gap is {gaps[n]:.2f} mm, "
            f"the others {step:.2f} mm{others}.",
            hint="Copy or export the complete series again.",
            code="slices-missing",
        )
    return InputRefused(
        f"The slices are unevenly spaced: the gap {between} is {gaps[n]:.3f} mm, "
        f"the others {step:.3f} mm{others}.",
        hint="Export a reconstruction with even spacing, or resample the volume first.",
        code="slices-uneven",
    )
