"""What a training is made of: network, data, phases, optimiser, loss, augmentation, and how it runs.

A recipe is read from TOML (``recipe_file.py``) and written into every checkpoint. It holds nothing of the
machine but ``[run]``.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from iuinet.errors import UsageError
from iuinet.network import PRESETS
from pipeline.augmentation import Augmentation

from .networks import OWN, Config, peers

DATA = ("cases", "pairs", "synthetic")
SCHEDULES = ("plateau", "cosine", "linear", "constant")
OPTIMISERS = ("adam", "adamw", "sgd")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def plain(value: Any) -> Any:
    """Tuples as lists, as JSON returns them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def wrong(where: str, value: object, hint: str) -> UsageError:
    """The error for a value that a recipe cannot have."""
    return UsageError(f"the recipe's {where} is {value!r}", hint=hint, code="recipe")


def require(where: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises: UsageError "recipe" for a value that is none of the choices."""
    if value not in choices:
        raise wrong(where, value, f"Choose from {', '.join(choices)}.")


def positive(where: str, part: object, *names: str) -> None:
    """Raises: UsageError "recipe" for a field that is not above 0."""
    for name in names:
        if not getattr(part, name) > 0:
            raise wrong(f"{where}.{name}", getattr(part, name), "Give a number above 0.")


@dataclass(frozen=True)
class NetworkRecipe:
    """The network: a preset of ``iuinet.network``, and the fields in which it differs from it.

    The number of classes is not chosen here: it follows from the organs.
    name: "iuinet", or one of MONAI's (``networks.toml``). Those take from here only the size, which is the
    preset's if it is not given; their own settings stand in networks.toml. They have no DyFC, but a recipe
    for both may name its attention.
    """

    name: str = OWN
    preset: str = "paper"
    size: int | None = None
    width: int | None = None
    blocks: tuple[int, ...] | None = None
    kernels: tuple[int, ...] | None = None
    basis: int | None = None
    head: str | None = None
    shift: bool | None = None
    attention: str | None = None

    def __post_init__(self) -> None:
        require("network.name", self.name, (OWN, *peers()))
        require("network.preset", self.preset, tuple(PRESETS))
        for key in self._changes if self.name != OWN else ():
            if key not in ("size", "attention"):
                hint = f"Leave it out: {self.name} takes network.size alone."
                raise wrong(f"network.{key}", getattr(self, key), hint)
        self.config(1)

    @property
    def _changes(self) -> dict[str, Any]:
        named = ("name", "preset")
        return {key: value for key, value in vars(self).items() if key not in named and value is not None}

    def config(self, organs: int) -> Config:
        """The configuration for so many organs; background is a further class."""
        if self.name == OWN:
            return dataclasses.replace(PRESETS[self.preset], classes=organs + 1, **self._changes)
        size = self.size or PRESETS[self.preset].size
        return dataclasses.replace(peers()[self.name], classes=organs + 1, size=size)


@dataclass(frozen=True)
class DataRecipe:
    """Which organs, split and pre-training atlases (``dataset``), and the HU that become 0 and 1.

    enlarge: whether data prepared at a smaller size than the network's may be enlarged by interpolation.
    """

    organs: str | tuple[str, ...] = "all13"
    split: str = "transunet"
    atlases: str = "train18"
    window: tuple[float, float] = (-125.0, 275.0)
    enlarge: bool = False

    def __post_init__(self) -> None:
        if self.window[0] >= self.window[1]:
            raise wrong("data.window", self.window, "Give the lower HU first.")


@dataclass(frozen=True)
class Phase:
    """One part of a training; the weights go from each phase into the next.

    data: "cases", "pairs" (registered, for pre-training) or "synthetic" (made from label maps); or several of
    these with the share of the samples that each gives, {cases = 0.5, synthetic = 0.5}.
    size: edge of the network's input in voxels; 0 for the network's own.
    epochs: at most. steps_per_epoch: 0 for every sample once.
    schedule: of the learning rate, after a linear rise over ``warm_up_steps``: "constant"; "plateau" (times
    ``plateau_factor`` after ``plateau_patience`` epochs without a better mean DSC on the validation cases);
    "cosine" or "linear" to zero, from ``decay_from`` of the phase's steps on.
    stop_patience: the phase ends after so many epochs without a lower validation loss; 0 for never.
    class_weight_power: of loss.class_weights; large weights find small organs soon, but draw them too large.
    augment: whether [augmentation] is used. keep_optimiser: go on with the moments of the phase before.
    """

    name: str = "train"
    data: str | dict[str, float] = "cases"
    size: int = 0
    epochs: int = 2000
    steps_per_epoch: int = 0
    learning_rate: float = 1e-3
    schedule: str = "plateau"
    warm_up_steps: int = 0
    decay_from: float = 0.0
    plateau_patience: int = 20
    plateau_factor: float = 0.2
    stop_patience: int = 0
    class_weight_power: float = 1.0
    augment: bool = False
    keep_optimiser: bool = False

    def __post_init__(self) -> None:
        here = f"phases.{self.name}"
        for name in [self.data] if isinstance(self.data, str) else self.data:
            require(f"{here}.data", name, DATA)
        for name, share in self.shares.items():
            if not 0 < share < math.inf:
                raise wrong(f"{here}.data.{name}", share, "Give a share above 0, or leave it out.")
        if not self.shares:
            raise wrong(f"{here}.data", self.data, f"Name one or more of {', '.join(DATA)}.")
        require(f"{here}.schedule", self.schedule, SCHEDULES)
        positive(here, self, "epochs", "learning_rate", "plateau_patience", "plateau_factor")
        if "synthetic" in self.shares and not self.steps_per_epoch:
            raise wrong(f"{here}.steps_per_epoch", 0, "Synthetic scans have no end: give a number of steps.")
        if not 0 <= self.decay_from < 1:
            raise wrong(f"{here}.decay_from", self.decay_from, "Give a share of the steps, 0 to below 1.")
        if not 0 <= self.class_weight_power <= 2:
            raise wrong(f"{here}.class_weight_power", self.class_weight_power, "Give a number from 0 to 2.")

    @property
    def shares(self) -> dict[str, float]:
        """How often each source gives a sample, in one order however the recipe has them."""
        given = {self.data: 1.0} if isinstance(self.data, str) else self.data
        return {name: given[name] for name in DATA if name in given}

    @property
    def prepared(self) -> tuple[str, ...]:
        """Those of its sources that are prepared data."""
        return tuple(name for name in self.shares if name != "synthetic")

    @property
    def needs_validation(self) -> bool:
        """Whether the phase cannot do without validation cases."""
        return self.schedule == "plateau" or self.stop_patience > 0


@dataclass(frozen=True)
class InitialRecipe:
    """How a new network starts (``initial.py``); PyTorch's way where nothing is said.

    linear: channels in pairs of opposite sign, so that its blocks are linear at first. priors: its outputs
    begin at the classes' shares. even_attention: all bases of a DyFC weigh alike at first.
    MONAI's networks take the priors alone.
    """

    linear: bool = False
    priors: bool = False
    even_attention: bool = False


@dataclass(frozen=True)
class OptimiserRecipe:
    """The optimiser. batch: samples per step over all processes; micro_batch: samples per forward pass.

    clip: largest norm of the gradient, 0 for no limit. attention_scale: of the learning rate, for the
    attention of every DyFC: with all of the rate it soon gives one answer to all scans.
    """

    name: str = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.99
    weight_decay: float = 0.0
    clip: float = 0.0
    attention_scale: float = 1.0
    batch: int = 1
    micro_batch: int = 1

    def __post_init__(self) -> None:
        require("optimiser.name", self.name, OPTIMISERS)
        positive("optimiser", self, "batch", "micro_batch", "attention_scale")
        if self.batch % self.micro_batch:
            raise wrong("optimiser.batch", self.batch, f"Give a multiple of micro_batch {self.micro_batch}.")


@dataclass(frozen=True)
class LossRecipe:
    """Weights of the outputs (finest first), of Dice and cross-entropy, and of classes in the latter.

    class_weights: by organ name, "background" included; 1 for what is not named.
    """

    scales: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)
    dice: float = 1.0
    entropy: float = 1.0
    class_weights: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.scales or self.scales[0] <= 0 or min(self.scales) < 0:
            raise wrong("loss.scales", self.scales, "Give a weight per output, the finest above 0.")
        if self.dice < 0 or self.entropy < 0 or not self.dice + self.entropy:
            raise wrong("loss.dice", self.dice, "Give dice and entropy weights of 0 or more, not both 0.")


@dataclass(frozen=True)
class SynthesisRecipe:
    """Label maps for "synthetic" phases, and how often each is drawn (equally often by default).

    validation: of how many further scans of theirs loss and DSC are measured, without prepared cases.
    """

    anatomies: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    validation: int = 0

    def __post_init__(self) -> None:
        if self.weights and len(self.weights) != len(self.anatomies):
            raise wrong("synthesis.weights", self.weights, "Give one weight per anatomy.")


@dataclass(frozen=True)
class RunRecipe:
    """How it runs.

    precision: "auto" is bf16 on a GPU that has it, fp16 on others, fp32 on the CPU.
    average: decay of the moving average of the weights, 0 for none.
    checkpoint_activations: compute them twice instead of keeping them (less memory).
    data_on_device: "auto", "true" or "false": keep the prepared set in the device's memory.
    checkpoint_every: steps between checkpoints; one is also written every five minutes, and when a phase or
    the run ends. validate_every: epochs. threads: of the CPU, 0 for torch's own choice.
    budget_steps, budget_seconds: of the whole training, 0 for none; see ``progress.Budget``.
    """

    seed: int = 1
    precision: str = "auto"
    average: float = 0.0
    checkpoint_activations: bool = False
    compile: bool = False
    data_on_device: str = "auto"
    checkpoint_every: int = 200
    validate_every: int = 1
    threads: int = 0
    budget_steps: int = 0
    budget_seconds: float = 0.0

    def __post_init__(self) -> None:
        require("run.precision", self.precision, PRECISIONS)
        require("run.data_on_device", self.data_on_device, ("auto", "true", "false"))
        positive("run", self, "checkpoint_every", "validate_every")
        if not 0 <= self.average < 1:
            raise wrong("run.average", self.average, "Give a decay of 0 to below 1, such as 0.999.")
        for name in ("budget_steps", "budget_seconds"):
            if getattr(self, name) < 0:
                raise wrong(f"run.{name}", getattr(self, name), "Give a number above 0, or 0 for no limit.")
        if self.budget_steps and self.budget_seconds:
            raise wrong("run.budget_steps", self.budget_steps, "Give either steps or seconds.")


@dataclass(frozen=True)
class Recipe:
    """All of it."""

    network: NetworkRecipe = NetworkRecipe()
    data: DataRecipe = DataRecipe()
    initial: InitialRecipe = InitialRecipe()
    phases: tuple[Phase, ...] = (Phase(),)
    optimiser: OptimiserRecipe = OptimiserRecipe()
    loss: LossRecipe = field(default_factory=LossRecipe)
    augmentation: Augmentation = field(default_factory=Augmentation)
    synthesis: SynthesisRecipe = SynthesisRecipe()
    run: RunRecipe = RunRecipe()

    def __post_init__(self) -> None:
        names = [phase.name for phase in self.phases]
        if not names or len(set(names)) < len(names):
            raise wrong("phases", names, "Give one phase or more, each with a name of its own.")
        config = self.network.config(1)
        if self.initial.linear and self.network.name == OWN and config.width % (2 * len(config.kernels)):
            hint = f"Set network.width to a multiple of {2 * len(config.kernels)}, or this to false."
            raise wrong("initial.linear", True, hint)
        for phase in self.phases:
            config.check_size((self.size_of(phase),) * 3)
        if self.synthetic and not self.synthesis.anatomies:
            raise wrong("synthesis.anatomies", [], "Name the label maps that synthetic scans are made from.")

    @property
    def synthetic(self) -> bool:
        """Whether a phase trains on synthetic scans."""
        return any("synthetic" in phase.shares for phase in self.phases)

    @property
    def prepared(self) -> bool:
        """Whether a phase trains on prepared data."""
        return any(phase.prepared for phase in self.phases)

    def size_of(self, phase: Phase) -> int:
        """Edge of the network's input in a phase, voxels."""
        return phase.size or self.network.config(1).size

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return plain(dataclasses.asdict(self))
