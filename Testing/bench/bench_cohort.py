"""What a cohort costs, and whether it loses anything: memory, faults, scans per hour.

    PYTHONPATH=Testing:IUINetSegmentation python Testing/bench/bench_cohort.py [flat faults pace index]
        [--flat 500] [--faults 1000] [--pace 12] [--slices 100] [--weights starter-tiny] [--index 2000]
        [--previews]

* flat: so many segmentations in a row in one worker, of four scans in turn: how its memory grows, whether the
  labels stay the same, and what is left of files, processes, threads and open files. With a model of random
  weights and an input of 32^3 voxels.
* faults: so many small generated scans by two workers with the same model; one in ten is damaged, is refused,
  or kills its worker. Every one has to end in the state that it should.
* pace: scans of 512 x 512 voxels a slice by one and by two workers, with the model of --weights: scans an
  hour, and what the stages took.
* index: what the coordinator keeps and writes for each case, and how fast headers are looked at: the numbers
  behind Documentation/scale.md.

Linux only (memory is read from /proc). The exit status is 1 if memory grows, labels differ, something is left
or a case is not accounted for.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import SimpleITK as sitk
from conftest import random_model
from helpers.cohort_tools import KILLER, KILLING, start
from helpers.command_tools import PACKAGE_ROOT, write_ct
from helpers.dicom_factory import body_volume, write_series
from helpers.sample_ct import CHALLENGE, enlarged_ct, sample_ct
from helpers.worker_tools import make_volume

from iuinet.cohorts import cohort
from iuinet.cohorts.case import Case, Job, Work
from iuinet.cohorts.engine import cores
from iuinet.cohorts.figures import figures_of
from iuinet.cohorts.find import Finder, Series
from iuinet.cohorts.ledger import Ledger
from iuinet.cohorts.marks import begin_run, end_runs
from iuinet.cohorts.names import Names
from iuinet.cohorts.page import write_page
from iuinet.cohorts.pipeline import CASES, Pipeline, outcome_of
from iuinet.cohorts.source import Source
from iuinet.cohorts.table import write_table
from iuinet.options import Options
from iuinet.weights.model_file import Weights
from iuinet.writing import write_json

SCANS = 4
GROWTH_KB = 100  # per case, in the second half: more would be 100 MB in a thousand cases
FAULTY = 10  # one in so many
ORGAN = {
    **{"label": 1, "found": True, "voxels": 123_456, "low_confidence": False, "touches_edge": False},
    **{"edges": [], "components": 1, "quality": "usable"},
}
REPORT = {
    **{"iuinet": "0.1.0", "device": "cpu", "seconds": {"preparing": 0.123, "segmenting": 2.345}},
    **{key: [] for key in ("checks", "plausibility", "fallbacks", "notes")},
    "weights": {"id": "starter-tiny", "version": "0.4.0", "sha256": "ab" * 32},
    "input": {"size": [512, 512, 300], "spacing_mm": [0.7, 0.7, 1.5]},
}
WAYS = ("damaged", "refused", "kills")
EXPECTED = {"damaged": "refused", "refused": "refused", "kills": "set aside", "sound": "done"}


def own_memory_mb(process: int | str = "self") -> float:
    """Memory of its own that a process holds; 0 for one that has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0) / 1024


class Peak:
    """The most memory that a child of this process held while the block ran, MB."""

    def __enter__(self) -> Peak:
        self.mb, self._ended = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            for child in psutil.Process().children(recursive=True):
                self.mb = max(self.mb, own_memory_mb(child.pid))


