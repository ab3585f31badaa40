"""The network's configuration and its named presets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..errors import UsageError

HEADS = ("dyfc", "conv")
ATTENTIONS = ("plain", "standardised")


@dataclass(frozen=True)
class IUINetConfig:
    """What defines an IUINet; stored with every model.

    classes: output channels, background included.
    width: channels of the finest stage; stage s has width * 2^s.
    size: edge of the input cube in voxels that the model was made for, a multiple of 16, at least 32.
    blocks: blocks per stage in either encoder stream, finest first.
    kernels: kernel sizes of the separable stream's scales; each gets an equal share of the channels.
    basis: K of equation 2, the number of basis weights of every DyFC.
    head: "dyfc" or "conv", the mapping layers (ablation of table 3).
    shift: False bypasses the shift operation; its offsets stay listed (ablation of table 4).
    attention: "plain" is the paper's; "standardised" lets every DyFC see how far the statistics of its input
        lie from those of the training's scans (``dyfc.py``). No parameter more.
    """

    classes: int = 4
    width: int = 32
    size: int = 128
    blocks: tuple[int, ...] = (1, 1, 2, 2, 3)
    kernels: tuple[int, ...] = (3, 7)
    basis: int = 4
    head: str = "dyfc"
    shift: bool = True
    attention: str = "plain"

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        object.__setattr__(self, "kernels", tuple(self.kernels))
        if self.head not in HEADS:
            raise UsageError(f"head is {self.head!r}", hint=f"Use one of {', '.join(HEADS)}.")
        if self.attention not in ATTENTIONS:
            hint = f"Use one of {', '.join(ATTENTIONS)}."
            raise UsageError(f"attention is {self.attention!r}", hint=hint)
        if self.classes < 1 or self.basis < 1 or len(self.blocks) < 2 or min(self.blocks) < 1:
            raise UsageError(
                f"classes={self.classes}, basis={self.basis}, blocks={self.blocks} do not make a network",
                hint="Use one or more classes and basis weights, and two or more stages with a block each.",
            )
        if not self.kernels or self.width % len(self.kernels):
            raise UsageError(
                f"width {self.width} cannot be shared by the kernels {self.kernels}",
                hint="Use a width that is a multiple of the number of kernels.",
            )
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise UsageError(f"kernels {self.kernels} hold an even size", hint="Use odd kernel sizes.")
        self.check_size((self.size,) * 3)

    @property
    def stages(self) -> int:
        """Number of resolutions."""
        return len(self.blocks)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels per stage, finest first."""
        return tuple(self.width * 2**stage for stage in range(self.stages))

    def check_size(self, size: tuple[int, ...]) -> None:
        """Raises: UsageError for an edge that does not halve down to two voxels at the coarsest stage."""
        step = 2 ** (self.stages - 1)
        if any(edge % step or edge < 2 * step for edge in size):
            raise UsageError(
                f"an input of {' x '.join(map(str, size))} voxels does not fit the network",
                hint=f"Every edge must be a multiple of {step} and at least {2 * step}.",
            )

    def to_dict(self) -> dict:
        """JSON-ready form; versions that know no other attention than the plain one read it too."""
        values = {**dataclasses.asdict(self), "blocks": list(self.blocks), "kernels": list(self.kernels)}
        if self.attention == "plain":
            del values["attention"]
        return values

    @classmethod
    def from_dict(cls, values: dict) -> IUINetConfig:
        """Inverse of to_dict.

        Raises: UsageError for an unknown field, which would change the network unseen.
        """
        unknown = set(values) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise UsageError(
                f"the network configuration has unknown fields: {', '.join(sorted(unknown))}",
                hint="The model was made by a newer version: update IUINet.",
            )
        return cls(**values)


PRESETS = {
    "paper": IUINetConfig(classes=4, width=32),
    "abdomen13": IUINetConfig(classes=14, width=32),
    "small": IUINetConfig(classes=14, width=16),
    "tiny": IUINetConfig(classes=14, width=8),
}
