"""The model card and the metrics in it: out of the document and the results alone, and nothing made up."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from training.run_files import DATA, RECIPE, small_net, write_checkpoint

from iuinet.errors import UsageError
from iuinet.weights import resolve
from iuinet.weights.load import save_model
from iuinet.weights.model_file import check_file
from pipeline.exporting.card import read_card, read_metrics
from pipeline.exporting.model import Trained, model_document, read_trained
from pipeline.exporting.model_card import model_card, recipe_toml
from pipeline.fitting.recipe_file import recipe_from

ROOT = Path(__file__).resolve().parents[2]
CARD = {
    "id": "m",
    "version": "1",
    "license": "CC-BY-4.0",
    "attributions": ["From a test."],
    "intended_use": "T.",
}
STATEMENT = "Selection and test share the same cases."


def trained(digit: str = "2", step: int = 4, data: dict = DATA) -> Trained:
    """A checkpoint of the run seed4, without its weights."""
    return Trained({}, {"step": step, "data": data}, "best", "seed4", digit * 64, {})


def row(organ: str, metric: str, mean: float | None, grid: str = "native", model: str = "seed4") -> dict:
    return {"model": model, "grid": grid, "organ": organ, "metric": metric, "mean": mean, "cases": 2}


RESULTS = {
    "format": 2,
    "convention": "iuinet",
    "data": {"name": "synapse", "split": "transunet", "statement": STATEMENT, "subset": "test"},
    "models": [
        {"name": "other", "sha256": "1" * 64, "id": ""},
        {"name": "seed4", "sha256": "2" * 64, "id": "m", "training": {"step": 4}},
    ],
    "rows": [
        {"model": model, "case": case, "grid": grid, "organ": "liver", "dsc": 0.9}
        for model in ("other", "seed4")
        for case in ("0001", "0005")
        for grid in ("native", "network", "ceiling")
    ],
    "summary": [
        row("liver", "dsc", 0.91234),
        row("my own structure", "dsc", None),
        row("mean", "dsc", 0.9),
        row("liver", "hd95_mm", 7.5),
        row("liver", "volume_error_ml", 3.0),
        row("liver", "dsc", 0.93, "network"),
        row("liver", "dsc", 0.97, "ceiling"),
        row("liver", "dsc", 0.1, model="other"),
    ],
}
NATIVE = "synapse transunet test, native grid"


@pytest.fixture
def results(tmp_path) -> Path:
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    return tmp_path / "results.json"


def test_metrics_are_means_of_a_named_group(results):
    metrics = read_metrics(results, trained(), "x")
    assert metrics["dice"] == {
        NATIVE: {"liver": 0.9123},
        "synapse transunet test, network grid": {"liver": 0.93},
    }
    assert metrics["cases"] == {NATIVE: 2, "synapse transunet test, network grid": 2}
    assert metrics["hd95_mm"] == {NATIVE: {"liver": 7.5}} and "nsd" not in metrics
    # 0001 selected this model, and 0005 is one of its training cases.
    said = f"{STATEMENT} 1 of these 2 cases trained this model. 1 of these 2 cases selected this model."
    assert metrics["statements"][NATIVE] == said


def results_with(tmp_path: Path, exposure: dict, scores: dict, **about: object) -> Path:
    """Results of the run's model. scores: DSC of the liver by case."""
    rows = [
        {"model": "seed4", "case": case, "grid": grid, "organ": "liver", "dsc": dsc}
        for case, dsc in scores.items()
        for grid in ("native", "ceiling")
    ]
    models = [{**RESULTS["models"][1], "exposure": exposure}]
    document = {**RESULTS, "models": models, "rows": rows, "data": {**RESULTS["data"], **about}}
    (tmp_path / "r.json").write_text(json.dumps(document))
    return tmp_path / "r.json"


def test_quality_is_measured_on_real_scans_that_the_model_had_not_met(tmp_path):
    scores = {"0001": 0.99, "0005": 0.98, "0002": 0.9, "0003": 0.7, "0004": None, "0007": 0.6}
    exposure = dict.fromkeys(scores, "") | {"0001": "selection", "0005": "training"}
    metrics = read_metrics(results_with(tmp_path, exposure, scores), trained(), "x")
    assert metrics["real_scans"] == {
        "data": "4 cases of synapse that it had not seen",
        "grid": "native",
        "organs": {"liver": {"cases": 3, "median": 0.7, "mean": 0.7333, "worst": 0.6}},
    }
    unknown = dict.fromkeys(scores, "not stated")
    for path in (
        results_with(tmp_path, exposure, scores, generated=True),
        results_with(tmp_path, unknown, scores),
    ):
        assert "real_scans" not in read_metrics(path, trained(), "x")


