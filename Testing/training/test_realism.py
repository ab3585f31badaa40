"""How far generated CT is from real CT: values of organs, a classifier, the command."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from prepare import main as prepare_main
from realism import main
from training.small_anatomy import small_anatomy
from training.test_dataset_declared import write_copy

from pipeline.synthesis import TRAINING, save
from pipeline.synthesis.realism import Scan, accuracy, organ_values


def noisy(deviation: float, count: int = 6) -> list[Scan]:
    labels = torch.zeros(40, 40, 40)
    labels[8:32, 8:32, 8:32] = 6
    return [Scan(deviation * torch.randn(40, 40, 40), labels) for _ in range(count)]


def test_the_values_are_those_inside_of_an_organ():
    torch.manual_seed(0)
    labels = torch.zeros(48, 48, 48)
    labels[8:40, 8:40, 8:40] = 6
    image = torch.full((48, 48, 48), -100.0)
    image[8:40, 8:40, 8:40] = 90 + 5 * torch.randn(32, 32, 32)
    found = organ_values(Scan(image, labels), 6)
    assert found.median == pytest.approx(90, abs=0.5)
    assert found.noise == pytest.approx(5, rel=0.05)
    assert organ_values(Scan(image, labels), 1) is None


def test_equal_kinds_are_guessed_and_different_ones_are_told_apart():
    torch.manual_seed(0)
    assert 0.35 < accuracy(noisy(20), noisy(20), folds=2, steps=20) < 0.65
    assert accuracy(noisy(20), noisy(60), folds=2, steps=20) > 0.9


def test_the_command_prints_both_sides_of_every_labelled_organ(tmp_path, capfd):
    raw = write_copy(tmp_path / "raw")
    out = tmp_path / "prepared"
    assert prepare_main([str(raw), "--out", str(out), "--size", "32", "--workers", "1"]) == 0
    for name in TRAINING:
        save(replace(small_anatomy(), name=name), tmp_path / "anatomies")
    capfd.readouterr()
    cache = ["--anatomy-cache", str(tmp_path / "anatomies")]
    assert main(["--data", str(out), *cache, "--count", "5", "--steps", "2"]) == 0
    told = capfd.readouterr().out
    assert re.search(r"^liver +-?\d+ -?\d+ -?\d+ +\d+ +\d+ +-?\d+ -?\d+ -?\d+ +\d+ +\d+$", told, re.MULTILINE)
    assert "pancreas" not in told  # which these data do not label
    assert re.search(r"accuracy [01]\.\d{3} ", told)
