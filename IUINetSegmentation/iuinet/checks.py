"""Is this a volume that can be segmented? Quick checks for the command, the worker and Slicer's panel.

Three severities: "refuse" cannot be segmented; "warning" needs a person's yes ("Segment anyway",
``--accept-warnings``); "note" is only shown. Free of torch: the panel calls this while the user chooses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .errors import InputRefused
from .memory import free_memory
from .volume import Volume

REFUSE, WARNING, NOTE = "refuse", "warning", "note"

MIN_VOXELS, FEW_VOXELS = 5, 10  # per axis: fewer refuse, fewer warn
MIN_EXTENT_MM, SHORT_EXTENT_MM = 20.0, 40.0  # per axis: under this refuse, under this warn
HUGE_EXTENT_MM = 2500.0  # longer than any scanner: the spacing is wrong
EXTENT_TOLERANCE_MM = 0.5
SHEAR = 0.01  # largest error of the direction's orthonormality, about half a degree
BYTES_PER_VOXEL = 12  # volume, its float copy, labels and their pieces
FIXED_BYTES = 2.0e9  # the network and its working memory on the processor
MUCH_MEMORY, TOO_MUCH_MEMORY = 8e9, 24e9  # from here a note, from here a warning
WORTH_COMPARING = 4e9  # from here a warning where less is free; below it other programs give way
CHUNK_VOXELS = 1 << 22

AXIS_WORDS = ("columns", "rows", "slices")
OTHER_VOLUME = "Choose the CT volume, or export it again."


@dataclass(frozen=True)
class Finding:
    """What a check found. severity: REFUSE, WARNING or NOTE; the rest as in IUINetError."""

    code: str
    severity: str
    message: str
    hint: str


def check_volume(volume: Volume) -> list[Finding]:
    """All findings, the gravest first; empty for a CT without any.

    Where the voxels or the grid are unusable, what would build on them is not looked at.

    >>> from iuinet.volume import Grid
    >>> volume = Volume(np.zeros((60, 90, 90)), Grid((90, 90, 60), (4, 4, 5)))
    >>> [(finding.severity, finding.code) for finding in check_volume(volume)]
    [('refuse', 'constant')]
    """
    findings = list(_no_data(volume)) or [*_array(volume), *_grid(volume)]
    if not any(finding.severity == REFUSE for finding in findings):
        findings += [*_doubts(volume), *_size(volume), *_values(volume), *_memory(volume)]
    rank = (REFUSE, WARNING, NOTE)
    return sorted(findings, key=lambda finding: rank.index(finding.severity))


def check_extent(volume: Volume) -> list[Finding]:
    """What ``check_volume`` finds of size and memory, without a look at the voxels: while a box is dragged.

    >>> from iuinet.volume import Grid
    >>> thin = Volume(np.zeros((2, 90, 90)), Grid((90, 90, 2), (4, 4, 5)))
    >>> [finding.code for finding in check_extent(thin)]
    ['too-few-slices']
    """
    return [*_size(volume), *_memory(volume)]


def enforce(findings: Sequence[Finding], accept_warnings: bool) -> None:
    """Stop at what the checks found.

    Raises: InputRefused for the first "refuse", and for the first "warning" unless they are accepted.

    >>> finding = Finding("not-ct", WARNING, "This is an MR series.", "Choose a CT series.")
    >>> enforce([finding], accept_warnings=True)
    >>> enforce([finding], accept_warnings=False)
    Traceback (most recent call last):
    iuinet.errors.InputRefused: This is an MR series.
    """
    for severity in (REFUSE,) if accept_warnings else (REFUSE, WARNING):
        for finding in findings:
            if finding.severity == severity:
                hint = finding.hint
                if severity == WARNING:
                    hint += " To segment it anyway, accept the warnings (in the command: --accept-warnings)."
                raise InputRefused(finding.message, hint=hint, code=finding.code)


def _no_data(volume: Volume) -> Iterator[Finding]:
    array = volume.array
    shape = " x ".join(map(str, array.shape[::-1]))
    if array.size == 0:
        message = f"This volume has no image data ({shape} voxels)."
        yield Finding("no-image-data", REFUSE, message, OTHER_VOLUME)
    elif array.ndim != 3 or array.shape != volume.grid.shape:
        size = " x ".join(map(str, volume.grid.size))
        message = f"The voxels ({shape}) do not fit the grid ({size}); three axes are needed."
        yield Finding("bad-grid", REFUSE, message, OTHER_VOLUME)
    elif array.dtype.kind not in "iuf":
        message = f"The voxels are of type {array.dtype}; a CT has whole or decimal numbers."
        yield Finding("pixel-type", REFUSE, message, OTHER_VOLUME)


def _array(volume: Volume) -> Iterator[Finding]:
    array = volume.array
    floating = array.dtype.kind == "f"
    bad = sum(int(np.count_nonzero(~np.isfinite(chunk))) for chunk in _chunks(array)) if floating else 0
    if bad:
        message = f"{bad} of {array.size} voxels are not numbers (NaN or infinite)."
        yield Finding("not-finite", REFUSE, message, "Replace them, e.g. by -1024, or export the CT again.")
    elif all(chunk.min() == chunk.max() == array.flat[0] for chunk in _chunks(array)):
        message = f"Every voxel has the same value ({array.flat[0]:g}): there is nothing to segment."
        yield Finding("constant", REFUSE, message, OTHER_VOLUME)


def _chunks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Slabs of whole slices, small enough for a temporary copy."""
    step = max(1, CHUNK_VOXELS // max(1, array[0].size))
    yield from (array[k : k + step] for k in range(0, len(array), step))


def _grid(volume: Volume) -> Iterator[Finding]:
    grid = volume.grid
    spacing = np.asarray(grid.spacing, dtype=float)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        message = f"The spacing is {_mm(grid.spacing)}; it must be positive on every axis."
        yield Finding("bad-spacing", REFUSE, message, "Correct the voxel size, or export the CT again.")
    direction = np.asarray(grid.direction, dtype=float)
    if not (np.isfinite(direction).all() and np.isfinite(grid.origin).all()):
        message = f"The place of the volume is not finite: origin {tuple(grid.origin)}."
        yield Finding("bad-place", REFUSE, message, "Export the CT again.")
        return
    shear = float(np.abs(direction.T @ direction - np.eye(3)).max())
    if shear > SHEAR:
        message = f"The axes are not at right angles (off by {shear:.3g})."
        yield Finding("sheared-axes", REFUSE, message, "Resample the volume to a straight grid first.")


def _doubts(volume: Volume) -> Iterator[Finding]:
    yield from (Finding(doubt.code, WARNING, doubt.message, doubt.hint) for doubt in volume.doubts)


def _size(volume: Volume) -> Iterator[Finding]:
    for axis in (2, 1, 0):
        count, spacing = volume.grid.size[axis], volume.grid.spacing[axis]
        extent = count * spacing
        words = AXIS_WORDS[axis] if count != 1 else AXIS_WORDS[axis][:-1]
        what = f"Only {count} {words} ({extent:.4g} mm)"
        hint = "Segment the whole scan rather than a part of it."
        if count < MIN_VOXELS or extent < MIN_EXTENT_MM - EXTENT_TOLERANCE_MM:
            code = "too-few-slices" if axis == 2 else "too-small"
            limit = f"at least {MIN_VOXELS} and {MIN_EXTENT_MM:g} mm are needed"
            yield Finding(code, REFUSE, f"{what}; {limit}.", hint)
        elif count < FEW_VOXELS or extent < SHORT_EXTENT_MM - EXTENT_TOLERANCE_MM:
            code = "few-slices" if axis == 2 else "small"
            limit = f"with under {FEW_VOXELS} or {SHORT_EXTENT_MM:g} mm the result is unreliable"
            yield Finding(code, WARNING, f"{what}; {limit}.", hint)
        elif extent > HUGE_EXTENT_MM:
            message = f"{count} {words} of {spacing:.4g} mm make {extent / 1000:.3g} m."
            yield Finding("too-long", WARNING, message, "Check the voxel size: it should be in millimetres.")


def _values(volume: Volume) -> Iterator[Finding]:
    if volume.modality not in (None, "", "CT"):
        message = f"This is {_article(volume.modality)} {volume.modality} series; the model is for CT."
        yield Finding("not-ct", WARNING, message, "Choose a CT series.")
        return
    seen = judge(volume.array)
    if seen.looks_like_hu:
        return
    span = f"{seen.low:.4g} ... {seen.high:.4g}"
    if seen.lost_offset is not None:
        message = (
            f"The values ({span}) look like CT stored without its offset: air lies near "
            f"{seen.lost_offset - 1000} instead of -1000."
        )
        hint = f"Export it again in Hounsfield units, or subtract the offset (probably {seen.lost_offset})."
        yield Finding("lost-offset", WARNING, message, hint)
        return
    message = f"The values do not look like Hounsfield units ({span}); this may not be a CT."
    hint = "Choose the CT, in Hounsfield units: air is -1000, water 0."
    yield Finding("looks-not-ct", WARNING, message, hint)


def _memory(volume: Volume) -> Iterator[Finding]:
    needed, free = FIXED_BYTES + BYTES_PER_VOXEL * volume.array.size, free_memory()
    short = free is not None and needed >= WORTH_COMPARING and needed > free
    if needed < MUCH_MEMORY and not short:
        return
    message = f"Needs about {needed / 1e9:.0f} GB of memory ({' x '.join(map(str, volume.grid.size))} voxels)"
    message += f", {free / 1e9:.0f} GB are free." if free is not None else "."
    severity = WARNING if short or needed >= TOO_MUCH_MEMORY else NOTE
    hint = "Close other programs, or crop the volume to the abdomen."
    yield Finding("much-memory", severity, message, hint)


def _mm(spacing: Sequence[float]) -> str:
    return " x ".join(f"{value:.4g}" for value in spacing) + " mm"


def _article(modality: str) -> str:
    return "an" if modality[:1] in "AEFHILMNORSX" else "a"  # as the letters are spoken: an MR, a PT


# Whether values look like Hounsfield units, judged on a sample of the voxels --------------------------
#
# HU are fixed by physics: air -1000, fat about -100, water 0, soft tissue 20 to 80, contrast up to some
# hundreds, bone above. Any CT of a body has much in the range of soft tissue and something well below 0.
# What is not CT (MR, PET, labels, scaled pictures) starts at 0, or has little where soft tissue would be.

SAMPLE_VOXELS = 400_000
PADDING = -1100  # under this lies no tissue but padding outside the field of view: -2000, -3024, ...
AIR = -900  # and under this only air
SOFT_TISSUE = (-200, 300)  # fat, water, organs with and without contrast
NEGATIVE = -40  # fat and air lie under this
NEGATIVE_SHARE = 0.0005  # of the voxels that must lie there
SOFT_SHARE = 0.2  # of what is not air that must be soft tissue; a chest with big lungs has more
SPREAD = 30.0  # HU between the 0.1st and the 99.9th percentile; less is a picture scaled to 0...1
BRIGHT = 3500  # HU that the 99th percentile stays under, metal included
# CT stored without its rescale intercept of -1024 or -1000: soft tissue near 1000, air near 24 or 0.
LOST_OFFSETS = (1024, 1000)
SHIFTED_TISSUE = (850, 1250)
SHIFTED_AIR = 150
SHIFTED_SHARE = 0.5  # of what lies above the shifted air; in HU only bone lies there
SHIFTED_BODY = 0.05  # of all voxels that lie above the shifted air


@dataclass(frozen=True)
class Judgement:
    """low, high: 0.1st and 99.9th percentile. lost_offset: what must be subtracted to get HU, if known."""

    looks_like_hu: bool
    low: float
    high: float
    lost_offset: int | None


def judge(array: np.ndarray) -> Judgement:
    """array: any shape, finite numbers, at least one voxel.

    >>> judge(np.array([-1000.0, -100.0, 40.0, 60.0])).looks_like_hu
    True
    """
    values = _sample(array)
    low, high = (float(x) for x in np.percentile(values, (0.1, 99.9)))
    values = values[values > PADDING]
    if not len(values):
        return Judgement(False, low, high, None)
    offset = _lost_offset(values)
    return Judgement(offset is None and _is_hu(values), low, high, offset)


def _sample(array: np.ndarray) -> np.ndarray:
    """About SAMPLE_VOXELS values on a regular sub-grid, float64, flat.

    Every step is odd, so that odd and even slices are met alike.
    """
    while array.size > 3 * SAMPLE_VOXELS:
        longest = int(np.argmax(array.shape))
        array = array[tuple(slice(None, None, 3 if axis == longest else 1) for axis in range(array.ndim))]
    return array.astype(np.float64).ravel()


def _is_hu(values: np.ndarray) -> bool:
    body = values[values > AIR]
    if not len(body):
        return False
    low, bright, high = np.percentile(values, (0.1, 99, 99.9))
    soft = np.mean((body >= SOFT_TISSUE[0]) & (body <= SOFT_TISSUE[1]))
    enough = np.mean(values < NEGATIVE) >= NEGATIVE_SHARE and soft >= SOFT_SHARE
    return bool(enough and high - low >= SPREAD and bright <= BRIGHT)


def _lost_offset(values: np.ndarray) -> int | None:
    body = values[values > SHIFTED_AIR]
    if len(body) < SHIFTED_BODY * len(values):
        return None
    if np.mean((body > SHIFTED_TISSUE[0]) & (body < SHIFTED_TISSUE[1])) < SHIFTED_SHARE:
        return None
    air = values[(values > 0) & (values <= SHIFTED_AIR)]
    level = float(np.median(air)) if len(air) else 0.0
    return min(LOST_OFFSETS, key=lambda offset: abs(level - (offset - 1000)))
