"""What a run trains on what: organs in channel order, network, split, samples of every phase, provenance."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from iuinet.errors import UsageError
from pipeline.augmentation import Augmentation
from pipeline.dataset.organs import lookup_of, organ_names, shown_classes
from pipeline.dataset.prepared import PreparedData
from pipeline.dataset.splits import Split, choose_split
from pipeline.evaluation.exposure import SELECTION, UNSTATED, exposure, resolved
from pipeline.synthesis import ORGANS

from .networks import Config
from .provenance import of_prepared, of_synthetic
from .recipe import Phase, Recipe
from .samples import (
    Cases,
    GeneratedCases,
    MixedSamples,
    PreparedSamples,
    Samples,
    SyntheticSamples,
    keeps_on_device,
)
from .start import Start, start_from

GENERATED = tuple({"name": name, "label": label} for label, name in enumerate(ORGANS, start=1))
HELD_OUT = (0, 2**32)  # of the seed: whatever the run's, no phase has this number


@dataclass(frozen=True)
class Task:
    """organs: {"name", "label"[, "color", "terminology"]} in channel order. split: None without prepared
    data. start: None from scratch."""

    recipe: Recipe
    organs: tuple[dict, ...]
    config: Config
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
        settings = recipe.augmentation if phase.augment else Augmentation.off()
        sources = {}
        for place, source in enumerate(phase.shares):
            seed = (recipe.run.seed, number, *([place] if place else []))
            if source == "synthetic":
                sources[source] = self._generated(seed, device)
            else:
                sources[source] = self._prepared(self.ids(source), settings, seed, device)
        return MixedSamples(sources, phase.shares) if len(sources) > 1 else sources.popitem()[1]

    def ids(self, source: str) -> tuple[str, ...]:
        """Cases or pairs that train."""
        return self.split.pretrain if source == "pairs" else self.split.train

    def _prepared(
        self, ids: Sequence[str], settings: Augmentation, seed: tuple[int, ...], device: torch.device
    ) -> PreparedSamples:
        keep = keeps_on_device(self.recipe.run.data_on_device, self.data, len(ids), device)
        channels = lookup_of(_labels(self.data.organs, self.data.labelled), self.names)
        shown = shown_classes(self.data.labelled, self.names)
        return PreparedSamples(self.data, ids, channels, settings, seed, device, keep, shown)

    def _generated(self, seed: tuple[int, ...], device: torch.device) -> SyntheticSamples:
        channels, shown = lookup_of(_labels(GENERATED, ORGANS), self.names), shown_classes(ORGANS, self.names)
        weights = self.recipe.synthesis.weights
        return SyntheticSamples(self.anatomies, weights, channels, seed, device, shown)

    def validation(self, device: torch.device) -> Cases | None:
        """The validation cases, None where there are none."""
        synthesis = self.recipe.synthesis
        if self.data is None and synthesis.validation:
            return GeneratedCases(self._generated(HELD_OUT, device), synthesis.validation)
        if self.split is None or not self.split.validation:
            return None
        return self._prepared(self.split.validation, Augmentation.off(), (0, 0), device)

    def steps_per_epoch(self, phase: Phase) -> int:
        """Optimiser steps of an epoch."""
        if phase.steps_per_epoch:
            return phase.steps_per_epoch
        return -(-sum(len(self.ids(source)) for source in phase.prepared) // self.recipe.optimiser.batch)

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
    names = organ_names(data, recipe.data.organs, ORGANS if recipe.synthetic else ())
    split = choose_split(data, recipe.data.split, recipe.data.atlases, partial)
    _check_class_weights(recipe, names)
    if recipe.synthetic:
        _check_window(recipe, data)
    for phase in recipe.phases:
        for source in phase.prepared:
            if not (split.pretrain if source == "pairs" else split.train):
                raise UsageError(
                    f"the phase {phase.name!r} has no samples: the split {split.name!r} of these data gives "
                    f"it no {source}",
                    hint="Prepare the registered pairs too, or leave the phase out of the recipe.",
                    code="empty-phase",
                )
            _check_size(recipe, phase, data)
        _check_validation(phase, split.validation)
    config, started = _network(recipe, names, start)
    started = _with_leak(started, data, split)
    recipe, started = _with_class_weights(recipe, started)
    return Task(
        recipe=recipe,
        organs=_entries(data, names),
        config=config,
        data=data,
        split=split,
        anatomies=tuple(anatomies),
        start=started,
        provenance=of_prepared(recipe, data, split, names, anatomies),
    )


def _entries(data: PreparedData, names: Sequence[str]) -> tuple[dict, ...]:
    """The organs' entries: the data's own, and for what only generated CT labels the program's.

    There an organ whose number the data use for another one has the lowest number that is free.
    """
    entries = {organ["name"]: organ for organ in data.organs}
    used = {organ["label"] for organ in data.organs}
    for organ in GENERATED:
        if organ["name"] not in entries and organ["name"] in names:
            free = (label for label in (organ["label"], *range(1, 255)) if label not in used)
            entries[organ["name"]] = {**organ, "label": next(free)}
            used.add(entries[organ["name"]]["label"])
    return tuple(entries[name] for name in names)


def _labels(organs: Sequence[dict], labelled: Sequence[str]) -> dict[str, int]:
    """Raw label ids of the organs that are labelled."""
    return {organ["name"]: organ["label"] for organ in organs if organ["name"] in labelled}


def _synthetic(recipe: Recipe, anatomies: Sequence, start: str | Path | None) -> Task:
    """A run on synthetic CT alone: the labels are the product's own."""
    _check_class_weights(recipe, ORGANS)
    config, started = _network(recipe, ORGANS, start)
    recipe, started = _with_class_weights(recipe, started)
    for phase in recipe.phases:
        _check_validation(phase, [""] * recipe.synthesis.validation)
    provenance = of_synthetic(recipe, anatomies)
    return Task(recipe, GENERATED, config, None, None, tuple(anatomies), started, provenance)


