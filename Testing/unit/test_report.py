"""The numbers of a report, against numbers that were worked out by hand."""

import dataclasses
import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.sample_ct import CHALLENGE

from iuinet.checks import NOTE, WARNING, Finding
from iuinet.labels import Organ, select
from iuinet.report import build_report, measure, report_table
from iuinet.volume import Grid, Volume
from iuinet.weights.model_file import Weights

WEIGHTS = Weights(Path("/home/jane doe/model.safetensors"), "starter", "1.2", "ab" * 32, {})
SPACING = (0.5, 2.0, 4.0)


def scan(shape=(10, 12, 16), direction=None, dtype=np.int16) -> Volume:
    """HU that are different everywhere."""
    values = np.arange(np.prod(shape)).reshape(shape) % 251 - 50
    direction = np.eye(3) if direction is None else direction
    grid = Grid(shape[::-1], SPACING, (-100.0, 50.0, 7.0), direction)
    return Volume(values.astype(dtype), grid, "Doe Jane", "CT")


def predicted(labels: np.ndarray, organs=CHALLENGE, **changes) -> SimpleNamespace:
    """What inference gives; not its own class, because that brings torch."""
    parts = {
        "labels": labels,
        "organs": organs,
        "margins": {organ.name: 0.9 for organ in organs},
        "components": {organ.name: 1 for organ in organs},
        "seconds": {"preparing": 0.12345, "segmenting": 2.0},
        "device": "cpu",
        "fallbacks": [],
        "passes": 1,
    }
    return SimpleNamespace(**{**parts, **changes})


def report_on(volume: Volume, labels: np.ndarray, *findings: Finding, **changes) -> dict:
    return build_report(volume, predicted(labels, **changes), findings, WEIGHTS)


def organ_in(report: dict, name: str) -> dict:
    return next(organ for organ in report["organs"] if organ["name"] == name)


def blocks() -> np.ndarray:
    """Liver on the right, spleen on the left, both inside the scan."""
    labels = np.zeros((10, 12, 16), np.uint8)
    labels[2:6, 3:8, 1:6] = 6
    labels[3:5, 6:9, 11:14] = 1
    return labels


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float32, np.int64])
def test_volume_and_hu_are_those_of_the_masks(dtype):
    volume, labels = scan(dtype=np.float64), blocks()
    volume = Volume((volume.array + 1000 * (dtype == np.uint16)).astype(dtype), volume.grid)
    report = report_on(volume, labels)
    for name, label in (("liver", 6), ("spleen", 1)):
        organ, values = organ_in(report, name), volume.array[labels == label].astype(float)
        assert organ["found"] and organ["voxels"] == values.size
        assert organ["millilitres"] == pytest.approx(values.size * 4 / 1000, abs=1e-3)
        assert organ["mean_hu"] == pytest.approx(values.mean(), abs=0.01)
        assert organ["std_hu"] == pytest.approx(values.std(), abs=0.01)


def test_an_organ_without_voxels_has_no_numbers_invented():
    organ = organ_in(report_on(scan(), blocks()), "pancreas")
    assert organ == {
        "name": "pancreas", "label": 11, "found": False, "voxels": 0, "millilitres": 0.0, "mean_hu": None,
        "std_hu": None, "margin": None, "low_confidence": False, "touches_edge": False, "edges": [],
        "components": 1, "quality": "not-measured", "measured": None,
    }  # fmt: skip


def test_the_quality_of_an_organ_is_the_models_and_decides_on_the_summary():
    scores = {"liver": (0.9, 0.8), "spleen": (0.4, 0.0)}
    organs = {name: {"cases": 9, "median": m, "worst": w} for name, (m, w) in scores.items()}
    names = [{"name": organ.name} for organ in CHALLENGE]
    weights = dataclasses.replace(
        WEIGHTS, document={"organs": names, "metrics": {"real_scans": {"organs": organs}}}
    )
    report = build_report(scan(), predicted(blocks()), (), weights)
    liver, spleen = organ_in(report, "liver"), organ_in(report, "spleen")
    assert liver["quality"] == "usable" and spleen["quality"] == "sketch" and spleen["found"]
    assert liver["measured"] == {"cases": 9, "median_dsc": 0.9, "worst_dsc": 0.8}
    assert report["summary"] == ["liver"]


