"""Several processes that share the work (``torchrun``): each takes its part of every step's samples.

Gradients are added up by ourselves (``gradients.py``), after the backward pass: the training is that of one
process with the same samples, whatever the network looks like. The first process alone writes files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as distributed

from iuinet.errors import UsageError


class Processes:
    """This process's place among all. rank: from 0. count: of all."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def check_batch(self, batch: int, micro_batch: int) -> None:
        """Raise UsageError "batch" unless every process gets the same number of whole micro batches."""
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
