"""Generated pairs on disk, and the measuring of a model on them by the program's own inference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import phantom
from evaluate import measure, print_table
from evaluation.cases import Case, as_volume
from synthesis import IGNORE, ORGANS, generate, save
from training.small_anatomy import small_anatomy

from iuinet.inference import Segmenter
from iuinet.reading import read_volume
from iuinet.weights import resolve

IDS = {name: number for number, name in enumerate(ORGANS, start=1)}


def test_a_procedural_pair_lies_on_one_grid(tmp_path, capsys):
    assert phantom.main([str(tmp_path), "--size", "32", "--seed", "3"]) == 0
    ct, labels = (read_volume(Path(line)) for line in capsys.readouterr().out.split())
    assert ct.array.shape == labels.array.shape == (32, 32, 32)
    assert ct.grid.spacing == pytest.approx(labels.grid.spacing)
    assert ct.array.min() < -500 and 6 in labels.array


def test_a_pair_from_a_label_map_is_the_generators(tmp_path, capsys):
    anatomy = small_anatomy()
    stored = type(anatomy)("s0327", anatomy.tissue, anatomy.distance, anatomy.boxes)
    save(stored, tmp_path / "cache")
    command = ["--anatomy", "s0327", "--cache", str(tmp_path / "cache"), "--size", "32", "--phase", "portal"]
    assert phantom.main([str(tmp_path), *command]) == 0
    _, labels = (read_volume(Path(line)) for line in capsys.readouterr().out.split())
    expected = generate(stored, 0, 32, phase="portal").labels.numpy()
    assert np.array_equal(labels.array, expected)


def test_a_phase_needs_a_label_map(tmp_path):
    with pytest.raises(SystemExit) as stopped:
        phantom.main([str(tmp_path), "--phase", "portal"])
    assert stopped.value.code == 2


def test_a_model_is_measured_by_the_programs_own_inference(small_model, capsys):
    sample = generate(small_anatomy(), 1, 32, phase="portal")
    segmenter = Segmenter(resolve(small_model), "cpu")
    case = Case("one", "generated", as_volume(sample, "one"), sample.labels.numpy(), IDS)
    result = measure(segmenter, case)
    known = {name for name, number in IDS.items() if (sample.labels == number).sum() >= 20}
    assert set(result["dice"]) == known and IGNORE not in IDS.values()
    assert all(0 <= value <= 1 for value in result["dice"].values())
    scan = measure(segmenter, Case("two", "real scan", case.volume, None, {}))
    assert scan["millilitres"] == result["millilitres"] and "dice" not in scan
    print_table([result, scan], list(IDS))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["DSC", "generated"] and len(lines) >= 29
