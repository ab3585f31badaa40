"""Every network that can be named on a command line: IUINet's presets, their ablations, and its peers."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fitting.recipe import NetworkRecipe
from torch import nn

from iuinet.errors import UsageError
from iuinet.network import PRESETS, IUINet, IUINetConfig

from .builders import Build, builder
from .catalogue import Peer, full_peers, peers

OWN = "iuinet"
# The ablations of the paper's tables 2 to 4: title, ending of a model's name, what is changed.
VARIANTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("full model", "", {}),
    ("without shift and DyFC head", "-no-shift-conv-head", {"shift": False, "head": "conv"}),
    ("without DyFC head", "-conv-head", {"head": "conv"}),
    ("without shift", "-no-shift", {"shift": False}),
)


@dataclass(frozen=True)
class Model:
    """build: makes the network. preset, changes: of IUINet; a peer takes size and classes alone."""

    name: str
    build: Build
    preset: str = "paper"
    changes: Mapping[str, Any] = field(default_factory=dict)
    peer: Peer | None = None

    def make(self, size: int, classes: int | None = None) -> nn.Module:
        """The network for an input edge (voxels). classes: None for the preset's, "paper" for a peer."""
        return self.build(self.configuration(size, classes))

    def configuration(self, size: int, classes: int | None = None) -> IUINetConfig:
        """What ``build`` is given. Raises UsageError for a size that does not fit."""
        if self.peer:
            self.peer.check_size(size)
        base = PRESETS[self.preset]
        changes = {**self.changes, "size": size, "classes": classes or base.classes}
        return dataclasses.replace(base, **changes)

    def network(self, size: int) -> NetworkRecipe:
        """A recipe's part for it; for a peer what carries the size."""
        return NetworkRecipe(preset=self.preset, size=size, **self.changes)

    def describe(self) -> dict[str, Any]:
        """What makes it what it is, for the records of a comparison; JSON-ready."""
        if self.peer:
            return {"kind": self.peer.kind, "parameters": self.peer.parameters}
        return {"kind": "IUINet"}


def models() -> dict[str, Model]:
    """All of them by name: ``iuinet-<preset>[-no-shift][-conv-head]`` and the peers."""
    found = {}
    for preset in PRESETS:
        for _, ending, changes in VARIANTS:
            name = f"{OWN}-{preset}{ending}"
            found[name] = Model(name, IUINet, preset, changes)
    return found | {name: Model(name, builder(peer), peer=peer) for name, peer in peers().items()}


def find_models(names: Sequence[str]) -> list[Model]:
    """The models of these names, each once. Raises UsageError "unknown-model"."""
    known = models()
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise UsageError(
                f"there is no model {name!r} to compare",
                hint=f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}.",
                code="unknown-model",
            )
    return [known[name] for name in dict.fromkeys(names)]


def default_models() -> list[str]:
    """What ``complexity.py`` shows: the paper's four rows, the other presets, the peers."""
    rows = [f"{OWN}-paper{ending}" for _, ending, _ in VARIANTS]
    return [*rows, *(f"{OWN}-{preset}" for preset in PRESETS if preset != "paper"), *full_peers()]
