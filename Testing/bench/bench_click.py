"""From the click to the result: seconds by stage, cold and warm, for presets and lengths of scan.

    PYTHONPATH=Testing:IUINetSegmentation python Testing/bench/bench_click.py [--slices 85 200 500 1000]

Each scan of 512 x 512 is a generated one, enlarged, with noise. The shipped model segments it in a new worker
(cold: it starts, imports PyTorch and reads the model) and once more in the same (warm). For presets without a
shipped model only the network's own time is measured, with random weights that say the same for every voxel;
the other stages are the shipped model's. Reading is that of an uncompressed NRRD file by ``iuinet segment``;
in Slicer the scan is there already. The shipped model looks twice. Medians are over the repeats.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from helpers.sample_ct import sample_ct

from iuinet.labels import ORGANS
from iuinet.options import Options
from iuinet.reading import read_volume
from iuinet.volume import Grid, Volume
from iuinet.worker import WorkerClient
from iuinet.writing import image_on_grid

COLUMNS = ("read", "start", "prepare", "network", "labels", "all else", "click")
NETWORK = COLUMNS.index("network")


def scan(slices: int) -> Volume:
    """A CT of 512 x 512 x slices: a small generated one, each voxel repeated, with noise."""
    small = sample_ct((128, 128, 100))
    rows = np.arange(slices) * 100 // slices
    array = np.repeat(np.repeat(small.array[rows], 4, axis=1), 4, axis=2)
    noise = np.random.default_rng(0).integers(-12, 13, array.shape, dtype=np.int16)
    x, y, z = small.grid.spacing
    grid = Grid((512, 512, slices), (x / 4, y / 4, z * 100 / slices), small.grid.origin, small.grid.direction)
    return Volume((array + noise).astype(np.int16), grid, modality="CT")


def click(
    client: WorkerClient, volume: Volume, model: Path | None, read: float, started: float
) -> list[float]:
    """Seconds of COLUMNS for one run. started: when the click was made."""
    ready = time.perf_counter()
    run = client.start(volume, Options(model, "cpu", accept_warnings=True))
    while not run.poll():
        time.sleep(0.02)  # as Slicer's timer does
    _, report = run.result()
    total, stages = time.perf_counter() - started, report["seconds"]
    work = [stages["preparing"], stages["segmenting"], stages["upsampling"]]
    return [read, ready - started, *work, total - (ready - started) - sum(work), total]


def constant_model(path: Path, preset: str) -> Path:
    """A model of a preset whose answer is the background everywhere."""
    from iuinet.network import PRESETS, IUINet
    from iuinet.weights.load import save_model

    net = IUINet(PRESETS[preset])
    for parameter in net.mapping.parameters():
        parameter.data.zero_()
    organs = [{"name": organ.name, "label": organ.id} for organ in ORGANS]
    preprocessing = {"orientation": "LPS", "size": net.config.size, "window": [-125, 275]}
    document = {"format": 1, "id": preset, "version": "1", "organs": organs, "preprocessing": preprocessing}
    save_model(path, net, document)
    return path


def clicks(path: Path, model: Path | None) -> tuple[list[float], list[float]]:
    """A cold and a warm click on a scan's file."""
    start = time.perf_counter()
    volume = read_volume(path)
    read, start = time.perf_counter() - start, time.perf_counter()
    with WorkerClient() as client:
        client.probe(Options(device="cpu"))
        return click(client, volume, model, read, start), click(
            client, volume, model, read, time.perf_counter()
        )


def measure(slices: int, presets: list[str], repeats: int, folder: Path) -> None:
    """Print the rows of the table for one length of scan."""
    path, volume = folder / "scan.nrrd", scan(slices)
    sitk.WriteImage(image_on_grid(volume.array, volume.grid), str(path))
    del volume
    models = {"shipped": None} | {
        name: constant_model(folder / f"{name}.safetensors", name) for name in presets
    }
    runs = {name: [clicks(path, model) for _ in range(repeats)] for name, model in models.items()}
    for name, pairs in runs.items():
        for heat, which in enumerate(("cold", "warm")):
            shipped = medians([pair[heat] for pair in runs["shipped"]])
            values = medians([pair[heat] for pair in pairs])
            if name != "shipped":
                network = values[NETWORK]
                values = [*shipped[:NETWORK], network, *shipped[NETWORK + 1 : -1]]
                values.append(sum(values[1:]))
            cells = " | ".join(f"{value:.2f}" for value in values)
            print(f"| {name} | {slices} | {which} | {cells} |", flush=True)


def medians(rows: list[list[float]]) -> list[float]:
    """Of each column."""
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def main() -> None:
    """Read the command line, measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="*", default=["small", "abdomen13"])
    parser.add_argument("--slices", nargs="+", type=int, default=[85, 200, 500, 1000])
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; seconds, the click without reading\n")
    print("| model | slices | run | " + " | ".join(COLUMNS) + " |")
    print("|---|--:|---|" + "--:|" * len(COLUMNS))
    for slices in options.slices:
        with tempfile.TemporaryDirectory() as folder:
            measure(slices, options.presets, options.repeats, Path(folder))


if __name__ == "__main__":
    main()
