"""The model card: what a model is, what it was made of, how good it is, and what has not been measured.

It is made from the model's own document, so card and file cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from iuinet.inference.second_pass import BODY_MM
from iuinet.labels import ALL, organs_of_model
from iuinet.quality import RELIABLE, WORDS, by_verdict, qualities
from iuinet.weights.model_file import Weights
from pipeline.evaluation.exposure import standing

from .sources import sentences

_METRICS = {
    "dice": "DSC (1 is best)",
    "hd95_mm": "95th percentile Hausdorff distance, mm (0 is best)",
    "assd_mm": "Mean surface distance, mm (0 is best)",
    "nsd": "Normalised surface DSC, tolerance 3 mm (1 is best)",
}

# What other lines of the card say of a training.
_KNOWN = {"data", "recipe", "seed", "checkpoint", "weights", "phase", "epoch", "step", "selection", "start"}
_KNOWN |= {"environment", "revision", "started", "ended", "exported", "date", "unfinished"}


def model_card(weights: Weights, notes: Sequence[str] = ()) -> str:
    """The card of a model file as Markdown. notes: such as what was verified."""
    document = weights.document
    parts = [
        f"# {document.get('name') or weights.id}",
        "\n".join(_verdicts(document)),
        f"Version {weights.version}.",
        document.get("description") or "",
        _what(document),
        _section("Intended use", [document.get("intended_use") or "Not stated."]),
        _section("Training data", _data(document["training"])),
        _section("Training", _training(document["training"])),
        _section("Measured", _measured(document)),
        _section("Limits", [f"* {line}" for line in _limits(document)]),
        _section("Not measured", [f"* {line}" for line in _not_measured(document)]),
        _section("Licence and attributions", _licence(document)),
        _section("File", _file(weights, notes)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdicts(document: Mapping[str, Any]) -> list[str]:
    """What the model is good for, by its measurements on real scans that it had not seen."""
    found = qualities(document)
    lines = []
    for verdict, names in by_verdict(found).items():
        numbers = [
            f"{name} ({one.median:.2f}, worst of {one.cases} {one.worst:.2f})" if one.cases else name
            for name, one in ((name, found[name]) for name in names)
        ]
        mark = "" if verdict in RELIABLE else "\u26a0 "
        lines.append(f"* **{mark}{WORDS[verdict].capitalize()}**: {', '.join(numbers)}")
    measured = any(one.cases for one in found.values())
    return [*lines, "", "In brackets the median DSC on real scans."] if measured else lines


def _section(title: str, lines: Sequence[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines) if lines else ""


def _what(document: Mapping[str, Any]) -> str:
    """The network and its organs."""
    settings, network = document["preprocessing"], document["network"]
    low, high = settings["window"]
    organs = document["organs"]
    names = ", ".join(f"{organ['name']} ({organ['label']})" for organ in organs)
    several = ", ".join(organ.name for organ in organs_of_model(document) if organ.pieces == ALL)
    kept = f" All pieces are kept of {several}." if several else ""
    return (
        f"IUINet (width {network['width']}, head {network['head']}) that segments {len(organs)} "
        f"{'organ' if len(organs) == 1 else 'organs'} in CT, with their label ids: {names}.\n\n"
        f"It sees the whole scan at {settings['size']}^3 voxels, window {low:g} to {high:g} HU"
        f"{_second_pass(settings)}; labels are brought back to the scan's own grid. Of an "
        f"organ that is one piece only the largest is kept.{kept}"
    )


def _second_pass(settings: Mapping[str, Any]) -> str:
    second = settings.get("second_pass")
    if not second:
        return ""
    smallest = second.get("smallest_mm", BODY_MM)
    field = " x ".join(f"{length / 10:g}" for length in smallest)
    return (
        (f", in a field of at least {field} cm" if any(smallest) else "")
        + f", and then once more the box of {', '.join(second['organs'])}"
        f" with a margin of {second['margin_mm']:g} mm at as many voxels; both are averaged"
    )


def _data(training: Mapping[str, Any]) -> list[str]:
    data, lines = training.get("data"), []
    if isinstance(data, Mapping):
        lines.append(f"* Data: {data.get('name')} (fingerprint {str(data.get('fingerprint'))[:16]}).")
        lines.append(f"* Split: {data.get('split')}.")
        done = {"train": "trained on", "validation": "selected on", "test": "kept for the test"}
        lines += [f"* {_cases(data.get(part), word)}" for part, word in done.items()]
        if data.get("pretrain"):
            pairs = f"{data['pretrain']} registered pairs"
            lines.append(f"* {pairs} for pre-training, atlases: {data.get('atlases')}.")
        if data.get("synthetic"):
            made = ", ".join(data["synthetic"]["anatomies"])
            lines.append(f"* Also trained on synthetic CT made from the label maps {made}.")
        for name, organs in (data.get("labelled") or {}).items():
            lines.append(f"* Labelled in {name}: {', '.join(organs)}.")
        lines.append(f"* What to know of the scores: {data.get('statement') or 'nothing was stated.'}")
    elif data:
        lines.append(f"* {data}")
    start = training.get("start") or {}
    if start.get("trained_on"):
        lines.append(f"* The model it started from was trained on: {_plain(start['trained_on'])}")
    for key in [key for key in training if key not in _KNOWN]:
        values = training[key] if isinstance(training[key], list) else [training[key]]
        lines += [f"* {key.replace('_', ' ').capitalize()}: {_plain(value)}" for value in values]
    return lines


def _cases(cases: Any, done: str) -> str:
    if isinstance(cases, int):
        return f"{cases} case{'s' * (cases != 1)} {done}."
    if not cases:
        return f"No case {done}."
    return f"{len(cases)} {'case' if len(cases) == 1 else 'cases'} {done}: {', '.join(cases)}."


def _training(training: Mapping[str, Any]) -> list[str]:
    """Where the weights were taken, what they started from, and the recipe as it is."""
    lines = [f"* **This model {sentence}**" for sentence in standing(training)]
    if training.get("step") is not None:
        lines.append(
            f"* Taken after {training['step']} steps, in epoch {training.get('epoch')} of the phase "
            f"{training.get('phase')} (the {training.get('checkpoint', '')} checkpoint)."
        )
    selection = training.get("selection")
    if selection and selection.get("dsc") is not None:
        by = "The validation cases decided on its learning rate or length; the best of them had"
        by = by if training.get("checkpoint") == "last" else "Selected by"
        lines.append(f"* {by} a mean DSC of {selection['dsc']:.4f} on the validation cases.")
    if training.get("weights"):
        lines.append(f"* Weights: {training['weights']}.")
    if training.get("seed") is not None:
        lines.append(f"* Seed {training['seed']}.")
    start = training.get("start")
    if start:
        heads = "its heads made anew" if start.get("made_anew") else "all its weights kept"
        if "left_out" in start and start.get("made_anew"):  # else of a time when no head was kept
            heads = f"new in its heads: {', '.join(start['made_anew'])}"
        lines.append(
            f"* Started from the model {start.get('id')} {start.get('version', '')} "
            f"(SHA-256 {str(start.get('sha256'))[:12]}...), {heads}."
        )
    if training.get("recipe"):
        lines += ["", "The recipe:", "", "```toml", recipe_toml(training["recipe"]), "```"]
    return lines


def recipe_toml(recipe: Mapping[str, Any]) -> str:
    """A recipe as the TOML that train.py reads. What was left open (None) is left out."""
    plain, tables = [], []
    for key, value in recipe.items():
        several = value if isinstance(value, list) and all(isinstance(v, Mapping) for v in value) else None
        if isinstance(value, Mapping):
            tables.append("\n".join([f"[{key}]", *_fields(value)]))
        elif several:
            tables += ["\n".join([f"[[{key}]]", *_fields(one)]) for one in several]
        else:
            plain += _fields({key: value})
    return "\n\n".join(["\n".join(plain), *tables] if plain else tables)


def _fields(values: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]


def _toml(value: Any) -> str:
    """A value in TOML, which writes all but tables and None as JSON does."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _measured(document: Mapping[str, Any]) -> list[str]:
    """A table per metric: organs down, groups of cases across."""
    metrics, lines = document.get("metrics") or {}, []
    for key, title in _METRICS.items():
        groups = metrics.get(key)
        if not groups:
            continue
        names = list(groups)
        counts = [metrics.get("cases", {}).get(group) for group in names]
        cases = ["" if count is None else f", {count} cases" for count in counts]
        heads = [name + count for name, count in zip(names, cases, strict=True)]
        lines += [f"{title}, mean over the cases:", ""]
        lines += [_row(["organ", *heads]), _row(["---"] * (len(names) + 1))]
        organs = [organ["name"] for organ in document["organs"]]
        lines += [_row([organ, *(_number(groups[name].get(organ)) for name in names)]) for organ in organs]
        means = [[v for v in groups[name].values() if v is not None] for name in names]
        if key == "dice":
            lines.append(_row(["mean", *(_number(sum(v) / len(v) if v else None) for v in means)]))
        lines.append("")
    for group, statement in (metrics.get("statements") or {}).items():
        if statement:
            lines.append(f"* {group}: {statement}")
    if metrics.get("convention"):
        lines.append(f"* Convention of the metrics: {metrics['convention']}.")
    while lines and not lines[-1]:
        lines.pop()
    if lines:
        lines = [*(f"**This model {text}**\n" for text in standing(document["training"])), *lines]
    nothing = "Nothing: no results were given when this model was exported."
    return lines or [f"{nothing} How good the model is, is not known."]


