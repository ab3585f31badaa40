"""Scores on the development scans: overlap where the reference is known, sides, volumes of generated CT."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from training.small_anatomy import small_anatomy

from pipeline.starter.measuring import dice, mean_scores, misplaced
from pipeline.synthesis import ORGANS, Sample, as_volume, generate
from pipeline.synthesis.view import View


def test_dice_counts_what_is_known():
    truth = np.zeros((4, 10, 10), np.uint8)
    truth[:2] = 6
    truth[3] = 255
    labels = np.zeros_like(truth)
    labels[1:] = 6
    assert dice(labels, truth, {"liver": 6, "spleen": 1}) == {"liver": pytest.approx(2 * 100 / (200 + 200))}
    with pytest.raises(ValueError, match="shape"):
        dice(labels[1:], truth, {"liver": 6})
    assert mean_scores([{"liver": 1.0}, {"liver": 0.5, "spleen": 0.2}]) == {"liver": 0.75, "spleen": 0.2}


def test_a_model_is_not_measured_on_a_label_map_that_it_was_made_from(tmp_path, monkeypatch, capfd):
    import evaluate

    monkeypatch.setenv("IUINET_DATA", str(tmp_path))
    command = ["--development", "--weights", "starter-tiny", "--cache", str(tmp_path), "--out"]
    command += [str(tmp_path / "r.json"), "--anatomy"]
    assert evaluate.main([*command, "s0327"]) == 2
    assert "error[case-seen]: starter-tiny was TRAINED on synthetic CT made from" in capfd.readouterr().err
    for others in (["s0327", "--allow-seen"], ["amos_0013"]):  # which then find no scans in the folder
        assert evaluate.main([*command, *others]) != 0
        assert "case-seen" not in capfd.readouterr().err


def test_a_mirrored_body_is_noticed():
    ids = {name: number for number, name in enumerate(ORGANS, start=1)}
    labels = np.zeros((4, 10, 20), np.uint8)
    labels[:, :, 2:6], labels[:, :, 15:18] = ids["liver"], ids["spleen"]
    assert misplaced(labels, ids) == []
    assert misplaced(labels[:, :, ::-1], ids) == ["the liver is not to the right of the spleen"]


def test_a_generated_scan_is_a_volume_of_its_field_of_view():
    view = View((0.0, 20.0, 20.0), (192.0, 276.0, 340.0))
    sample = generate(small_anatomy(), 1, 32, view=view)
    assert dataclasses.is_dataclass(sample) and isinstance(sample, Sample)
    volume = as_volume(sample, "x")
    assert volume.grid.spacing == pytest.approx((10.0, 8.0, 6.0))
    assert volume.grid.shape == volume.array.shape and volume.array.dtype == np.int16
    assert volume.grid.origin == pytest.approx((25.0, 24.0, 3.0))
