"""The page's words: what was measured, how far it can be believed, what the numbers mean, what made them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .page_markup import Markup, folded, number, section, tag
from .page_results import CEILING, Found
from .page_tables import interval, plain_table

_UNKNOWN = "Whether the models know these cases from their training is not stated."
_CLEAN = (
    "By what the models state of their training, none of these cases was used to train or to choose them."
)
_DEFINED = {
    "hd95_mm": "HD95",
    "assd_mm": "ASSD",
    "nsd": "NSD",
    "volume_error": "Volume error",
    "paired": "Tests",
}
_EMPTY_RULE = (
    "An organ that is absent in both is left out. One that was missed, or found where there is none, has DSC "
    "0 and NSD 0, and as HD95 and ASSD the diagonal of the image; it is counted as a failure."
)


def title_of(found: Found) -> str:
    """The page's title."""
    what = found.names[0] if len(found.names) == 1 else f"{len(found.names)} models"
    return f"{what} on {found.data.get('name') or 'labelled cases'}"


def head(found: Found) -> Markup:
    """Headline: models, data, the honest statement, and what the models knew of the cases."""
    data, results = found.data, found.results
    subset = data.get("subset")
    count = f"{len(found.cases)} {f'{subset} ' if subset else ''}case{'s' * (len(found.cases) != 1)}"
    facts = [count, f"{len(found.organs)} organ{'s' * (len(found.organs) != 1)}"]
    facts += [f"split {data['split']}"] if data.get("split") else []
    facts += [f"evaluated {results['created']}"] if results.get("created") else []
    facts += [f"IUINet {results['software']}"] if results.get("software") else []
    return tag(
        "header",
        tag("p", "Evaluation", class_="kicker"),
        tag("h1", title_of(found)),
        tag("p", " · ".join(facts), class_="facts-line"),
        tag("p", data["statement"], class_="statement") if data.get("statement") else None,
        _exposure(found),
        _tiles(found),
    )


def _exposure(found: Found) -> Markup:
    warnings = found.results.get("warnings") or ()
    if warnings:
        items = tag("ul", [tag("li", sentence) for sentence in warnings])
        return tag("div", tag("strong", "Read this before the numbers"), items, class_="warning", role="note")
    known = found.exposures()
    sentence = _UNKNOWN if known is None else None if any(known) else _CLEAN
    return tag("p", sentence, class_="clean" if sentence == _CLEAN else "note")


def _tiles(found: Found) -> Markup | None:
    """The main numbers of a single model."""
    if len(found.names) != 1:
        return None
    name = found.names[0]
    size = found.models[0].get("size")
    dsc = found.summary(name)
    tiles = [("Mean DSC, scan's own grid", number(dsc.get("mean")), f"95 % interval {interval(dsc)}")]
    ceiling = found.summary(name, grid=CEILING).get("mean")
    at = f"the reference through {size}³ voxels and back" if size else "the reference resized and back"
    tiles.append(("Ceiling of the mean DSC", number(ceiling), at))
    for column in found.columns[1:]:
        if column.high_is_good or column is found.distance:
            entry = found.summary(name, metric=column.metric)
            note = f"95 % interval {interval(entry, column)}"
            tiles.append((f"Mean {column.title}", number(entry.get("mean"), column.form), note))
    tiles.append(("Failures", number(dsc.get("failures"), "d"), "organs missed or invented"))
    return tag(
        "dl",
        [
            tag("div", tag("dt", what), tag("dd", value, class_="big"), tag("dd", note, class_="note"))
            for what, value, note in tiles
        ],
        class_="tiles",
    )


def method(found: Found) -> Markup:
    """What the numbers mean: the convention, the rule for missing organs, each metric."""
    results = found.results
    defined: dict[str, str] = dict(results.get("definitions") or {})
    convention = "the rules of TransUNet" if found.foreign_rules else "our own rules"
    sentences = [f"Scored by {convention} (convention “{found.convention or 'not stated'}”)."]
    if not found.foreign_rules and "missing organs" not in defined:
        defined = {"missing organs": _EMPTY_RULE, **defined}
    if results.get("largest_piece_only") is not None:
        kept = "only its largest connected piece" if results["largest_piece_only"] else "all its pieces"
        sentences.append(f"Of each organ the result holds {kept}.")
    facts = [(_DEFINED.get(key, key.capitalize()), text) for key, text in defined.items()]
    return section(
        "How it was measured", "method", tag("p", " ".join(sentences)), _facts("Definitions", facts)
    )


def provenance(found: Found) -> Markup:
    """What made the numbers: models with their hashes and training, data, software, date."""
    data, results = found.data, found.results
    about = [
        ("Data", data.get("name")),
        ("Fingerprint of the data", _code(data.get("fingerprint"))),
        ("Split", data.get("split")),
        ("Cases", ", ".join(found.cases)),
        ("Software", f"IUINet {results['software']}" if results.get("software") else None),
        ("Created", results.get("created")),
    ]
    models = [folded(model["name"], _facts(model["name"], _model(model))) for model in found.models]
    return section("Models, data and software", "provenance", _facts("Data and software", about), models)


def _model(model: dict[str, Any]) -> list[tuple[str, object]]:
    training = model.get("training") or {}
    data = training.get("data") if isinstance(training.get("data"), dict) else {}
    size = model.get("size")
    members: Sequence[str] = model.get("member_names") or ()
    selection = training.get("selection")
    recipe = training.get("recipe")
    return [
        ("Kind", model.get("kind")),
        ("Model", " ".join(filter(None, (model.get("id"), model.get("version"))))),
        ("SHA-256", _code(model.get("sha256"))),
        ("Network's size", f"{size} × {size} × {size} voxels" if size else None),
        ("Members", ", ".join(members) if len(members) > 1 else None),
        ("Trained on", " ".join(filter(None, (data.get("name"), data.get("split"))))),
        ("Statement", data.get("statement")),
        ("Training cases", _listed(data.get("train"))),
        ("Selection cases", _listed(data.get("validation"))),
        ("Pre-training pairs", data.get("pretrain")),
        ("Seed", training.get("seed")),
        ("Selected by", _code(json.dumps(selection)) if selection else None),
        ("Recipe", _block(json.dumps(recipe, indent=1)) if recipe else None),
    ]


def _facts(caption: str, pairs: Sequence[tuple[str, object]]) -> Markup | None:
    known = [(name, value) for name, value in pairs if value not in (None, "")]
    return plain_table(caption, known) if known else None


def _listed(cases: object) -> str | None:
    """Names of cases, or their mere number as public model files have it."""
    if isinstance(cases, (list, tuple)):
        return f"{len(cases)}: {', '.join(map(str, cases))}" if cases else "none"
    return None if cases is None else str(cases)


def _code(text: object) -> Markup | None:
    return tag("code", text) if text else None


def _block(text: str) -> Markup:
    return folded("shown on request", tag("pre", text))
