"""Network, optimiser and loss as one object that makes steps and can be written down and restored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call

from iuinet.errors import IUINetError
from iuinet.preprocessing import apply_window

from .attention import IntervalFollower, dyfcs
from .checkpoint import AVERAGE, NET, moments, named, part, restore_moments
from .device import Precision, Processes, checkpoint_activations
from .loss import Loss
from .recipe import OptimiserRecipe, Recipe
from .samples import Sample

MOST_SKIPPED = 10  # steps in a row without a finite gradient
MOST_SKIPPED_FP16 = 40  # there the first ones belong to it: the loss's scale is halved until they fit


@dataclass(frozen=True)
class StepResult:
    """loss: mean over the step's samples, not finite only where fp16 overflowed. norm: of the gradient
    before clipping. taken: whether the weights were changed: a gradient that is not finite leaves them as
    they are. stop: whether any process asked."""

    loss: float
    norm: float
    taken: bool
    stop: bool


class Engine:
    """One process's share of a training.

    net: returns logits, finest first, or the finest alone; it is moved to the device. organs: their names,
    in channel order.
    """

    def __init__(
        self,
        net: nn.Module,
        recipe: Recipe,
        organs: Sequence[str],
        device: torch.device,
        processes: Processes,
    ) -> None:
        self.net = net.to(device).train()
        self.recipe, self.organs = recipe, tuple(organs)
        self.device, self.processes = device, processes
        processes.share(self.net.state_dict().values())
        self.loss = Loss(recipe.loss, organs, device)
        self.precision = Precision(recipe.run.precision, device)
        self.average = Average(self.net, recipe.run.average) if recipe.run.average else None
        self.follower = IntervalFollower(self.net, processes)
        self.new_optimiser()
        passes = recipe.optimiser.batch // (processes.count * recipe.optimiser.micro_batch)
        self.gradients = GradientSum(self.net, processes, passes)
        if recipe.run.checkpoint_activations:
            checkpoint_activations(self.net)
        self._forward = torch.compile(self.net) if recipe.run.compile else self.net

    def new_optimiser(self) -> None:
        """Forget the optimiser's moments."""
        self.optimiser = make_optimiser(self.recipe.optimiser, self.net)

    def step(self, samples: Iterable[Sample], rate: float, steps_done: int, stop: bool) -> StepResult:
        """One step on this process's samples. steps_done: before this one. stop: whether this process asks.

        Raises: IUINetError "loss-not-finite"; the weights are then as they were.
        """
        settings = self.recipe.optimiser
        self.optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for images, labels, labelled in in_groups(samples, settings.micro_batch):
            with self.precision.autocast():
                outputs = self._forward(apply_window(images, self.recipe.data.window))
            # The sum over all forward passes and processes is the mean over the batch.
            loss = self.loss(outputs, labels, labelled).sum() / settings.batch
            self.precision.scaler.scale(loss).backward()
            self.gradients.collect()
            total += loss.detach()
        summed = self.processes.add(torch.stack([total, total.new_tensor(float(stop))]))
        loss_value, stop_value = summed.tolist()
        # In fp16 an overflow is the scaler's business: the step is left out, and the scale halved.
        if not math.isfinite(loss_value) and not self.precision.scaler.is_enabled():
            raise IUINetError(
                f"the loss of step {steps_done + 1} is {loss_value}, not a number",
                hint="The last checkpoint is whole. Lower the learning rate or set run.precision=fp32, and "
                "go on with --resume.",
                code="loss-not-finite",
            )
        self.gradients.finish()
        self.follower.update()
        norm = self._descend(rate)
        taken = math.isfinite(norm)
        if taken and self.average:
            self.average.update(self.net, steps_done)
        return StepResult(loss_value, norm, taken, stop_value > 0)

    def _descend(self, rate: float) -> float:
        """Clip the gradient and take the step, unless it is not finite; returns the gradient's norm."""
        scaler = self.precision.scaler
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        scaler.unscale_(self.optimiser)
        limit = self.recipe.optimiser.clip or math.inf
        norm = float(nn.utils.clip_grad_norm_(self.net.parameters(), limit))
        if scaler.is_enabled() or math.isfinite(norm):
            scaler.step(self.optimiser)  # looks at the gradient itself where the loss is scaled
        scaler.update()
        return norm

    def forward_averaged(self) -> Callable[[torch.Tensor], Sequence[torch.Tensor] | torch.Tensor]:
        """The network with the averaged weights where there are some, for validation."""
        if self.average is None:
            return self.net
        tensors = self.average.tensors
        return lambda x: functional_call(self.net, tensors, (x,))

    # State ----------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that a checkpoint holds."""
        kept = named(NET, self.net.state_dict())
        if self.average:
            kept |= named(AVERAGE, self.average.tensors)
        return kept | moments(self.optimiser, list(self.net.parameters()))

    def best_tensors(self) -> dict[str, torch.Tensor]:
        """The weights that were validated."""
        if self.average:
            return named(AVERAGE, self.average.tensors)
        return named(NET, self.net.state_dict())

    def load(
        self, tensors: dict[str, torch.Tensor], scaler: dict[str, float], same_optimiser: bool = True
    ) -> None:
        """The inverse of ``tensors``. same_optimiser: else the moments are another's, and are left."""
        self.net.load_state_dict(part(tensors, NET))
        if self.average:
            # A run that kept no average before begins it with its weights, not with random ones.
            self.average.load(part(tensors, AVERAGE) or part(tensors, NET))
        if same_optimiser:
            restore_moments(self.optimiser, list(self.net.parameters()), tensors)
        self.precision.load(scaler)


