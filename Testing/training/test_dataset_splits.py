"""Splits and organ subsets: who trains, selects and tests, and what pre-training may see."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from helpers.sample_ct import CHALLENGE
from training.dataset_files import official

from iuinet.errors import UsageError
from pipeline.dataset.organs import channel_lookup, organ_names, subsets
from pipeline.dataset.splits import choose_split, folds, slices_per_case, split_names

ALL = sorted(slices_per_case())
TARGETS = [f"{number:04d}" for number in range(61, 81)]
PAIRS = [f"{atlas}-{target}" for atlas in ALL for target in TARGETS]


@pytest.fixture(scope="module")
def data():
    return official(ALL, PAIRS)


def test_transunet_is_18_and_12_with_the_known_numbers_of_slices(data):
    split = choose_split(data, "transunet")
    assert (len(split.train), len(split.test)) == (18, 12) and split.validation == split.test
    assert not set(split.train) & set(split.test) and sorted({*split.train, *split.test}) == ALL
    slices = slices_per_case()
    assert sum(slices[case] for case in split.train) == 2211
    assert sum(slices[case] for case in split.test) == 1568
    assert "share" in split.statement


def test_the_inner_split_takes_its_selection_by_the_stated_rule(data):
    outer, inner = choose_split(data, "transunet"), choose_split(data, "transunet-inner")
    ordered = sorted(outer.train, key=lambda case: (slices_per_case()[case], case))
    assert sorted(inner.validation) == sorted(ordered[2::6])
    assert set(inner.train) == set(outer.train) - set(inner.validation) and len(inner.train) == 15
    assert inner.test == outer.test and "of its own" in inner.statement


@pytest.mark.parametrize(("name", "count"), [("transunet", 360), ("transunet-inner", 300), ("fold-2", 480)])
def test_pre_training_sees_no_selection_or_test_case_unless_asked(data, name, count):
    split = choose_split(data, name)
    assert len(split.pretrain) == count
    assert not {pair[:4] for pair in split.pretrain} & {*split.validation, *split.test}
    assert "sees no selection or test case" in split.statement
    # What validation decides in pre-training is decided on cases: which ones, is the split's matter.
    shared = "chosen by scores on the selection cases, which are test cases too."
    assert (shared in split.statement) == (name != "transunet-inner")
    assert "chosen by scores on the selection cases" in split.statement
    assert split.atlases == ("train18" if name == "transunet" else "train")
    leaky = choose_split(data, name, "all30")
    assert len(leaky.pretrain) == 600 and "scores are not those of unseen" in leaky.statement


def test_folds_cover_all_cases_once_and_do_not_depend_on_order(data):
    splits = [choose_split(data, f"fold-{number}") for number in range(5)]
    assert sorted(case for split in splits for case in split.test) == ALL
    assert all(len(split.test) == 6 and not set(split.train) & set(split.test) for split in splits)
    assert folds(ALL) == folds(reversed(ALL))
    # Pinned: whoever computes other folds makes results that are no longer comparable.
    assert splits[0].test == ("0005", "0006", "0009", "0029", "0033", "0034")


def test_all_trains_on_everything(data):
    split = choose_split(data, "all")
    assert split.train == tuple(ALL) and split.validation == split.test == () and len(split.pretrain) == 600


def test_missing_cases_are_listed_unless_partial_is_meant():
    data = official([case for case in ALL if case not in ("0001", "0010")], PAIRS[:3])
    with pytest.raises(UsageError, match=r"2 of 30 .*0010, 0001") as refused:
        choose_split(data, "transunet")
    assert refused.value.code == "missing-cases"
    split = choose_split(data, "transunet", partial=True)
    assert (len(split.train), len(split.test)) == (17, 11) and "not comparable" in split.statement
    assert split.pretrain == (), "the pairs are of 0001, which is a test case"
    assert choose_split(data, "fold-0", partial=True).test == ("0005", "0006", "0009", "0029", "0033", "0034")
    with pytest.raises(UsageError, match="no case to train on"):
        choose_split(official(["0001"]), "transunet", partial=True)


def test_unknown_names_are_refused_with_those_that_there_are(data):
    with pytest.raises(UsageError, match="'transnet'") as refused:
        choose_split(data, "transnet")
    assert "transunet-inner" in refused.value.hint and "fold-4" in refused.value.hint
    with pytest.raises(UsageError, match="'train12'"):
        choose_split(data, "transunet", "train12")


def test_own_data_have_own_splits_and_folds_but_not_the_official_ones():
    own = {"mine": {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}}
    data = official(list("abcdefg"), name="livers", splits=own)
    split = choose_split(data, "mine")
    assert (split.train, split.validation, split.test) == (("a", "b"), ("c",), ("d",))
    assert "of its own" in split.statement
    assert split_names(data) == ("mine", *(f"fold-{n}" for n in range(5)), "all")
    assert sorted(case for n in range(5) for case in choose_split(data, f"fold-{n}").test) == list("abcdefg")
    with pytest.raises(UsageError):
        choose_split(data, "transunet")


def test_a_split_that_tests_on_its_training_cases_is_refused():
    own = {"mine": {"train": ["a", "b"], "validation": [], "test": ["b"]}}
    with pytest.raises(UsageError, match=r"tests with: b$"):
        choose_split(official("ab", name="livers", splits=own), "mine")


def test_subsets_are_names_of_the_table():
    names = {organ.name for organ in CHALLENGE}
    assert all(set(subset) <= names for subset in subsets().values())
    assert [len(subsets()[name]) for name in ("paper3", "transunet8", "all13")] == [3, 8, 13]


def test_organs_are_chosen_by_name_and_get_their_channels(data):
    assert organ_names(data, "paper3") == ("liver", "spleen", "stomach")
    assert organ_names(data, "Spleen, LIVER") == organ_names(data, ["spleen", "liver"]) == ("spleen", "liver")
    assert len(organ_names(data, "all")) == 13
    lookup = channel_lookup(data, organ_names(data, "paper3"))
    assert lookup.dtype == torch.uint8 and lookup.shape == (256,)
    assert [int(lookup[raw]) for raw in (0, 6, 1, 7, 8, 254, 255)] == [0, 1, 2, 3, 0, 0, 255]
    labels = torch.tensor([[6, 1], [255, 13]], dtype=torch.uint8)
    assert lookup[labels.long()].tolist() == [[1, 2], [255, 0]]


@pytest.mark.parametrize("choice", ["colon", "liver,colon", "", [], "liver,Liver"])
def test_organs_that_are_not_there_or_twice_are_refused(data, choice):
    with pytest.raises(UsageError) as refused:
        organ_names(data, choice)
    assert refused.value.code == "unknown-organ" and "paper3" in refused.value.hint
