"""What is to be measured: models and runs from the command line, and folds of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iuinet.errors import UsageError
from iuinet.labels import Organ, organs_of_model
from iuinet.weights import resolve
from iuinet.weights.model_file import Weights, check_file
from pipeline.dataset.prepared import PreparedData
from pipeline.fitting.networks import is_peer

from .exposure import exposure, resolved, trained_on
from .scoring import translation

SINGLE, CROSS_VALIDATION = "model", "cross-validation"
_CARD = {
    "version": "0",
    "license": "not licensed: exported for its evaluation only",
    "attributions": [],
    "intended_use": "Evaluation.",
    "training": {},
}


@dataclass(frozen=True)
class Member:
    """One model. name: for people and folders. sha256: of the file that the user named.

    training: what it says of its training ("data" with its cases, "recipe", "seed", "selection", ...).
    run: whether it is a run's checkpoint, of which ``weights`` was made for this evaluation.
    which: "best" or "last" of a run, "" for a model file.
    """

    name: str
    weights: Weights
    sha256: str
    training: dict[str, Any]
    run: bool = False
    which: str = ""


@dataclass(frozen=True)
class Candidate:
    """What gets a row of its own in the results.

    kind: SINGLE or CROSS_VALIDATION (each case by the one member that ``member_of`` names). cases: those
    that it is scored on.
    """

    name: str
    kind: str
    members: tuple[Member, ...]
    cases: tuple[str, ...]
    member_of: dict[str, Member] = field(default_factory=dict)

    def member_for(self, case: str) -> Member:
        """The member that works on a case."""
        return self.member_of[case] if self.kind == CROSS_VALIDATION else self.members[0]

    def exposure(self, case: str) -> str:
        """What that had to do with the case, see ``exposure.py``."""
        return exposure(self.member_for(case).training, case)


def find_members(
    weights: Sequence[str], runs: Sequence[Path], folder: Path, data: PreparedData, which: str | None = None
) -> tuple[Member, ...]:
    """The models that the user named, with names of their own. folder: for model files made from runs.

    which: the runs' "best" or "last" checkpoints; None for the best, the last where nothing chose a best.

    Raises: WeightsError.
    """
    members: list[Member] = []
    for named in weights:
        found = resolve(named)
        training = resolved(found.document.get("training"), data)
        training |= {"sources": found.document.get("sources") or []}
        members.append(Member(_free(found.id, members), found, found.sha256, training))
    for run in runs:
        name = _free(run.resolve().name, members)
        members.append(_of_run(run, name, folder / f"{len(members)}-{name}.safetensors", data, which))
    return tuple(members)


def _of_run(run: Path, name: str, path: Path, data: PreparedData, which: str | None) -> Member:
    """A run's weights as a model file at the path. which: see ``find_members``."""
    from iuinet.weights.load import save_model
    from pipeline.exporting.model import find_checkpoint, model_document, read_trained

    checkpoint = find_checkpoint(run, which)
    trained = read_trained(checkpoint)
    if is_peer(trained.document["network"]):
        weights = _of_peer(checkpoint, name, trained.sha256, trained.document)
    else:
        save_model(path, trained.net(), model_document(trained, {**_CARD, "id": name}, {}))
        weights = check_file(path)
    return Member(name, weights, trained.sha256, resolved(trained.document, data), True, trained.which)


def _of_peer(checkpoint: Path, name: str, sha256: str, trained: dict[str, Any]) -> Weights:
    """A checkpoint of another network than IUINet, which no model file holds, for ``segmenters.Peer``."""
    document = {
        "id": name,
        "version": _CARD["version"],
        "network": trained["network"],
        "organs": trained["organs"],
        "preprocessing": {"orientation": "LPS", "size": trained["size"], "window": trained["window"]},
    }
    return Weights(checkpoint, name, document["version"], sha256, document)


def check_organs(members: Sequence[Member], organs: Sequence[Organ]) -> None:
    """organs: that the data label. Raises: UsageError "no-organ" for a model that knows none of them."""
    for member in members:
        known = organs_of_model(member.weights.document)
        if not translation(known, organs)[1]:
            finds, hold = (", ".join(organ.name for organ in table) for table in (known, organs))
            raise UsageError(
                f"{member.name} finds {finds}, and the data label none of it",
                hint=f"The data label: {hold}. Organs are matched by name.",
                code="no-organ",
            )


