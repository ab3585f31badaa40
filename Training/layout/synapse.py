"""A generated set in the layout of the Synapse/BTCV download: cases, test scans, registered pairs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from dataset.parallel import Progress, in_parallel
from dataset.synapse import ids, official_facts

from iuinet.errors import UsageError

from .bodies import Anatomy, Body, low_grid, make_body
from .enlarging import enlarge_image, enlarge_labels
from .files import make_folder, remove_drafts, write_nifti, write_zip
from .folder import claim
from .registration import resample, warp
from .scans import Scan, draw_scan

PARTS = ".parts"  # what goes into zip files lies here meanwhile
FAILED_EVERY = 20  # one registration in so many has slipped off, as some real ones have
SLIP_MM = 400.0


@dataclass(frozen=True)
class Settings:
    """What the content of a file follows from, beside its id.

    seed: of the whole set. matrix: columns and rows. thin: slices are so many times fewer. anatomy: label map
    that the bodies come from, None for procedural ones.
    """

    seed: int = 0
    matrix: int = 512
    thin: int = 1
    anatomy: Anatomy | None = None

    def to_json(self) -> dict:
        """Without what may differ from call to call."""
        name = self.anatomy.name if self.anatomy else None
        return {
            "layout": "synapse",
            "seed": self.seed,
            "matrix": self.matrix,
            "thin": self.thin,
            "anatomy": name,
        }


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


_KINDS = ("label", "img")


def plan(folder: Path, settings: Settings, cases: Sequence[str], testing: int, pairs: int) -> list[Job]:
    """Everything that the set consists of: cases, so many test scans, so many registered pairs.

    Pairs take the cases in turn, each with another test scan every time round.
    Raises UsageError for ids that are not official, or more than there are.
    """
    known, test_ids = ids(official_facts()["training"]), ids(official_facts()["testing"])
    cases = tuple(cases) or known
    wrong = [case for case in cases if case not in known]
    if wrong or len(set(cases)) < len(cases):
        raise UsageError(
            f"--cases: {wrong[0] if wrong else 'an id'} is {'no labelled case' if wrong else 'given twice'}",
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


def write_set(jobs: Sequence[Job], folder: Path, zipped: bool, workers: int, stream: TextIO | None) -> int:
    """Write what is missing; gives how many scans were made. Raises OutputError, UsageError and DeviceError.

    zipped: RawData.zip and Reg-Training-Testing.zip instead of folders.
    """
    make_folder(folder)
    claim(folder, {**jobs[0].settings.to_json(), "zip": zipped})
    remove_drafts(folder)
    if not zipped:
        return _write_files(jobs, workers, stream)
    archives = _archives(jobs, folder)
    if all(_holds(archive, members) for archive, members in archives.items()):
        return 0
    parts = folder / PARTS
    made = _write_files([_moved(job, parts) for job in jobs], workers, stream)
    for archive, members in archives.items():
        write_zip(archive, parts / _root(archive), members)
    shutil.rmtree(parts)
    return made


def _write_files(jobs: Sequence[Job], workers: int, stream: TextIO | None) -> int:
    missing = [job for job in jobs if not all((job.folder / member).is_file() for member in job.members)]
    with Progress("generating", len(missing), stream) as progress:
        for _ in in_parallel(write_scan, missing, workers):
            progress.step()
    return len(missing)


def write_scan(job: Job) -> None:
    """Make and write one scan with its labels. Raises OutputError."""
    settings = job.settings
    scan = draw_scan(job.case, settings.seed, settings.thin)
    target = draw_scan(job.fixed, settings.seed, settings.thin) if job.fixed else scan
    body = make_body(scan, settings.matrix, settings.anatomy)
    grid = low_grid(target, settings.matrix)
    if job.fixed:
        body = resample(body, registration(scan, target, settings, job.failed), grid)
    elif settings.anatomy:
        body = resample(body, warp(grid, (1.0, 1.0, 1.0), scan.seed, deviation_mm=0.0), grid)
    _write(job, body, target)


def registration(moving: Scan, fixed: Scan, settings: Settings, failed: bool = False):
    """The warp of a registered pair: positions in the moving body for the fixed scan's voxels."""
    across, along = 1.0, 1.0
    if settings.anatomy is None:  # procedural bodies have known sizes, and a registration would find them
        along = moving.options.stature / fixed.options.stature
        across = along * moving.options.girth / fixed.options.girth
    slip = SLIP_MM if failed else 0.0
    seed = 1_000_003 * moving.seed + fixed.seed
    return warp(low_grid(fixed, settings.matrix), (across, across, along), seed, slip)


def _write(job: Job, body: Body, target: Scan) -> None:
    grid = target.file_grid(job.settings.matrix)
    for member in job.members:
        labels = "/label/" in member
        array = enlarge_labels(body.labels, grid.shape) if labels else enlarge_image(body.hu, grid.shape)
        write_nifti(job.folder / member, array, grid)


# Zip files ----------------------------------------------------------------------------------------------


def _moved(job: Job, folder: Path) -> Job:
    return Job(folder, job.settings, job.case, job.fixed, job.failed)


def _archives(jobs: Sequence[Job], folder: Path) -> dict[Path, list[str]]:
    """Names of the members of each zip file, as the official ones have them."""
    names = [member for job in jobs for member in job.members]
    raw = sorted(name for name in names if name.startswith("RawData/"))
    registered = sorted(name.removeprefix("RegData/") for name in names if name.startswith("RegData/"))
    found = {folder / "RawData.zip": raw, folder / "Reg-Training-Testing.zip": registered}
    return {archive: members for archive, members in found.items() if members}


def _root(archive: Path) -> str:
    """The folder of the parts that an archive starts from: the registered pairs leave RegData out."""
    return "RegData" if archive.name.startswith("Reg-") else ""


def _holds(archive: Path, members: Sequence[str]) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.namelist() == list(members)
    except (OSError, zipfile.BadZipFile):
        return False
