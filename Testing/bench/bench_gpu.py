"""One volume and one training step on a CUDA GPU: the kernels of ``network/gpu`` against all else.

    PYTHONPATH=Testing:Training:IUINetSegmentation python Testing/bench/bench_gpu.py [--json gpu.json]

In turn, in bf16 and fp32: IUINet's plain path, its kernels, these replayed as a CUDA graph, torch.compile of
the plain path, and peers. Then each operation of the finest stage beside the time in which this GPU copies
what it must read and write, or does its multiply-adds. What cannot run is left out and said.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import conv3d, cross_entropy

from iuinet.network import PRESETS, IUINet
from iuinet.network.dyfc import NEGATIVE_SLOPE
from iuinet.network.fast import Read
from iuinet.network.gpu import can_fuse, fused_logits, why_not
from iuinet.network.shift import Shift
from pipeline.fitting.networks import build, peers

Call = Callable[[], torch.Tensor]
PEERS = ("DynUNet", "SwinUNETR", "UNETR")
TYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
OURS = ("plain", "kernels", "kernels, graph", "torch.compile")


def milliseconds(calls: dict[str, Call], repeats: int) -> dict[str, float]:
    """Medians of each call, in turn, by the GPU's own clock; the first two warm up."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(repeats + 2):
        for name, call in calls.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            call()
            end.record()
            end.synchronize()
            if number >= 2:
                taken[name].append(begin.elapsed_time(end))
    return {name: statistics.median(values) for name, values in taken.items()}