def test_the_walk_through_slabs_changes_nothing(monkeypatch):
    volume, labels = scan(), blocks()
    whole = measure(volume, labels)
    monkeypatch.setattr("iuinet.report._CHUNK", 1)
    slabs = measure(volume, labels)
    for name in ("voxels", "mean_hu", "std_hu", "centroid"):
        assert np.allclose(getattr(whole, name), getattr(slabs, name), equal_nan=True), name


def test_only_the_organs_that_were_asked_for_are_reported_by_name():
    report = report_on(scan(), blocks(), organs=select(CHALLENGE, ["liver", "spleen"]))
    assert [organ["name"] for organ in report["organs"]] == ["spleen", "liver"]
    custom = (Organ("appendix", 6),)
    assert organ_in(report_on(scan(), blocks(), organs=custom), "appendix")["voxels"] == 100


def test_a_small_margin_is_marked():
    margins = {"liver": 0.49, "spleen": 0.51}
    report = report_on(scan(), blocks(), margins=margins)
    assert [organ_in(report, name)["low_confidence"] for name in ("liver", "spleen")] == [True, False]
    assert organ_in(report, "liver")["margin"] == 0.49
    unknown = organ_in(report_on(scan(), blocks(), margins={}), "liver")
    assert unknown["margin"] is None and unknown["low_confidence"]


def stored(array: np.ndarray, order, signs) -> np.ndarray:
    return array.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]


def direction_of(order, signs) -> np.ndarray:
    axes = [2 - axis for axis in order][::-1]
    return np.eye(3)[:, axes] * np.array(signs[::-1])


EDGES = {
    "superior": np.s_[-1, 5, 5], "inferior": np.s_[0, 5, 5],
    "anterior": np.s_[5, 0, 5], "posterior": np.s_[5, -1, 5],
    "right": np.s_[5, 5, 0], "left": np.s_[5, 5, -1],
}  # fmt: skip


def test_the_side_of_the_scan_that_cuts_an_organ_is_named_however_it_is_stored():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            for name, place in EDGES.items():
                labels = blocks()
                labels[place] = 11
                volume = scan(stored(labels, order, signs).shape, direction_of(order, signs))
                report = report_on(volume, stored(labels, order, signs))
                pancreas = organ_in(report, "pancreas")
                assert pancreas["touches_edge"] and pancreas["edges"] == [name], (order, signs)
                assert not organ_in(report, "liver")["touches_edge"]


class TestOrientation:
    def remarks(self, direction=None, labels=None) -> list[str]:
        report = report_on(scan(direction=direction), blocks() if labels is None else labels)
        assert all(remark["code"] == "check-orientation" for remark in report["plausibility"])
        return [remark["message"] for remark in report["plausibility"]]

    def test_organs_on_their_sides_are_no_remark(self):
        assert self.remarks() == []

    def test_a_mirrored_scan_is_noticed(self):
        assert self.remarks(np.diag([-1.0, 1.0, 1.0])) == [
            "Check the scan's orientation: the liver lies left of the spleen."
        ]

    def test_a_turned_but_true_header_is_no_remark(self):
        turned = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
        assert self.remarks(turned) == []

    def test_kidneys_on_each_others_sides_are_noticed(self):
        labels = blocks()
        labels[7:9, 2:4, 2:4], labels[7:9, 2:4, 10:12] = 3, 2
        assert self.remarks(labels=labels) == [
            "Check the scan's orientation: the right kidney lies left of the left one."
        ]

    def test_one_organ_of_a_pair_alone_says_nothing(self):
        labels = blocks()
        labels[labels == 1] = 0
        assert self.remarks(np.diag([-1.0, 1.0, 1.0]), labels) == []


