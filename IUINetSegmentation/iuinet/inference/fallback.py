"""What is tried next when a device cannot do the work: step by step to the CPU, and the user sees each one.

A GPU's memory is shared with other programs, and Slicer's own pictures live there too, so it can be short
although it sufficed yesterday. Each step needs less of it than the one before. What is not a lack of memory
(a driver that fails, values that are not numbers) leads to the CPU at once.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

from iuinet.devices import choose_device, device_name, unusable_gpus
from iuinet.errors import out_of_memory
from iuinet.network import IUINet

CPU = torch.device("cpu")

_SHORT = "The memory of {device} was short: "
_REASON_LENGTH = 200
# How PyTorch, CUDA's libraries and Apple's backend put it where they have no error class of its own for it.
_OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED", "not enough memory", "DefaultCPUAllocator")


@dataclass(frozen=True)
class Step:
    """One way to run the network.

    text: what the user reads when it is taken, with {device}. half: most of the work in float16.
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
NOT_FINITE = Step("{device} returned values that are not numbers: the CPU is used instead.", cpu=True)

Attempt = Callable[[torch.device, Step], torch.Tensor]


class Fallback:
    """Decides on which device, and how, the network runs next after it has failed.

    name: see ``devices.choose_device``, whose errors it raises.
    device: where a run begins. used: where the last one ended. notes: sentences that hold for every run.
    """

    def __init__(self, name: str) -> None:
        self.device = self.used = choose_device(name)
        self.notes = unusable_gpus() if name == "auto" and self.device == CPU else []

    def leave_device(self, error: RuntimeError) -> None:
        """The model could not be loaded on the device: every run begins on the CPU.

        Raises: the error itself for the CPU.
        """
        if self.device == CPU:
            raise error
        self.notes = [self._text(ON_CPU if is_out_of_memory(error) else BROKEN, error)]
        error.with_traceback(None)  # it holds the frames of the attempt, and these hold its tensors
        free_cache(self.device)
        self.device = CPU

    def run(self, attempt: Attempt, notice: Callable[[str], None]) -> tuple[torch.Tensor, list[str]]:
        """The logits that ``attempt(device, step)`` returns on the CPU, and what had to be changed for them.

        notice: called at once with each change.
        Raises: DeviceError "memory" for too little on the CPU as well.
        """
        self.used, texts = self.device, []
        step, error = AS_IS, None
        for text in self.notes:
            notice(text)
        while not step.cpu and self.device != CPU:
            logits, error = self._try(step, attempt)
            if logits is not None:
                return logits, [*self.notes, *texts]
            step = _next_step(step, error)
            texts.append(self._text(step, error))
            error = None  # as above
            notice(texts[-1])
            free_cache(self.device)
        self.used = CPU
        try:
            return attempt(CPU, ON_CPU), [*self.notes, *texts]
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise out_of_memory() from error
            raise

    def _try(self, step: Step, attempt: Attempt) -> tuple[torch.Tensor | None, RuntimeError | None]:
        """Logits, or the error; neither where the logits are not numbers."""
        try:
            logits = attempt(self.device, step)
        except RuntimeError as error:
            return None, error.with_traceback(None)
        return (logits if torch.isfinite(logits).all() else None), None

    def _text(self, step: Step, error: RuntimeError | None) -> str:
        reason = " ".join(str(error).split())[:_REASON_LENGTH]
        return step.text.format(device=device_name(self.device), reason=reason)


def _next_step(step: Step, error: RuntimeError | None) -> Step:
    """What to try after a step failed on a device. error: None where the values were not numbers."""
    if error is None:
        return NOT_FINITE
    return STEPS[STEPS.index(step) + 1] if is_out_of_memory(error) else BROKEN


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of PyTorch means that memory was short, on a device or in the computer.

    >>> is_out_of_memory(RuntimeError("CUDA out of memory")), is_out_of_memory(ValueError("size"))
    (True, False)
    """
    known = isinstance(error, torch.cuda.OutOfMemoryError)  # the one name that every torch has for it
    return known or any(words in str(error) for words in _OUT_OF_MEMORY)


def free_cache(device: torch.device) -> None:
    """Free the memory that PyTorch keeps on the device and does not use.

    >>> free_cache(CPU)  # nothing is kept there
    """
    gc.collect()
    cache = {"cuda": torch.cuda, "mps": torch.mps}.get(device.type)
    if cache is not None:
        try:
            cache.empty_cache()
        except RuntimeError:
            return  # a device that has failed cannot do this either; the CPU needs nothing of it


@contextmanager
def conditions(step: Step, net: IUINet, device: torch.device) -> Iterator[None]:
    """Run the network inside of this, in the way of the step.

    >>> from iuinet.network import IUINetConfig
    >>> net = IUINet(IUINetConfig(width=4, size=32)).eval()
    >>> with torch.inference_mode(), conditions(AS_IS, net, CPU):
    ...     net(torch.zeros(1, 1, 32, 32, 32))[0].shape
    torch.Size([1, 4, 32, 32, 32])
    """
    half: AbstractContextManager = nullcontext()
    if step.half:
        half = torch.autocast(device.type, dtype=torch.float16)
    with half, _parked_features(net) if step.parked else nullcontext():
        yield


@contextmanager
def _parked_features(net: IUINet) -> Iterator[None]:
    """Each stage's features go to main memory until the decoder needs them. The result is the same."""

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
