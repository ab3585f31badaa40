"""Start a training from the weights of a model, shipped or one's own, for the same or other organs.

The network is the model's. In its heads (``mapping``, the last layer of each scale) each class has numbers of
its own: an organ that both have, by name, keeps them, as background does; a new organ's are made from the
run's seed; those of an organ that is left out go. Everything else is kept.
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
# The dimension of a head's tensor that counts the classes: a DyFC's, and a convolution's (head = "conv").
_CLASS_DIMS = {"weights": 2, "biases": 1, "weight": 0}
# The same network computes every size of input, and has a class for each organ of the list.
_FREE = ("classes", "size")


@dataclass(frozen=True)
class Start:
    """Where a training starts.

    config: the network. tensors: its state dict, float32 on the CPU. record: for the checkpoint and run.json
    (id, version, sha256, organs_before, organs_now, of these made_anew and of those left_out, trained_on, the
    model's sources and its own start). class_weights: of the model's training, for the organs of this one.
    sentences: for the user.
    """

    config: IUINetConfig
    tensors: dict[str, torch.Tensor]
    record: dict[str, Any]
    class_weights: dict[str, float]
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
    places = {plain_name(name): number for number, name in enumerate(before, start=1)}
    kept = [places.get(plain_name(name)) for name in organs]
    tensors |= _heads(tensors, new_heads(config, seed), [0, *kept])
    training = document.get("training", {})
    made_anew = [name for name, place in zip(organs, kept, strict=True) if place is None]
    left_out = [name for place, name in enumerate(before, start=1) if place not in kept]
    record = {
        **found.summary(),
        "organs_before": before,
        "organs_now": list(organs),
        "made_anew": made_anew,
        "left_out": left_out,
        "trained_on": training.get("data"),
        "start": training.get("start"),
        "sources": found.document.get("sources") or [],
    }
    said = [_heads_sentence(found.id, organs, made_anew, left_out)]
    said += _preprocessing_sentences(document["preprocessing"], size, window)
    return Start(config, tensors, record, _class_weights(training, organs), tuple(said))


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
    before, wanted = dataclasses.asdict(model), dataclasses.asdict(recipe)
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


def _heads(
    model: dict[str, torch.Tensor], fresh: dict[str, torch.Tensor], places: Sequence[int | None]
) -> dict[str, torch.Tensor]:
    """The training's heads. fresh: new ones. places: of each class in the model's heads, None for new."""
    heads = {}
    for name, tensor in fresh.items():
        dim = _CLASS_DIMS[name.rpartition(".")[2]] if name.count(".") == 2 else None
        if dim is None:  # norm and attention, which are not of one class
            heads[name] = model[name]
            continue
        heads[name] = tensor.clone()
        for number, place in enumerate(places):
            if place is not None:
                heads[name].select(dim, number).copy_(model[name].select(dim, place))
    return heads


def _class_weights(training: dict[str, Any], organs: Sequence[str]) -> dict[str, float]:
    """Of the model's own training, where its document has them; {} where it does not."""
    found = ((training.get("recipe") or {}).get("loss") or {}).get("class_weights") or {}
    known = {plain_name(name): value for name, value in found.items()}
    return {name: known[plain_name(name)] for name in ("background", *organs) if plain_name(name) in known}


def _heads_sentence(
    name: str, organs: Sequence[str], made_anew: Sequence[str], left_out: Sequence[str]
) -> str:
    kept = [organ for organ in organs if organ not in made_anew]
    sentence = f"Of {name} everything is kept"
    if made_anew or left_out:
        heads = f"the heads' numbers for {_listed(kept)}" if kept else "of the heads what is no organ's"
        sentence += f" but for heads: kept are {heads}"
        sentence += f"; new are {_listed(made_anew)}" if made_anew else ""
        sentence += f"; left out are {_listed(left_out)}" if left_out else ""
    return f"{sentence}."


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
    return ", ".join(names)
