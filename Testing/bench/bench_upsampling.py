"""What labels at full resolution cost: seconds and peak memory, beside the plain ways.

    PYTHONPATH=IUINetSegmentation python Testing/bench/bench_upsampling.py [--runs 5] [--full]

Every way runs in a process of its own, on the same logits: ellipsoids with noisy, bent boundaries. The plain
way defines the labels: the fast way must equal it in every voxel. With ``--full`` also torch's own
``interpolate`` and ``argmax`` are measured, which hold all classes at once (8.4 GB); where two classes all
but tie, their rounding may give another label. Times are medians, on the clock and of the processor (all
threads together; the one to look at on a busy machine). Peak memory is what the process reached above the
state with torch loaded and the logits made; Linux only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from iuinet.inference.upsampling import upsample_labels
from iuinet.inference.upsampling_reference import plain_labels
from iuinet.islands import keep_largest_components

CLASSES = 14
SIZE = (500, 512, 512)


def realistic_logits(n: int, noise: float) -> torch.Tensor:
    """Logits (14, n, n, n) of ellipsoids before a background; noise decides how many cells are open."""
    generator = torch.Generator().manual_seed(0)
    axis = torch.linspace(-1, 1, n)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
    logits = torch.full((CLASSES, n, n, n), 2.4)
    for organ in logits[1:]:
        centre = torch.rand(3, generator=generator) * 1.4 - 0.7
        radius = torch.rand(3, generator=generator) * 0.25 + 0.08
        distance = ((grid - centre.view(3, 1, 1, 1)) / radius.view(3, 1, 1, 1)).square().sum(0).sqrt()
        organ.copy_((7.2 - 4.8 * distance).clamp(min=-7))
    bends = torch.randn(1, CLASSES, *[n // 4] * 3, generator=generator)
    logits += 0.9 * functional.interpolate(bends, size=(n, n, n), mode="trilinear")[0]
    return logits + noise * torch.randn(logits.shape, generator=generator)


def by_reference(logits: torch.Tensor, size: tuple[int, int, int]) -> np.ndarray:
    """The plain way, which defines the labels: dense, class by class."""
    return plain_labels(logits, size).numpy()


def by_torch(logits: torch.Tensor, size: tuple[int, int, int]) -> np.ndarray:
    """torch's own upsampling of all classes at once."""
    dense = functional.interpolate(logits[None], size=size, mode="trilinear", align_corners=False)[0]
    return dense.argmax(0).to(torch.uint8).numpy()


WAYS = {"fast": upsample_labels, "plain": by_reference, "torch": by_torch}


def peak_bytes() -> int:
    """The most memory this process has had."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def forget_peak() -> None:
    """Starts the peak anew at what is held now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def measure(way: str, n: int, noise: float, runs: int) -> dict:
    """Seconds of each run (clock and processor), the peak above the logits, and a digest of the labels."""
    logits = realistic_logits(n, noise)
    WAYS[way](logits[:, :8, :8, :8], (9, 9, 9))  # loads what torch loads at the first use
    forget_peak()
    before = peak_bytes()
    clock, processor = [], []
    for _ in range(runs):
        labels = None  # the last run's are no memory of this one
        start = time.perf_counter(), time.process_time()
        labels = WAYS[way](logits, SIZE)
        clock.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    result = {"clock": clock, "processor": processor, "bytes": peak_bytes() - before}
    result["digest"] = hashlib.sha256(labels).hexdigest()
    if way == "fast":
        start = time.perf_counter()
        pieces = keep_largest_components(labels, range(1, CLASSES))[1]
        result["islands"] = time.perf_counter() - start
        result["pieces"] = sum(pieces.values())
    return result


def in_a_process(*arguments: object) -> dict:
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> int:
    """Measure and print; the exit status is 1 if the plain way gave other labels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of the fast way; the others get a third")
    parser.add_argument("--full", action="store_true", help="also torch's own way, all classes at once")
    parser.add_argument("--child", nargs=4, metavar=("WAY", "N", "NOISE", "RUNS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        way, n, noise, runs = options.child
        print(json.dumps(measure(way, int(n), float(noise), int(runs))))
        return 0

    print(f"{CLASSES} classes to {SIZE}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    equal = True
    for n, noise in ((96, 0.2), (96, 0.7), (128, 0.2), (128, 0.7)):
        print(f"\nlogits {n}^3, noise {noise}")
        fast = None
        for way in WAYS if options.full else list(WAYS)[:2]:
            found = in_a_process(way, n, noise, options.runs if way == "fast" else -(-options.runs // 3))
            clock, processor = (statistics.median(found[kind]) for kind in ("clock", "processor"))
            fast = fast or {**found, "medians": (clock, processor)}
            differs = "" if found["digest"] == fast["digest"] else "  labels differ"
            equal &= way == "torch" or not differs
            print(
                f"  {way:<8}{clock:8.2f} s ({clock / fast['medians'][0]:.0f} x), "
                f"processor {processor:7.2f} s ({processor / fast['medians'][1]:.0f} x), "
                f"peak {found['bytes'] / 1e6:5.0f} MB{differs}",
                flush=True,
            )
        print(f"  islands: {fast['islands']:.2f} s for {fast['pieces']} pieces")
    print("\nfast and plain labels are equal" if equal else "\nFAST AND PLAIN LABELS DIFFER")
    return int(not equal)


if __name__ == "__main__":
    raise SystemExit(main())
