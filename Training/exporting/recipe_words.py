"""A training recipe in sentences, for the model card: whoever reads it need not know the recipe's fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DATA = {
    "pairs": "registered pairs (a labelled scan moved onto another)",
    "cases": "labelled scans",
    "synthetic": "synthetic CT made from label maps",
}
_SCHEDULES = {
    "plateau": "lowered when the DSC stops rising",
    "cosine": "falling along a cosine",
    "linear": "falling linearly",
    "constant": "constant",
}


def recipe_sentences(training: Mapping[str, Any]) -> list[str]:
    """Sentences on how a model was trained; a recipe of another form is listed as it is.

    training: of the model's document.
    """
    recipe = training.get("recipe") or {}
    if not isinstance(recipe.get("phases"), list):
        return [f"{key}: {value}" for key, value in recipe.items()]
    sentences = [_phase(phase) for phase in recipe["phases"]]
    sentences += _optimiser(recipe.get("optimiser") or {})
    sentences += _run(recipe.get("run") or {}, training)
    return [*sentences, *_end(training)]


def _phase(phase: Mapping[str, Any]) -> str:
    parts = [f"Phase {phase.get('name', '?')}: {_DATA.get(phase.get('data'), phase.get('data'))}"]
    if phase.get("size"):
        parts.append(f"input {phase['size']}^3")
    if phase.get("epochs"):
        of = f" of {phase['steps_per_epoch']} steps" if phase.get("steps_per_epoch") else ""
        parts.append(f"up to {phase['epochs']} epochs{of}")
    if phase.get("learning_rate"):
        how = _SCHEDULES.get(phase.get("schedule"), phase.get("schedule"))
        parts.append(f"learning rate {phase['learning_rate']:g}" + (f", {how}" if how else ""))
    if phase.get("schedule") == "plateau" and phase.get("plateau_patience"):
        factor, patience = phase.get("plateau_factor"), phase["plateau_patience"]
        parts.append(f"multiplied by {factor} after {patience} epochs without a better DSC")
    if phase.get("warm_up_steps"):
        parts.append(f"warmed up over {phase['warm_up_steps']} steps")
    if phase.get("stop_patience"):
        parts.append(f"stopped after {phase['stop_patience']} epochs without a lower validation loss")
    if "augment" in phase:
        parts.append("with augmentation" if phase["augment"] else "without augmentation")
    return ", ".join(parts) + "."


def _optimiser(optimiser: Mapping[str, Any]) -> list[str]:
    if not optimiser:
        return []
    parts = [f"Optimiser {optimiser.get('name', '?')}"]
    if optimiser.get("batch"):
        scans = "scan" if optimiser["batch"] == 1 else "scans"
        parts.append(f"{optimiser['batch']} {scans} a step")
    if optimiser.get("weight_decay"):
        parts.append(f"weight decay {optimiser['weight_decay']:g}")
    if optimiser.get("clip"):
        parts.append(f"gradients clipped at norm {optimiser['clip']:g}")
    return [", ".join(parts) + "."]


def _run(run: Mapping[str, Any], training: Mapping[str, Any]) -> list[str]:
    sentences = []
    if run.get("average"):
        sentences.append(f"The weights are a moving average over the steps (decay {run['average']:g}).")
    if run.get("precision"):
        sentences.append(f"Precision: {run['precision']}.")
    if training.get("seed") is not None:
        sentences.append(f"Seed {training['seed']}.")
    return sentences


def _end(training: Mapping[str, Any]) -> list[str]:
    """Where the weights were taken, and what they started from."""
    sentences = []
    if training.get("step") is not None:
        sentences.append(
            f"Taken after {training['step']} steps, in epoch {training.get('epoch')} of the phase "
            f"{training.get('phase')} (the {training.get('checkpoint', '')} checkpoint)."
        )
    selection = training.get("selection")
    if selection and selection.get("dsc") is not None:
        sentences.append(f"Selected by a mean DSC of {selection['dsc']:.4f} on the validation cases.")
    start = training.get("start")
    if start:
        heads = "its heads made anew" if start.get("made_anew") else "all its weights kept"
        sentences.append(
            f"Started from the model {start.get('id')} {start.get('version', '')} "
            f"(SHA-256 {str(start.get('sha256'))[:12]}...), {heads}."
        )
    return sentences