def _free(name: str, members: Sequence[Member]) -> str:
    """The name as a plain file name that no other member has."""
    plain = re.sub(r"[^\w.-]+", "_", name).strip("._") or "model"
    taken, number, free = {member.name for member in members}, 2, plain
    while free in taken:
        free, number = f"{plain}-{number}", number + 1
    return free


# Groups of one recipe ----------------------------------------------------------------------------------


def recipe_of(member: Member, without: Iterable[str] = ()) -> str | None:
    """A text that models of one recipe and data share, whatever their seed; None where no recipe is known.

    without: keys of the data that may differ too.
    """
    recipe = member.training.get("recipe")
    if not isinstance(recipe, dict):
        return None
    left_out = {"run": {"seed"}, "data": set(without)}
    recipe = {key: part for key, part in recipe.items() if key != "seed"}
    for key in left_out:
        if isinstance(recipe.get(key), dict):
            recipe[key] = {name: value for name, value in recipe[key].items() if name not in left_out[key]}
    data = member.training.get("data")
    data = data if isinstance(data, dict) else {}
    kept = {key: data.get(key) for key in ("fingerprint", "split") if key not in without}
    return json.dumps([recipe, member.weights.document["organs"], kept], sort_keys=True)


def groups_of(members: Sequence[Member], without: Iterable[str] = ()) -> list[tuple[Member, ...]]:
    """The members in groups of one recipe; one that tells no recipe is alone."""
    groups: dict[str, list[Member]] = {}
    for member in members:
        key = recipe_of(member, without) or f"alone: {member.name}"
        groups.setdefault(key, []).append(member)
    return [tuple(group) for group in groups.values()]


def group_name(members: Sequence[Member]) -> str:
    """What the members' names have in common: run-seed1, run-seed2 -> run."""
    names = [member.name for member in members]
    if len(names) == 1:
        return names[0]
    common = next(
        names[0][:n] for n in range(len(names[0]), -1, -1) if all(x.startswith(names[0][:n]) for x in names)
    )
    stem = re.sub(r"[-_. ]*(seed|fold|run|model)?[-_. ]*$", "", common, flags=re.IGNORECASE)
    return stem or common.strip("-_. ") or names[0]


# What is scored on what ----------------------------------------------------------------------------------


def single(members: Sequence[Member], cases: Sequence[str]) -> list[Candidate]:
    """Each model by itself, all on the same cases."""
    return [Candidate(member.name, SINGLE, (member,), tuple(cases)) for member in members]


def cross_validation(members: Sequence[Member], known: Iterable[str]) -> list[Candidate]:
    """One candidate per recipe: each case is scored by the one fold that held it out as a test case.

    known: ids of the cases at hand. Raises: UsageError "cross-validation" where folds do not fit together.
    """
    known, found = set(known), []
    for group in groups_of(members, without=("split",)):
        member_of: dict[str, Member] = {}
        for member in group:
            data = trained_on(member.training)
            if data is None:
                raise _no_folds(f"{member.name} does not state its training cases")
            for case in data.get("test", ()):
                if case in data["train"]:
                    raise _no_folds(f"{member.name} was trained on its test case {case}")
                if case in member_of:
                    raise _no_folds(f"{member_of[case].name} and {member.name} both held out the case {case}")
                if case in known:
                    member_of[case] = member
        if len(group) < 2 or not member_of:
            raise _no_folds(f"{group[0].name} is the only fold of its recipe")
        name = f"{group_name(group)}-cross-validation"
        found.append(Candidate(name, CROSS_VALIDATION, group, tuple(sorted(member_of)), member_of))
    return found


def _no_folds(text: str) -> UsageError:
    return UsageError(
        f"no cross-validation can be pooled: {text}",
        hint="Name one run per fold, trained with --set data.split=fold-0 and so on.",
        code="cross-validation",
    )
