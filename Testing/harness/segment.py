"""What ``make segment`` runs: a CT file or DICOM folder through the module's own Logic, without Slicer.

The CT becomes a vtkMRMLScalarVolumeNode, the module segments it with inference in the worker process, and
Slicer's own storage node saves the result. Without a CT the generated one that ships with the module is
taken. Options that are not given are taken from the environment (CT, OUT, WEIGHTS, DEVICE), as make does it.

    PYTHONPATH=Testing:IUINetSegmentation python -m harness.segment --ct scan.nrrd --out out
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from iuinet.console import Console, Parser, run_command
from iuinet.errors import OutputError, UsageError
from iuinet.labels import Organ, organs_of_model
from iuinet.volume import Volume

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "IUINetSegmentation"
SAMPLE_CT = MODULE_FOLDER / "Resources" / "Sample" / "sample-ct.nrrd"


def main(arguments: list[str] | None = None) -> int:
    """Do the job; returns the exit status: that of the command ``iuinet segment``."""
    return run_command(lambda: parse(arguments, os.environ), run)


def parse(arguments: list[str] | None, environment: Mapping[str, str]) -> argparse.Namespace:
    """The options, those that were not given from the environment. UsageError for what makes no sense."""
    parser = Parser(prog="segment", description="Segment a CT through the Slicer module's own logic.")
    given = {name: environment.get(name.upper()) or None for name in ("ct", "out", "weights", "device")}
    parser.add_argument("--ct", default=given["ct"], help="file or DICOM folder; without it a generated one")
    parser.add_argument("--out", default=given["out"] or "out", help="folder for the results")
    parser.add_argument("--weights", default=given["weights"], help="id of a model, or a model file")
    parser.add_argument("--device", default=given["device"] or "auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--accept-warnings", action="store_true", help="go on where a person should decide")
    parser.add_argument("--debug", action="store_true", help="show tracebacks and the libraries' warnings")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, console: Console) -> None:
    """From the options to the files and the table. What can be refused without waiting is refused first."""
    from iuinet.checks import check_volume, enforce
    from iuinet.reading import read_volume
    from iuinet.report import report_table
    from iuinet.weights import resolve

    organs = organs_of_model(resolve(options.weights).document)
    out = Path(options.out)
    make_folder(out)
    ct = Path(options.ct) if options.ct else SAMPLE_CT
    console.progress("reading", 0.0)
    volume = read_volume(ct)
    enforce(check_volume(volume), options.accept_warnings)  # a node does not carry what a file leaves open
    outputs = Outputs(out, volume.name, ct)
    node, report = segment(volume, options, console)
    notes = report["notes"]  # a volume node keeps none
    report["notes"] = [*map(volume.unnamed, volume.notes), *notes]
    console.progress("writing", 0.0)
    outputs.write(volume, node, organs, report, console)
    console.clear()
    console.say(report_table(report | {"notes": [*volume.notes, *notes]}))
    console.say()
    if not options.ct:
        console.say(f"{'generated CT':<13}{ct}")
    for name, path in outputs.named():
        console.say(f"{name:<13}{path.absolute()}")


def segment(volume: Volume, options: argparse.Namespace, console: Console) -> tuple[Any, dict[str, Any]]:
    """Segment the volume in MRML; returns the segmentation node and the report."""
    from harness.headless import boot, load_module

    boot()
    module = load_module("IUINetSegmentation", MODULE_FOLDER)
    from IUINetSegmentationLib.scene.volume_node import add_volume_node

    volume_node = add_volume_node(volume, volume.name)
    if volume.modality:
        # Where DICOM's modality is kept on a node.
        volume_node.SetAttribute("DICOM.Modality", volume.modality)
    return module.IUINetSegmentationLogic().segment(
        volume_node,
        weights=options.weights,
        device=options.device,
        acceptWarnings=options.accept_warnings,
        progressCallback=console.progress,
        cancelledCallback=lambda: console.interrupted,
    )


class Outputs:
    """The three files of a CT in the folder; earlier ones of the same CT are replaced, nothing else is."""

    def __init__(self, folder: Path, name: str, ct: Path) -> None:
        self.folder = folder
        self.segmentation = folder / f"{name}.seg.nrrd"
        self.report = folder / f"{name}.report.json"
        self.preview = folder / f"{name}.preview.png"
        if ct.resolve() in [path.resolve() for _, path in self.named()]:
            raise UsageError(
                f"the result would replace the CT {ct.name}", hint="Choose another folder.", code="same-file"
            )

    def named(self) -> list[tuple[str, Path]]:
        """The files, with a word for each."""
        return [("segmentation", self.segmentation), ("report", self.report), ("preview", self.preview)]

    def write(
        self, volume: Volume, node: Any, organs: Sequence[Organ], report: dict[str, Any], console: Console
    ) -> None:
        """Write all files beside their places, and only when all are complete rename them."""
        from iuinet.files import atomic
        from iuinet.preview import draw_preview
        from iuinet.quality import verdicts_of
        from iuinet.report import picture_title
        from iuinet.writing import write_json

        with ExitStack() as drafts:
            draft = {name: drafts.enter_context(atomic(path, overwrite=True)) for name, path in self.named()}
            save_segmentation(node, draft["segmentation"])
            write_json(draft["report"], report, overwrite=True)
            # The picture shows what is in the saved file, not what should be there.
            labels = read_labels(draft["segmentation"], volume)
            title, verdicts = picture_title(report), verdicts_of(report)
            draw_preview(draft["preview"], volume, labels, organs, title, verdicts)
            with console.uninterrupted():
                drafts.pop_all().close()


def make_folder(folder: Path) -> None:
    """Make the folder for the results. OutputError where that is not allowed, before any waiting."""
    hint = "Choose another folder with OUT."
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror}", hint=hint) from error
    if not os.access(folder, os.W_OK):
        raise OutputError(f"the folder {folder} cannot be written to", hint=hint, code="no-permission")


def save_segmentation(node: Any, path: Path) -> None:
    """Save the node as Slicer does. OutputError where Slicer says that it could not."""
    node.AddDefaultStorageNode(str(path))
    if not node.GetStorageNode().WriteData(node):
        raise OutputError(
            "Slicer could not write the segmentation",
            hint="Check the free space and the rights of the folder.",
        )


def read_labels(path: Path, volume: Volume) -> np.ndarray:
    """The label ids in a saved segmentation, on the volume's voxels (k, j, i)."""
    import SimpleITK as sitk

    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    if labels.max() == 0:
        # Slicer saves a single voxel where there is no segment.
        return np.zeros(volume.array.shape, dtype=np.uint8)
    if labels.shape != volume.array.shape:
        raise OutputError(
            f"Slicer saved {labels.shape} voxels for a volume of {volume.array.shape}",
            hint="Please report it.",
        )
    return labels


if __name__ == "__main__":
    sys.exit(main())
