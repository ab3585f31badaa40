#!/usr/bin/env python3
"""Write generated CTs with their labels as NIfTI files. They show no patient.

    python Training/phantom.py OUT                        # sample-0-ct.nii.gz and sample-0-labels.nii.gz
    python Training/phantom.py --synapse DIR --pairs 60   # the official layout of Synapse/BTCV
    python Training/phantom.py --own DIR                  # two organs in nnU-Net's raw layout
    python Training/phantom.py --sample FILE.nrrd         # the CT that the Slicer module ships

The same arguments make the same files. Bodies are drawn by formulas and need no data. Labels are the organs'
ids.

--synapse writes the 30 labelled cases (0001-0010, 0021-0040) with their official numbers of slices, test
scans without labels (from 0061 on), and registered pairs as Training-Testing has them: a labelled case and
its labels, warped as one onto the grid of a test scan; one pair in 20 is a registration that failed. A scan
takes about 2 s of one core and 30 MB. The command can be stopped at any time: the same command again goes
on, also with more cases or pairs.

--sample writes what IUINetSegmentation/Resources/Sample holds: one coarse CT without labels, its values
rounded to steps of 8 HU so that it packs into less than 1 MB.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from iuinet.console import Console, Parser, run_command
from iuinet.errors import UsageError
from iuinet.files import atomic
from iuinet.volume import Volume
from iuinet.writing import image_on_grid
from pipeline.dataset.parallel import usual_workers
from pipeline.generated.files import make_folder, write_nifti
from pipeline.generated.own import ORGANS_FILE, write_own
from pipeline.generated.phantom import make_sample
from pipeline.generated.synapse import Settings, plan, write_set

# Options that only some layouts know, with their defaults there.
_DEFAULTS = {
    "plain": {"count": 1, "size": 128},
    "synapse": {"cases": [], "testing": 4, "pairs": 30, "matrix": 512},
    "own": {"count": 8, "size": 128},
    "sample": {},
}
SMALLEST = 16
SAMPLE_SIZE = (128, 128, 80)  # voxels along i, j, k
SAMPLE_STEP_HU = 8


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    return run_command(lambda: _parse(arguments), run)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    whole = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="phantom.py", description=__doc__, formatter_class=whole, allow_abbrev=False)
    parser.add_argument("out", nargs="?", type=Path, help="folder for single scans")
    parser.add_argument("--synapse", type=Path, metavar="DIR", help="folder for a set in the official layout")
    parser.add_argument("--own", type=Path, metavar="DIR", help="folder for an example of own data")
    parser.add_argument("--sample", type=Path, metavar="FILE", help="the CT that the module ships, as .nrrd")
    parser.add_argument("--seed", type=int, default=0, help="of the first scan or the set (default 0)")
    hint = "processes (default: one per core)"
    parser.add_argument("--workers", type=int, default=usual_workers(), help=hint)
    parser.add_argument("--debug", action="store_true", help="show tracebacks and what libraries say")
    one = parser.add_argument_group("with OUT or --own")
    one.add_argument("--count", type=int, help="scans, each with the next seed (default 1; --own: 8)")
    one.add_argument("--size", type=int, help="columns and rows (default 128), and for OUT slices")
    many = parser.add_argument_group("with --synapse")
    many.add_argument("--cases", nargs="+", metavar="ID", help="labelled cases (default: all 30)")
    hint = "test scans, from 0061 on (default 4, up to 20)"
    many.add_argument("--testing", type=int, metavar="N", help=hint)
    many.add_argument("--pairs", type=int, metavar="N", help="registered pairs (default 30, up to 600)")
    many.add_argument("--matrix", type=int, metavar="N", help="columns and rows (default and officially 512)")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, console: Console) -> None:
    """Write what is requested; what cannot work is refused first."""
    layout = _layout(options)
    if layout == "synapse":
        _write_synapse(options, console)
    elif layout == "own":
        made = write_own(options.own, options.seed, options.count, options.size, options.workers, console)
        console.say(f"generated {made}, already there {options.count - made}: {options.own.absolute()}")
        console.say(f"organs: liver, lung; colours and a split: {options.own / ORGANS_FILE}")
    elif layout == "sample":
        write_sample(options.sample, options.seed)
        console.say(str(options.sample.absolute()))
    else:
        _write_single(options, console)


def _layout(options: argparse.Namespace) -> str:
    """The layout that is requested, its options complete; what does not fit together is refused."""
    asked = {"plain": options.out, "synapse": options.synapse, "own": options.own, "sample": options.sample}
    given = [layout for layout, folder in asked.items() if folder is not None]
    if len(given) != 1:
        raise UsageError(
            "no folder is given" if not given else "more than one folder is given",
            hint="Give either OUT, or --synapse DIR, or --own DIR, or --sample FILE.",
            code="folder",
        )
    layout = given[0]
    known = _DEFAULTS[layout]
    for name in {name for defaults in _DEFAULTS.values() for name in defaults}:
        if getattr(options, name) is None:
            setattr(options, name, known.get(name))
        elif name not in known:
            raise UsageError(
                f"--{name} does not go with {'OUT' if layout == 'plain' else f'--{layout}'}",
                hint="The option --help shows what goes together.",
                code="option",
            )
    least = {"seed": 0, "count": 1, "size": SMALLEST, "matrix": SMALLEST, "workers": 1}
    for name, lowest in least.items():
        value = getattr(options, name)
        if value is not None and value < lowest:
            raise UsageError(f"--{name} {value} is too small", hint=f"Give {lowest} or more.", code="option")
    if options.sample and options.sample.suffix != ".nrrd":
        text = f"--sample {options.sample.name} does not end in .nrrd"
        raise UsageError(text, hint="Name it so.", code="option")
    return layout


def _write_synapse(options: argparse.Namespace, console: Console) -> None:
    settings = Settings(options.seed, options.matrix)
    jobs = plan(options.synapse, settings, options.cases, options.testing, options.pairs)
    made = write_set(jobs, options.synapse, options.workers, console)
    cases = len(jobs) - options.testing - options.pairs
    console.say(
        f"{cases} cases, {options.testing} test scans, {options.pairs} registered pairs: "
        f"generated {made}, already there {len(jobs) - made}: {options.synapse.absolute()}"
    )


def _write_single(options: argparse.Namespace, console: Console) -> None:
    make_folder(options.out)
    for seed in range(options.seed, options.seed + options.count):
        sample = make_sample(seed, (options.size,) * 3)
        for path in write_pair(options.out, f"sample-{seed}", sample.volume, sample.labels):
            console.say(str(path))


def write_pair(folder: Path, name: str, volume: Volume, labels: np.ndarray) -> tuple[Path, Path]:
    """Write NAME-ct.nii.gz (int16 HU) and NAME-labels.nii.gz (uint8); their paths."""
    paths = folder / f"{name}-ct.nii.gz", folder / f"{name}-labels.nii.gz"
    write_nifti(paths[0], volume.array.astype(np.int16), volume.grid)
    write_nifti(paths[1], labels.astype(np.uint8), volume.grid)
    return paths


def write_sample(path: Path, seed: int = 0) -> None:
    """Write a CT (int16 HU) as the module ships it: with a note that it shows no patient."""
    volume = make_sample(seed, SAMPLE_SIZE).volume
    array = np.rint(volume.array / SAMPLE_STEP_HU) * SAMPLE_STEP_HU
    image = image_on_grid(array.astype(np.int16), volume.grid)
    image.SetMetaData("note", volume.notes[0])
    make_folder(path.parent)
    with atomic(path, overwrite=True) as draft:
        sitk.WriteImage(image, str(draft), useCompression=True, compressionLevel=9)


if __name__ == "__main__":
    sys.exit(main())
