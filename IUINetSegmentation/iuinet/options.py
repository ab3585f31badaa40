"""What a user can choose about a segmentation: one value from the panel and the command to the worker.

A new option is one field here, what sets it (a widget, a flag), and what obeys it. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import index

from .boxes import Box
from .errors import UsageError
from .labels import LARGEST, organs_of_model, select
from .weights import is_path, resolve
from .weights.model_file import Weights
from .weights.places import absolute


@dataclass(frozen=True)
class Options:
    """What was chosen, in JSON's types.

    weights: id of a model, or a file of one, None for the default model; a file's path becomes absolute, as
    the worker runs in another folder.
    device: "auto", "cpu", "cuda", "cuda:N" or "mps", see ``devices.choose_device``.
    organs: names of those wanted, None for all that the model knows.
    islands: True to keep only the largest piece of each organ that is one piece by the model's own table,
    "largest" of every organ, False to keep all pieces of all.
    fast: one pass of the network, also with a model that was trained for a second, closer one.
    accept_warnings: go on where a person should decide, such as values that do not look like CT.
    region: the part of the volume to segment, as (first, stop) along k, j, i in voxels, None for all of it.
    What lies beside it is seen, where the network needs a wider view, but nothing is found there.
    """

    weights: str | None = None
    device: str = "auto"
    organs: tuple[str, ...] | None = None
    islands: bool | str = True
    fast: bool = False
    accept_warnings: bool = False
    region: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        # Callers have paths and lists; object's own method is how a frozen dataclass completes itself.
        if self.weights is not None and is_path(self.weights):
            object.__setattr__(self, "weights", str(absolute(self.weights)))
        if self.organs is not None:
            object.__setattr__(self, "organs", tuple(self.organs))
        if self.islands not in (True, False, LARGEST):
            raise UsageError(
                f"{self.islands!r} is no choice of an organ's pieces",
                hint=f"Choose True (as the model says), False (all of them) or {LARGEST!r}.",
                code="pieces",
            )
        if self.region is not None:
            object.__setattr__(self, "region", _pairs(self.region))

    @property
    def box(self) -> Box | None:
        """The region as slices."""
        return None if self.region is None else tuple(slice(first, stop) for first, stop in self.region)

    @classmethod
    def of(cls, given: object) -> Options:
        """From the attributes of these names that an object has, such as a command line's arguments."""
        names = [field.name for field in fields(cls) if hasattr(given, field.name)]
        return cls(**{name: getattr(given, name) for name in names})

    def find_model(self) -> Weights:
        """The chosen model, checked, with all wanted organs in it.

        Raises: WeightsError for a model that is missing or damaged, UsageError for unknown organs.
        """
        found = resolve(self.weights)
        if self.organs is not None:
            select(organs_of_model(found.document), self.organs)
        return found


def _pairs(region: Iterable) -> tuple[tuple[int, int], ...]:
    """(first, stop) of each axis, whole numbers of Python. Raises: UsageError for anything else."""
    try:
        along_k, along_j, along_i = ((index(first), index(stop)) for first, stop in region)
        return along_k, along_j, along_i
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{region!r} is no region of a volume",
            hint="Give (first, stop) along k, j and i, in whole voxels.",
            code="region",
        ) from error
