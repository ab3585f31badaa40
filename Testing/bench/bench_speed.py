"""One volume on the CPU: IUINet's fast and plain path and peers in turn, their memory, where the time goes.

Numbers of different runs of a computer that does other things too cannot be compared: the networks take turns
within one run, and what counts are the ratios of their processor seconds.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from iuinet.memory import keep_memory
from iuinet.network import PRESETS, IUINet
from iuinet.network.fast import fast_logits
from pipeline.fitting.networks import build, peers

NAMES = ("DynUNet", "fast abdomen13", "plain abdomen13", "UNETR", "fast small", "plain small", "fast tiny")
# What an operator of the plain path is there for; a convolution is named by its kernel.
CAUSES = {
    "aten::native_batch_norm": "instance normalisation",
    "aten::leaky_relu": "activation",
    "aten::mean": "statistics of DyFC",
    "aten::sub": "statistics of DyFC",
    "aten::square": "statistics of DyFC",
    "aten::pow": "statistics of DyFC",
    "aten::bmm": "products of DyFC",
    "aten::mm": "products of DyFC",
    "aten::add": "sums of DyFC's products",
    "aten::lerp": "interpolation of the shift",
    "aten::copy_": "copies: the shift's blocks, depth to space",
    "aten::cat": "concatenation with the image",
    "aten::max_pool3d_with_indices": "pooling",
    "aten::avg_pool3d": "pooling",
}


def network(name: str, size: int) -> Callable[[], torch.Tensor]:
    """A call of a network of NAMES on one volume, which returns the finest logits."""
    kind, _, preset = name.rpartition(" ")
    x = torch.rand(1, 1, size, size, size)
    if not kind:
        table = next(key for key in peers() if key.lower() == name.lower())
        net = build(dataclasses.replace(peers()[table], size=size, classes=14)).eval()
        return lambda: net(x)
    net = IUINet(PRESETS[preset]).eval()
    if kind == "plain":
        return lambda: net.plain(x)[0]
    return lambda: fast_logits(net, x, only_finest=True)[0]


def in_turn(calls: dict[str, Callable], repeats: int) -> None:
    """Print the median processor and wall seconds of each, and the load they were measured under."""
    seconds = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            start = time.process_time(), time.perf_counter()
            call()
            seconds[name].append((time.process_time() - start[0], time.perf_counter() - start[1]))
    print(f"\n{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}: processor and wall seconds")
    for name, pairs in seconds.items():  # the first one warms up
        processor, wall = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
        print(f"  {name:<18}{processor:>8.2f}{wall:>8.2f}", flush=True)


def causes(name: str, size: int) -> None:
    """Print where the time of one pass goes, in percent."""
    call = network(name, size)
    call()
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as record:
        call()
    sums: Counter[str] = Counter()
    for event in record.key_averages(group_by_input_shape=True):
        cause = CAUSES.get(event.key, "other") if name.startswith("plain") else event.key
        if event.key == "aten::mkldnn_convolution":
            cause = "convolutions " + " x ".join(map(str, event.input_shapes[1][2:]))
        elif event.key == "aten::_slow_conv2d_forward":
            cause = "convolutions by columns"
        sums[cause] += event.self_cpu_time_total
    total = sum(sums.values())
    print(f"\n{name}: percent of one pass")
    for cause, part in sums.most_common(16):
        print(f"  {cause:<46}{100 * part / total:>6.1f}")


def memory(names: list[str], size: int) -> None:
    """Print the peak memory of a process of its own for each network."""
    print("\nPeak memory of a process, GB, of which what it has before the first pass")
    for name in names:
        command = [sys.executable, __file__, "--peak", name, "--size", str(size)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(" ", output.strip(), flush=True)


def peak(name: str, size: int) -> None:
    """Print the peak memory of this process after two passes, and what it had before."""
    call = network(name, size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call()
    call()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{name:<18}{after / 1e6:>6.2f}{before / 1e6:>6.2f}")


@torch.no_grad()
def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3, help="passes that count of each network")
    parser.add_argument("--networks", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--peak", choices=NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    keep_memory()
    if options.peak:
        peak(options.peak, options.size)
        return
    # First of all: on Linux a process inherits the peak of the one that starts it.
    memory(options.networks, options.size)
    for threads in options.threads:
        torch.set_num_threads(threads)
        in_turn({name: network(name, options.size) for name in options.networks}, options.repeats)
    torch.set_num_threads(1)
    for name in options.networks:
        if " " in name:
            causes(name, options.size)


if __name__ == "__main__":
    main()
