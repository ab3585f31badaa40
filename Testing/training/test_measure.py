"""The measuring of a model by the program's own inference."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from training.small_anatomy import small_anatomy

from iuinet.inference import Segmenter
from iuinet.weights import resolve
from pipeline.starter.measuring import measure, print_table
from pipeline.starter.scans import REAL, Case
from pipeline.synthesis import IGNORE, ORGANS, as_volume, generate

IDS = {name: number for number, name in enumerate(ORGANS, start=1)}


def test_a_model_is_measured_by_the_programs_own_inference(small_model, capsys):
    sample = generate(small_anatomy(), 1, 32, phase="portal")
    segmenter = Segmenter(resolve(small_model), "cpu")
    case = Case("one", "generated", as_volume(sample, "one"), sample.labels.numpy(), IDS)
    result = measure(segmenter, case)
    known = {name for name, number in IDS.items() if (sample.labels == number).sum() >= 20}
    assert set(result["dice"]) == known and IGNORE not in IDS.values()
    assert all(0 <= value <= 1 for value in result["dice"].values())
    few = {name: number for name, number in IDS.items() if name in ("liver", "spleen")}
    scan = measure(segmenter, Case("two", REAL, case.volume, case.truth, few))
    assert scan["millilitres"] == result["millilitres"]
    assert scan["dice"] == {name: result["dice"][name] for name in few}
    print_table([result, scan], list(IDS))
    lines = capsys.readouterr().out.splitlines()
    rows = {line[:26].strip(): line[26:].split() for line in lines}
    assert lines[0].split() == ["DSC", "generated", "whole", "real", "scans"] and len(lines) >= 29
    # Without the stomach there is no mean that could be held beside others'.
    assert rows["mean of large organs"][1] == "-" != rows["mean of all organs"][1]
