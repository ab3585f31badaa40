"""A generated set in the layout of the Synapse/BTCV download: cases, test scans, registered pairs.

A pair is one body on the grid of another, image and labels moved by one and the same smooth warp: what a
registration of two patients makes. It has the moving patient's picture, roughly in the size and place of the
fixed one, with organs that do not quite match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from iuinet.console import Console
from iuinet.errors import UsageError
from iuinet.volume import Grid
from pipeline.dataset.parallel import run_all
from pipeline.dataset.synapse import ids, official_facts

from .bodies import Body, Scan, draw_scan, enlarge_image, enlarge_labels, low_grid, make_body
from .files import claim, make_folder, remove_drafts, write_nifti
from .phantom.noise import smooth_field, stream

FAILED_EVERY = 20  # one registration in so many has slipped off, as some real ones have
SLIP_MM = 400.0
WAVELENGTH_MM = 130.0
DEVIATION_MM = 6.0  # of the displacement along each axis: steep enough to see, too flat to fold
OUTSIDE_HU = -1024.0
_KINDS = ("label", "img")


@dataclass(frozen=True)
class Settings:
    """What the content of a file follows from, beside its id. seed: of the set. matrix: columns and rows."""

    seed: int = 0
    matrix: int = 512


@dataclass(frozen=True)
class Job:
    """One scan to write. fixed: for a registered pair, the test scan onto which ``case`` is moved."""

    folder: Path
    settings: Settings
    case: str
    fixed: str | None = None
    failed: bool = False

    @property
    def members(self) -> tuple[str, ...]:
        """Its files in the folder, labels first, so that an image is there only with its labels."""
        if self.fixed:
            place = "RegData/Training-Testing/{0}/{1}/{0}{2}-{1}.nii.gz"
            return tuple(place.format(kind, self.fixed, self.case) for kind in _KINDS)
        if self.case in ids(official_facts()["testing"]):
            return (f"RawData/Testing/img/img{self.case}.nii.gz",)
        return tuple(f"RawData/Training/{kind}/{kind}{self.case}.nii.gz" for kind in _KINDS)


def plan(folder: Path, settings: Settings, cases: Sequence[str], testing: int, pairs: int) -> list[Job]:
    """Everything that the set consists of: cases, so many test scans, so many registered pairs.

    Pairs take the cases in turn, each with another test scan every time round.
    Raises: UsageError for ids that are not official, or more than there are.
    """
    known, test_ids = ids(official_facts()["training"]), ids(official_facts()["testing"])
    cases = tuple(cases) or known
    wrong = [case for case in cases if case not in known]
    if wrong or len(set(cases)) < len(cases):
        raise UsageError(
            f"--cases: {wrong[0]} is not a labelled case" if wrong else "--cases: an id is given twice",
            hint="The labelled cases are 0001 to 0010 and 0021 to 0040.",
            code="cases",
        )
    if not 0 <= testing <= len(test_ids):
        raise UsageError(
            f"--testing {testing}: the set has {len(test_ids)} test scans",
            hint=f"Give 0 to {len(test_ids)}.",
            code="testing",
        )
    most = len(cases) * testing
    if not 0 <= pairs <= most:
        raise UsageError(
            f"--pairs {pairs}: {len(cases)} cases and {testing} test scans make {most} pairs at most",
            hint="Give fewer pairs, or more test scans with --testing.",
            code="pairs",
        )
    jobs = [Job(folder, settings, case) for case in (*cases, *test_ids[:testing])]
    for number in range(pairs):
        turn, atlas = divmod(number, len(cases))
        fixed = test_ids[(atlas + turn) % testing]
        failed = number % FAILED_EVERY == FAILED_EVERY - 1
        jobs.append(Job(folder, settings, cases[atlas], fixed, failed))
    return jobs


def write_set(jobs: Sequence[Job], folder: Path, workers: int, console: Console) -> int:
    """Write what is missing; returns how many were made.

    Raises: UsageError for a folder of something else, OutputError for what the disk refuses, DeviceError.
    """
    make_folder(folder)
    claim(folder, {"layout": "synapse", **asdict(jobs[0].settings)})
    remove_drafts(folder)
    missing = [job for job in jobs if not all((job.folder / member).is_file() for member in job.members)]
    run_all("generating", write_scan, missing, workers, console)
    return len(missing)


def write_scan(job: Job) -> None:
    """Make and write one scan with its labels."""
    settings = job.settings
    scan = draw_scan(job.case, settings.seed)
    body, target = make_body(scan, settings.matrix), scan
    if job.fixed:
        target = draw_scan(job.fixed, settings.seed)
        positions = registration(scan, target, settings, job.failed)
        body = resample(body, positions, low_grid(target, settings.matrix))
    grid = target.file_grid(settings.matrix)
    for member in job.members:
        labels = "/label/" in member
        array = enlarge_labels(body.labels, grid.shape) if labels else enlarge_image(body.hu, grid.shape)
        write_nifti(job.folder / member, array, grid)


# Registered pairs ---------------------------------------------------------------------------------------


def registration(moving: Scan, fixed: Scan, settings: Settings, failed: bool = False) -> np.ndarray:
    """Positions in the moving body for the fixed scan's voxels, as ``warp`` returns them."""
    # A registration would find the sizes of both bodies, which are known here.
    along = moving.options.stature / fixed.options.stature
    across = along * moving.options.girth / fixed.options.girth
    slip = SLIP_MM if failed else 0.0
    seed = 1_000_003 * moving.seed + fixed.seed
    return warp(low_grid(fixed, settings.matrix), (across, across, along), seed, slip)


