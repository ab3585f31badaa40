"""One budget for all networks: a recipe cut to so many steps, or to so much time spent on steps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fitting.recipe import Recipe

from iuinet.errors import UsageError


@dataclass(frozen=True)
class Budget:
    """steps: of the optimiser, over all phases. seconds: spent on steps, without validation and checkpoints.

    At most one of them; neither: the recipe goes to its own end.
    """

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("minutes", self.seconds)):
            if value is not None and not value > 0:
                raise UsageError(f"a budget of {value} {name}", hint="Give a number above 0.", code="budget")

    @property
    def limited(self) -> bool:
        """Whether there is a limit other than the recipe's."""
        return self.steps is not None or self.seconds is not None

    def spent(self, seconds: float, steps: int) -> bool:
        """Whether nothing is left."""
        if self.steps is not None:
            return steps >= self.steps
        return self.seconds is not None and seconds >= self.seconds

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form."""
        return dataclasses.asdict(self)


def alike(recipe: Recipe, size: int, seed: int, budget: Budget) -> Recipe:
    """The recipe as all networks of a comparison get it, but for the network itself.

    All phases run at one input edge (voxels), since not every network can change it. With a budget no phase
    stops early, so that each network uses its own up.
    """
    network = dataclasses.replace(recipe.network, size=size)
    changes = {"size": 0} | ({"stop_patience": 0} if budget.limited else {})
    phases = tuple(dataclasses.replace(phase, **changes) for phase in recipe.phases)
    return dataclasses.replace(
        recipe, network=network, phases=phases, run=dataclasses.replace(recipe.run, seed=seed)
    )


def cut(recipe: Recipe, steps: int, steps_per_epoch: Sequence[int]) -> Recipe:
    """The recipe with its phases shortened or prolonged in proportion, to so many steps or slightly more.

    A learning rate that falls to zero then does so within the budget, as it would in the whole training.
    steps_per_epoch: of every phase. The patience of a plateau stays, in epochs.
    """
    pairs = list(zip(recipe.phases, steps_per_epoch, strict=True))
    share = steps / sum(phase.epochs * each for phase, each in pairs)
    phases, left = [], steps
    for number, (phase, each) in enumerate(pairs):
        last = number + 1 == len(pairs)
        epochs = math.ceil(left / each) if last else round(phase.epochs * share)
        epochs = max(1, epochs)
        left -= epochs * each
        warm = min(phase.warm_up_steps, round(phase.warm_up_steps * share))
        phases.append(dataclasses.replace(phase, epochs=epochs, warm_up_steps=warm))
    # Some validations at least, to see how it goes.
    every = min(recipe.run.validate_every, max(1, phases[-1].epochs // 4))
    run = dataclasses.replace(recipe.run, validate_every=every)
    return dataclasses.replace(recipe, phases=tuple(phases), run=run)
