"""Whether bfloat16 on the CPU would do: how many voxels get another label, and what it saves.

    PYTHONPATH=Testing:Training:IUINetSegmentation python Testing/bench/bench_precision.py

The shipped model looks once at the shipped sample, layer by layer in float32 and under torch's autocast to
bfloat16, and by the fast path. Bars: fewer than 1 voxel in 10,000 with another label, and 1.3 times as fast.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

import iuinet
from iuinet.boxes import whole
from iuinet.geometry import canonical_axes, to_canonical
from iuinet.inference import Segmenter
from iuinet.memory import keep_memory
from iuinet.network.fast import fast_logits
from iuinet.reading import read_volume
from iuinet.weights import resolve

SAMPLE = Path(iuinet.__file__).parents[1] / "Resources" / "Sample" / "sample-ct.nrrd"


@torch.inference_mode()
def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    keep_memory()
    segmenter, volume = Segmenter(resolve(None), "cpu"), read_volume(SAMPLE)
    array = to_canonical(volume.array, canonical_axes(volume.grid.direction))
    net, x = segmenter.net, segmenter.prepare(array, whole(array.shape), lambda: None)

    def half() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return net.plain(x)[0].float()

    calls: dict[str, Callable[[], torch.Tensor]] = {
        "float32, layer by layer": lambda: net.plain(x)[0],
        "bfloat16, layer by layer": half,
        "float32, fast path": lambda: fast_logits(net, x, only_finest=True)[0],
    }
    labels = calls["float32, layer by layer"]().argmax(1)
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}, {labels.numel():,} voxels,")
    print(f"of which {int((labels > 0).sum()):,} are organs: processor s, wall s, voxels with another label")
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(options.repeats):
        for name, call in calls.items():
            start = time.process_time(), time.perf_counter()
            call()
            taken[name].append((time.process_time() - start[0], time.perf_counter() - start[1]))
    for name, pairs in taken.items():
        processor, wall = (statistics.median(column) for column in zip(*pairs, strict=True))
        other = int((calls[name]().argmax(1) != labels).sum())
        share = f"1 in {labels.numel() / other:,.0f}" if other else "none"
        print(f"  {name:<26}{processor:>7.2f}{wall:>7.2f}{other:>9,} ({share})", flush=True)


if __name__ == "__main__":
    main()
