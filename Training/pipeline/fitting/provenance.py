"""What a training says of its data, in every checkpoint: cases, label maps, which set labels which organs.

``evaluation.exposure`` and the model card rest on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from iuinet.labels import plain_name
from pipeline.dataset.organs import shown_classes
from pipeline.dataset.prepared import PreparedData
from pipeline.dataset.splits import Split
from pipeline.synthesis import ORGANS

from .recipe import Recipe

_SYNTHETIC = (
    "Trained on synthetic CT alone, made from the label maps named as its cases: no patient's CT was seen."
)


def of_prepared(
    recipe: Recipe, data: PreparedData, split: Split, names: Sequence[str], anatomies: Sequence
) -> dict[str, Any]:
    """A training on prepared data, alone or with synthetic CT.

    "synthetic" (label maps, fingerprint) is there with synthetic CT, "labelled" (organs by the name of the
    set) where a set does not label all organs of the training, whose names are ``names``.
    """
    labels: dict[str, Sequence[str]] = {data.name: data.labelled}
    said, more = [split.statement], {}
    if recipe.synthetic:
        labels["synthetic"] = ORGANS
        made = [anatomy.name for anatomy in anatomies]
        more["synthetic"] = {"anatomies": made, "fingerprint": _fingerprint(anatomies)}
        said.append(f"Also trained on synthetic CT made from the label maps {', '.join(made)}.")
    if any(shown_classes(held, names) is not None for held in labels.values()):
        more["labelled"] = _labelled(labels, names)
        for name, held in more["labelled"].items():
            rest = [organ for organ in names if organ not in held]
            if rest:
                said.append(f"{name} does not label {', '.join(rest)}: its scans say nothing of them.")
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "split": split.name,
        "statement": " ".join(said),
        "train": list(split.train),
        "validation": list(split.validation),
        "test": list(split.test),
        "pretrain": len(split.pretrain),
        "atlases": split.atlases,
        **({"generated": True} if data.generated else {}),
        **more,
    }


def of_synthetic(recipe: Recipe, anatomies: Sequence) -> dict[str, Any]:
    """A training on synthetic CT alone."""
    statement = _SYNTHETIC
    if recipe.synthesis.validation:
        statement += f" Selected on {recipe.synthesis.validation} further scans made from the same maps."
    return {
        "name": "synthetic",
        "fingerprint": _fingerprint(anatomies),
        "split": "none",
        "statement": statement,
        "train": [anatomy.name for anatomy in anatomies],
        "validation": [],
        "test": [],
        "pretrain": 0,
        "atlases": "none",
    }


def _labelled(labels: Mapping[str, Sequence[str]], names: Sequence[str]) -> dict[str, list[str]]:
    held = {name: {plain_name(organ) for organ in organs} for name, organs in labels.items()}
    return {name: [organ for organ in names if plain_name(organ) in held[name]] for name in labels}


def _fingerprint(anatomies: Sequence) -> str:
    """SHA-256 over the label maps, hexadecimal."""
    digest = hashlib.sha256()
    for anatomy in anatomies:
        digest.update(anatomy.name.encode())
        digest.update(anatomy.tissue.contiguous().numpy())
    return digest.hexdigest()