def _network(recipe: Recipe, names: Sequence[str], start: str | Path | None) -> tuple[Config, Start | None]:
    config = recipe.network.config(len(names))
    if start is None:
        return config, None
    started = start_from(start, names, recipe.run.seed, config, recipe.data.window)
    return started.config, started


def _with_leak(start: Start | None, data: PreparedData, split: Split) -> Start | None:
    """The start with a sentence on the cases that it knows, by their ids, and this split holds out."""
    if start is None:
        return None
    record = start.record
    before = {"data": record["trained_on"], "start": record["start"], "sources": record.get("sources")}
    before = resolved(before, data)
    held_out = dict.fromkeys([*split.validation, *split.test])
    known = [case for case in held_out if exposure(before, case) not in ("", SELECTION, UNSTATED)]
    if not known:
        return start
    said = "Scores will be optimistic: it was trained on cases that this split holds out"
    sentence = f"{said}: {', '.join(known)}."
    return dataclasses.replace(start, sentences=(*start.sentences, sentence))


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


def _check_window(recipe: Recipe, data: PreparedData) -> None:
    """Beyond their clipping real scans show nothing, generated ones do: a network would tell them apart."""
    low, high = data.clipped or recipe.data.window
    if not low <= recipe.data.window[0] < recipe.data.window[1] <= high:
        raise UsageError(
            "the recipe's data.window is {:g} to {:g} HU, and the images of {} are clipped to {:g} to {:g} "
            "HU: lung, fat and bone would look otherwise in them than in synthetic CT, which is not clipped, "
            "and tell the network which of the two it sees".format(*recipe.data.window, data.name, low, high),
            hint=f"Set a window within it, such as --set 'data.window=[{low:g}, {high:g}]'.",
            code="window-clipped",
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
