"""Every network that can be named on a command line: IUINet's presets, their ablations, and its peers."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

from iuinet.errors import UsageError
from iuinet.network import PRESETS
from pipeline.fitting.networks import OWN, Config, full_peers, peers
from pipeline.fitting.recipe import NetworkRecipe

# The ablations of the paper's tables 2 to 4: title, ending of a network's name, what is changed.
VARIANTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("full model", "", {"shift": True, "head": "dyfc"}),
    ("without shift and DyFC head", "-no-shift-conv-head", {"shift": False, "head": "conv"}),
    ("without DyFC head", "-conv-head", {"shift": True, "head": "conv"}),
    ("without shift", "-no-shift", {"shift": False, "head": "dyfc"}),
)


def networks() -> dict[str, NetworkRecipe]:
    """All of them by name: ``iuinet-<preset>[-no-shift][-conv-head]`` and the peers."""
    own = {
        f"{OWN}-{preset}{ending}": NetworkRecipe(preset=preset, **changes)
        for preset in PRESETS
        for _, ending, changes in VARIANTS
    }
    return own | {name: NetworkRecipe(name=name) for name in peers()}


def find_networks(names: Sequence[str]) -> dict[str, NetworkRecipe]:
    """The networks of these names. Raises UsageError "unknown-model"."""
    known = networks()
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise UsageError(
                f"there is no model {name!r} to compare",
                hint=f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}.",
                code="unknown-model",
            )
    return {name: known[name] for name in names}


def configuration(network: NetworkRecipe, size: int | None = None, classes: int | None = None) -> Config:
    """The network's configuration at an input edge (voxels), both as in the preset where they are not given.

    Raises UsageError for a size that does not fit.
    """
    if size:
        network = dataclasses.replace(network, size=size)
    return network.config((classes or PRESETS[network.preset].classes) - 1)


def default_names() -> list[str]:
    """What ``complexity.py`` shows: the paper's four rows, the other presets, the peers."""
    rows = [f"{OWN}-paper{ending}" for _, ending, _ in VARIANTS]
    return [*rows, *(f"{OWN}-{preset}" for preset in PRESETS if preset != "paper"), *full_peers()]