def recorded(call: Call) -> Call:
    """The call as a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()

    def replay() -> torch.Tensor:
        graph.replay()
        return result

    return replay


def forward(net: Callable, x: torch.Tensor, kind: torch.dtype) -> Call:
    """Finest logits without gradients."""

    @torch.no_grad()
    def call() -> torch.Tensor:
        with autocast(kind):
            found = net(x)
        return found if isinstance(found, torch.Tensor) else found[0]

    return call


def step(net: Callable, module: nn.Module, x: torch.Tensor, truth: torch.Tensor, kind: torch.dtype) -> Call:
    """Forward, loss, backward and optimiser, as a graph can hold them."""
    optimiser = torch.optim.SGD(module.parameters(), 1e-6, momentum=0.9)

    def call() -> torch.Tensor:
        optimiser.zero_grad(set_to_none=False)
        with autocast(kind):
            found = net(x)
        loss = cross_entropy((found if isinstance(found, torch.Tensor) else found[0]).float(), truth)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return call


def autocast(kind: torch.dtype) -> torch.autocast | nullcontext:
    """A graph may not hold casts that were made before it, hence no cache."""
    return nullcontext() if kind == torch.float32 else torch.autocast("cuda", kind, cache_enabled=False)


def whole(options: argparse.Namespace, kind: torch.dtype, train: bool) -> dict[str, float | str]:
    """Milliseconds of every network that runs, and why others do not."""
    x = torch.rand(1, 1, *[options.size] * 3, device="cuda")
    config = dataclasses.replace(PRESETS[options.preset], size=options.size)
    truth = torch.randint(config.classes, (1, *x.shape[2:]), device="cuda")
    found: dict[str, float | str] = {}
    calls: dict[str, Call] = {}
    for name in (*OURS, *PEERS):
        try:
            torch.manual_seed(0)
            key = next((key for key in peers() if key.lower() == name.lower()), None)
            chosen = (
                config if name in OURS else dataclasses.replace(peers()[key], size=options.size, classes=14)
            )
            net = build(chosen).cuda().train(train)
            run: Callable = net
            if name.startswith("kernels"):
                run = lambda x, net=net: fused_logits(net, x)  # noqa: E731
            elif name in OURS:
                run = net.plain if name == "plain" else torch.compile(net.plain)
            call = step(run, net, x, truth, kind) if train else forward(run, x, kind)
            calls[name] = recorded(call) if name.endswith("graph") else call
            calls[name]()
            torch.cuda.synchronize()
        except Exception as error:  # whatever one of them says is its result
            calls.pop(name, None)
            found[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    return found | milliseconds(calls, options.repeats)


def agreement(options: argparse.Namespace, kind: torch.dtype) -> dict[str, float]:
    """Part of the voxels with another label than by the plain path in fp32: plain path and kernels."""
    torch.manual_seed(0)
    net = IUINet(dataclasses.replace(PRESETS[options.preset], size=options.size)).cuda().eval()
    x = torch.rand(1, 1, *[options.size] * 3, device="cuda")
    truth = forward(net.plain, x, torch.float32)().argmax(1)
    paths = {"plain": net.plain, "kernels": lambda x: fused_logits(net, x)}
    return {
        name: float((forward(path, x, kind)().argmax(1) != truth).float().mean())
        for name, path in paths.items()
    }


def operations(options: argparse.Namespace, kind: torch.dtype) -> dict[str, dict[str, float]]:
    """Milliseconds of the finest stage's operations, forward, and the least that this GPU could take."""
    from iuinet.network.gpu.operations import GPU

    channels, size, gpu = PRESETS[options.preset].width, [options.size] * 3, GPU(kind)
    x = torch.randn(1, channels, *size, device="cuda", dtype=kind)
    scale = torch.ones(1, channels, device="cuda", dtype=torch.float64)
    read, shift = Read(x, 0 * scale, scale, 0 * scale), Shift(channels).cuda()
    weight = torch.randn(1, channels, 2 * channels, device="cuda")
    kernel = torch.randn(channels, channels, 1, 3, 3, device="cuda", dtype=kind)
    square = torch.randn(8192, 8192, device="cuda", dtype=kind)
    calls = {
        "copy": lambda: x.clone(),
        "matmul": lambda: square @ square,
        "moments": lambda: gpu.moments(x),
        "normed": lambda: gpu.normed(read, NEGATIVE_SLOPE),
        "product of two": lambda: gpu.product([read, read], weight, None, NEGATIVE_SLOPE),
        "shifted": lambda: gpu.shifted(read, shift, NEGATIVE_SLOPE),
        "1 x 3 x 3 (cuDNN)": lambda: conv3d(x, kernel, padding=(0, 1, 1)),
    }
    with torch.no_grad():
        taken = milliseconds(calls, options.repeats)
    copy, macs = taken.pop("copy") / 2, taken.pop("matmul") / 8192**3  # of one tensor; of a multiply-add
    # Tensors that are read and written, and multiply-adds per voxel and channel.
    needs = {"moments": (1, 0), "normed": (2, 0), "product of two": (3, 2 * channels), "shifted": (2, 0)}
    needs["1 x 3 x 3 (cuDNN)"] = 2, 9 * channels
    return {
        name: {"ms": taken[name], "floor": max(tensors * copy, work * x.numel() * macs)}
        for name, (tensors, work) in needs.items()
    }


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="abdomen13", choices=list(PRESETS))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path, help="where the numbers go as well")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("No CUDA GPU is here, so nothing was measured.")
        return
    report: dict = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "preset": options.preset}
    net, x = IUINet(PRESETS[options.preset]).cuda(), torch.rand(1, 1, *[options.size] * 3, device="cuda")
    print(f"{report['gpu']}, torch {report['torch']}, {options.preset}, {options.size}^3")
    for name, kind in TYPES.items():
        with autocast(kind):
            print(
                f"\n{name}: the network takes the {'kernels' if can_fuse(net, x) else 'plain path'} by itself"
            )
        part = report[name] = {"forward": whole(options, kind, False), "step": whole(options, kind, True)}
        for number, results in part.items():
            print(f"  {number}, ms")
            for network, taken in results.items():
                print(f"    {network:<16}{taken if isinstance(taken, str) else f'{taken:>9.2f}'}", flush=True)
        for key, measure in (("labels", agreement), ("operations", operations)):
            try:
                part[key] = measure(options, kind)
            except Exception as error:  # as above
                part[key] = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            print(f"  {key}: {json.dumps(part[key])}", flush=True)
    report["why_not"] = why_not()
    print("\nwhy the kernels are not used by themselves:", report["why_not"])
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
