"""What a run trains on what: organs in channel order, network, split, samples of every phase, provenance."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from iuinet.errors import UsageError
from pipeline.augmentation import Augmentation
from pipeline.dataset.organs import channel_lookup, organ_names
from pipeline.dataset.prepared import PreparedData
from pipeline.dataset.splits import Split, choose_split
from pipeline.synthesis import ORGANS

from .networks import Config
from .recipe import Phase, Recipe
from .samples import Cases, GeneratedCases, PreparedSamples, Samples, SyntheticSamples, keeps_on_device
from .start import Start, start_from

HELD_OUT = (0, 2**32)  # of the seed: whatever the run's, no phase has this number
_SYNTHETIC = (
    "Trained on synthetic CT alone, made from the label maps named as its cases: no patient's CT was seen."
)


@dataclass(frozen=True)
class Task:
    """organs: {"name", "label"[, "color", "terminology"]} in channel order. channels: uint8 (256,), from raw
    label to channel. split: None without prepared data. start: None from scratch."""

    recipe: Recipe
    organs: tuple[dict, ...]
    config: Config
    channels: torch.Tensor
    data: PreparedData | None = None
    split: Split | None = None
    anatomies: tuple = ()
    start: Start | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The organs' names."""
        return tuple(organ["name"] for organ in self.organs)

    def samples(self, number: int, device: torch.device) -> Samples:
        """What the phase of this number trains on."""
        phase, recipe = self.recipe.phases[number], self.recipe
        seed = (recipe.run.seed, number)
        if phase.data == "synthetic":
            return SyntheticSamples(self.anatomies, recipe.synthesis.weights, self.channels, seed, device)
        ids = self.ids(phase)
        keep = keeps_on_device(recipe.run.data_on_device, self.data, len(ids), device)
        settings = recipe.augmentation if phase.augment else Augmentation.off()
        return PreparedSamples(self.data, ids, self.channels, settings, seed, device, keep)

    def ids(self, phase: Phase) -> tuple[str, ...]:
        """Cases or pairs of a phase on prepared data."""
        return self.split.pretrain if phase.data == "pairs" else self.split.train

    def validation(self, device: torch.device) -> Cases | None:
        """The validation cases, None where there are none."""
        synthesis = self.recipe.synthesis
        if self.data is None and synthesis.validation:
            made = SyntheticSamples(self.anatomies, synthesis.weights, self.channels, HELD_OUT, device)
            return GeneratedCases(made, synthesis.validation)
        if self.split is None or not self.split.validation:
            return None
        ids = self.split.validation
        keep = keeps_on_device(self.recipe.run.data_on_device, self.data, len(ids), device)
        return PreparedSamples(self.data, ids, self.channels, Augmentation.off(), device=device, keep=keep)

    def steps_per_epoch(self, phase: Phase) -> int:
        """Optimiser steps of an epoch."""
        if phase.steps_per_epoch:
            return phase.steps_per_epoch
        return -(-len(self.ids(phase)) // self.recipe.optimiser.batch)

    def document(self) -> dict[str, Any]:
        """What every checkpoint says of the run, whatever the step."""
        return {
            "recipe": self.recipe.to_dict(),
            "network": self.config.to_dict(),
            "organs": [dict(organ) for organ in self.organs],
            "window": list(self.recipe.data.window),
            "size": self.config.size,
            "data": dict(self.provenance),
            "seed": self.recipe.run.seed,
            "start": self.start.record if self.start else None,
        }


def make_task(
    recipe: Recipe,
    data: PreparedData | None,
    anatomies: Sequence = (),
    start: str | Path | None = None,
    partial: bool = False,
) -> Task:
    """Put recipe and data together, and check that they fit.

    data: None for recipes that are all synthetic. anatomies: ``synthesis.Anatomy``, those that the recipe
    names. start: id or file of a model to start from. partial: go on without cases that are missing.
    Raises: UsageError or WeightsError.
    """
    if recipe.prepared and data is None:
        raise UsageError(
            "the recipe trains on prepared data, and none were named",
            hint="Name the folder that prepare.py made: --data FOLDER.",
            code="no-data",
        )
    if data is None or not recipe.prepared:
        return _synthetic(recipe, anatomies, start)
    names = organ_names(data, recipe.data.organs)
    entries = {organ["name"]: organ for organ in data.organs}
    split = choose_split(data, recipe.data.split, recipe.data.atlases, partial)
    _check_class_weights(recipe, names)
    for phase in recipe.phases:
        if phase.data != "synthetic" and not (split.pretrain if phase.data == "pairs" else split.train):
            raise UsageError(
                f"the phase {phase.name!r} has no samples: the split {split.name!r} of these data gives "
                "it none",
                hint="Prepare the registered pairs too, or leave the phase out of the recipe.",
                code="empty-phase",
            )
        if phase.data != "synthetic":
            _check_size(recipe, phase, data)
        _check_validation(phase, split.validation)
    config, started = _network(recipe, names, start)
    recipe, started = _with_class_weights(recipe, started)
    return Task(
        recipe=recipe,
        organs=tuple(entries[name] for name in names),
        config=config,
        channels=channel_lookup(data, names),
        data=data,
        split=split,
        anatomies=tuple(anatomies),
        start=started,
        provenance={
            "name": data.name,
            "fingerprint": data.fingerprint,
            "split": split.name,
            "statement": split.statement,
            "train": list(split.train),
            "validation": list(split.validation),
            "test": list(split.test),
            "pretrain": len(split.pretrain),
            "atlases": split.atlases,
        },
    )


def _synthetic(recipe: Recipe, anatomies: Sequence, start: str | Path | None) -> Task:
    """A run on synthetic CT alone: the labels are the product's own."""
    _check_class_weights(recipe, ORGANS)
    organs = tuple({"name": name, "label": label} for label, name in enumerate(ORGANS, start=1))
    config, started = _network(recipe, ORGANS, start)
    recipe, started = _with_class_weights(recipe, started)
    for phase in recipe.phases:
        _check_validation(phase, [""] * recipe.synthesis.validation)
    channels = torch.zeros(256, dtype=torch.uint8)
    channels[: len(organs) + 1] = torch.arange(len(organs) + 1, dtype=torch.uint8)
    channels[255] = 255
    names = [anatomy.name for anatomy in anatomies]
    statement = _SYNTHETIC
    if recipe.synthesis.validation:
        statement += f" Selected on {recipe.synthesis.validation} further scans made from the same maps."
    provenance = {
        "name": "synthetic",
        "fingerprint": _fingerprint(anatomies),
        "split": "none",
        "statement": statement,
        "train": names,
        "validation": [],
        "test": [],
        "pretrain": 0,
        "atlases": "none",
    }
    return Task(recipe, organs, config, channels, None, None, tuple(anatomies), started, provenance)


def _network(recipe: Recipe, names: Sequence[str], start: str | Path | None) -> tuple[Config, Start | None]:
    config = recipe.network.config(len(names))
    if start is None:
        return config, None
    started = start_from(start, names, recipe.run.seed, config, recipe.data.window)
    return started.config, started


def _with_class_weights(recipe: Recipe, start: Start | None) -> tuple[Recipe, Start | None]:
    """A recipe that names no class weights takes those that the model's heads were trained with."""
    if start is None or recipe.loss.class_weights or not start.class_weights:
        return recipe, start
    listed = ", ".join(f"{name} {value:g}" for name, value in start.class_weights.items())
    sentence = f"The recipe names no class weights, so those of the model's training are used: {listed}."
    loss = dataclasses.replace(recipe.loss, class_weights=start.class_weights)
    start = dataclasses.replace(start, sentences=(*start.sentences, sentence))
    return dataclasses.replace(recipe, loss=loss), start


def _check_size(recipe: Recipe, phase: Phase, data: PreparedData) -> None:
    size = recipe.size_of(phase)
    if size > data.size and not recipe.data.enlarge:
        raise UsageError(
            f"the phase {phase.name!r} trains at {size}^3 voxels on data that were prepared at {data.size}^3",
            hint=f"Prepare them again with prepare.py --size {size}, or train at their size "
            f"(--set network.size={data.size}); --set data.enlarge=true enlarges them by interpolation.",
            code="prepared-smaller",
        )


def _check_validation(phase: Phase, cases: Sequence[str]) -> None:
    if phase.needs_validation and not cases:
        raise UsageError(
            f"the phase {phase.name!r} watches the validation cases, and there are none",
            hint=f"--set phases.{phase.name}.schedule=cosine phases.{phase.name}.stop_patience=0, or choose "
            "a split with validation cases.",
            code="no-validation",
        )


def _check_class_weights(recipe: Recipe, names: Sequence[str]) -> None:
    unknown = set(recipe.loss.class_weights) - {"background", *names}
    if unknown:
        raise UsageError(
            f"the recipe's loss.class_weights names {', '.join(sorted(unknown))}, no organ of this training",
            hint=f"Its organs are: {', '.join(names)}.",
            code="recipe",
        )


def _fingerprint(anatomies: Sequence) -> str:
    """SHA-256 over the label maps, hexadecimal."""
    digest = hashlib.sha256()
    for anatomy in anatomies:
        digest.update(anatomy.name.encode())
        digest.update(anatomy.tissue.contiguous().numpy())
    return digest.hexdigest()
