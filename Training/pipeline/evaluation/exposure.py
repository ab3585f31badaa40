"""What a model had to do with the cases that it is scored on: a score on a case it trained on proves nothing.

Rests on the statement in the model's own document ("training", written by train.py and export.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iuinet.errors import UsageError
from pipeline.dataset.splits import choose_split

if TYPE_CHECKING:
    from pipeline.dataset.prepared import PreparedData

TRAINING, PRETRAINING, SELECTION = "training", "pre-training", "selection"
PREDECESSOR = "predecessor's training"
SYNTHESIS = "synthesis"
UNSTATED = "not stated"
_WORST_FIRST = (TRAINING, PREDECESSOR, PRETRAINING, SYNTHESIS, SELECTION, UNSTATED)
SEEN = (TRAINING, PREDECESSOR, PRETRAINING, SYNTHESIS)  # image or labels themselves
MAPS = "label maps, for synthetic CT"  # how a document's "sources" call that use
# Label maps of the Synapse set have other names elsewhere than its cases have.
_MAP_OF_CASE = r"(?:label|img|(?:synapse|btcv)[-_]?)?{}"

_SENTENCES = {
    TRAINING: "was TRAINED on {cases}: its scores there say nothing about new patients.",
    PRETRAINING: "was PRE-TRAINED on warped copies of {cases} with their labels: its scores are optimistic.",
    SYNTHESIS: "was TRAINED on synthetic CT made from the label maps of {cases}: its scores are optimistic.",
    PREDECESSOR: "goes on from a model that was TRAINED on {cases}: its scores there are optimistic.",
    SELECTION: "was SELECTED by its scores on {cases}: its scores there are optimistic.",
    UNSTATED: "does not state its training cases: whether it knows {cases} cannot be told.",
}


def resolved(training: Any, data: PreparedData) -> dict[str, Any]:
    """A model's "training" with lists of cases, where they are known.

    A model file for others holds the mere number of cases with names (which may identify a patient). Where
    the data at hand are those of the training, the split's name stands for the cases.
    """
    training = dict(training) if isinstance(training, Mapping) else {}
    if isinstance(training.get("start"), Mapping):
        before = resolved(_of_start(training["start"]), data)
        training["start"] = {**training["start"], "trained_on": before["data"], "start": before.get("start")}
    stated = training.get("data")
    if not isinstance(stated, Mapping) or isinstance(stated.get("train"), list):
        return training
    if stated.get("fingerprint") != data.fingerprint:
        return training
    try:
        split = choose_split(data, stated["split"], stated["atlases"], partial=True)
    except (UsageError, KeyError):
        return training
    parts = {part: list(getattr(split, part)) for part in ("train", "validation", "test")}
    return {**training, "data": {**stated, **parts}}


def trained_on(training: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The part about the data, None where no list of training cases is known."""
    data = training.get("data")
    return data if isinstance(data, Mapping) and isinstance(data.get("train"), list) else None


def _of_start(start: Mapping[str, Any]) -> dict[str, Any]:
    """The "training" of the model that a training started from, as far as the start's record has it."""
    return {"data": start.get("trained_on"), "start": start.get("start"), "sources": start.get("sources")}


def exposure(training: Mapping[str, Any], case: str) -> str:
    """How the model met the case: TRAINING, PREDECESSOR, PRETRAINING, SELECTION (the worst), UNSTATED or "".

    Cases are compared by id. What the model that it started from had met, it has met too.
    """
    found = [_own_exposure(training, case)]
    if isinstance(training.get("start"), Mapping):
        before = exposure(_of_start(training["start"]), case)
        found.append(PREDECESSOR if before == TRAINING else before)
    return worst(found)


def is_synthetic(data: Any) -> bool:
    """Whether a training saw generated CT alone (``pipeline.fitting.task``), and so no case."""
    return isinstance(data, Mapping) and (data.get("name"), data.get("split")) == ("synthetic", "none")


