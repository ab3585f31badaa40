"""A program that tries the GPU's kernels without a GPU, and prints what came of it as JSON.

    python gpu_kernels.py interpret    errors of operations and networks, by Triton's interpreter
    python gpu_kernels.py compile      what each kernel became for a GPU, by Triton's compiler

Triton asks once, when it is imported, whether it interprets: so each is a process of its own.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

if __name__ == "__main__":
    os.environ["TRITON_INTERPRET"] = str(int(sys.argv[1] == "interpret"))

import numpy as np
import torch
import triton
from triton import language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime import interpreter

from helpers.networks import lively
from iuinet.network import IUINet, IUINetConfig
from iuinet.network.fast import Read, gradients, learning_logits
from iuinet.network.gpu import check, operations
from iuinet.network.shift import Shift, shift_reference

CPU = torch.device("cpu")
KINDS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# A whole network of few voxels: the interpreter takes milliseconds for a tile.
CONFIG = IUINetConfig(width=4, size=4, blocks=(1, 1))
OFFSETS = {
    "fractional": [[0.3, 0.6, 0.1], [1.4, 2.5, 0.7]],
    "negative": [[-0.3, -0.6, -0.1], [-1.4, -2.5, -0.7]],
    "whole": [[0.0, 1.0, -1.0], [2.0, -3.0, 0.0]],
    "whole and fractional": [[0.0, 0.5, -1.0], [2.3, -3.0, 0.0]],
    "at the edge": [[2.5, -3.5, 4.5], [3.0, 0.0, -4.0]],
    "beyond the volume": [[40.0, 0.2, 0.3], [0.1, -1e9, 7.5]],
}
NETWORKS = {"usual": {}, "unusual": {"head": "conv", "attention": "standardised", "kernels": (5,)}}
NAMES = {torch.float32: "*fp32", torch.float64: "*fp64", torch.bfloat16: "*bf16", torch.float16: "*fp16"}


# By the interpreter --------------------------------------------------------------------------------------


def number(handle: interpreter.TensorHandle) -> interpreter.TensorHandle:
    """The interpreter multiplies bfloat16's bits as whole numbers; here they become what they mean."""
    if handle.dtype.scalar != tl.bfloat16:
        return handle
    return interpreter.TensorHandle((handle.data.astype(np.uint32) << 16).view(np.float32), tl.float32)


def teach_bfloat16() -> None:
    """Let the interpreter's products know bfloat16."""
    dot = interpreter.InterpreterBuilder.create_dot
    interpreter.InterpreterBuilder.create_dot = lambda self, a, b, *more: dot(
        self, number(a), number(b), *more
    )


def of_operations() -> dict[str, dict[str, float]]:
    """Largest relative error of results and gradients, of each type and operation."""
    found: dict[str, dict[str, float]] = {}
    for name, kind in KINDS.items():
        torch.manual_seed(0)
        gpu, cases = operations.GPU(kind), check._cases(kind)
        found[name] = {case: check._error(*inputs, gpu, CPU) for case, inputs in cases.items()}
    return found


def of_offsets() -> dict[str, float]:
    """The same of the shift against its definition, for offsets of every kind."""

    def call(ops, offsets: torch.Tensor, x: torch.Tensor, *norm: torch.Tensor) -> tuple[torch.Tensor]:
        if ops is gradients:
            return (shift_reference(gradients.normed(Read(x, *norm), 0.01), offsets),)
        shift = Shift(2)
        del shift.offsets
        shift.offsets = offsets
        return (ops.shifted(Read(x, *norm), shift, 0.01),)

    torch.manual_seed(0)
    x, norm = torch.randn(2, 2, 3, 4, 5), [torch.randn(2, 2, dtype=torch.float64) for _ in range(3)]
    gpu = operations.GPU(torch.float32)
    return {name: check._error(call, [torch.tensor(o), x, *norm], gpu, CPU) for name, o in OFFSETS.items()}


def of_far_mean() -> float:
    """Relative error of the variance of a small deviation around a large mean."""
    torch.manual_seed(0)
    x = 1000 + torch.randn(1, 1, 17, 16, 17)
    variance = operations.GPU(torch.float32).moments(x)[1]
    return float((variance / x.double().var(correction=0) - 1).abs())


def of_networks() -> dict[str, list[float]]:
    """Relative errors of outputs and parameters' gradients in float32: the plain path's and the kernels'."""
    return {name: of_network(dataclasses.replace(CONFIG, **changes)) for name, changes in NETWORKS.items()}


