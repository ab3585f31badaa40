"""What the worker costs beside its work: the second click, cancelling, and memory at rest.

    PYTHONPATH=Testing:IUINetSegmentation python Testing/bench/bench_worker.py [--runs 5] [--preset abdomen13]

* A warm worker segments volumes of 512 x 512 x 300 in turn, each another one than before. On top of network
  and resampling (preparing, upsampling) a click may cost 0.3 s: handing over the voxels and the labels,
  checks, cleaning, the report. Taking the result into Slicer's scene is not in it.
* A run of the preset at 128^3 is cancelled at many moments, in its longest layers too. A worker that takes
  longer than 1.5 s is killed.
* Memory of its own that the worker holds: before, at the peak of a run, and after it.

Linux only (memory is read from /proc). On a busy machine look at the fastest run. The exit status is 1 if the
fastest second click costs more than 0.3 s or a cancel took 2 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from helpers.networks import preset_model
from helpers.sample_ct import enlarged_ct, sample_ct

from iuinet.errors import Cancelled
from iuinet.options import Options
from iuinet.volume import Volume
from iuinet.worker import WorkerClient

SLICES = 300
ALLOWED_S, CANCEL_S = 0.3, 2.0
RESTED_S = 5.0  # by then the worker has given its memory back


def resident_mb(pid: int) -> float:
    """Memory of its own that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def volumes() -> list[Volume]:
    """Two scans of the full size with organs, one the mirror image of the other."""
    scan = enlarged_ct(SLICES)
    return [scan, replace(scan, array=np.ascontiguousarray(scan.array[:, :, ::-1]))]


def second_clicks(client: WorkerClient, runs: int) -> float:
    """Print what the clicks cost after the first one; gives the fastest one's seconds on top of the work."""
    extra: list[float] = []
    scans = volumes()
    print(f"\nVolumes of 512 x 512 x {SLICES}, the default model, {os.cpu_count()} cores")
    for number in range(runs + 1):
        peak, start = 0.0, time.perf_counter()
        run = client.start(scans[number % 2], Options(device="cpu", accept_warnings=True))
        while not run.poll():
            if not run.hands_over:
                time.sleep(0.02)  # as Slicer's timer does
            peak = max(peak, resident_mb(client.pid))
        labels, report = run.result()
        total = time.perf_counter() - start
        seconds = report["seconds"]
        work = seconds["preparing"] + seconds["segmenting"] + seconds["upsampling"]
        name = "first click" if number == 0 else "another volume"
        print(
            f"  {name:<15}{total:6.2f} s = network {seconds['segmenting']:.2f} + resampling "
            f"{work - seconds['segmenting']:.2f} + all else {total - work:.3f} s; at most {peak:.0f} MB",
            flush=True,
        )
        if number:
            extra.append(total - work)
    found = sum(organ["found"] for organ in report["organs"])
    print(f"  {found} organs, {np.count_nonzero(labels) / labels.size:.1%} of the voxels")
    print(f"  all else: fastest {min(extra):.3f} s, median {statistics.median(extra):.3f} s")
    return min(extra)


def cancels(client: WorkerClient, model: Path, times: int) -> float:
    """Print how long cancels took, spread evenly over a run; gives the longest."""
    scan = sample_ct((48, 48, 48))
    start = time.perf_counter()
    _, report = client.segment(scan, Options(model, "cpu"))
    print(f"\nCancelling a run of {time.perf_counter() - start:.1f} s")
    network = report["seconds"]["segmenting"]
    taken, killed = [], 0
    for number in range(times):
        pid, run = client.pid, client.start(scan, Options(model, "cpu"))
        while not run.poll() and run.stage != "segmenting":
            time.sleep(0.005)
        end = time.perf_counter() + network * (number + 0.5) / times
        while not run.poll() and time.perf_counter() < end:
            time.sleep(0.005)
        start = time.perf_counter()
        run.cancel()
        while not run.poll():
            time.sleep(0.005)
        taken.append(time.perf_counter() - start)
        killed += client.pid != pid
        try:
            run.result()
        except Cancelled:
            continue
        taken.pop()  # it was faster than the cancel
    print(
        f"  {len(taken)} times: median {statistics.median(taken):.2f} s, longest {max(taken):.2f} s, ", end=""
    )
    print(f"the worker was killed {killed} times")
    return max(taken)


def main() -> int:
    """Measure and print; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="second clicks")
    parser.add_argument("--cancels", type=int, default=12)
    parser.add_argument("--preset", default="abdomen13", help="whose run is cancelled")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, WorkerClient() as client:
        start = time.perf_counter()
        found = client.probe(Options(device="cpu"))
        print(f"start of the worker and probe: {time.perf_counter() - start:.2f} s; torch {found['torch']}")
        print(f"one pass takes, by the probe: {found['network_seconds']['cpu']}")
        print(f"at rest, without a model: {resident_mb(client.pid):.0f} MB")
        extra = second_clicks(client, options.runs)
        time.sleep(RESTED_S)
        print(f"  at rest, with the model: {resident_mb(client.pid):.0f} MB")
        longest = cancels(
            client, preset_model(Path(folder) / "random.safetensors", options.preset), options.cancels
        )
        client.warm_up()
        time.sleep(RESTED_S)
        print(f"  at rest after it: {resident_mb(client.pid):.0f} MB")
    print(f"\nallowed: {ALLOWED_S} s on top ({extra:.3f}), {CANCEL_S} s to cancel ({longest:.2f})")
    return int(extra > ALLOWED_S or longest >= CANCEL_S)


if __name__ == "__main__":
    raise SystemExit(main())
