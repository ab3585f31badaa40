"""From the click to the result: seconds by stage, cold and warm, for presets and lengths of scan.

    PYTHONPATH=Testing:IUINetSegmentation python Testing/bench/bench_click.py [--slices 85 200 500 1000]
    PYTHONPATH=Testing:IUINetSegmentation python Testing/bench/bench_click.py --memory --slices 1200

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
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import SimpleITK as sitk
from helpers.networks import preset_model
from helpers.sample_ct import enlarged_ct

from iuinet.options import Options
from iuinet.reading import read_volume
from iuinet.volume import Volume
from iuinet.worker import WorkerClient
from iuinet.writing import image_on_grid

COLUMNS = ("read", "start", "prepare", "network", "labels", "all else", "click")
NETWORK = COLUMNS.index("network")


def click(
    client: WorkerClient, volume: Volume, model: Path | None, read: float, started: float
) -> list[float]:
    """Seconds of COLUMNS for one run. started: when the click was made."""
    ready = time.perf_counter()
    run = client.start(volume, Options(model, "cpu", accept_warnings=True))
    while not run.poll():
        if not run.hands_over:
            time.sleep(0.02)  # as Slicer's timer does
    _, report = run.result()
    total, stages = time.perf_counter() - started, report["seconds"]
    work = [stages["preparing"], stages["segmenting"], stages["upsampling"]]
    return [read, ready - started, *work, total - (ready - started) - sum(work), total]


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
    path, volume = folder / "scan.nrrd", enlarged_ct(slices)
    sitk.WriteImage(image_on_grid(volume.array, volume.grid), str(path))
    del volume
    models = {"shipped": None} | {
        name: preset_model(folder / f"{name}.safetensors", name, only_background=True) for name in presets
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


def memory(slices: int, folder: Path) -> None:
    """Print the peak memory of ``iuinet segment`` on such a scan, all its processes together."""
    path, volume = folder / "scan.nrrd", enlarged_ct(slices)
    sitk.WriteImage(image_on_grid(volume.array, volume.grid), str(path))
    command = [sys.executable, "-m", "iuinet", "segment", str(path), "--accept-warnings", "--device", "cpu"]
    running = psutil.Popen([*command, "-o", str(folder / "organs.seg.nrrd")], stdout=subprocess.DEVNULL)
    peak = 0
    while running.poll() is None:
        with suppress(psutil.Error):  # one that has just ended
            all_of_it = [running, *running.children(recursive=True)]
            peak = max(peak, sum(process.memory_full_info().pss for process in all_of_it))
        time.sleep(0.1)
    print(f"{slices} slices: {peak / 1e9:.1f} GB, exit status {running.returncode}")


def medians(rows: list[list[float]]) -> list[float]:
    """Of each column."""
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def main() -> None:
    """Read the command line, measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="*", default=["small", "abdomen13"])
    parser.add_argument("--slices", nargs="+", type=int, default=[85, 200, 500, 1000])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--memory", action="store_true", help="instead: peak memory (Linux)")
    options = parser.parse_args()
    if options.memory:
        for slices in options.slices:
            with tempfile.TemporaryDirectory() as folder:
                memory(slices, Path(folder))
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; seconds, the click without reading\n")
    print("| model | slices | run | " + " | ".join(COLUMNS) + " |")
    print("|---|--:|---|" + "--:|" * len(COLUMNS))
    for slices in options.slices:
        with tempfile.TemporaryDirectory() as folder:
            measure(slices, options.presets, options.repeats, Path(folder))


if __name__ == "__main__":
    main()