def of_network(config: IUINetConfig) -> list[float]:
    net, x = lively(config), torch.rand(1, 1, 4, 6, 8)
    exact = IUINet(config).double()
    exact.load_state_dict(net.state_dict())

    def results(net: IUINet, call: Callable, x: torch.Tensor) -> list[torch.Tensor]:
        net.zero_grad()
        outputs = call(x)
        weights = torch.linspace(-1, 1, config.classes, dtype=x.dtype)[:, None, None, None]
        sum((output * weights).square().mean() for output in outputs).backward()
        grads = [p.grad.flatten() for p in net.parameters() if p.grad is not None]
        return [torch.cat([y.detach().flatten() for y in outputs]).double(), torch.cat(grads).double()]

    true, gpu = results(exact, exact.plain, x.double()), operations.GPU(torch.float32)
    usual = results(net, net.plain, x)
    found = results(net, lambda x: learning_logits(net, x, gpu), x)
    return [
        float((a - b).norm() / b.norm()) for part in (usual, found) for a, b in zip(part, true, strict=True)
    ]


class Instead:
    """Stands in the place of a kernel and does something else."""

    def __init__(self, does: Callable) -> None:
        self.does = does

    def __getitem__(self, grid: tuple) -> Callable:
        return self.does


def refused() -> dict[str, str]:
    """What the check says of right kernels, of a slow path, of a wrong kernel and of one that fails."""

    def fail(*_: object) -> None:
        raise RuntimeError("Failed to find C compiler.\nPlease specify one.")

    def zero(out: torch.Tensor, *_: object) -> None:
        out.zero_()

    def refusal(patience: float, kind: torch.dtype = torch.float32) -> str:
        return check.refusal(CPU, kind, IUINet, CONFIG, patience)

    # The interpreter's seconds say nothing, and cost much: only what is made of them is looked at.
    untimed = mock.patch.object(check, "_seconds", lambda *_: 1.0)
    with untimed:
        found = {"right": refusal(1e9)}
    # All operations were right above: the interpreter is slow, and is asked for the ones that matter alone.
    cases = check._cases
    for name, kernel, does in (("wrong", "_product_weight", zero), ("fails", "_moments_of_tiles", fail)):
        operation = kernel.split("_")[1]
        with (
            untimed,
            mock.patch.object(operations.kernels, kernel, Instead(does)),
            mock.patch.object(check, "_cases", lambda kind, only=operation: {only: cases(kind)[only]}),
        ):
            found[name] = refusal(1e9)
    with untimed, mock.patch.object(check, "wrong_operations", lambda *_: []):
        found["slow bfloat16"] = refusal(0.9, torch.bfloat16)
        with mock.patch.object(
            operations.GPU, "along_slices", lambda _, x, weight: 0 * gradients.along_slices(x, weight)
        ):
            found["wrong network"] = refusal(1e9)
    return found


# By the compiler ------------------------------------------------------------------------------------------


def compiled(kind: torch.dtype, capability: int) -> dict[str, int]:
    """Bytes of machine code of each kernel as the operations call it, for an NVIDIA GPU."""
    found: dict[str, int] = {}

    def compiling(kernel: triton.JITFunction) -> Callable:
        def compile(*arguments: object) -> None:
            if kernel.__name__ in found:
                return
            signature, constants = {}, {}
            for parameter, value in zip(kernel.params, arguments, strict=True):
                if parameter.is_constexpr:
                    signature[parameter.name], constants[parameter.name] = "constexpr", value
                elif isinstance(value, torch.Tensor):
                    signature[parameter.name] = NAMES[value.dtype]
                else:
                    signature[parameter.name] = "fp32" if isinstance(value, float) else "i32"
            source = ASTSource(kernel, signature, constants)
            target = GPUTarget("cuda", capability, 32)
            found[kernel.__name__] = len(triton.compile(source, target=target).asm["cubin"])

        return compile

    names = [name for name, value in vars(operations.kernels).items() if name in operations_call()]
    for name in names:
        setattr(operations.kernels, name, Instead(compiling(getattr(operations.kernels, name))))
    for case, inputs in check._cases(kind).values():
        check._results(case, operations.GPU(kind), inputs, None)
    return found


def operations_call() -> set[str]:
    """The names of the kernels that the operations start."""
    code = Path(operations.__file__).read_text(encoding="utf-8")
    return {part.split("[")[0] for part in code.split("kernels.")[1:] if part.startswith("_")}


def main() -> None:
    start = time.perf_counter()
    if sys.argv[1] == "compile":
        found = {"compiled": compiled(torch.bfloat16, 90), "called": sorted(operations_call())}
    else:
        teach_bfloat16()
        parts = of_operations, of_offsets, of_far_mean, of_networks, refused
        found = {part.__name__: part() for part in parts}
    print(json.dumps(found | {"seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