def warp(
    grid: Grid, stretch: Sequence[float], seed: int, slip_mm: float = 0.0, deviation_mm: float = DEVIATION_MM
) -> np.ndarray:
    """For each voxel of a grid in the fixed body's frame the position in the moving body's, mm.

    grid: canonical. stretch: size of the moving body relative to the fixed one along x, y, z.
    slip_mm: shift along the body, as of a registration that failed. deviation_mm: how far it bends.
    Returns float32 (3, k, j, i): x, y, z.
    """
    axes = zip(grid.origin, grid.spacing, grid.size, strict=True)
    x, y, z = (start + step * np.arange(size) for start, step, size in axes)
    result = np.empty((3, *grid.shape), np.float32)
    for number, place in enumerate((x, y[:, None], z[:, None, None])):
        bend = smooth_field(stream(seed, f"registration-{'xyz'[number]}"), (z, y, x), WAVELENGTH_MM)
        result[number] = deviation_mm * bend + stretch[number] * place
    result[2] += slip_mm
    return result


def resample(body: Body, positions: np.ndarray, grid: Grid) -> Body:
    """The body at positions (3, k, j, i), mm in its frame; linear. grid: what the result lies on.

    What the body does not cover is OUTSIDE_HU, without labels. An organ is where its mask is more than half.
    """
    index = np.empty_like(positions)
    for number in range(3):
        index[2 - number] = (positions[number] - body.grid.origin[number]) / body.grid.spacing[number]
    hu = ndimage.map_coordinates(body.hu, index, order=1, cval=OUTSIDE_HU)
    labels = np.zeros(grid.shape, np.uint8)
    for label, box in enumerate(ndimage.find_objects(body.labels), start=1):
        if box is None:
            continue
        start = [max(0, part.start - 1) for part in box]
        stop = [part.stop + 1 for part in box]
        crop = body.labels[tuple(map(slice, start, stop))] == label
        near = np.ones(grid.shape, bool)
        for axis in range(3):
            near &= (index[axis] >= start[axis]) & (index[axis] <= start[axis] + crop.shape[axis] - 1)
        there = index[:, near] - np.array(start, np.float32)[:, None]
        share = ndimage.map_coordinates(crop.astype(np.float32), there, order=1)
        labels[near] = np.where(share > 0.5, np.uint8(label), labels[near])
    return Body(hu, labels, grid)
