"""What the network costs, counted on real tensors, and how fast it is here.

The four rows of the published complexity tables are asserted to the unit by the tests, most of them on
tensors without memory; here all four run for real. The last table times one volume per preset.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import statistics
import time

import torch
from helpers.measures import ROWS, ptflops

from iuinet.network import PRESETS, IUINet
from iuinet.network.complexity import count


def complexity() -> bool:
    """Print ptflops' count of each published row on real tensors; False if one differs."""
    print("ptflops with its defaults, one volume of 128^3 voxels")
    equal = True
    for name, (changes, *published) in ROWS.items():
        net = IUINet(dataclasses.replace(PRESETS["paper"], **changes))
        counted = ptflops(net)
        verdict = "as published" if list(counted) == published else f"DIFFERS from {published}"
        equal &= list(counted) == published
        print(f"  {name:<22}{counted[0]:>14,} parameters {counted[1]:>19,} MACs  {verdict}", flush=True)
    parameters, cost = count(IUINet(PRESETS["paper"]))
    macs = f"{cost.counted:,} MACs that counters see, {cost.hidden:,} that they miss"
    print(f"\n{parameters:,} parameters, {macs}")
    return equal


@torch.inference_mode()
def speed(device: torch.device, repeats: int) -> None:
    """Print the time of one forward pass per preset, the median of some, and on a GPU its memory."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(f"\nOne volume on {where}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name, config in PRESETS.items():
        net = IUINet(config).to(device).eval()
        x = torch.rand(1, 1, config.size, config.size, config.size, device=device)
        seconds = [timed(net, x) for _ in range(repeats + 1)][1:]  # the first one warms up
        text = f"  {name:<12}{config.size}^3 {statistics.median(seconds):>9.2f} s"
        if device.type == "cuda":
            text += f"{torch.cuda.max_memory_allocated(device) / 2**30:>9.2f} GiB"
            torch.cuda.reset_peak_memory_stats(device)
        print(text, flush=True)


def timed(net: IUINet, x: torch.Tensor) -> float:
    """Seconds of one forward pass."""
    start = time.perf_counter()
    net(x)
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - start


def main() -> int:
    """Read the command line and measure; the exit status is 1 if a count is not the published one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=3, help="timed passes per preset")
    options = parser.parse_args()
    equal = complexity()
    speed(torch.device(options.device), options.repeats)
    return int(not equal)


if __name__ == "__main__":
    raise SystemExit(main())
