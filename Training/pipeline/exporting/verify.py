"""Does the exported file do what the checkpoint does? Labels of whole volumes are compared, voxel by voxel.

One side is the file through the program's own inference, as the command and the module use it; the other is
the checkpoint's network, with the organs, size and window of the training. Nothing may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from iuinet.errors import WeightsError
from iuinet.geometry import canonical_axes, from_canonical, to_canonical
from iuinet.inference import Segmenter
from iuinet.inference.upsampling import upsample_labels
from iuinet.network import IUINet
from iuinet.options import Options
from iuinet.preprocessing import prepare
from iuinet.volume import Volume
from iuinet.weights.model_file import check_file
from pipeline.generated.phantom import make_sample

from .model import Trained

if TYPE_CHECKING:
    from pipeline.dataset.prepared import PreparedData

SAMPLE_SIZE = (96, 80, 64)  # voxels along i, j, k


def verify(
    model: Path,
    trained: Trained,
    exact: Trained | None = None,
    data: PreparedData | None = None,
    most: int = 2,
    show: Callable[[str], None] = lambda name: None,
) -> list[str]:
    """Compare the labels of a model file with those of the checkpoint it was made from.

    exact: the checkpoint before its weights were rounded; None where they were not. data: prepared data;
    without it, a generated CT is taken. most: cases of it. show: takes each case's name.
    Returns sentences for the user and the model card: what was compared, and what the rounding changed.
    Raises: WeightsError "export-differs" for a file whose labels differ, with the number of voxels.
    """
    segmenter = Segmenter(check_file(model), "cpu")
    nets = [one.net() for one in (trained, exact) if one]
    for net in (segmenter.net, *nets):
        align(net)
    cases = voxels = differing = rounded = 0
    for volume in verification_volumes(trained, data, most):
        show(volume.name)
        mine = segmenter(volume, Options(islands=False, fast=True)).labels
        its, *before = (checkpoint_labels(net, trained, volume) for net in nets)
        cases, voxels = cases + 1, voxels + mine.size
        differing += int(np.count_nonzero(mine != its))
        rounded += sum(int(np.count_nonzero(its != labels)) for labels in before)
    if differing:
        raise WeightsError(
            f"the exported file and the checkpoint differ in {differing:,} of {voxels:,} voxels",
            hint="Nothing was exported. Please report this.",
            code="export-differs",
        )
    where = f"{cases} {'case' if cases == 1 else 'cases'} of {data.name}" if data else "a generated CT"
    compared = f"The file's labels were compared with the checkpoint's on {where}"
    sentences = [f"{compared}: all {voxels:,} voxels are the same."]
    if exact:
        before = "The weights were rounded to half precision before, which gave another label to"
        sentences.append(f"{before} {rounded:,} of {voxels:,} voxels.")
    return sentences


def checkpoint_labels(net: IUINet, trained: Trained, volume: Volume) -> np.ndarray:
    """Label ids (k, j, i) uint8 on the volume's grid, by the checkpoint's network and document alone."""
    known = trained.document
    axes = canonical_axes(volume.grid.direction)
    array = to_canonical(volume.array, axes)
    with torch.inference_mode():
        logits = net(prepare(array, known["size"], tuple(known["window"])))[0][0].float()
    channels = np.asarray(upsample_labels(logits, array.shape))
    labels = np.array([0, *(organ["label"] for organ in known["organs"])], dtype=np.uint8)
    return from_canonical(labels[channels], axes)


def verification_volumes(trained: Trained, data: PreparedData | None, most: int) -> Iterator[Volume]:
    """The volumes to compare on: test cases of the training's split where the data hold them, else others."""
    if data is None:
        yield make_sample(0, SAMPLE_SIZE).volume
        return
    split = trained.document["data"]
    present = [case.id for case in data.cases if case.kind == "case"]
    wanted = [*(split.get("test") or ()), *(split.get("validation") or ()), *present]
    for case in list(dict.fromkeys(case for case in wanted if case in set(present)))[:most]:
        yield data.native(case)[0]


def align(net: IUINet) -> None:
    """Bring the weights to addresses of torch's own choice: elsewhere in memory, sums round differently."""
    for tensor in [*net.parameters(), *net.buffers()]:
        tensor.data = tensor.data.clone()