def _own_exposure(training: Mapping[str, Any], case: str) -> str:
    """The same without what a model that it started from had met.

    Registered pairs of "all30" atlases hold every labelled case's anatomy; those of other choices hold that
    of training cases alone.
    """
    made = SYNTHESIS if _is_map(case, _anatomies(training)) else ""
    if is_synthetic(training.get("data")):
        return made
    data = trained_on(training)
    if data is None:
        return made or UNSTATED
    if case in data["train"]:
        return TRAINING
    if data.get("pretrain") and data.get("atlases") == "all30":
        return PRETRAINING
    if made:
        return made
    selected = training.get("selection", True) is not None
    return SELECTION if selected and case in data.get("validation", ()) else ""


def _anatomies(training: Mapping[str, Any]) -> list[str]:
    """The label maps that synthetic CT was made from, by the training's record and the model's sources."""
    data, names = training.get("data"), []
    if is_synthetic(data):
        names += data["train"] if isinstance(data.get("train"), list) else []
    elif isinstance(data, Mapping):
        names += (data.get("synthetic") or {}).get("anatomies", ())
    for source in training.get("sources") or ():
        if source.get("seen") == MAPS and isinstance(source.get("cases"), list):
            names += source["cases"]
    return names


def _is_map(case: str, names: Sequence[str]) -> bool:
    pattern = re.compile(_MAP_OF_CASE.format(re.escape(case)) if case.isdigit() else re.escape(case))
    return any(pattern.fullmatch(name) for name in names)


def worst(found: Iterable[str]) -> str:
    """The worst of several exposures."""
    found = set(found)
    return next((kind for kind in _WORST_FIRST if kind in found), "")


def standing(training: Mapping[str, Any]) -> list[str]:
    """Sentences where weights are not what their recipe ends with; what is not known is no fault."""
    recipe = training.get("recipe") if isinstance(training.get("recipe"), Mapping) else {}
    phases = {phase.get("name"): phase for phase in recipe.get("phases") or () if isinstance(phase, Mapping)}
    phase = training.get("phase")
    place = f"step {training.get('step')}, in epoch {training.get('epoch')} of the phase {phase}"
    sentences = []
    if training.get("unfinished"):
        sentences.append(
            f"comes from an UNFINISHED training ({place}): its scores are not those of the recipe."
        )
    if phases.get(phase, {}).get("data") == "pairs":
        sentences.append(
            f"holds weights of the PRE-TRAINING alone ({place}), from before the training itself."
        )
    return sentences


def warnings(model: str, exposures: Mapping[str, str]) -> list[str]:
    """Sentences about a model. exposures: case -> exposure."""
    sentences = []
    for kind, sentence in _SENTENCES.items():
        cases = [case for case, found in exposures.items() if found == kind]
        if cases:
            of_all = "all" if len(cases) == len(exposures) else f"{len(cases)} of"
            listed = f"{of_all} {len(exposures)} evaluated cases"
            if len(cases) < len(exposures):
                listed += f" ({', '.join(cases)})"
            sentences.append(f"{model} {sentence.format(cases=listed)}")
    return sentences


def only_seen(exposures: Mapping[str, str]) -> dict[str, str]:
    """The exposures with "" for cases that a model has not seen itself, such as those that selected it."""
    return {case: kind if kind in SEEN else "" for case, kind in exposures.items()}


def refuse_seen(model: str, exposures: Mapping[str, str]) -> None:
    """Raises: UsageError "case-seen" for a model that has seen cases or their label maps."""
    if sentences := warnings(model, only_seen(exposures)):
        raise UsageError(
            " ".join(sentences),
            hint="Choose other cases (--subset, --split), or score it on these all the same by --allow-seen: "
            "every table then says so.",
            code="case-seen",
        )


def other_data(model: str, training: Mapping[str, Any], name: str) -> list[str]:
    """A sentence where a model comes from data of another name, so that the ids may mean other patients."""
    data = trained_on(training)
    if data is None or data.get("name") in (None, name):
        return []
    return [
        f"{model} was trained on the data {data['name']!r}, not on {name!r}: whether it knows a case is "
        "told by the case's id alone, which may mean another patient."
    ]
