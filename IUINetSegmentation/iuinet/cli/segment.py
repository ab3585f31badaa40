"""``iuinet segment``: one CT in; labels, report and picture out, all of them or none."""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iuinet.console import Console
from iuinet.descriptions import description_paths, description_text
from iuinet.devices import require_torch
from iuinet.dicom_seg import ENDING as DICOM_SEG
from iuinet.dicom_seg import check_dicom_seg, write_dicom_seg
from iuinet.errors import OutputError, UsageError
from iuinet.files import atomic, check_letters, output_error
from iuinet.leftovers import sweep_folders
from iuinet.memory import keep_memory
from iuinet.options import Options
from iuinet.preview import draw_preview
from iuinet.quality import verdicts_of
from iuinet.reading import read_volume
from iuinet.report import picture_title, report_table
from iuinet.volume import Volume
from iuinet.writing import ENDINGS, image_on_grid, write_json, write_labels

if TYPE_CHECKING:
    from iuinet.segmentation import SegmentationResult


def run(given: argparse.Namespace, console: Console) -> None:
    """Do it, cheapest checks first, so that a refusal comes before any waiting."""
    sweep_folders()  # also for those who use the command only, after a program that was killed
    outputs = Outputs.of(given)
    outputs.check(Path(given.ct))
    options = Options.of(given)
    weights = options.find_model()
    console.progress("reading", 0.0)
    volume = read_volume(given.ct, given.series)
    if outputs.labels is None:
        outputs.labels = Path(f"{volume.name}.seg.nrrd")
        outputs.check(Path(given.ct))
    if outputs.is_dicom:
        check_dicom_seg(volume)
    require_torch()
    keep_memory()
    from iuinet.segmentation import segment_volume

    result = segment_volume(
        volume, weights, options, progress=console.progress, cancelled=lambda: console.interrupted
    )
    console.progress("writing", 0.0)
    outputs.write(volume, result, console)
    console.clear()
    console.say(report_table(result.report | {"notes": volume.notes}))  # with the names of files
    console.say()
    for name, path in outputs.named():
        console.say(f"{name:<13}{path.absolute()}")


@dataclass
class Outputs:
    """The files that the command will write. labels is None until the scan's own name is known."""

    labels: Path | None
    report: Path | None
    preview: Path | None
    overwrite: bool

    @classmethod
    def of(cls, options: argparse.Namespace) -> Outputs:
        """From the options."""
        paths = [Path(text) if text else None for text in (options.output, options.report, options.preview)]
        return cls(*paths, overwrite=options.overwrite)

    @property
    def is_dicom(self) -> bool:
        """Whether the segmentation is to be a DICOM SEG."""
        return self.labels is not None and self.labels.name.lower().endswith(DICOM_SEG)

    def named(self) -> list[tuple[str, Path]]:
        """Those that are wanted, with a word for each."""
        beside = [] if self.labels is None else description_paths(self.labels)
        all_of_them = [
            ("segmentation", self.labels),
            *(("labels", path) for path in beside),
            ("report", self.report),
            ("preview", self.preview),
        ]
        return [(name, path) for name, path in all_of_them if path is not None]

    def check(self, ct: Path) -> None:
        """Refuse what could not be written in the end.

        Raises: UsageError, or OutputError for a lack of rights.
        """
        _check_ending(self.labels, (*ENDINGS, DICOM_SEG))
        _check_ending(self.report, (".json",))
        _check_ending(self.preview, (".png",))
        if self.preview is not None and importlib.util.find_spec("matplotlib") is None:
            raise UsageError(
                "--preview needs matplotlib, which is not installed",
                hint="Install it with 'pip install iuinet[preview]', or leave --preview out.",
                code="no-matplotlib",
            )
        if self.is_dicom:
            check_dicom_seg()
        for path in (ct, *(path for _, path in self.named())):
            check_letters(path)
        seen = {ct.resolve()}
        for _, path in self.named():
            self._check_place(path)
            if path.resolve() in seen:
                raise UsageError(
                    f"{path} is to be written, but is the CT or another output too",
                    hint="Give every output a file of its own.",
                    code="same-file",
                )
            seen.add(path.resolve())

    def _check_place(self, path: Path) -> None:
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:  # such as a name that is too long
            raise output_error(path, error) from error
        folder = path.absolute().parent
        if not folder.is_dir():
            message = f"the folder {folder} does not exist"
            raise UsageError(message, hint="Create it first.", code="no-output-folder")
        if path.is_dir():
            raise UsageError(f"{path} is a folder", hint="Give a file name.", code="output-is-folder")
        if path.exists() and not self.overwrite:
            raise UsageError(
                f"{path} exists already",
                hint="Choose another name, or replace it with --overwrite.",
                code="output-exists",
            )
        if not os.access(folder, os.W_OK):
            raise OutputError(
                f"the folder {folder} cannot be written to",
                hint="Choose another place with --output.",
                code="no-permission",
            )

    def write(self, volume: Volume, result: SegmentationResult, console: Console) -> None:
        """Write all files beside their places, and only when all are complete rename them."""
        with ExitStack() as stack:
            drafts = {path: stack.enter_context(atomic(path, self.overwrite)) for _, path in self.named()}
            with _named(drafts, self.labels) as draft:
                if self.is_dicom:
                    found = result.labels, result.organs
                    write_dicom_seg(draft, *found, volume, result.report, overwrite=True)
                else:
                    labels = image_on_grid(result.labels, volume.grid)
                    write_labels(draft, labels, result.organs, overwrite=True, report=result.report)
            for path in description_paths(self.labels):
                with _named(drafts, path) as draft:
                    draft.write_text(description_text(result.organs, path), encoding="utf-8", newline="\n")
            if self.report is not None:
                with _named(drafts, self.report) as draft:
                    write_json(draft, result.report, overwrite=True)
            if self.preview is not None:
                with _named(drafts, self.preview) as draft:
                    words = picture_title(result.report), verdicts_of(result.report)
                    draw_preview(draft, volume, result.labels, result.organs, *words)
            with console.uninterrupted():
                stack.pop_all().close()


@contextmanager
def _named(drafts: Mapping[Path, Path], path: Path) -> Iterator[Path]:
    """The draft of a file; its errors name the file as the user did."""
    try:
        yield drafts[path]
    except OutputError as error:
        text = error.message.replace(str(drafts[path]), str(path))
        raise OutputError(text, hint=error.hint, code=error.code) from error


def _check_ending(path: Path | None, endings: tuple[str, ...]) -> None:
    if path is not None and not path.name.lower().endswith(endings):
        raise UsageError(
            f"the name {path.name} has none of the endings that can be written: {', '.join(endings)}",
            hint="The ending chooses the format.",
            code="unknown-ending",
        )
