"""What is to be trained in a comparison, and what all of it shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.prepared import PreparedData
from fitting.recipe import Recipe
from fitting.recorder import Screen

from .budget import Budget
from .builders import Build


@dataclass(frozen=True)
class Job:
    """model: the row that it belongs to. recipe: before it is cut. described: what makes the network."""

    model: str
    build: Build
    recipe: Recipe
    described: dict[str, Any]

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.recipe.run.seed

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.model.replace(' ', '-')}-seed{self.seed}"


@dataclass(frozen=True)
class Setting:
    """What all jobs share. asked: whether the user asked to stop."""

    data: PreparedData
    folder: Path
    budget: Budget
    device: str
    partial: bool
    asked: Callable[[], bool]
    screen: Screen


class StatusOnly:
    """A screen that shows a training's live line alone, with the job's name before it."""

    def __init__(self, screen: Screen, name: str) -> None:
        self._screen, self._name = screen, name

    @property
    def on_terminal(self) -> bool:
        """As the screen's."""
        return self._screen.on_terminal

    def status(self, line: str) -> None:
        """The live line."""
        self._screen.status(f"{self._name}: {line}")

    def say(self, text: str = "") -> None:
        """Nothing."""
