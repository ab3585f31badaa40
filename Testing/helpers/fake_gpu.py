"""A GPU that is none: main memory that says it were a GPU's, is counted, and runs out.

Everything else stays real: the tensors, the network, the ladder. Inside ``with FakeGpu(limit):`` torch finds
one device, "cuda:0" (or "mps"), and a tensor that is moved there lies in main memory and is counted, as is
all that is made from it, until it is freed or moved back. Above the limit torch's own error for a full GPU
is raised. faults: for errors of other kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

NAME = "Fake GPU 9000"
Fault = Callable[[str, int], None]


class FakeGpu:
    """limit: bytes that fit. fault: called with each operation's name and number; it may raise.
    wrong: convolutions give wrong numbers. old_driver: the GPU is listed and cannot be opened.
    peak: the most bytes that were in use. emptied: cache frees."""

    def __init__(
        self,
        limit: float = 1e12,
        fault: Fault | None = None,
        wrong: bool = False,
        kind: str = "cuda",
        old_driver: bool = False,
    ) -> None:
        self.limit, self.fault, self.wrong, self.kind = limit, fault, wrong, kind
        self.old_driver = old_driver
        self.peak = self.operations = self.emptied = 0
        self.half = False  # whether anything was made in float16
        self.live: dict[int, tuple[StorageWeakRef, int]] = {}
        self.leaving = False
        self._patches: list[Any] = []

    def __enter__(self) -> FakeGpu:
        autocast = torch.autocast
        gpu = getattr(torch, self.kind)
        replaced = {
            (torch, "autocast"): lambda kind, *rest, **named: autocast("cpu", *rest, **named),
            (gpu, "empty_cache"): self._empty_cache,
        }
        if self.kind == "cuda":
            replaced |= {
                (torch.cuda, "is_available"): lambda: not self.old_driver,
                (torch.cuda, "device_count"): lambda: 1,
                (torch.cuda, "get_device_name"): self._name,
                (torch.version, "cuda"): "12.8",
                (torch.cuda, "mem_get_info"): lambda device=None: (int(self.limit), int(self.limit)),
            }
        else:
            replaced |= {
                (torch.backends.mps, "is_available"): lambda: True,
                (torch.mps, "recommended_max_memory"): lambda: int(self.limit),
                (torch.mps, "driver_allocated_memory"): lambda: 0,
            }
        # Apple's names are younger than the oldest torch: there they are made.
        made = {"create": True} if self.kind == "mps" else {}
        self._patches = [mock.patch.object(*place, value, **made) for place, value in replaced.items()]
        self._patches += [_Counter(self), _Devices(self)]
        for patch in self._patches:
            patch.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        for patch in reversed(self._patches):
            patch.__exit__(*error)

    def _name(self, device: object = None) -> str:
        if self.old_driver:
            raise RuntimeError(
                "The NVIDIA driver on your system is too old (found version 11040). Please update it."
            )
        return NAME

    def _empty_cache(self) -> None:
        self.emptied += 1

    def holds(self, tensor: torch.Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self.live

    @property
    def used(self) -> int:
        self.live = {key: entry for key, entry in self.live.items() if not entry[0].expired()}
        return sum(size for _, size in self.live.values())

    def take(self, tensor: torch.Tensor) -> None:
        """Count a tensor as lying on the GPU."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self.live or self.live[storage._cdata][0].expired():
            used = self.used + storage.nbytes()
            if used > self.limit:
                raise torch.cuda.OutOfMemoryError(f"{self.kind} out of memory: {used} bytes of {self.limit}")
            self.peak = max(self.peak, used)
            self.live[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())


class _Counter(TorchDispatchMode):
    """Counts what is made of tensors on the GPU."""

    def __init__(self, gpu: FakeGpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        named = named or {}
        inputs = [x for x in tree_leaves((arguments, named)) if isinstance(x, torch.Tensor)]
        here = not self.gpu.leaving and any(map(self.gpu.holds, inputs))
        if here:
            self.gpu.operations += 1
            if self.gpu.fault is not None:
                self.gpu.fault(str(function), self.gpu.operations)
        result = function(*arguments, **named)
        if here:
            if self.gpu.wrong and "conv" in str(function):
                result = result + 1
            for tensor in tree_leaves(result):
                if isinstance(tensor, torch.Tensor):
                    self.gpu.half |= tensor.dtype is torch.float16
                    self.gpu.take(tensor)
        return result


class _Devices(TorchFunctionMode):
    """Lets "cuda:0" in a call mean main memory, and moves there and back really copy."""

    def __init__(self, gpu: FakeGpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_function__(self, function, types, arguments=(), named=None):
        named = dict(named or {})
        name = getattr(function, "__name__", "")
        if name == "_parse_to":  # reads the arguments of Module.to, which then moves each tensor
            return function(*arguments, **named)
        places = [place for place in (*arguments, *named.values()) if isinstance(place, torch.device)]
        arguments = tuple(torch.device("cpu") if self._is_gpu(place) else place for place in arguments)
        named = {key: torch.device("cpu") if self._is_gpu(value) else value for key, value in named.items()}
        if any(map(self._is_gpu, places)):
            result = function(*arguments, **named)
            tensor = result.clone() if name == "to" else result
            self.gpu.take(tensor)
            return tensor
        if name == "cpu" and self.gpu.holds(arguments[0]):
            self.gpu.leaving = True
            try:
                return arguments[0].clone()
            finally:
                self.gpu.leaving = False
        return function(*arguments, **named)

    def _is_gpu(self, place: object) -> bool:
        return isinstance(place, torch.device) and place.type == self.gpu.kind
