"""What a network costs: parameters, multiply-adds by three counts, memory, and time where it is run for real.

All but the time is found on tensors without memory (torch's device "meta"), at any size within seconds, and
is the same on every machine.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import statistics
import time
import weakref
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from iuinet.devices import device_name
from iuinet.inference.fallback import free_cache, is_out_of_memory
from iuinet.network import IUINet
from iuinet.network.complexity import count
from pipeline.fitting.networks import Config, build


@dataclass(frozen=True)
class Costs:
    """Of one volume of size^3 voxels, batch 1, fp32.

    macs_pytorch: multiply-adds by ptflops' module hooks, its default and what the paper printed, without the
    functions that ptflops patches. macs_aten: by ptflops' counter of operators: convolutions and matrix
    products alone. Both None without ptflops. macs_true: for IUINet, all of them (``network.complexity``).
    forward_bytes: most that lives at one time in a pass for use. training_bytes: the same for forward and
    backward pass, gradients included. Both without the weights and what libraries take to work in.
    seconds, device_bytes: of a pass for use on a real device, its median and all that it took; else None.
    untimed: why a requested pass has no time.
    """

    model: str
    size: int
    classes: int
    parameters: int
    macs_pytorch: int | None
    macs_aten: int | None
    macs_true: int | None
    forward_bytes: int
    training_bytes: int
    seconds: float | None = None
    device_bytes: int | None = None
    untimed: str | None = None


def measure(name: str, config: Config, device: torch.device | None = None, repeats: int = 3) -> Costs:
    """Count a network; with a device, time it there too. Raises: UsageError where MONAI is absent."""
    net, size = build(config).eval(), config.size
    taken = _time(net, size, device, repeats) if device else {}
    # Moved and not made there: some networks look at numbers while they are made.
    shadow = net.to("meta")
    return Costs(
        model=name,
        size=size,
        classes=config.classes,
        parameters=parameters(shadow),
        macs_pytorch=ptflops(shadow, size, "pytorch"),
        macs_aten=ptflops(shadow, size, "aten"),
        macs_true=count(shadow, size)[1].total if isinstance(shadow, IUINet) else None,
        forward_bytes=forward_bytes(shadow, size),
        training_bytes=training_bytes(shadow, size),
        **taken,
    )


def versions() -> dict[str, str | None]:
    """Of what the counts depend on; None for what is not installed."""
    found: dict[str, str | None] = dict.fromkeys(("ptflops", "monai"))
    for name in found:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def parameters(net: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


# Multiply-adds ------------------------------------------------------------------------------------------


def ptflops(net: nn.Module, size: int, backend: str) -> int | None:
    """Multiply-adds by a backend of ptflops, "pytorch" or "aten"; None where it is not installed.

    Patched functions are left out of "pytorch": on tensors without memory they are called within others and
    would count twice. For IUINet the count is that of ptflops' defaults on real tensors, to the unit; for
    MONAI's networks it is up to half a per cent lower.
    """
    try:
        from ptflops import get_model_complexity_info
    except ImportError:
        return None
    name = next(iter(inspect.signature(net.forward).parameters))
    device = next(net.parameters()).device
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        macs, _ = get_model_complexity_info(
            net,
            (1, size, size, size),
            as_strings=False,
            print_per_layer_stat=False,
            backend=backend,
            input_constructor=lambda shape: {name: torch.zeros(1, *shape, device=device)},
            backend_specific_config={"count_functional": False} if backend == "pytorch" else {},
        )
    return None if macs is None else int(macs)


# Memory -------------------------------------------------------------------------------------------------


class LivingTensors(TorchDispatchMode):
    """Counts the bytes of all tensors that operators make while it is entered. peak: most at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.living = self.peak = 0
        self._seen: weakref.WeakSet = weakref.WeakSet()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        known = {t.untyped_storage() for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and leaf.untyped_storage() not in known:
                self._take(leaf.untyped_storage())
        self.peak = max(self.peak, self.living)
        return result

    def _take(self, storage: torch.UntypedStorage) -> None:
        if storage in self._seen:
            return
        self._seen.add(storage)
        size = storage.nbytes()
        self.living += size
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.living -= size


def forward_bytes(net: nn.Module, size: int) -> int:
    """Most bytes alive in a pass without gradients; input included, weights not."""
    with torch.no_grad(), LivingTensors() as tensors:
        net(torch.zeros(1, 1, size, size, size, device=next(net.parameters()).device))
    return tensors.peak


def training_bytes(net: nn.Module, size: int) -> int:
    """Most bytes alive in a forward and backward pass; input and gradients included, weights not."""
    training = net.training
    net.train()
    try:
        with LivingTensors() as tensors:
            outputs = net(torch.zeros(1, 1, size, size, size, device=next(net.parameters()).device))
            outputs = [outputs] if isinstance(outputs, torch.Tensor) else outputs
            sum(output.float().mean() for output in outputs).backward()
        return tensors.peak
    finally:
        net.zero_grad(set_to_none=True)
        net.train(training)


# Time ---------------------------------------------------------------------------------------------------


@torch.inference_mode()
def _time(net: nn.Module, size: int, device: torch.device, repeats: int) -> dict[str, Any]:
    """Fields of Costs: median seconds after a pass that warms up, and the bytes that it took of a GPU.

    A network that is too large for the device does not end the table.
    """
    cuda, seconds = device.type == "cuda", []
    try:
        net.to(device)
        # Not zeros: with them a GPU takes less power, and may run faster than it does on images.
        x = torch.rand(1, 1, size, size, size, device=device)
        if cuda:
            torch.cuda.reset_peak_memory_stats(device)
        for _ in range(repeats + 1):
            began = time.perf_counter()
            net(x)
            if cuda:
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - began)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        free_cache(device)
        return {"untimed": f"does not fit into the memory of {device_name(device)}"}
    taken = torch.cuda.max_memory_allocated(device) if cuda else None
    return {"seconds": statistics.median(seconds[1:]), "device_bytes": taken}
