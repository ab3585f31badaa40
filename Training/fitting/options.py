"""What a training run is made of: read from TOML, changed by ``--set key=value``, written into its folder."""

from __future__ import annotations

import ast
import dataclasses
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iuinet.network import PRESETS, IUINetConfig


@dataclass(frozen=True)
class Options:
    """One run. Nothing here depends on the machine but ``threads``.

    preset: network of iuinet.network.PRESETS; size: input edge that the exported model is used at.
    stages: (edge of the cube, steps), one after the other.
    anatomies, weights: label maps and how often each is drawn.
    learning_rate: Adam's, after ``warm_up`` steps; falls linearly to zero from ``decay_from`` of all steps.
    clip: largest norm of the gradient. average: decay of the moving average of the weights.
    class_weights: background, then the organs in label order, for the cross-entropy.
    window: HU that become 0 and 1.
    """

    preset: str = "tiny"
    size: int = 96
    stages: tuple[tuple[int, int], ...] = ((48, 2000), (64, 1000), (96, 500))
    anatomies: tuple[str, ...] = ("s0327", "s0328", "spl")
    weights: tuple[float, ...] = (0.36, 0.38, 0.26)
    learning_rate: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.99)
    warm_up: int = 50
    decay_from: float = 0.6
    clip: float = 5.0
    average: float = 0.99
    class_weights: tuple[float, ...] = (0.3, 2, 2, 2, 4, 4, 0.7, 2, 3, 3, 4, 4, 8, 8)
    window: tuple[float, float] = (-125.0, 275.0)
    seed: int = 1
    threads: int = 2
    checkpoint_every: int = 100

    @property
    def steps(self) -> int:
        """All steps of all stages."""
        return sum(count for _, count in self.stages)

    @property
    def network(self) -> IUINetConfig:
        """The network's configuration."""
        return dataclasses.replace(PRESETS[self.preset], size=self.size)

    def stage_size(self, step: int) -> int:
        """Edge of the cube at this step, counted from 0."""
        for size, count in self.stages:
            if step < count:
                return size
            step -= count
        return self.stages[-1][0]

    def rate(self, step: int) -> float:
        """Learning rate at this step, counted from 0."""
        rising = min(1.0, (step + 1) / max(1, self.warm_up))
        falling = min(1.0, (self.steps - step) / max(1.0, self.steps * (1 - self.decay_from)))
        return self.learning_rate * min(rising, falling)


def read_options(path: Path | None, changes: Sequence[str] = ()) -> Options:
    """Options of a TOML file (defaults without one) with changes "key=value"; value as in Python or a word.

    Errors: ValueError for an unknown key or a change without "=".
    """
    values = tomllib.loads(path.read_text()) if path else {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise ValueError(f"--set {change}: write key=value")
        try:
            values[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            values[key] = text
    unknown = set(values) - {field.name for field in dataclasses.fields(Options)}
    if unknown:
        raise ValueError(f"unknown option: {', '.join(sorted(unknown))}")
    return Options(**{key: _tuples(value) for key, value in values.items()})


def _tuples(value: object) -> object:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
