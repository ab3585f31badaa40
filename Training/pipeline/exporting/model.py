"""A checkpoint read, the document that says everything about its model, and the model's entry in a list.

``Training/export.py`` builds the document once; the model file, its card and its entry follow from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from iuinet.errors import UsageError, WeightsError
from iuinet.labels import organs_of_model
from iuinet.network import PRESETS, IUINet, IUINetConfig
from iuinet.weights import MANIFEST_FORMAT, check_model, read_manifest
from iuinet.weights.load import load_model
from iuinet.weights.model_file import FORMAT, Weights, file_sha256
from iuinet.weights.user_folder import record_of
from iuinet.writing import write_json
from pipeline.evaluation.exposure import is_synthetic
from pipeline.fitting.checkpoint import read_weights
from pipeline.fitting.networks import is_peer
from pipeline.fitting.run_folder import BEST, LAST, RUN, revision

from .sources import licence_of, sources_of

_FILES = {"best": BEST, "last": LAST}
# What of the surroundings bears on the weights.
_SURROUNDINGS = ("iuinet", "torch", "cuda", "device", "devices", "processes", "revision", "dirty")
_CASE_NUMBER = re.compile(r"\d{1,4}")


@dataclass(frozen=True)
class Trained:
    """A checkpoint as it was read.

    tensors: IUINet's state dict (the moving average where the run kept one). document: the training's, and
    whether it is "unfinished" (None where that is not known).
    which: "best" or "last". run: the run's name. sha256: of the checkpoint's file.
    times: when the run began and ended, where that is known. kept: share of the weights of the model that the
    run started from.
    """

    tensors: dict[str, torch.Tensor]
    document: dict[str, Any]
    which: str
    run: str
    sha256: str
    times: dict[str, str]
    kept: float = 0.0

    @property
    def config(self) -> IUINetConfig:
        """The network's configuration.

        Raises: WeightsError "checkpoint" for another network than IUINet.
        """
        network = self.document["network"]
        if is_peer(network):
            raise WeightsError(
                f"the run {self.run} trained {network['name']}, and only IUINet is a model of this program",
                hint="Only IUINet's own runs can be exported; evaluate.py measures the others too.",
                code="checkpoint",
            )
        return IUINetConfig.from_dict(network)

    def net(self) -> IUINet:
        """The network with the checkpoint's weights, in evaluation mode.

        Raises: WeightsError "checkpoint" for weights of another kind of network.
        """
        net = IUINet(self.config)
        try:
            net.load_state_dict(self.tensors)
        except RuntimeError as error:
            raise WeightsError(
                f"the checkpoint of {self.run} holds no IUINet: {str(error).splitlines()[-1].strip()}",
                hint="Only IUINet's own runs can be exported.",
                code="checkpoint",
            ) from error
        return net.eval().requires_grad_(False)

    def rounded(self) -> Trained:
        """The same with weights that half precision holds exactly, for a file of half the size.

        Raises: WeightsError "half-overflow" for weights beyond its range.
        """
        tensors = {
            name: one.half().to(one.dtype) if one.is_floating_point() else one
            for name, one in self.tensors.items()
        }
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise WeightsError(
                "the model has weights beyond 65504, which half precision does not hold",
                hint="Export it in full precision.",
                code="half-overflow",
            )
        return replace(self, tensors=tensors)


    def keeping(self, share: float, start: Weights) -> Trained:
        """The mean of these weights and those of the model that the run started from, at this share.

        A short fine-tuning moves little, so that between its two ends lie networks that know both
        (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
        Raises: UsageError "start" for another model, or one with other tensors.
        """
        before = self.document.get("start") or {}
        known = f"{before['id']} {before.get('version', '')}" if before else "no model at all"
        tensors = {name: one.float() for name, one in load_model(start.path)[0].state_dict().items()}
        same = {name: one.shape for name, one in tensors.items()} == {
            name: one.shape for name, one in self.tensors.items()
        }
        if before.get("sha256") != start.sha256 or not same:
            raise UsageError(
                f"{self.run} did not start from all the weights of {start.path.name}, but from {known}",
                hint="Name the file of the model that it started from as --start, or leave out --keep-start.",
                code="start",
            )
        mixed = {name: torch.lerp(one.float(), tensors[name], share) for name, one in self.tensors.items()}
        return replace(self, tensors=mixed, kept=share)


def find_checkpoint(run: Path, which: str | None = None) -> Path:
    """The checkpoint of a run: "best" or "last"; None for the best if there is one.

    Raises: WeightsError "checkpoint-missing" for a run without it.
    """
    for name in [which] if which else ["best", "last"]:
        if (run / _FILES[name]).is_file():
            return run / _FILES[name]
    wanted = _FILES[which] if which else " or ".join(_FILES.values())
    hint = "A run without validation has no best checkpoint: use --which last."
    raise WeightsError(
        f"the run {run} holds no {wanted}",
        hint=hint if which == "best" else "Name the folder that train.py was given as --run.",
        code="checkpoint-missing",
    )


def read_trained(checkpoint: Path) -> Trained:
    """Read a checkpoint.

    Raises: WeightsError for what train.py has not written.
    """
    tensors, document = read_weights(checkpoint)
    which = next((key for key, name in _FILES.items() if name == checkpoint.name), checkpoint.stem)
    run = checkpoint.resolve().parent
    document["unfinished"] = _is_unfinished(run)
    phases = (document.get("recipe") or {}).get("phases") or [{"stop_patience": 1}]
    decided = any(phase.get("schedule") == "plateau" or phase.get("stop_patience") for phase in phases)
    if which == "last" and not decided:
        document["selection"] = None  # the scores chose other weights than these, and nothing else
    return Trained(tensors, document, which, run.name, file_sha256(checkpoint), _times(run))


def _is_unfinished(run: Path) -> bool | None:
    """Whether the run would go on, by its last checkpoint; None where there is none that says it."""
    try:
        with safe_open(run / LAST, framework="pt") as file:
            return not json.loads(file.metadata()["training"])["progress"]["finished"]
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def _times(folder: Path) -> dict[str, str]:
    """When the run began and was over, as its run.json says; nothing where it does not."""
    try:
        document = json.loads((folder / RUN).read_text(encoding="utf-8"))
        times = {"started": document["started"]}
        if document.get("ended"):
            times["ended"] = document["ended"]["time"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return times


def model_document(trained: Trained, card: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known about a model, JSON-ready: what its file, its card and its list say is from here.

    card: see ``card.read_card``. metrics: see ``card.read_metrics``, {} for none.
    Raises: WeightsError "weights-metadata" for organs that make no sense, "checkpoint" for a wrong number.
    """
    known = trained.document
    training = training_of(trained, card.get("training") or {})
    sources = sources_of(training)
    optional = {key: card[key] for key in ("name", "description", "limits", "not_measured") if card.get(key)}
    document = {
        "format": FORMAT,
        "id": card["id"],
        "version": card["version"],
        "network": trained.config.to_dict(),
        "organs": [
            {**organ, "pieces": said.pieces}
            for organ, said in zip(known["organs"], organs_of_model(known), strict=True)
        ],
        "preprocessing": {"orientation": "LPS", "size": known["size"], "window": list(known["window"])}
        | ({"second_pass": card["second_pass"]} if card.get("second_pass") else {}),
        "training": training,
        "sources": sources,
        "metrics": dict(metrics),
        "license": licence_of(card["license"], sources),
        "attributions": list(card["attributions"]),
        "intended_use": card["intended_use"],
        **optional,
    }
    if len(document["organs"]) + 1 != trained.config.classes:
        raise WeightsError(
            f"the checkpoint names {len(document['organs'])} organs for {trained.config.classes} classes",
            hint="It was not written by train.py, or is damaged.",
            code="checkpoint",
        )
    return document


def training_of(trained: Trained, words: Mapping[str, Any]) -> dict[str, Any]:
    """How the weights came about. What the checkpoint knows goes before the card's words.

    Cases are listed where their ids are numbers, or the label maps of synthetic CT; names of own cases may
    tell who a patient is, so that only their number is given.
    """
    known = trained.document
    data = {**known["data"]}
    cases = {part: list(data.get(part) or ()) for part in ("train", "validation", "test")}
    public = is_synthetic(data) or all(_CASE_NUMBER.fullmatch(case) for ids in cases.values() for case in ids)
    data |= {part: ids if public else len(ids) for part, ids in cases.items()}
    free = {("description" if key == "data" else key): value for key, value in words.items()}
    average = (known["recipe"].get("run") or {}).get("average")
    weights = f"moving average (decay {average})" if average else "as trained"
    if trained.kept:
        weights += f", {1 - trained.kept:.0%} of it and {trained.kept:.0%} of the model it started from"
    surroundings = known.get("environment") or {}
    return {
        **free,
        "data": data,
        "recipe": known["recipe"],
        "seed": known["seed"],
        "checkpoint": trained.which,
        "weights": weights,
        **{key: known.get(key) for key in ("phase", "epoch", "step", "selection", "start", "unfinished")},
        "environment": {key: surroundings[key] for key in _SURROUNDINGS if key in surroundings},
        "revision": surroundings.get("revision", "unknown"),
        **trained.times,
        "exported": {"date": str(date.today()), "revision": revision()[0]},
    }


# The list of models -------------------------------------------------------------------------------------


def entry_of(weights: Weights, urls: Sequence[str] = ()) -> dict[str, Any]:
    """The entry of a model file. urls: addresses that serve this very file."""
    return {
        **record_of(weights, weights.path),
        "urls": list(urls),
        "preset": preset_of(IUINetConfig.from_dict(weights.document["network"])),
        "metrics": weights.document["metrics"],
        "license": weights.document["license"],
        "sources": weights.document["sources"],
    }


def preset_of(config: IUINetConfig) -> str:
    """Name of the preset that has this network, whatever its organs and size; "custom" if none has."""
    for name, preset in PRESETS.items():
        # paper and abdomen13 differ in their number of classes only.
        free = ("size",) if name == "paper" else ("classes", "size")
        mine, its = config.to_dict(), preset.to_dict()
        if all(mine[key] == its.get(key) for key in mine if key not in free):
            return name
    return "custom"


def check_place(manifest: Path, folder: Path, urls: Sequence[str]) -> None:
    """Refuse a list of models before any work is done.

    Raises: UsageError "manifest-place" for a list that would not find the model, WeightsError for a bad one.
    """
    if manifest.exists():
        read_manifest(manifest)
    if manifest.absolute().parent.resolve() != folder.absolute().resolve() and not urls:
        raise UsageError(
            f"the list {manifest} would not find a model in {folder}",
            hint="Files lie beside their list: use the same folder, or give the file's address with --url.",
            code="manifest-place",
        )


def enter(manifest: Path, entry: Mapping[str, Any], default: bool = False) -> None:
    """Put a model's entry into a list, in the place of an older one of its id.

    The first model of a new list becomes its default.
    Raises: WeightsError for a damaged list, OutputError for what the disk refuses.
    """
    listed = {"format": MANIFEST_FORMAT, "default": "", "models": []}
    if manifest.exists():
        listed = read_manifest(manifest)
    check_model(entry)
    others = [other for other in listed["models"] if other["id"] != entry["id"]]
    listed = {**listed, "models": [entry, *others]}
    if default or not listed["default"]:
        listed["default"] = entry["id"]
    write_json(manifest, listed, overwrite=True)
