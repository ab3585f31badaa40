"""Wrong data of every kind are named with case, value and what to do, and end before anything is prepared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from prepare import main
from training.dataset_files import (
    FEW,
    LIVER,
    SPACING,
    body,
    write,
    write_case,
    write_pair,
    write_set,
)

from iuinet.volume import Grid
from pipeline.dataset.checks import corners_apart_mm
from pipeline.dataset.findings import Finding, print_table
from pipeline.dataset.parallel import TimeLeft
from pipeline.dataset.prepared import open_prepared
from pipeline.dataset.splits import choose_split, slices_per_case
from pipeline.dataset.synapse import ids, official_facts

CASE = "0005"
SLICES = 117


def findings(raw: Path, *options: str) -> list[dict]:
    """What --check-only writes about a folder."""
    report = raw.parent / "report.json"
    status = main([str(raw), "--check-only", "--workers", "1", "--json", str(report), *options])
    document = json.loads(report.read_text())
    assert status == (3 if document["refused"] else 0)
    return document["findings"]


def about(raw: Path, case: str = CASE) -> dict[str, dict]:
    """The findings about one case by their codes."""
    return {one["code"]: one for one in findings(raw, "--partial") if one["case"] == case}


@pytest.fixture
def raw(tmp_path) -> Path:
    folder = tmp_path / "raw"
    write_case(folder, CASE)
    return folder


def paths(raw: Path) -> tuple[Path, Path]:
    return raw / f"RawData/Training/img/img{CASE}.nii.gz", raw / f"RawData/Training/label/label{CASE}.nii.gz"


def test_a_good_case_has_no_refused_finding(raw):
    found = about(raw)
    assert {one["severity"] for one in found.values()} == {"warning"}
    assert set(found) == {"plane", "range"}, "a plane of 40 x 40 with 9 mm is what is wrong with it"


def test_the_renumbered_mirror_is_named(raw):
    write_case(raw, "0011")
    write_case(raw, "0055")
    found = findings(raw, "--partial")
    assert [one["case"] for one in found if one["code"] == "renumbered"] == ["0011"]
    assert [one["case"] for one in found if one["code"] == "unknown-id"] == ["0055"]


def test_no_one_is_told_to_go_on_with_the_mirror(raw):
    todo = [one["todo"] for one in findings(raw) if one["code"] == "missing-cases"]
    assert "--partial" in todo[0], "the official download, not all of it"
    write_case(raw, "0011")
    todo = [one["todo"] for one in findings(raw) if one["code"] == "missing-cases"]
    assert "--partial" not in todo[0] and "official download" in todo[0]


@pytest.mark.parametrize(("spacing", "named"), [((27, 27, 3), True), ((9, 9, 5), False), ((3, 9, 3), True)])
def test_a_case_with_other_voxels_than_the_others_is_named(raw, spacing, named):
    for case in ("0027", "0028"):
        write_case(raw, case)
    write_case(raw, CASE, spacing=spacing)
    found = about(raw).get("spacing-outlier")
    assert bool(found) == named
    assert not named or (found["severity"] == "warning" and "in the middle 9 x 9 x 3 mm" in found["value"])


def test_long_lists_are_examples_and_the_names_that_are_needed():
    def said(severity: str, left_out: bool = False) -> str:
        cases = [f"{number:04d}" for number in range(1, 31)]
        many = [Finding(severity, "x", case, "What", "1 mm", "Do.", left_out) for case in cases]
        lines: list[str] = []
        print_table(many, lines.append)
        return "\n".join(lines)

    short = said("warning")
    assert "(30 cases)" in short and "0003: 1 mm" in short and "0004" not in short and "27 more" in short
    assert len(short.splitlines()) == 4
    for text in (said("refused"), said("warning", left_out=True)):
        assert "0030" in text and text.count("1 mm") == 3


def test_nothing_is_foretold_before_there_is_a_pace(monkeypatch):
    clock = iter([60.0, 61.0, 62.0, 64.0, 66.0])
    monkeypatch.setattr("pipeline.dataset.parallel.time.monotonic", lambda: next(clock))
    left = TimeLeft(10, at_once=2)
    # The first two come together after a minute of starting; then one every two seconds.
    assert [left.after(done) for done in (1, 2, 3)] == ["", "", ""]
    assert left.after(4) == ", about 9 s left" and left.after(5) == ", about 8 s left"


def test_lost_positions_are_refused(raw):
    write_case(raw, CASE, spacing=(1, 1, 1))
    assert about(raw)["identity"]["severity"] == "refused"


def test_another_number_of_slices_is_refused(raw):
    for path, array in zip(paths(raw), body(SLICES + 1), strict=True):
        write(path, array)
    assert about(raw)["slices"]["value"] == f"{SLICES + 1} instead of {SLICES}"


def test_generated_data_are_named_so(raw, capfd):
    (raw / "phantom.json").write_text("{}")
    out = raw.parent / "out"
    assert main([str(raw), "--out", str(out), "--partial", "--workers", "1", "--size", "16"]) == 0
    data = open_prepared(out)
    assert data.name == "synapse-generated" and "show no patient" in capfd.readouterr().out
    assert choose_split(data, "transunet", partial=True).train == (CASE,)


def test_a_size_of_the_labels_unlike_the_images_is_refused(raw):
    write(paths(raw)[1], body(SLICES - 1)[1])
    assert about(raw)["size-differs"]["severity"] == "refused"


@pytest.mark.parametrize(("shift", "severity"), [(0.05, None), (0.5, "warning"), (4.0, "refused")])
def test_labels_that_lie_elsewhere(raw, shift, severity):
    write(paths(raw)[1], body(SLICES)[1], origin=(-180.0 + shift, -170.0, -300.5))
    found = about(raw).get("place-differs")
    assert (found and found["severity"]) == severity


def test_labels_with_flipped_axes_are_refused(raw):
    write(paths(raw)[1], body(SLICES)[1], direction=np.diag([-1, 1, 1]))
    assert about(raw)["place-differs"]["severity"] == "refused"


def test_corners_tell_a_wrong_spacing():
    grids = [Grid((11, 11, 11), (1.0, 1.0, step)) for step in (1.0, 1.3)]
    assert corners_apart_mm(*grids) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("value", "dtype", "shown"),
    [
        (14, np.uint8, "14"),
        (255, np.uint8, "255"),
        (-3, np.int16, "-3"),
        (700, np.int16, "700"),
        (6.5, np.float32, "6.5"),
    ],
)
def test_label_values_that_are_no_organ_are_refused(raw, value, dtype, shown):
    labels = body(SLICES)[1].astype(dtype)
    labels[3, 4, 5] = value
    write(paths(raw)[1], labels)
    found = about(raw)["label-values"]
    assert (found["severity"], found["value"]) == ("refused", shown)


def test_whole_numbers_stored_as_decimals_are_labels(raw):
    write(paths(raw)[1], body(SLICES)[1].astype(np.float32))
    assert "label-values" not in about(raw)


def test_no_label_at_all_is_refused_and_a_missing_organ_is_a_warning(raw):
    write(paths(raw)[1], np.zeros((SLICES, 40, 40), np.uint8))
    assert about(raw)["no-organ"]["severity"] == "refused"
    labels = body(SLICES)[1]
    labels[labels == LIVER] = 0
    write(paths(raw)[1], labels)
    assert about(raw)["organ-absent"]["value"] == "liver"


def test_an_image_that_is_no_ct_is_refused(raw):
    image = body(SLICES)[0]
    write(paths(raw)[0], ((image + 1000) / 1600.0).astype(np.float32))
    assert about(raw)["not-hu"]["severity"] == "refused"


@pytest.mark.parametrize("which", [0, 1])
def test_a_cut_file_is_refused(raw, which):
    path = paths(raw)[which]
    path.write_bytes(path.read_bytes()[:-300])
    found = about(raw)["file-cut"]
    assert found["severity"] == "refused" and path.name in found["value"]


def test_missing_cases_are_refused_unless_said_or_excluded(raw):
    (missing,) = (one for one in findings(raw) if one["code"] == "missing-cases")
    assert missing["severity"] == "refused" and CASE not in missing["value"].split(", ")
    (missing,) = (one for one in findings(raw, "--partial") if one["code"] == "missing-cases")
    assert missing["severity"] == "warning"
    rest = [case for case in ids(official_facts()["training"]) if case != CASE]
    assert not [one for one in findings(raw, "--exclude", *rest) if one["code"] == "missing-cases"]


def deformed(labels: np.ndarray) -> np.ndarray:
    labels[:, :, 20:] = 0  # no spleen, no stomach
    return labels


@pytest.mark.parametrize(
    "labels",
    [np.zeros((90, 40, 40), np.uint8), np.full((90, 40, 40), LIVER, np.uint8), deformed(body(90)[1])],
)
def test_deformed_pairs_are_left_out_and_counted(raw, labels, capfd):
    write_pair(raw, "0005-0061")
    write_pair(raw, "0005-0062", labels)
    options = ["--partial", "--workers", "1", "--size", "16", "--out", str(raw.parent / "out")]
    assert main([str(raw), *options]) == 0
    out = capfd.readouterr().out
    assert "WARNING (left out)" in out and "1 left out, 1 case and 1 registered pair to use" in out
    index = json.loads((raw.parent / "out/index.json").read_text())
    assert [case["id"] for case in index["cases"]] == ["0005", "0005-0061"]
    assert index["left_out"] == ["0005-0062"]


def test_a_pair_with_mostly_empty_slices_is_left_out(raw):
    image, labels = body(90)
    image[:50] = 0
    write_pair(raw, "0005-0061", labels)
    write(raw / "RegData/Training-Testing/img/0061/img0005-0061.nii.gz", image)
    assert about(raw, "0005-0061")["deformed"]["value"] == "50 of 90"


def test_a_pair_that_is_mostly_filling_is_left_out(raw):
    image, labels = body(90)
    image[:, :, :25] = 0
    write_pair(raw, "0005-0061", labels)
    write(raw / "RegData/Training-Testing/img/0061/img0005-0061.nii.gz", image)
    assert about(raw, "0005-0061")["deformed"]["value"].startswith("6")


def test_a_pair_on_another_grid_than_its_test_scan_is_named(raw):
    for pair in ("0001-0061", "0005-0061", "0005-0062"):
        write_pair(raw, pair)
    for kind, array in zip(("img", "label"), body(80), strict=True):
        write(raw / f"RegData/Training-Testing/{kind}/0061/{kind}0005-0061.nii.gz", array)
    (finding,) = (one for one in findings(raw, "--partial") if one["code"] == "pair-grid")
    assert (finding["case"], finding["value"]) == ("0005-0061", "40x40x80")


def test_refused_data_end_before_anything_is_prepared(tmp_path, capfd):
    raw = write_set(tmp_path / "raw", (*FEW, "0011"), ())
    out = tmp_path / "out"
    command = [str(raw), "--out", str(out), "--partial", "--workers", "1", "--size", "16"]
    assert main(command) == 3
    answer = capfd.readouterr()
    assert "error[data-refused]: 1 findings" in answer.err and "Traceback" not in answer.err
    assert not (out / "index.json").exists() and not list((out / "arrays").iterdir())
    assert json.loads((out / "checks.json").read_text())["refused"] == 1
    assert main([*command, "--exclude", "001*", "0099"]) == 0
    assert "what is not there: 0099" in capfd.readouterr().out
    assert json.loads((out / "index.json").read_text())["excluded"] == ["0011"]


def test_the_official_facts_agree_with_each_other():
    training = ids(official_facts()["training"])
    assert set(slices_per_case()) == set(training) and len(training) == 30
    assert len(training) * len(ids(official_facts()["testing"])) == official_facts()["pairs"]
    assert SPACING[2] >= official_facts()["spacing_of_slices"][0]