def census() -> dict[str, int]:
    """What must not grow: open files, threads, children."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    return {
        "open files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "processes": len(children),
    }


def flat(base: Path, count: int, previews: bool) -> bool:
    """Print how a worker's memory grows over many cases; whether all is well."""
    scans = [write_ct(base / f"{number}.nii.gz", make_volume(number)) for number in range(SCANS)]
    out, temporary = base / "out", base / "temporary"
    for folder in (out, temporary):
        folder.mkdir()
    tempfile.tempdir = str(temporary)
    options = Options(str(random_model(base / "toy.safetensors", blocks=(1, 1, 1))), "cpu")
    options = replace(options, accept_warnings=True)
    job = Job(out, begin_run(out), options, options.find_model().sha256, previews=previews, threads=1)
    pipeline, memory, seen, counts = Pipeline(), [], {}, []
    began = time.perf_counter()

    def one(number: int) -> None:
        case = Case(f"case-{number:010x}", Source((str(scans[number % SCANS]),)))
        outcome = pipeline.do(case, job)
        assert outcome["state"] == "done", outcome
        image = sitk.ReadImage(str(out / case.id / f"{case.id}.seg.nrrd"))
        seen.setdefault(number % SCANS, set()).add(hashlib.sha256(sitk.GetArrayViewFromImage(image)).digest())
        memory.append(own_memory_mb())

    with ThreadPoolExecutor(CASES) as threads:  # as Dask's worker has them
        for first in range(0, count, max(1, count // 10)):
            list(threads.map(one, range(first, min(count, first + count // 10))))
            counts.append(census())
    end_runs(out)
    half = len(memory) // 2
    slope = np.polyfit(range(half), memory[-half:], 1)[0] * 1024
    left = [path.name for path in out.iterdir() if not path.name.startswith("case-")]
    left += os.listdir(temporary)
    tempfile.tempdir = None
    left = [name for name in left if name != ".drafts" or any((out / name).iterdir())]
    print(f"\n{count} cases in one worker, {'with' if previews else 'without'} previews")
    print(f"  {(time.perf_counter() - began) / count:.2f} s a case")
    print(f"  memory after 10: {memory[9]:.0f} MB, half: {memory[half]:.0f} MB, all: {memory[-1]:.0f} MB")
    print(f"  growth in the second half: {slope:.1f} kB a case")
    print(f"  different labels of one scan: {max(map(len, seen.values())) - 1}")
    print(f"  files left: {len(left)}; then and now: {counts[1]}, {counts[-1]}")
    grown = any(counts[-1][name] > counts[1][name] for name in counts[1])
    return slope < GROWTH_KB and all(len(one) == 1 for one in seen.values()) and not left and not grown


def faults(base: Path, count: int) -> bool:
    """Print what became of many scans with faults among them; whether all are accounted for."""
    ways = {}
    for number in range(count):
        way = WAYS[number // FAULTY % len(WAYS)] if number % FAULTY == 0 else "sound"
        path = base / "in" / f"{number // 100:02d}" / f"{number:04d}.nrrd"
        path.parent.mkdir(parents=True, exist_ok=True)
        volume = sample_ct((24, 20, 16))
        array = np.roll(volume.array, number % 24, axis=2).copy()
        if way == "refused":
            array[:] = 40
        if way == "kills":
            array.flat[0] = KILLER
        write_ct(path, replace(volume, array=array))
        if way == "damaged":
            path.write_bytes(path.read_bytes()[:-50])
        ways[str(path)] = way
    (base / "sitecustomize.py").write_text(KILLING, encoding="utf-8")
    model = random_model(base / "toy.safetensors", blocks=(1, 1, 1))
    began = time.perf_counter()
    arguments = [base / "in", base / "out", "--weights", model, "--workers", 2, "--accept-warnings"]
    path = os.pathsep.join([str(base), str(PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")])
    command = start(*arguments, "--no-previews", PYTHONPATH=path)
    said = command.communicate()
    seconds = time.perf_counter() - began
    with open(base / "out" / "organs.csv", encoding="utf-8", newline="") as file:
        states = {row["case"]: row["state"] for row in csv.DictReader(file)}
    with open(base / "out" / "mapping.csv", encoding="utf-8", newline="") as file:
        found = Counter((ways[row["path"]], states.get(row["case"], "lost")) for row in csv.DictReader(file))
    print(f"\n{count} scans, one in {FAULTY} with a fault, by two workers: {seconds:.0f} s")
    for (way, state), number in sorted(found.items()):
        print(f"  {way:<9}{state:<10}{number:>5}{'' if state == EXPECTED[way] else '  WRONG'}")
    if sum(found.values()) != count:
        print(f"  {count - sum(found.values())} are missing\n{said}")
    return sum(found.values()) == count and all(state == EXPECTED[way] for way, state in found)


def pace(base: Path, count: int, slices: int, weights: str, previews: bool) -> bool:
    """Print scans an hour: each stage after the other, and by the number of workers."""
    scan = enlarged_ct(slices)
    (base / "in").mkdir()
    for number in range(count):
        array = np.roll(scan.array, 3 * number, axis=2)
        write_ct(base / "in" / f"{number}.nii.gz", replace(scan, array=array))
    pictures = "with" if previews else "without"
    print(f"\n{count} scans of 512 x 512 x {slices}, {weights}, {os.cpu_count()} cores, {pictures} previews")
    print(
        "  workers   scans an hour   of in turn   read, s   segment, s   write, s   network works   peak, MB"
    )
    in_turn = 0.0
    for workers in (0, 1, 2):
        out = base / f"out-{workers}"
        with Peak() as peak:
            if workers:
                chosen = {"weights": weights, "previews": previews, "accept_warnings": True}
                summary = cohort(base / "in", out, workers=workers, **chosen)
                assert summary.complete, summary
            else:
                _one_after_the_other(sorted((base / "in").iterdir()), out, weights, previews)
        told = [json.loads(line) for line in (out / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
        told = [one for one in told if "case" in one]
        # The first case of each worker waits for its imports and its model.
        settled = sorted(told, key=lambda one: one["time"])[max(1, workers) - 1 :]
        span = settled[-1]["time"] - settled[0]["time"]
        rate = 3600 * (len(settled) - 1) / span
        in_turn = in_turn or rate
        read, segment, write = (
            statistics.median(one["seconds"][name] for one in told) for name in ("read", "segment", "write")
        )
        idle = sum(one["seconds"].get("idle", 0.0) for one in settled[1:]) / span / max(1, workers)
        busy = 1 - idle if workers else sum(one["seconds"]["segment"] for one in settled[1:]) / span
        print(
            f"  {workers or 'in turn':>7}{rate:>16.0f}{rate / in_turn:>13.2f}{read:>10.2f}{segment:>13.2f}"
            f"{write:>11.2f}{busy:>16.0%}{peak.mb if workers else own_memory_mb():>11.0f}",
            flush=True,
        )
    sizes = Counter()
    for path in out.glob("case-*/*"):
        sizes[path.name.split(".", 1)[1]] += path.stat().st_size / count / 1024
    print("  kB a case: " + ", ".join(f"{name} {size:.0f}" for name, size in sorted(sizes.items())))
    return True


def _one_after_the_other(scans: list[Path], out: Path, weights: str, previews: bool) -> None:
    """What a loop around ``iuinet segment`` would do, the model loaded once."""
    out.mkdir()
    options = Options(weights, accept_warnings=True)
    job = Job(out, begin_run(out), options, options.find_model().sha256, previews=previews, threads=cores())
    ledger = Ledger(out, {})
    for number, scan in enumerate(scans):
        work, seconds = Work(Case(f"case-{number:010x}", Source((str(scan),))), job), {}
        for name, arguments in (("read", ()), ("segment", (None,)), ("write", ())):
            began = time.perf_counter()
            getattr(work, name)(*arguments)
            seconds[name] = time.perf_counter() - began
        work.close()
        ledger.add(outcome_of(work.case, "done", seconds=seconds))


def index(base: Path, count: int) -> bool:
    """Print what a case costs the coordinator: memory, bytes of each file, and time."""
    tracemalloc.start()
    folder = base / "in" / "hospital-archive" / "2026" / "11" / "29"
    sources = [
        Source((str(folder / f"patient-{number:07d}" / "study"),), f"1.2.840.113619.2.{number:040d}")
        for number in range(count)
    ]
    found = [Series("CT", pictures={source.places[0]: (300, 2**63)}) for source in sources]
    (base / "out").mkdir()
    names = Names(base / "out")
    names.learn(sources)
    cases = [Case(names.id_of(source), source) for source in sources]
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(found) == count
    ledger = Ledger(base / "out", {"model": "toy"})
    began = time.perf_counter()
    for case in cases:
        ledger.add(outcome_of(case, "done", seconds={"read": 1.234, "segment": 2.345, "write": 3.456}))
    adding = time.perf_counter() - began
    random = np.random.default_rng(0)
    measured = ("millilitres", "mean_hu", "std_hu", "margin")
    for case in cases:
        numbers = random.normal(100, 20, (len(CHALLENGE), len(measured))).round(3).tolist()
        invented = [
            {"name": organ.name, **ORGAN, **dict(zip(measured, row, strict=True))}
            for organ, row in zip(CHALLENGE, numbers, strict=True)
        ]
        (base / "out" / case.id).mkdir()
        write_json(base / "out" / case.id / f"{case.id}.report.json", {**REPORT, "organs": invented})
    began = time.perf_counter()
    figures = figures_of(base / "out", [case.id for case in cases])
    write_table(base / "out", figures, [], [])
    write_page(base / "out", figures, [], [], Weights(Path(), "toy", "1", "ab" * 32, {}))
    telling = time.perf_counter() - began
    print(f"\nindex of {count} cases, for each:")
    print(f"  memory of the coordinator {kept / count:>8.0f} bytes")
    for name in ("mapping.csv", "ledger.jsonl", "organs.csv", "organs.parquet", "index.html"):
        print(f"  {name:<26}{(base / 'out' / name).stat().st_size / count:>8.0f} bytes")
    print(f"  a line of the ledger      {1000 * adding / count:>8.2f} ms")
    print(f"  tables and page           {1000 * telling / count:>8.2f} ms")
    write_series(base / "in" / "study", body_volume((500, 32, 32)))
    began = time.perf_counter()
    Finder(base / "out").search(base / "in")
    print(f"  a header that is looked at{1000 * (time.perf_counter() - began) / 500:>8.2f} ms")
    return True


def main() -> int:
    """Run what is asked for; the exit status is 1 if something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="flat, faults, pace, index; default: all")
    parser.add_argument("--flat", type=int, default=500)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--pace", type=int, default=12)
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--weights", default="starter-tiny")
    parser.add_argument("--index", type=int, default=2000)
    parser.add_argument("--previews", action="store_true")
    given = parser.parse_args()
    parts = {
        "flat": lambda base: flat(base, given.flat, given.previews),
        "faults": lambda base: faults(base, given.faults),
        "pace": lambda base: pace(base, given.pace, given.slices, given.weights, given.previews),
        "index": lambda base: index(base, given.index),
    }
    good = []
    for name in given.parts or parts:
        with tempfile.TemporaryDirectory() as folder:
            good.append(parts[name](Path(folder)))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
