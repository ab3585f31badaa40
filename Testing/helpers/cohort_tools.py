"""What the cohort's tests share: marked scans, a command that is left running, workers that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
from pydicom.dataset import Dataset

from helpers.command_tools import environment, write_ct
from helpers.dicom_factory import body_volume, write_series
from helpers.waiting import wait_until
from helpers.worker_tools import make_volume

MARKS = ("ZZNAME", "ZZIDENT", "19470823", "ZZACCESSION", "ZZHOSPITAL", "ZZFILE", "ZZFOLDER", "ZZLIST")
KILLER = 3071  # HU of the first voxel of a scan that kills its worker
# Comes to every process before the program: what a scan that crashes native code does to a worker.
KILLING = f"""
import os, signal
from iuinet.cohorts.case import Work
read = Work.read
def deadly(self):
    read(self)
    if self.volume.array.flat[0] == {KILLER}:
        os.kill(os.getpid(), signal.SIGKILL)
Work.read = deadly
"""
Command = subprocess.Popen


def mark(ds: Dataset, k: int) -> None:
    """A patient's and a hospital's name in a slice."""
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "ZZNAME^Jane", "ZZIDENT", "19470823"
    ds.AccessionNumber, ds.InstitutionName, ds.SeriesDescription = "ZZACCESSION", "ZZHOSPITAL", "ZZNAME"


def localizer(ds: Dataset, k: int) -> None:
    """A marked slice of a scout."""
    mark(ds, k)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def write_scan(path: Path, shift: int = 0, kills: bool = False) -> Path:
    """A small volume file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    volume = make_volume(shift)
    if kills:
        array = volume.array.copy()
        array.flat[0] = KILLER
        volume = replace(volume, array=array)
    return write_ct(path, volume)


def write_study(folder: Path) -> None:
    """A study as an archive gives it: two CT series in one folder, a scout, an MR series, and more."""
    volume = body_volume((30, 48, 40))
    spaced = {"spacing": (6, 6, 6), "edit": mark}
    write_series(folder, volume, name="ZZFILE-a{:03d}.dcm".format, **spaced)
    write_series(folder, volume + 7, name="ZZFILE-b{:03d}.dcm".format, **spaced)
    write_series(folder, volume[:2], spacing=(6, 6, 6), edit=localizer, name="scout{}.dcm".format)
    write_series(folder.with_name("ZZFOLDER mr"), volume[:8], modality="MR", edit=mark)
    (folder / "ZZFILE report.txt").write_text("ZZNAME", encoding="utf-8")


def write_tree(folder: Path) -> Path:
    """An input with everything odd; 6 cases, of which one is damaged and one kills its worker."""
    for number in range(2):
        write_scan(folder / "ZZFOLDER" / f"ZZFILE {number} ZZNAME.nii.gz", number)
    write_scan(folder / "ZZFOLDER" / "ZZFILE kills.nrrd", kills=True)
    (folder / "ZZFOLDER" / "ZZFILE damaged.nii.gz").write_bytes(b"ZZNAME")
    write_study(folder / "ZZFOLDER ZZNAME")
    (folder / "ZZFOLDER empty").mkdir()
    (folder / "ZZFOLDER loop").symlink_to(folder)
    (folder / "ZZFILE dangling.dcm").symlink_to(folder / "nowhere")
    return folder


def start(*arguments: object, **variables: str) -> Command:
    """Start the command in a session of its own, as a terminal does."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell in the background has it ignored
    try:
        return Command(
            [sys.executable, "-m", "iuinet", "cohort", *map(str, arguments)],
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def cases_in(out: Path) -> list[Path]:
    """The folders of the cases that are done."""
    return sorted(out.glob("case-*"))


def state_of(out: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of the cases' folders: its bytes and when it was written."""
    files = [path for case in cases_in(out) for path in case.iterdir()]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def wait_for_cases(command: Command, out: Path, count: int) -> None:
    """Until so many cases are done; the command must not end before."""

    def there() -> bool:
        assert command.poll() is None, command.communicate()
        return len(cases_in(out)) >= count

    wait_until(there, watched=lambda: len(cases_in(out)), what="no case was done")


def kill(process: int) -> None:
    """As the system does when memory runs out."""
    os.kill(process, signal.SIGKILL)


def wait_for_none(processes: list[psutil.Process]) -> None:
    """Until all of them have ended."""
    wait_until(lambda: not psutil.wait_procs(processes, 0)[1], what="processes were left")
