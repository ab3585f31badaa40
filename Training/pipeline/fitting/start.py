"""Start a training from the weights of a model, shipped or one's own, for the same or other organs.

The network is the model's. Its heads (``mapping``, the last layer of each scale) belong to its organs: for
another organ list new ones are made from the run's seed, and everything else is kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from iuinet.errors import UsageError
from iuinet.labels import plain_name
from iuinet.network import IUINet, IUINetConfig
from iuinet.weights import resolve
from iuinet.weights.load import load_model

from .networks import Config

HEADS = "mapping."
# The same network computes every size of input, and has a class for each organ of the list.
_FREE = ("classes", "size")


@dataclass(frozen=True)
class Start:
    """Where a training starts.

    config: the network. tensors: its state dict, float32 on the CPU. record: for the checkpoint and run.json
    (id, version, sha256, kept, made_anew, organs_before, organs_now, trained_on, and the model's own start).
    sentences: for the user.
    """

    config: IUINetConfig
    tensors: dict[str, torch.Tensor]
    record: dict[str, Any]
    sentences: tuple[str, ...]


def start_from(
    weights: str | Path,
    organs: Sequence[str],
    seed: int,
    network: Config | None = None,
    window: tuple[float, float] | None = None,
) -> Start:
    """The start of a training of these organs from a model.

    weights: id or file, as ``iuinet.weights.resolve`` takes it. organs: names in channel order, background
    left out. seed: the run's. network: the recipe's, None for the model's own; its number of
    classes does not matter, and its size may be another one. window: the recipe's, HU.
    Raises: WeightsError for a model that cannot be read, UsageError "start-network" for a recipe with another
    network than the model's.
    """
    found = resolve(weights)
    net, document = load_model(found.path)
    check_network(net.config, network, found.id)
    before = [organ["name"] for organ in document["organs"]]
    size = network.size if network else net.config.size
    config = dataclasses.replace(net.config, classes=len(organs) + 1, size=size)
    tensors = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    same = [plain_name(name) for name in before] == [plain_name(name) for name in organs]
    fresh = {} if same else new_heads(config, seed)
    kept = {name: tensor for name, tensor in tensors.items() if same or not name.startswith(HEADS)}
    record = {
        **found.summary(),
        "kept": len(kept),
        "made_anew": sorted(fresh),
        "organs_before": before,
        "organs_now": list(organs),
        "trained_on": document.get("training", {}).get("data"),
        "start": document.get("training", {}).get("start"),
    }
    said = [_heads_sentence(found.id, before, organs, len(kept), len(fresh))]
    said += _preprocessing_sentences(document["preprocessing"], size, window)
    return Start(config, kept | fresh, record, tuple(said))


def check_network(model: IUINetConfig, recipe: Config | None, name: str) -> None:
    """Raises: UsageError "start-network" with each field in which the recipe's network is another one."""
    if recipe is None:
        return
    if not isinstance(recipe, IUINetConfig):
        raise UsageError(
            f"the model {name} is an IUINet, and the recipe's network is {recipe.name}",
            hint="Set network.name=iuinet, or train without a start.",
            code="start-network",
        )
    before, wanted = model.to_dict(), recipe.to_dict()
    differing = [key for key in before if key not in _FREE and before[key] != wanted[key]]
    if differing:
        listed = ", ".join(f"{key} {before[key]} (the recipe: {wanted[key]})" for key in differing)
        raise UsageError(
            f"the model {name} has another network than the recipe: {listed}",
            hint="Change [network] in the recipe, or train without a start.",
            code="start-network",
        )


def new_heads(config: IUINetConfig, seed: int) -> dict[str, torch.Tensor]:
    """The heads of a new network, a function of configuration and seed; torch's own chance is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = IUINet(config)
    return {name: tensor for name, tensor in net.state_dict().items() if name.startswith(HEADS)}


def _heads_sentence(name: str, before: Sequence[str], now: Sequence[str], kept: int, fresh: int) -> str:
    if not fresh:
        return f"All {kept} tensors of {name} are kept: its organs are those of this training."
    return (
        f"{kept} tensors of {name} are kept; the {fresh} tensors of its heads are initialised again, because "
        f"its organs ({_listed(before)}) are not those of this training ({_listed(now)})."
    )


def _preprocessing_sentences(
    settings: dict[str, Any], size: int, window: tuple[float, float] | None
) -> list[str]:
    sentences = []
    if settings["size"] != size:
        text = f"It was made for an input of {settings['size']}^3 voxels, this training uses {size}^3."
        sentences.append(text)
    if window is not None and list(window) != list(settings["window"]):
        low, high = settings["window"]
        sentences.append(
            f"It was trained with the window {low:g} to {high:g} HU, this training uses "
            f"{window[0]:g} to {window[1]:g} HU."
        )
    return sentences


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
