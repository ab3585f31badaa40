"""Whether the kernels are right and worth it on a device: they have to show it before they are used."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import torch
from torch import nn

from ..config import IUINetConfig
from ..dyfc import NEGATIVE_SLOPE
from ..fast import Operations, Read, gradients, learning_logits
from ..shift import Shift

Case = Callable[..., tuple[torch.Tensor, ...]]

_SIZE = 64  # edge in voxels of the network's volume
_REPEATS = 3
_DIGITS = 4  # roundings that a result may be off
_REASON_LENGTH = 200


def refusal(
    device: torch.device,
    kind: torch.dtype,
    network: Callable[[IUINetConfig], nn.Module],
    config: IUINetConfig,
    patience: float = 1.0,
) -> str:
    """Why the kernels must not be used, "" where they may. kind: the type of stored features.

    network: what makes a network of ``config``. patience: how much of the plain path's time they may take.
    Raises: torch.cuda.OutOfMemoryError, which says nothing about the kernels.

    >>> from iuinet.network import IUINet, IUINetConfig
    >>> config = IUINetConfig(width=4, size=32)
    >>> refusal(torch.device("cpu"), torch.float32, IUINet, config) != ""  # they are not for the CPU
    True
    """
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.random.fork_rng(devices=[]),
            torch.autocast(device.type, enabled=False),
            torch.cuda.device(device if device.type == "cuda" else -1),
        ):
            from .operations import GPU

            torch.manual_seed(0)
            operations = GPU(kind)
            if wrong := wrong_operations(operations, device, kind):
                return f"wrong numbers of {', '.join(wrong)}"
            net = network(dataclasses.replace(config, size=min(config.size, _SIZE))).to(device)
            return _against_plain(net, operations, device, kind, patience)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # compilers and drivers fail in many ways, and none may stop the network
        return f"{type(error).__name__}: {' '.join(str(error).split())[:_REASON_LENGTH]}"


# Operations ---------------------------------------------------------------------------------------------


def wrong_operations(operations: Operations, device: torch.device, kind: torch.dtype) -> list[str]:
    """The names of the operations whose results or gradients are not the definition's in float64.

    >>> wrong_operations(gradients, torch.device("cpu"), torch.float32)
    []
    """
    single = torch.backends.cuda.matmul.allow_tf32 and kind == torch.float32
    allowed = _DIGITS * max(torch.finfo(kind).eps, 2**-10 if single else 2**-16)
    return [
        name
        for name, (case, inputs) in _cases(kind).items()
        if _error(case, inputs, operations, device) > allowed
    ]


def _cases(kind: torch.dtype) -> dict[str, tuple[Case, list[torch.Tensor]]]:
    """Operations and what they are tried on: several tiles of voxels and channels, the last not whole."""

    def features(channels: int, *size: int) -> torch.Tensor:
        return (2 * torch.randn(2, channels, *(size or (3, 7, 13))) + 1).to(kind)

    def numbers(channels: int) -> list[torch.Tensor]:
        return [torch.randn(2, channels, dtype=torch.float64) for _ in range(3)]

    def product(ops: Operations, image, weight, bias, x, *norm) -> tuple[torch.Tensor, ...]:
        return (ops.product([Read(x, *norm), Read(image)], weight, bias, NEGATIVE_SLOPE),)

    def normed(ops: Operations, x, *norm) -> tuple[torch.Tensor, ...]:
        return (ops.normed(Read(x, *norm), NEGATIVE_SLOPE),)

    def shifted(ops: Operations, offsets, x, *norm) -> tuple[torch.Tensor, ...]:
        shift = Shift(len(offsets))
        del shift.offsets  # a parameter, which would not pass the gradient on
        shift.offsets = offsets
        return (ops.shifted(Read(x, *norm), shift, NEGATIVE_SLOPE),)

    offsets = torch.tensor([[0.4, -1.3, 2.6], [1.0, 0.0, -2.0], [-0.5, 9.0, 0.1], [-40.0, 0.2, 0.3]])
    weight = torch.randn(2, 70, 38) / 6
    return {
        "moments": (lambda ops, x: ops.moments(x), [features(2, 17, 16, 17)]),
        "normed": (normed, [features(19), *numbers(19)]),
        "product": (product, [features(1), weight, torch.randn(2, 70), features(37), *numbers(37)]),
        "shifted": (shifted, [offsets, features(4), *numbers(4)]),
    }


def _error(case: Case, inputs: list[torch.Tensor], operations: Operations, device: torch.device) -> float:
    """The largest error of a result or gradient, of its norm; NaN counts as infinite."""
    exact = _results(case, gradients, [x.double() for x in inputs], None)
    found = _results(case, operations, [x.to(device) for x in inputs], exact[: len(exact) - len(inputs)])
    errors = [
        float((a.cpu().double() - b).norm() / b.norm().clamp(min=1e-30))
        for a, b in zip(found, exact, strict=True)
    ]
    return max(error if error == error else float("inf") for error in errors)


def _results(
    case: Case, operations: Operations, inputs: list[torch.Tensor], against: list[torch.Tensor] | None
) -> list[torch.Tensor]:
    """Outputs, and of a sum of them, weighted by what they should be, the gradients of all inputs."""
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    outputs = case(operations, *leaves)
    weights = outputs if against is None else against
    # In the output's own type, so that both get the same gradient but for one rounding.
    total = sum((y * w.detach().to(y)).double().sum() for y, w in zip(outputs, weights, strict=True))
    return [y.detach() for y in outputs] + list(torch.autograd.grad(total, leaves))


# The whole network --------------------------------------------------------------------------------------


def _against_plain(
    net: nn.Module, operations: Operations, device: torch.device, kind: torch.dtype, patience: float
) -> str:
    """Why the plain path is better, "" where it is not. The network becomes float64."""
    x = torch.rand(1, 1, *[net.config.size] * 3).to(device)

    def run(call: Callable[[torch.Tensor], list[torch.Tensor]]) -> torch.Tensor:
        """The finest logits; a forward pass without gradients, and a step with them."""
        with torch.autocast(device.type, kind, enabled=kind != torch.float32):
            with torch.no_grad():
                finest = call(x)[0]
            sum(logits.float().square().mean() for logits in call(x)).backward()
        net.zero_grad()
        return finest.double()

    def fused(x: torch.Tensor) -> list[torch.Tensor]:
        return learning_logits(net, x, operations)

    found, usual = run(fused), run(net.plain)
    seconds = [_seconds(lambda: run(fused), device), _seconds(lambda: run(net.plain), device)]
    with torch.no_grad():
        exact = net.double().plain(x.double())[0]
    error, allowed = (float((logits - exact).norm() / exact.norm()) for logits in (found, usual))
    if not error <= 2 * allowed + 1e-4:
        return f"logits are off by {error:.1e}, the plain path's by {allowed:.1e}"
    if seconds[0] > patience * seconds[1]:
        return f"{seconds[0]:.3f} s where the plain path takes {seconds[1]:.3f} s"
    return ""


def _seconds(call: Callable[[], torch.Tensor], device: torch.device) -> float:
    """The shortest of a few calls."""
    taken = []
    for _ in range(_REPEATS):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        call().sum().item()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - start)
    return min(taken)