class TestDocument:
    def test_it_is_json_and_says_how_it_came_about(self):
        finding = Finding("few-slices", WARNING, "Only 8 slices.", "Use all.")
        report = report_on(scan(), blocks(), finding, fallbacks=["The CPU was used."])
        assert json.loads(json.dumps(report, allow_nan=False)) == report
        assert report["format"] == 1
        assert report["input"] == {
            "size": [16, 12, 10], "spacing_mm": [0.5, 2.0, 4.0], "origin_mm": [-100.0, 50.0, 7.0],
            "direction": np.eye(3).tolist(), "dtype": "int16", "modality": "CT",
        }  # fmt: skip
        assert report["checks"] == [
            {"code": "few-slices", "severity": "warning", "message": "Only 8 slices.", "hint": "Use all."}
        ]
        assert report["weights"] == {"id": "starter", "version": "1.2", "sha256": "ab" * 32}
        assert report["passes"] == 1
        assert (report["device"], report["fallbacks"]) == ("cpu", ["The CPU was used."])
        assert report["seconds"] == {"preparing": 0.123, "segmenting": 2.0}

    def test_the_notes_of_the_reader_stand_in_it_and_below_the_table(self):
        volume = dataclasses.replace(scan(), notes=("Taken: series 2. Left out: series 1.",))
        report = report_on(volume, blocks())
        assert report["notes"] == ["Taken: series 2. Left out: series 1."]
        assert report_table(report).splitlines()[-1] == "note: Taken: series 2. Left out: series 1."

    def test_it_names_no_patient_and_no_path(self):
        notes, names = ("The sform of Doe Jane.nii is broken.",), ("Doe Jane.nii",)
        volume = dataclasses.replace(scan(), notes=notes, names=names)
        doubt = Finding(
            "no-orientation", WARNING, "Doe Jane.nii says nothing of its axes.", "Mend Doe Jane.nii."
        )
        report = report_on(volume, blocks(), doubt)
        assert report["notes"] == ["The sform of [file] is broken."]
        text = json.dumps(report).casefold()
        assert "doe" not in text and "jane" not in text and "/home" not in text


class TestTable:
    def table(self, *findings: Finding, direction=None, **changes) -> list[str]:
        labels = blocks()
        labels[0, 0, 0] = 8
        margins = {"liver": 0.1, "spleen": 0.9, "aorta": 0.9}
        report = report_on(scan(direction=direction), labels, *findings, margins=margins, **changes)
        return report_table(report).splitlines()

    def test_it_has_a_line_per_organ_in_plain_words(self):
        lines = self.table()
        assert len(lines) == 2 + 13
        assert lines[0].split() == ["organ", "volume,", "ml", "mean", "HU", "remarks"]
        names = [organ.name for organ in CHALLENGE]
        rows = {name: next(line for line in lines if line.startswith(name)) for name in names}
        assert " 0.4 " in rows["liver"] and " < 0.1 " in rows["aorta"]
        assert rows["liver"].endswith("low confidence")
        assert rows["aorta"].endswith("cut by the scan's edge (inferior, anterior, right)")
        assert rows["pancreas"].endswith("-  not found")
        assert not rows["spleen"].endswith("confidence")

    def test_its_columns_stand_below_each_other(self):
        lines = self.table()
        ends = {
            line.index(remark)
            for line in lines
            for remark in ("remarks", "not found", "! not measured")
            if remark in line
        }
        assert len(ends) == 1
        assert set(lines[1]) == {"-"} and len(lines[1]) == max(len(line) for line in lines)

    def test_what_a_person_should_know_stands_below(self):
        lines = self.table(
            Finding("few-slices", WARNING, "Only 8 slices.", "Use all."),
            Finding("long", NOTE, "Takes a while.", ""),
            direction=np.diag([-1.0, 1.0, 1.0]),
            fallbacks=["The CPU was used."],
        )
        assert lines[-3:] == [
            "warning: Only 8 slices.",
            "warning: Check the scan's orientation: the liver lies left of the spleen.",
            "note: The CPU was used.",
        ]

    def test_any_terminal_can_show_it(self):
        assert "\n".join(self.table()).isascii()
