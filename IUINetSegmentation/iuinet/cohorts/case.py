"""One case, from its files to its folder: read, segment, write. Runs in a worker.

The folder is made beside its place and appears by one rename, so it is whole or not there at all.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iuinet import __version__
from iuinet.descriptions import description_paths, description_text
from iuinet.dicom_seg import ENDING as DICOM_SEG
from iuinet.dicom_seg import check_dicom_seg, write_dicom_seg
from iuinet.errors import OutputError
from iuinet.files import output_error
from iuinet.leftovers import PrivateFolder
from iuinet.options import Options
from iuinet.preview import draw_preview
from iuinet.quality import verdicts_of
from iuinet.reading import read_volume
from iuinet.volume import Volume
from iuinet.writing import SEGMENTATION, image_on_grid, write_json, write_labels

from .linked import link_files
from .source import Source

if TYPE_CHECKING:
    from iuinet.segmentation import SegmentationResult

DRAFTS = ".drafts"
THUMB = (560, 360)  # pixels at most, of the picture in the cohort's page
_QUALITY = 80  # of its JPEG
_OVERVIEW = (0, 72, 1430, 700)  # of the preview, pixels: the three planes, without title and legend


@dataclass(frozen=True)
class Case:
    """An id and where it comes from. Logs show the id alone."""

    id: str
    source: Source

    def __repr__(self) -> str:
        return self.id


@dataclass(frozen=True)
class Job:
    """What holds for all cases of a run.

    out: the cohort's folder. run: see ``marks``. options, ending, previews: what is made. sha256: of the
    model. threads: of the network in one worker, None for what torch takes. version: of IUINet.
    """

    out: Path
    run: str
    options: Options
    sha256: str
    ending: str = SEGMENTATION
    previews: bool = True
    threads: int | None = None
    version: str = __version__

    def __repr__(self) -> str:
        return "Job(...)"  # paths may be names


class Work:
    """One case on its way. Its links live until its results are written, as DICOM SEG reads headers again."""

    def __init__(self, case: Case, job: Job) -> None:
        self.case, self.job = case, job
        self.volume: Volume | None = None
        self.result: SegmentationResult | None = None
        self._links = PrivateFolder()
        self._names: tuple[str, ...] = ()

    def read(self) -> None:
        """Raises: InputRefused."""
        path, names = link_files(self.case.source, self._links.path / "files")
        self._names = names
        volume = read_volume(path, self.case.source.uid)
        self.volume = replace(volume, names=(*volume.names, *names))
        if self.job.ending == DICOM_SEG:
            check_dicom_seg(self.volume)

    def segment(self, cancelled: Callable[[], bool]) -> None:
        """Raises: subclasses of IUINetError."""
        from iuinet.segmentation import segment_volume

        options = self.job.options
        self.result = segment_volume(self.volume, options.find_model(), options, cancelled=cancelled)

    def write(self) -> None:
        """Raises: OutputError, and InputRefused for headers that a DICOM SEG cannot refer to."""
        drafts, place = self.job.out / DRAFTS, self.job.out / self.case.id
        try:
            drafts.mkdir(exist_ok=True)
            with PrivateFolder(drafts) as draft:
                folder = draft / self.case.id
                folder.mkdir()
                self._write_into(folder)
                if not place.exists():  # made meanwhile by a worker of a run that was killed
                    os.rename(folder, place)
        except (OSError, OutputError) as error:
            raise _of_the_folder(self.job.out, error) from error

    def close(self) -> None:
        """Let go of everything."""
        self.volume = self.result = None
        self._links.remove()

    def unnamed(self, text: str) -> str:
        """A message without names of files and folders."""
        for name in (str(self._links.path), str(self.job.out), *self._names):
            text = text.replace(name, "[file]")
        return text

    def _write_into(self, folder: Path) -> None:
        name, result, volume = self.case.id, self.result, self.volume
        labels = folder / f"{name}{self.job.ending}"
        if self.job.ending == DICOM_SEG:
            write_dicom_seg(labels, result.labels, result.organs, volume, result.report, person=name)
        else:
            image = image_on_grid(result.labels, volume.grid)
            write_labels(labels, image, result.organs, report=result.report)
        for path in description_paths(labels):
            path.write_text(description_text(result.organs, path), encoding="utf-8", newline="\n")
        write_json(folder / f"{name}.report.json", self._report(result.report))
        if self.job.previews:
            picture = folder / f"{name}.preview.png"
            draw_preview(picture, volume, result.labels, result.organs, verdicts=verdicts_of(result.report))
            _draw_thumb(picture, folder / f"{name}.thumb.jpg")

    def _report(self, report: Mapping[str, Any]) -> dict[str, Any]:
        return {"case": self.case.id, "iuinet": __version__, **report}


def can_draw() -> bool:
    """Whether previews can be drawn here.

    >>> can_draw()  # doctest: +SKIP
    True
    """
    return importlib.util.find_spec("matplotlib") is not None


def check_place(out: Path) -> None:
    """Refuse an output folder that takes nothing, before the work.

    Raises: OutputError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as out:
    ...     check_place(Path(out))
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        drafts = out / DRAFTS
        drafts.mkdir(exist_ok=True)
        with PrivateFolder(drafts):
            pass
    except (OSError, OutputError) as error:
        raise _of_the_folder(out, error) from error


def _of_the_folder(out: Path, error: OSError | OutputError) -> OutputError:
    """What the system says of a draft, said of the output folder: nobody knows the names of drafts."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return output_error(out, cause) if isinstance(cause, OSError) else error


def remove_drafts(out: Path) -> None:
    """Remove the folder for drafts, if nothing is under way in it any more.

    >>> remove_drafts(Path())
    """
    if (out / DRAFTS).is_dir() and not os.listdir(out / DRAFTS):
        shutil.rmtree(out / DRAFTS, ignore_errors=True)


def _draw_thumb(picture: Path, thumb: Path) -> None:
    """The overview of a preview, small."""
    from PIL import Image  # comes with matplotlib

    with Image.open(picture) as image:
        small = image.convert("RGB").crop((*_OVERVIEW[:3], min(_OVERVIEW[3], image.height)))
    small.thumbnail(THUMB)
    small.save(thumb, quality=_QUALITY)
