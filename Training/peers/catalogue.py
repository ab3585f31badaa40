"""Which networks of others there are (``peers.toml``), and which input sizes they take."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from iuinet.errors import UsageError

_FILE = Path(__file__).with_name("peers.toml")


@dataclass(frozen=True)
class Peer:
    """One table of peers.toml, which says what the fields mean."""

    name: str
    kind: str
    about: str
    step: int
    smallest: int
    parameters: dict[str, Any]

    def check_size(self, size: int) -> None:
        """Raise UsageError "peer-size" for an input edge (voxels) that the network cannot train at."""
        if size % self.step or size < self.smallest:
            raise UsageError(
                f"{self.name} cannot be trained at an input of {size}^3 voxels",
                hint=f"Choose a multiple of {self.step} that is at least {self.smallest}, "
                f"or leave {self.name} out of --models.",
                code="peer-size",
            )


@cache
def peers() -> dict[str, Peer]:
    """All of them by name."""
    tables = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {name: Peer(name=name, **table) for name, table in tables.items()}


def full_peers() -> tuple[str, ...]:
    """Names of those in their published size, without the smaller ones and those for tests."""
    return tuple(name for name in peers() if "-" not in name)