def make_optimiser(settings: OptimiserRecipe, net: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser; its learning rate is set at every step, each group's by its own "scale"."""
    slow = {p for layer in dyfcs(net).values() for p in layer.attention.parameters()}
    slow = slow if settings.attention_scale != 1 else set()
    parameters = [{"params": [p for p in net.parameters() if p not in slow], "scale": 1.0}]
    if slow:
        attention = [p for p in net.parameters() if p in slow]
        parameters.append({"params": attention, "scale": settings.attention_scale})
    if settings.name == "sgd":
        return torch.optim.SGD(
            parameters, 1.0, momentum=settings.momentum, nesterov=True, weight_decay=settings.weight_decay
        )
    kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    return kind(parameters, 1.0, betas=settings.betas, weight_decay=settings.weight_decay)


def in_groups(
    samples: Iterable[Sample], size: int
) -> Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
    """Samples joined to batches: images float32 HU (B, 1, S, S, S), labels int64 (B, S, S, S), and which
    classes they show, bool (B, classes), None where all show all."""
    group: list[Sample] = []
    for sample in samples:
        group.append(sample)
        if len(group) == size:
            images, labels = (torch.stack([sample[part] for sample in group]) for part in (0, 1))
            masks = [sample[2] for sample in group if len(sample) > 2]
            masks = [sample[2] if len(sample) > 2 else torch.ones_like(masks[0]) for sample in group if masks]
            yield images[:, None], labels.long(), torch.stack(masks) if masks else None
            group = []


class Average:
    """A moving average of the weights: steadier than the last step's, and what is validated and exported.

    It is exponential; its memory starts short, so that the first weights do not linger.

    decay: share of the old average that each step keeps, in the long run.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Take in the weights after a step, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                self.tensors[name].lerp_(tensor.detach(), 1 - decay)
            else:
                self.tensors[name].copy_(tensor)

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over saved tensors."""
        for name, tensor in tensors.items():
            self.tensors[name].copy_(tensor)


class GradientSum:
    """The sum of the gradients of several forward passes and processes, whatever their order.

    It is kept in float64, so that rounding does not depend on who computed which sample: left alone, such
    differences of 1e-7 grow, with Adam, to 1e-2 of the loss within twenty steps.
    Where there is one forward pass in one process, nothing is collected and nothing copied.
    """

    def __init__(self, net: nn.Module, processes: Processes, passes: int) -> None:
        self.parameters = list(net.parameters())
        self.processes = processes
        self.needed = passes > 1 or processes.count > 1
        sizes = [parameter.numel() for parameter in self.parameters] if self.needed else []
        self._sum = torch.zeros(sum(sizes), dtype=torch.float64, device=self.parameters[0].device)
        self._shares = self._sum.split(sizes)  # a view for each parameter
        self._seen = [False] * len(sizes)

    def collect(self) -> None:
        """Take in the gradients of one backward pass, and clear them."""
        if not self.needed:
            return
        for number, (parameter, share) in enumerate(zip(self.parameters, self._shares, strict=True)):
            if parameter.grad is not None:
                share += parameter.grad.flatten()
                self._seen[number] = True
                parameter.grad = None

    def finish(self) -> None:
        """Give every parameter the sum over all passes and processes."""
        if not self.needed:
            return
        self.processes.add(self._sum)
        for seen, parameter, share in zip(self._seen, self.parameters, self._shares, strict=True):
            if seen:
                parameter.grad = share.view_as(parameter).to(parameter.dtype)
        self._sum.zero_()
