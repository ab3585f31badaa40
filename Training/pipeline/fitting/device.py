"""What a training computes on: a device, in some precision, in one process or several, in so much memory.

Several processes (``torchrun``) share the work: each takes its part of every step's samples. Gradients are
added up by ourselves (``engine.GradientSum``), after the backward pass: the training is that of one process
with the same samples, whatever the network looks like. The first process alone writes files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import MethodType
from typing import Any

import torch
import torch.distributed as distributed
from torch import nn
from torch.utils.checkpoint import checkpoint

from iuinet.devices import choose_device
from iuinet.errors import UsageError
from iuinet.network import IUINet

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def training_device(name: str = "auto") -> torch.device:
    """Device for "auto", "cpu", "cuda" or "cuda:N"; auto takes the first CUDA GPU that works.

    Apple's GPU segments but does not train: gradients are added up in float64, which it lacks.
    Raises: DeviceError as ``choose_device``, UsageError "device-training" for "mps".
    """
    if name == "mps":
        raise UsageError(
            "Apple's GPU (mps) cannot train: it has no float64, in which gradients are added up",
            hint="Use the device cpu here, or a computer with a CUDA GPU.",
            code="device-training",
        )
    device = choose_device(name)
    return torch.device("cpu") if device.type == "mps" else device


# Precision --------------------------------------------------------------------------------------------------


class Precision:
    """Autocast and the loss's scale. name: of the recipe. chosen: "fp32", "bf16" or "fp16".

    Weights, loss and optimiser stay in float32. On the CPU everything does: there bfloat16 is slow, and gave
    gradients that were not finite.
    Raises: UsageError "precision" for half precision on the CPU.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.device = device
        self.chosen = _choose(name, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.chosen == "fp16")

    def autocast(self) -> AbstractContextManager:
        """The context for forward passes."""
        if self.chosen == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, _TYPES[self.chosen])

    def to_json(self) -> dict[str, float]:
        """The scaler's state, {} without one."""
        return dict(self.scaler.state_dict())

    def load(self, state: dict[str, float]) -> None:
        """The inverse of ``to_json``."""
        if state and self.scaler.is_enabled():
            self.scaler.load_state_dict(state)


def _choose(name: str, device: torch.device) -> str:
    if device.type == "cpu":
        if name in _TYPES:
            raise UsageError(
                f"the recipe's run.precision is {name!r}, and the training runs on the CPU",
                hint="Use auto or fp32 there.",
                code="precision",
            )
        return "fp32"
    if name == "auto":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return name


# Processes --------------------------------------------------------------------------------------------------


class Processes:
    """This process's place among all. rank: from 0. count: of all."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def check_batch(self, batch: int, micro_batch: int) -> None:
        """Raises: UsageError "batch" unless every process gets the same number of whole micro batches."""
        if batch % (self.count * micro_batch):
            raise UsageError(
                f"a batch of {batch} cannot be shared by {self.count} processes in parts of {micro_batch}",
                hint="Choose optimiser.batch as a multiple of processes times optimiser.micro_batch.",
                code="batch",
            )

    def mine(self, items: list) -> list:
        """This process's part of the items."""
        return items[self.rank :: self.count]

    def add(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of all processes' values, in place."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """Every process's value (JSON-like), in the order of ranks, in every process."""
        if self.count == 1:
            return [value]
        values = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give all processes the first one's tensors."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)


def join(device: torch.device) -> tuple[Processes, torch.device]:
    """The processes that torchrun started (one, without it), and this one's device.

    On GPUs each process of a machine takes its own.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes(), device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Processes(distributed.get_rank(), count), device


def leave() -> None:
    """End what ``join`` began."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


# Memory -----------------------------------------------------------------------------------------------------


def checkpoint_activations(net: nn.Module) -> None:
    """Let every block of an IUINet compute its activations twice while it trains; outputs stay the same.

    Raises: UsageError "checkpoint-activations" for another network.
    """
    if not isinstance(net, IUINet):
        raise UsageError(
            f"run.checkpoint_activations is for IUINet alone, and this is a {type(net).__name__}",
            hint="Set run.checkpoint_activations=false.",
            code="checkpoint-activations",
        )
    for block in blocks_of(net):
        # A bound method: in a copy of the network it belongs to the copy's block.
        block.forward = MethodType(_computed_again, block)


def blocks_of(net: IUINet) -> list[nn.Module]:
    """The parts that are computed again one by one, in the order of the network."""
    streams = (*net.shift_stream, *net.separable_stream)
    return [block for stage in streams for block in stage.blocks] + [*net.fusion, *net.decoder]


def _computed_again(block: nn.Module, *arguments: Any) -> Any:
    forward = partial(type(block).forward, block)
    if not torch.is_grad_enabled():
        return forward(*arguments)
    # Nothing in the network is random, so that no state of random numbers has to be kept.
    return checkpoint(forward, *arguments, use_reentrant=False, preserve_rng_state=False)