@pytest.mark.parametrize(("digit", "step", "identifier"), [("2", 9, "x"), ("3", 4, "m")])
def test_the_model_in_the_results_is_known_by_its_file_or_by_id_and_step(results, digit, step, identifier):
    this = trained(digit, step)
    assert read_metrics(results, this, identifier)["dice"][NATIVE] == {"liver": 0.9123}
    assert read_metrics(results, this, identifier, "other")["dice"][NATIVE] == {"liver": 0.1}


def test_numbers_of_another_model_are_never_taken(results):
    with pytest.raises(UsageError) as refused:
        read_metrics(results, trained("3", 5), "m")  # the run has gone on since
    assert refused.value.code == "results" and "other, seed4" in refused.value.hint
    results.write_text(json.dumps({**RESULTS, "models": RESULTS["models"][:1]}))
    with pytest.raises(UsageError):
        read_metrics(results, trained(), "m")


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2, "models": []}', "[1]", '{"format": "x"}'])
def test_results_that_are_none_are_refused(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(UsageError) as refused:
        read_metrics(tmp_path / "r.json", trained(), "m")
    assert refused.value.code == "results"


def test_results_on_development_scans_are_means_over_cases(tmp_path):
    cases = [
        {"group": "a", "dice": {"liver": 0.9}},
        {"group": "a", "dice": {"liver": 0.7, "spleen": 0.5}},
        {"group": "b"},
    ]
    (tmp_path / "r.json").write_text(json.dumps({"format": 1, "cases": cases}))
    assert read_metrics(tmp_path / "r.json", trained(), "m") == {
        "dice": {"a": {"liver": 0.8, "spleen": 0.5}},
        "cases": {"a": 2},
    }


# The card -----------------------------------------------------------------------------------------------


def card_of(tmp_path: Path, metrics: dict, card: dict = CARD, **changes: object) -> str:
    write_checkpoint(tmp_path / "run/best.safetensors", small_net(), **changes)
    run = read_trained(tmp_path / "run/best.safetensors")
    save_model(tmp_path / "m.safetensors", run.net(), model_document(run, card, metrics))
    return model_card(check_file(tmp_path / "m.safetensors"), ["Compared."])


def test_the_card_says_what_the_model_is_and_how_good(tmp_path, results):
    text = card_of(tmp_path, read_metrics(results, trained(), "x"))
    sections = [line for line in text.splitlines() if line.startswith("#")]
    assert sections[0] == "# m" and sections[1:] == [
        f"## {name}"
        for name in (
            *("Intended use", "Training data", "Training", "Measured", "Limits", "Not measured"),
            *("Licence and attributions", "File"),
        )
    ]
    assert "liver (6), my own structure (40)" in text and "2 cases trained on: 0005, 0006." in text
    assert f"* What to know of the scores: {DATA['statement']}" in text
    assert f"| organ | {NATIVE}, 2 cases | synapse transunet test, network grid, 2 cases |" in text
    assert "| liver | 0.912 | 0.930 |" in text and "| my own structure | - | - |" in text
    assert "Overlap of my own structure: no measured case shows them." in text
    assert "Normalised surface DSC." in text and "selected this model." in text
    terms = "trained in part on BTCV (syn3193805), whose own terms apply"
    assert f"\nWeights: CC-BY-4.0; {terms}." in text and "* From a test." in text
    assert "BTCV (syn3193805), scans and labels: 0001, 0005, 0006. Landman et al., MICCAI 2015" in text
    assert "page (syn3193805) asks for registration and could not be read." in text
    assert text.endswith("* Compared.\n") and check_file(tmp_path / "m.safetensors").sha256 in text


def test_without_results_the_card_says_that_nothing_was_measured(tmp_path):
    text = card_of(tmp_path, {})
    assert "Nothing: no results were given" in text and "* Overlap with a reference." in text


def test_the_card_says_where_a_model_started(tmp_path):
    start = {"id": "starter-tiny", "version": "0.1.0", "sha256": "a" * 64, "made_anew": ["mapping.0"]}
    text = card_of(tmp_path, {}, start={**start, "trained_on": "Synthetic CT alone."})
    assert "Started from the model starter-tiny 0.1.0 (SHA-256 aaaaaaaaaaaa...), its heads made anew." in text
    assert "The model it started from was trained on: Synthetic CT alone." in text


def test_the_card_says_where_the_network_looks(tmp_path):
    assert "once more" not in card_of(tmp_path, {})
    text = card_of(tmp_path, {}, {**CARD, "second_pass": {"organs": ["liver"], "margin_mm": 20}})
    assert "in a field of at least 16 x 32 x 32 cm, and then" in text
    assert "once more the box of liver with a margin of 20 mm" in text
    alone = {"organs": ["liver"], "margin_mm": 20, "smallest_mm": [0, 0, 0]}
    assert "in a field of" not in card_of(tmp_path, {}, {**CARD, "second_pass": alone})


def test_the_card_holds_the_recipe_as_train_reads_it(tmp_path):
    text = card_of(tmp_path, {})
    block = text.split("```toml\n")[1].split("```")[0]
    assert tomllib.loads(block) == RECIPE
    weights = {"liver": 0.5, "right kidney": 2.0}
    whole = recipe_from({**RECIPE, "loss": {"class_weights": weights}, "run": {"average": 0.9}}).to_dict()
    assert recipe_from(tomllib.loads(recipe_toml(whole))).to_dict() == whole
    assert recipe_toml({"steps": 5100}) == "steps = 5100"  # a recipe of another form


def test_the_shipped_starter_has_a_card():
    weights = resolve("starter-tiny")
    text = model_card(weights)
    assert "14 real CTs of the Synapse/BTCV set" in text and "| liver | 0.940 |" in text
    assert "after 600 steps" in text and "60% of it and 40% of the model it started from" in text
    assert "BTCV (syn3193805), whose own terms apply" in text
    lines = text.splitlines()
    assert lines[2].startswith("* **Usable after a look**: spleen (0.93, worst of 14 0.74), right kidney (")
    assert lines[4] == "* **⚠ A sketch, not to be used**: pancreas (0.51, worst of 14 0.02)"
    assert lines[5].startswith("* **⚠ Not measured on real scans**: esophagus, inferior vena cava, ")
    assert text.index("Not measured on real") < text.index("0.5.0") < text.index(weights.sha256)
    assert "SPL Abdominal Atlas, label maps, for synthetic CT: spl." in text
    assert "s0327" in text and weights.sha256 in text and "None" not in text


# The card file ------------------------------------------------------------------------------------------


def test_the_starters_card_is_a_card():
    card = read_card(ROOT / "Training/config/starter-tiny.json", {"version": "0.5.0", "license": None})
    assert (card["id"], card["version"], card["license"]) == ("starter-tiny", "0.5.0", "CC-BY-4.0")


def test_a_card_in_toml_is_completed_by_options_and_safe_words(tmp_path):
    (tmp_path / "c.toml").write_text('id = "a"\nlicense = "MIT"\nlimits = ["Small."]\n')
    card = read_card(tmp_path / "c.toml", {"version": "1", "id": "b"})
    assert (card["id"], card["limits"], card["attributions"]) == ("b", ["Small."], [])
    assert card["intended_use"] == "Research, not for clinical use."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('id = "a"\nversion = "1"', "no license"),
        ('id = "a"\nversion = "1"\nlicense = ""', "no license"),
        ('id = "a"\nversion = "1"\nlicence = "MIT"', "no field 'licence'"),
        ('id = "a"\nversion = 1\nlicense = "MIT"', "version is 1"),
        ('id = "a b"\nversion = "1"\nlicense = "MIT"', "not a plain name"),
        ('id = "a"\nversion = "1"\nlicense = "MIT"\nlimits = "one"', "limits is 'one'"),
        ("id = ", "cannot be read"),
    ],
)
def test_a_wrong_card_is_refused(tmp_path, text, words):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UsageError) as refused:
        read_card(tmp_path / "c.toml")
    assert words in refused.value.message and refused.value.hint
