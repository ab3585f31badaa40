"""Checkpoints: safetensors and JSON, never pickle; complete or absent after any kill.

One file holds all: weights as ``net.*``, their moving average as ``average.*``, the optimiser's moments as
``optimiser.<parameter>.<name>``, and in its metadata one JSON document under the key "training". No two files
can disagree. ``last.safetensors`` goes on with a run, ``best.safetensors`` holds weights alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from iuinet.errors import WeightsError
from iuinet.files import atomic

KEY, FORMAT = "training", 2
NET, AVERAGE, OPTIMISER = "net.", "average.", "optimiser."


def write_checkpoint(path: Path, tensors: Mapping[str, torch.Tensor], document: Mapping[str, Any]) -> None:
    """Write a checkpoint in the place of an earlier one, completely or not at all. Raises: OutputError."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {KEY: json.dumps({"format": FORMAT, **document})}
    with atomic(path, overwrite=True) as draft:
        draft.write_bytes(save(kept, metadata=metadata))


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """All tensors on the CPU, and the document.

    Raises: WeightsError "checkpoint-missing", "checkpoint-damaged", "checkpoint-newer".
    """
    try:
        with safe_open(path, framework="pt") as file:
            document = json.loads(file.metadata()[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        newer = document["format"] > FORMAT
    except FileNotFoundError as error:
        hint = "Name the folder that train.py was given as --run."
        raise WeightsError(f"there is no checkpoint {path}", hint=hint, code="checkpoint-missing") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path.name} is not a checkpoint of train.py, or is damaged",
            hint="Copy it again, or train again in another folder.",
            code="checkpoint-damaged",
        ) from error
    if newer:
        text = f"{path.name} has format {document['format']}, this version reads up to {FORMAT}"
        raise WeightsError(text, hint="Update these scripts.", code="checkpoint-newer")
    return tensors, document


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """State dict (the moving average where there is one) and document. Raises: WeightsError."""
    tensors, document = read_checkpoint(path)
    if found := part(tensors, AVERAGE) or part(tensors, NET):
        return found, document
    hint = "Name a checkpoint of train.py."
    raise WeightsError(f"{path.name} holds no weights", hint=hint, code="checkpoint-damaged")


def part(tensors: Mapping[str, torch.Tensor], kind: str) -> dict[str, torch.Tensor]:
    """The tensors of one kind, by their names without it."""
    return {name.removeprefix(kind): tensor for name, tensor in tensors.items() if name.startswith(kind)}


def named(kind: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inverse of ``part``."""
    return {kind + name: tensor for name, tensor in tensors.items()}


# The optimiser's moments ----------------------------------------------------------------------------------


def moments(
    optimiser: torch.optim.Optimizer, parameters: Sequence[torch.nn.Parameter]
) -> dict[str, torch.Tensor]:
    """The optimiser's state as named tensors, by the number of each of the network's parameters: into which
    groups the optimiser sorts them does not matter."""
    return {
        f"{OPTIMISER}{number}.{name}": torch.as_tensor(value)
        for number, parameter in enumerate(parameters)
        for name, value in optimiser.state.get(parameter, {}).items()
        if value is not None
    }


def restore_moments(
    optimiser: torch.optim.Optimizer,
    parameters: Sequence[torch.nn.Parameter],
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """The inverse of ``moments``."""
    own = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    place = {parameter: number for number, parameter in enumerate(own)}
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in part(tensors, OPTIMISER).items():
        index, key = name.split(".", 1)
        state.setdefault(place[parameters[int(index)]], {})[key] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
