#!/usr/bin/env python3
"""Write generated CTs with their labels as NIfTI files: NAME-ct.nii.gz and NAME-labels.nii.gz.

    python Training/phantom.py OUT                                   # procedural bodies, no data needed
    python Training/phantom.py OUT --anatomy amos_0013 --cache DIR   # from a label map of IUINET_DATA

The same arguments give the same files. Labels are the organs' ids, 255 where nobody knows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from evaluation.cases import as_volume
from synthesis import HELD_OUT, TRAINING, data_folder, generate, load
from synthesis.tissues import table

from iuinet.errors import IUINetError
from iuinet.sample import make_sample
from iuinet.volume import Grid, Volume


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for the files")
    parser.add_argument("--anatomy", choices=TRAINING + HELD_OUT, help="label map; procedural without it")
    parser.add_argument("--cache", type=Path, help="folder for prepared label maps, needed with --anatomy")
    parser.add_argument("--phase", choices=list(table()["probability"]), help="contrast phase, else drawn")
    parser.add_argument("--seed", type=int, default=0, help="of the first scan (default 0)")
    parser.add_argument("--count", type=int, default=1, help="scans, each with the next seed (default 1)")
    parser.add_argument("--size", type=int, default=128, help="voxels along every axis (default 128)")
    options = parser.parse_args(arguments)
    if options.anatomy and not options.cache:
        parser.error("--anatomy needs --cache")
    if options.phase and not options.anatomy:
        parser.error("--phase needs --anatomy")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        anatomy = load(options.anatomy, data_folder(), options.cache) if options.anatomy else None
        for seed in range(options.seed, options.seed + options.count):
            if anatomy:
                sample = generate(anatomy, seed, options.size, phase=options.phase)
                volume, labels = as_volume(sample, f"{anatomy.name}-{seed}"), sample.labels.numpy()
            else:
                sample = make_sample(seed, (options.size,) * 3)
                volume, labels = sample.volume, sample.labels
            write_pair(options.out, f"{anatomy.name if anatomy else 'sample'}-{seed}", volume, labels)
    except (IUINetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def write_pair(folder: Path, name: str, volume: Volume, labels: np.ndarray) -> None:
    """Write NAME-ct.nii.gz (int16 HU) and NAME-labels.nii.gz (uint8)."""
    for kind, array in (("ct", volume.array.astype(np.int16)), ("labels", labels.astype(np.uint8))):
        path = folder / f"{name}-{kind}.nii.gz"
        sitk.WriteImage(_image(array, volume.grid), str(path))
        print(path)


def _image(array: np.ndarray, grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(np.asarray(grid.direction, dtype=float).ravel().tolist())
    return image


if __name__ == "__main__":
    sys.exit(main())