def _limits(document: Mapping[str, Any]) -> list[str]:
    size = document["preprocessing"]["size"]
    return [
        "For research. It is not a medical device, and its results need a person who checks them.",
        f"Whatever the scan's resolution, the network sees {size} voxels along each side: small and thin "
        "structures suffer most.",
        "Scans that differ from the training data (contrast phase, field of view, disease, surgery, age) may "
        "be segmented badly without a sign.",
        *document.get("limits", ()),
    ]


def _not_measured(document: Mapping[str, Any]) -> list[str]:
    metrics, lines = document.get("metrics") or {}, list(document.get("not_measured", ()))
    dice = metrics.get("dice") or {}
    scored = {organ for means in dice.values() for organ, value in means.items() if value is not None}
    missing = [organ["name"] for organ in document["organs"] if organ["name"] not in scored]
    if dice and missing:
        lines.append(f"Overlap of {', '.join(missing)}: no measured case shows them.")
    if not dice:
        lines.append("Overlap with a reference.")
    others = (title for key, title in _METRICS.items() if key != "dice" and not metrics.get(key))
    lines += [f"{title.split(',')[0]}." for title in others]
    lines.append("How far another training with another seed would differ: this is one run.")
    return [*lines, "Use in the clinic, and the benefit of it."]


def _licence(document: Mapping[str, Any]) -> list[str]:
    licence = document.get("license") or "not stated"
    lines = [f"{licence}." if licence.startswith("Weights: ") else f"Licence of the weights: {licence}."]
    attributions = document.get("attributions") or []
    attributions = [*attributions, *sentences(document.get("sources") or [])]
    return lines + (["", *(f"* {line}" for line in attributions)] if attributions else [])


def _file(weights: Weights, notes: Sequence[str]) -> list[str]:
    training, size = weights.document["training"], weights.path.stat().st_size
    lines = [f"* `{weights.path.name}`, {size:,} bytes, SHA-256 `{weights.sha256}`"]
    changed = ", with changes that were not committed" if training.get("environment", {}).get("dirty") else ""
    lines.append(f"* Trained with revision {training.get('revision', 'unknown')} of the scripts{changed}.")
    times = [f"{key} {training[key]}" for key in ("started", "ended", "date") if training.get(key)]
    if times:
        lines.append(f"* Training: {', '.join(times)}.")
    return [*lines, *(f"* {note}" for note in notes)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_plain(item)}" for key, item in value.items() if item)
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return str(value)
