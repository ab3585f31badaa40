"""One volume on the CPU by other engines: torch's compiler, OpenVINO, ONNX Runtime, beside our own two paths.

    PYTHONPATH=Testing:Training:IUINetSegmentation python Testing/bench/bench_engines.py [--preset small]

Engines are no part of the installation: what cannot be imported is left out and said. Each is handed the
plain path with the shift as its definition has it, three convolutions along the axes, weights as constants.
They take turns within one run; what counts are the ratios of their processor seconds.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from iuinet.memory import keep_memory
from iuinet.network import PRESETS, IUINet
from iuinet.network import shift as shift_module
from iuinet.network.fast import fast_logits

Call = Callable[[], torch.Tensor]


class Finest(nn.Module):
    """The finest logits by the plain path."""

    def __init__(self, net: IUINet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net.plain(x)[0]


def compiled(net: Finest, x: torch.Tensor, threads: int) -> Call:
    """torch.compile, which needs a C++ compiler on the computer."""
    call = torch.compile(net)
    return lambda: call(x)


def openvino(net: Finest, x: torch.Tensor, threads: int) -> Call:
    """OpenVINO's CPU plug-in in float32."""
    import openvino as ov

    model = ov.convert_model(net, example_input=x, input=list(x.shape))
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    call = ov.Core().compile_model(model, "CPU", options)
    return lambda: torch.from_numpy(call(x.numpy())[0])


def onnxruntime(net: Finest, x: torch.Tensor, threads: int) -> Call:
    """ONNX Runtime's CPU provider."""
    import onnxruntime as ort

    file = io.BytesIO()
    torch.onnx.export(net, (x,), file, input_names=["x"], opset_version=18, dynamo=False)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


ENGINES = {"torch.compile": compiled, "OpenVINO": openvino, "ONNX Runtime": onnxruntime}


def build(names: list[str], net: IUINet, x: torch.Tensor, threads: int) -> dict[str, Call]:
    """The calls of our own paths and of the engines that can be built, with what building them took."""
    calls: dict[str, Call] = {
        "fast path": lambda: fast_logits(net, x, only_finest=True)[0],
        "plain path": lambda: net.plain(x)[0],
    }
    for name in names:
        start = time.perf_counter()
        try:
            call = ENGINES[name](Finest(net), x, threads)
            call()
        except Exception as error:  # whatever an engine says is its result
            print(f"  {name}: {type(error).__name__}: {str(error).strip().splitlines()[0][:200]}", flush=True)
            continue
        print(f"  {name}: built in {time.perf_counter() - start:.0f} s", flush=True)
        calls[name] = call
    return calls


@torch.no_grad()
def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="abdomen13", choices=list(PRESETS))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engines", nargs="*", choices=list(ENGINES), default=list(ENGINES))
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    net = IUINet(dataclasses.replace(PRESETS[options.preset], size=options.size)).eval().requires_grad_(False)
    x = torch.rand(1, 1, *[options.size] * 3)
    print(f"{options.preset}, {options.size}^3, {options.threads} threads, load {os.getloadavg()[0]:.1f}")
    fast_shift = shift_module.can_shift_fast
    shift_module.can_shift_fast = lambda *_: False
    calls = build(options.engines, net, x, options.threads)
    shift_module.can_shift_fast = fast_shift
    wanted, taken = calls["plain path"](), {name: [] for name in calls}
    for _ in range(options.repeats):
        for name, call in calls.items():
            start = time.process_time(), time.perf_counter()
            call()
            taken[name].append((time.process_time() - start[0], time.perf_counter() - start[1]))
    print("  processor s, wall s, part of the plain path's, voxels with another label")
    plain = statistics.median(processor for processor, _ in taken["plain path"])
    for name, pairs in taken.items():
        processor, wall = (statistics.median(column) for column in zip(*pairs, strict=True))
        other = (calls[name]().argmax(1) != wanted.argmax(1)).sum()
        text = f"  {name:<14}{processor:>8.2f}{wall:>8.2f}{processor / plain:>8.2f}{int(other):>8}"
        print(text, flush=True)


if __name__ == "__main__":
    main()
