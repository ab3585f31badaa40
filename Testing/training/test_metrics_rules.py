"""Scores of label maps: overlap, volumes, organs that are missing, unknown voxels, TransUNet's rules."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.evaluation.metrics import Rules, score_labels

binary = pytest.importorskip("medpy.metric.binary", reason="MedPy is not installed here")

ORGANS = {"spleen": 1, "liver": 6, "gallbladder": 4}
SPACING = (3.0, 0.8, 0.7)
SHAPE = (20, 30, 40)
DIAGONAL = float(np.linalg.norm(np.multiply(SHAPE, SPACING)))


def label_map(**boxes) -> np.ndarray:
    """Organs as boxes (low and high corner) on an empty map."""
    labels = np.zeros(SHAPE, np.uint8)
    for name, (low, high) in boxes.items():
        labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = ORGANS[name]
    return labels


REFERENCE = label_map(liver=((2, 3, 4), (10, 20, 24)), spleen=((5, 5, 30), (9, 12, 38)))


def test_dsc_and_volumes_are_those_of_the_boxes():
    moved = label_map(liver=((4, 3, 4), (12, 20, 24)), spleen=((5, 5, 30), (9, 12, 35)))
    rows = score_labels(moved, REFERENCE, ORGANS, SPACING)
    assert rows["liver"]["dsc"] == pytest.approx(6 / 8)
    assert rows["liver"]["volume_error_ml"] == 0 and rows["liver"]["volume_error_percent"] == 0
    assert rows["spleen"]["dsc"] == pytest.approx(2 * 5 / (5 + 8))
    voxel_ml = 3.0 * 0.8 * 0.7 / 1000
    assert rows["spleen"]["reference_ml"] == pytest.approx(4 * 7 * 8 * voxel_ml)
    assert rows["spleen"]["volume_error_ml"] == pytest.approx(-4 * 7 * 3 * voxel_ml)
    assert rows["spleen"]["volume_error_percent"] == pytest.approx(-100 * 3 / 8)
    assert rows["liver"]["state"] == rows["spleen"]["state"] == "both"


def test_scores_of_the_crop_are_those_of_the_whole_volume():
    moved = np.roll(REFERENCE, (1, 2, 3), (0, 1, 2))
    for name, row in score_labels(moved, REFERENCE, {"spleen": 1, "liver": 6}, SPACING).items():
        a, b = (labels == ORGANS[name] for labels in (moved, REFERENCE))
        assert row["assd_mm"] == pytest.approx(binary.assd(a, b, SPACING), rel=1e-12)
        assert row["dsc"] == pytest.approx(binary.dc(a, b), rel=1e-12)


def test_missing_organs_cost_what_the_rules_say():
    wrong = label_map(liver=((2, 3, 4), (10, 20, 24)), gallbladder=((0, 0, 0), (2, 2, 2)))
    rows = score_labels(wrong, REFERENCE, {**ORGANS, "esophagus": 5}, SPACING)
    assert {name: row["state"] for name, row in rows.items()} == {
        "liver": "both",
        "spleen": "missed",
        "gallbladder": "extra",
        "esophagus": "absent",
    }
    for name in ("spleen", "gallbladder"):
        assert (rows[name]["dsc"], rows[name]["nsd"]) == (0, 0)
        assert rows[name]["hd95_mm"] == rows[name]["assd_mm"] == pytest.approx(DIAGONAL)
    assert rows["spleen"]["volume_error_percent"] == -100
    assert rows["gallbladder"]["volume_error_percent"] is None and rows["gallbladder"]["volume_error_ml"] > 0
    absent = rows["esophagus"]
    assert {absent[key] for key in ("dsc", "hd95_mm", "assd_mm", "nsd", "volume_error_ml")} == {None}
    assert absent["volume_ml"] == absent["reference_ml"] == 0
    json.dumps(rows, allow_nan=False)


def test_the_diagonal_is_the_largest_distance_that_is_possible():
    corner = label_map(liver=((0, 0, 0), (1, 1, 1)))
    far = label_map(liver=((19, 29, 39), (20, 30, 40)))
    assert score_labels(far, corner, {"liver": 6}, SPACING)["liver"]["hd95_mm"] < DIAGONAL


def test_a_result_counts_for_nothing_where_the_reference_is_unknown():
    reference = REFERENCE.copy()
    reference[12:] = 255
    result = REFERENCE.copy()
    result[12:] = 6
    assert score_labels(result, reference, {"liver": 6}, SPACING)["liver"]["dsc"] == 1
    assert score_labels(result, REFERENCE, {"liver": 6}, SPACING)["liver"]["dsc"] < 0.6


def test_the_tolerance_is_the_rules():
    moved = np.roll(REFERENCE, 1, 0)
    nsd = {
        tolerance: score_labels(moved, REFERENCE, {"liver": 6}, SPACING, None, Rules("iuinet", tolerance))
        for tolerance in (2.9, 3.0)
    }
    assert nsd[2.9]["liver"]["nsd"] < nsd[3.0]["liver"]["nsd"] == 1


def test_a_sheared_voxel_has_the_volume_it_is_said_to_have():
    rows = score_labels(REFERENCE, REFERENCE, {"liver": 6}, SPACING, voxel_ml=0.01)
    assert rows["liver"]["volume_ml"] == pytest.approx(8 * 17 * 20 * 0.01)


def test_transunets_rules_are_voxels_pooled_and_kind_to_failures():
    moved = np.roll(label_map(liver=((2, 3, 4), (10, 20, 24))), 2, 0)
    moved[0, 0, 0] = 4
    rows = score_labels(moved, REFERENCE, {**ORGANS, "esophagus": 5}, SPACING, None, Rules("transunet"))
    assert rows["liver"]["hd95_voxels"] == binary.hd95(moved == 6, REFERENCE == 6)
    assert rows["liver"]["dsc"] == pytest.approx(binary.dc(moved == 6, REFERENCE == 6))
    for name, dsc in (("spleen", 0), ("gallbladder", 1), ("esophagus", 0)):
        assert (rows[name]["dsc"], rows[name]["hd95_voxels"]) == (dsc, 0), name
    assert {rows[name][key] for name in rows for key in ("hd95_mm", "assd_mm", "nsd")} == {None}


def test_label_maps_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        score_labels(REFERENCE[1:], REFERENCE, ORGANS, SPACING)
