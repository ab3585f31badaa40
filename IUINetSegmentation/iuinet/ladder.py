"""The way down when a device cannot do the work: step by step to the CPU, and the user is told of each one.

A GPU's memory is shared with other programs, and Slicer's own pictures live there too, so it can be short
although it sufficed yesterday. Each step needs less of it than the one before. What is no lack of memory (a
driver that fails, values that are no numbers) leads to the CPU at once.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from .devices import choose_device, device_name, unusable_gpus
from .errors import DeviceError
from .model import load_model
from .network import IUINet
from .network.complexity import count_modules

CPU = torch.device("cpu")
SMALLEST_EDGE = 32  # voxels

Forward = Callable[[IUINet, torch.device], torch.Tensor]

_SHORT = "The memory of {device} was short: "
_REASON_LENGTH = 200
# How PyTorch, CUDA's libraries and Apple's backend say it where they have no error class of its own for it.
_OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED", "not enough memory", "DefaultCPUAllocator")


@dataclass(frozen=True)
class Step:
    """One way to run the network.

    text: what the user is told when it is taken, with {device}. half: most of the work in float16.
    parked: the encoder's features wait in main memory until the decoder reads them. cpu: not on the device.
    """

    text: str
    half: bool = False
    parked: bool = False
    cpu: bool = False


AS_IS = Step("")
ON_CPU = Step(_SHORT + "the CPU is used instead, which takes longer.", cpu=True)
STEPS = (
    AS_IS,
    Step(_SHORT + "unused parts were freed for a second try."),
    Step(_SHORT + "half precision is used; borders of organs can differ by single voxels.", half=True),
    Step(_SHORT + "half precision is used, and parts wait in main memory.", half=True, parked=True),
    ON_CPU,
)
BROKEN = Step("{device} failed ({reason}): the CPU is used instead, which takes longer.", cpu=True)
NOT_FINITE = Step("{device} gave values that are no numbers: the CPU is used instead.", cpu=True)


class DeviceLadder:
    """A model on a device, and on the CPU as soon as the device has failed.

    name: see ``devices.choose_device``. Errors: those of choose_device and ``model.load_model``.
    net, document, device: the model where it runs first. costs: multiply-adds by module, for the progress.
    used: where the last run ended. notes: sentences that hold for every run.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._cpu_net: IUINet | None = None
        self.device = self.used = choose_device(name)
        self.notes = unusable_gpus() if name == "auto" and self.device == CPU else []
        try:
            self._load()
        except RuntimeError as error:
            if self.device == CPU:
                raise
            self.notes = [self._told(ON_CPU if is_out_of_memory(error) else BROKEN, error)]
        if self.notes and self.device != CPU:
            free_cache(self.device)
            self.device = CPU
            self._load()

    def _load(self) -> None:
        net, self.document = load_model(self._path)
        # A small volume shares the work between the modules as a large one does; tensors without memory
        # would need none, but torch then loads its compiler, which takes seconds.
        probe = torch.zeros(1, 1, *[SMALLEST_EDGE] * 3)
        with torch.inference_mode():
            self.costs = {name: cost.total for name, cost in count_modules(net, probe).items()}
        self.net = net.to(self.device)

    def run(self, forward: Forward, notice: Callable[[str], None]) -> tuple[torch.Tensor, list[str]]:
        """The logits that ``forward(net, device)`` gives on the CPU, and what had to be changed for them.

        notice: told of each change at once. Raises DeviceError "memory" if the CPU's does not suffice either.
        """
        self.used, texts = self.device, []
        step, error = AS_IS, None
        for text in self.notes:
            notice(text)
        while not step.cpu and self.device != CPU:
            logits, error = self._attempt(step, forward)
            if logits is not None:
                return logits, [*self.notes, *texts]
            step = next_step(step, error)
            texts.append(self._told(step, error))
            error = None  # it holds the frames of the attempt, and these hold its tensors
            notice(texts[-1])
            free_cache(self.device)
        self.used = CPU
        try:
            return forward(self._on_cpu(), CPU), [*self.notes, *texts]
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise out_of_memory() from error
            raise

    def _attempt(self, step: Step, forward: Forward) -> tuple[torch.Tensor | None, RuntimeError | None]:
        """Logits, or the error; neither where the logits are no numbers."""
        try:
            with conditions(step, self.net, self.device):
                logits = forward(self.net, self.device)
        except RuntimeError as error:
            return None, error.with_traceback(None)
        return (logits if torch.isfinite(logits).all() else None), None

    def _on_cpu(self) -> IUINet:
        if self.device == CPU:
            return self.net
        if self._cpu_net is None:
            self._cpu_net = load_model(self._path, CPU)[0]
        return self._cpu_net

    def _told(self, step: Step, error: RuntimeError | None) -> str:
        reason = " ".join(str(error).split())[:_REASON_LENGTH]
        return step.text.format(device=device_name(self.device), reason=reason)


def next_step(step: Step, error: RuntimeError | None) -> Step:
    """What to try after a step failed on a device. error: None where the values were no numbers."""
    if error is None:
        return NOT_FINITE
    return STEPS[STEPS.index(step) + 1] if is_out_of_memory(error) else BROKEN


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of PyTorch means that memory was short, on a device or in the computer."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY)


def free_cache(device: torch.device) -> None:
    """Give the memory that PyTorch keeps on the device, and does not use, back to it."""
    gc.collect()
    cache = {"cuda": torch.cuda, "mps": torch.mps}.get(device.type)
    if cache is not None:
        try:
            cache.empty_cache()
        except RuntimeError:
            return  # a device that has failed cannot do this either; the CPU needs nothing of it


@contextmanager
def conditions(step: Step, net: IUINet, device: torch.device) -> Iterator[None]:
    """Run the network inside of this, as the step says."""
    half: AbstractContextManager = nullcontext()
    if step.half:
        half = torch.autocast(device.type, dtype=torch.float16)
    with half, parked_features(net) if step.parked else nullcontext():
        yield


@contextmanager
def parked_features(net: IUINet) -> Iterator[None]:
    """Each stage's features go to main memory until the decoder asks for them. The result is the same."""

    def park(module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
        return output.cpu()

    def fetch(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return tuple(x.to(inputs[0].device) for x in inputs)

    handles = []
    # Not the coarsest stage's: the decoder begins with them.
    for fusion, stage in zip(net.fusion, net.decoder, strict=False):
        handles.append(fusion.register_forward_hook(park))
        handles.append(stage.skip.register_forward_pre_hook(fetch))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def out_of_memory() -> DeviceError:
    """The error for a computer whose memory does not suffice."""
    return DeviceError(
        "the memory of the computer does not suffice for this volume",
        hint="Close other programs, or crop the volume to the abdomen.",
        code="memory",
    )
