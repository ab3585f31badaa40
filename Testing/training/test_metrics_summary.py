"""Means, intervals, seeds and paired tests against numbers that are known."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from pipeline.evaluation.statistics import MEAN, holm, interval, over_seeds, paired_tests, summarise, wilcoxon

ORGANS = ("liver", "gallbladder")


def rows(model: str, dsc: dict[str, list[float | None]], grid: str = "native") -> list[dict]:
    """Rows with a DSC per organ and case; None for an organ that is absent."""
    return [
        {
            "model": model,
            "case": f"c{number}",
            "organ": organ,
            "grid": grid,
            "state": "absent" if value is None else "missed" if value == 0 else "both",
            "dsc": value,
            "hd95_mm": None if value is None else 10 * (1 - value),
            "volume_error_percent": None if value is None else -5.0 if number % 2 else 5.0,
        }
        for organ, values in dsc.items()
        for number, value in enumerate(values)
    ]


def entry(summary: list[dict], organ: str, metric: str, model: str = "m") -> dict:
    (found,) = (
        e
        for e in summary
        if (e["model"], e["grid"], e["organ"], e["metric"]) == (model, "native", organ, metric)
    )
    return found


def test_means_leave_absent_organs_out_and_count_failures():
    summary = summarise(rows("m", {"liver": [0.9, 0.8, 0.7], "gallbladder": [None, 0.0, 0.6]}), ["m"], ORGANS)
    liver, gallbladder = entry(summary, "liver", "dsc"), entry(summary, "gallbladder", "dsc")
    assert liver["mean"] == pytest.approx(0.8) and liver["sd"] == pytest.approx(0.1)
    assert (liver["median"], liver["cases"], liver["left_out"], liver["failures"]) == (0.8, 3, 0, 0)
    assert gallbladder["mean"] == pytest.approx(0.3)
    assert [gallbladder[key] for key in ("cases", "left_out", "failures")] == [2, 1, 1]


def test_the_mean_row_is_the_mean_of_the_organs_and_its_spread_that_of_the_cases():
    summary = summarise(rows("m", {"liver": [0.9, 0.8, 0.7], "gallbladder": [None, 0.0, 0.6]}), ["m"], ORGANS)
    mean = entry(summary, MEAN, "dsc")
    assert mean["mean"] == pytest.approx((0.8 + 0.3) / 2)
    assert mean["median"] == pytest.approx(0.65) and mean["sd"] == pytest.approx(
        np.std([0.9, 0.4, 0.65], ddof=1)
    )
    assert (mean["cases"], mean["left_out"], mean["failures"]) == (3, 1, 1)


def test_volume_errors_cancel_out_and_their_sizes_do_not():
    summary = summarise(rows("m", {"liver": [0.9, 0.8, 0.7, 0.6]}), ["m"], ORGANS)
    assert entry(summary, "liver", "volume_error_percent")["mean"] == 0
    assert entry(summary, "liver", "absolute_volume_error_percent")["mean"] == 5


def test_one_case_has_no_spread_and_a_metric_without_values_is_empty():
    summary = summarise(rows("m", {"liver": [0.9], "gallbladder": [None]}), ["m"], ORGANS)
    liver, gallbladder = entry(summary, "liver", "dsc"), entry(summary, "gallbladder", "dsc")
    assert (liver["sd"], liver["low"], liver["high"]) == (None, None, None)
    assert (gallbladder["mean"], gallbladder["median"], gallbladder["cases"]) == (None, None, 0)
    json.dumps(summary, allow_nan=False)


def test_the_interval_is_the_bootstraps_and_always_the_same():
    values = np.random.default_rng(1).normal(0.8, 0.05, (40, 1))
    low, high = interval(values)
    half = 1.96 * values.std() / np.sqrt(40)  # what a bootstrap of a mean comes to
    assert (values.mean() - low, high - values.mean()) == pytest.approx((half, half), rel=0.15)
    assert interval(values) == (low, high)


def test_seeds_are_summed_up_by_the_spread_of_their_means():
    both = [*rows("a1", {"liver": [0.9, 0.8]}), *rows("a2", {"liver": [0.7, 0.6]})]
    summary = summarise(both, ["a1", "a2"], ["liver"])
    found = [
        e for e in over_seeds(summary, [("a", ["a1", "a2"])]) if (e["organ"], e["metric"]) == (MEAN, "dsc")
    ]
    assert len(found) == 1 and found[0]["mean"] == pytest.approx(0.75)
    assert found[0]["sd"] == pytest.approx(0.2 / np.sqrt(2)) and found[0]["models"] == ["a1", "a2"]


@pytest.mark.parametrize(("cases", "expected"), [(6, 2 / 2**6), (8, 2 / 2**8)])
def test_the_signed_rank_test_is_exact_where_all_cases_agree(cases, expected):
    differences = 0.01 * np.arange(1, cases + 1)
    assert wilcoxon(differences) == wilcoxon(-differences) == pytest.approx(expected)


def test_the_signed_rank_test_counts_signs_and_ranks_as_by_hand():
    differences = np.array([0.03, -0.01, 0.02, 0.05, 0.04, -0.06, 0.07])
    ranks = np.abs(differences).argsort().argsort() + 1
    observed = min(ranks[differences > 0].sum(), ranks[differences < 0].sum())
    sums = [sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign) for signs in
            itertools.product((0, 1), repeat=7)]  # fmt: skip
    assert wilcoxon(differences) == pytest.approx(2 * np.mean([total <= observed for total in sums]))


def test_no_test_is_made_of_few_cases_and_equal_models_do_not_differ():
    assert wilcoxon(np.full(5, 0.1)) is None
    assert wilcoxon(np.zeros(9)) == 1
    assert wilcoxon(np.array([0.1, 0, 0, 0.2, -0.1, 0, 0.3])) > 0.05  # ties and zeros: no warning, a number


def test_holms_correction_is_that_of_the_textbook():
    entries = [{"p": p, "p_holm": None} for p in (0.01, 0.04, 0.03, None, 0.005)]
    holm(entries)
    assert [e["p_holm"] for e in entries] == pytest.approx([0.03, 0.06, 0.06, None, 0.02])
    many = [{"p": 0.5, "p_holm": None} for _ in range(3)]
    holm(many)
    assert [e["p_holm"] for e in many] == [1, 1, 1]


def test_models_are_paired_by_case_and_organ():
    a = rows("a", {"liver": [0.9, 0.9, 0.9, 0.9, 0.9, 0.9], "gallbladder": [None, 0.5, 0.5, 0.5, 0.5, 0.5]})
    b = rows("b", {"liver": [0.8, 0.7, 0.8, 0.7, 0.8, 0.7], "gallbladder": [0.0, 0.4, 0.4, 0.4, 0.4, 0.4]})
    found = {(e["organ"], e["metric"]): e for e in paired_tests([("a", a), ("b", b)], ORGANS)}
    liver, gallbladder, mean = (found[organ, "dsc"] for organ in (*ORGANS, MEAN))
    assert (liver["difference"], liver["cases"]) == (pytest.approx(0.15), 6)
    assert (gallbladder["cases"], gallbladder["p"]) == (5, None), "c0 has no gallbladder, 5 cases are too few"
    assert mean["difference"] == pytest.approx(np.mean([0.1, 0.15, 0.1, 0.15, 0.1, 0.15]))
    assert 0.1 < liver["low"] < 0.15 < liver["high"] < 0.2
    assert liver["p_holm"] == liver["p"], "the only test of an organ"
    assert {e["grid"] for e in found.values()} == {"native"}


def test_every_two_models_meet():
    sides = [(name, rows(name, {"liver": [0.9, 0.8]})) for name in "abc"]
    assert {(e["a"], e["b"]) for e in paired_tests(sides, ["liver"])} == {("a", "b"), ("a", "c"), ("b", "c")}
