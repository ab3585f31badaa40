"""Own data: nnU-Net's raw layout, and the TOML file of organs beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from prepare import main
from training.dataset_files import LIVER, SPLEEN, body, write

from iuinet.labels import NEUTRAL_COLOR, organs_of_model
from pipeline.dataset.organs import channel_lookup, organ_names
from pipeline.dataset.prepared import PreparedData, open_prepared
from pipeline.dataset.splits import choose_split

NAMES = ("case a", "Fall Müller", "ケース 3", "d", "e", "f")
ORGANS = """
[[organs]]
name = "tumour"
color = [10, 20, 30]
"""
LABELS = {"background": 0, "liver": 6, "tumour": 1}


def two_organs(value: int = 0) -> tuple[np.ndarray, np.ndarray]:
    image, labels = body(20)
    labels[~np.isin(labels, (LIVER, SPLEEN))] = 0
    labels[0, 0, 0] = value
    return image, labels


def write_own(
    root: Path,
    names=NAMES,
    ending: str = ".nii.gz",
    organs: str | None = ORGANS,
    labels: dict | None = None,
    value: int = 0,
    **more,
) -> Path:
    for name in names:
        image, array = two_organs(value)
        write(root / f"imagesTr/{name}_0000{ending}", image)
        write(root / f"labelsTr/{name}{ending}", array)
    document = {"channel_names": {"0": "CT"}, "labels": labels or LABELS, "file_ending": ending, **more}
    (root / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    if organs is not None:
        (root / "organs.toml").write_text(organs, encoding="utf-8")
    return root


def prepared(raw: Path, *more: str) -> PreparedData:
    out = raw.parent / "prepared"
    assert main([str(raw), "--out", str(out), "--size", "16", "--workers", "1", *more]) == 0
    return open_prepared(out)


def refused(raw: Path, capfd, *more: str) -> str:
    """The two lines of the refusal."""
    capfd.readouterr()
    assert main([str(raw), "--check-only", "--workers", "1", *more]) in (2, 3)
    answer = capfd.readouterr()
    assert len(answer.err.splitlines()) == 2 and "Traceback" not in answer.err
    return answer.err + answer.out


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_images_and_labels_of_any_format_and_name(tmp_path, ending):
    data = prepared(write_own(tmp_path / "Meine Daten", ending=ending, organs=None))
    assert data.name == "Meine Daten" and {case.id for case in data.cases} == set(NAMES)
    assert [organ["name"] for organ in data.organs] == ["tumour", "liver"], "in the order of their labels"
    for case in data.cases:
        volume, labels = data.native(case.id)
        assert volume.array.shape == labels.shape and set(np.unique(labels)) == {0, 1, 6}
        assert set(data.arrays(case.id)[1].unique().tolist()) == {0, 1, 6}
    assert int(channel_lookup(data, organ_names(data, "tumour"))[1]) == 1


def test_colours_come_from_the_file_beside_else_from_the_table_else_are_neutral(tmp_path):
    data = prepared(write_own(tmp_path / "raw", labels={**LABELS, "cyst": 9}))
    assert not data.generated
    organs = {organ.name: organ for organ in organs_of_model({"organs": data.organs})}
    assert organs["tumour"].color == (10, 20, 30) and organs["tumour"].terminology is None
    assert organs["liver"].color == (221, 130, 101) and organs["liver"].terminology is not None
    assert organs["cyst"].color == NEUTRAL_COLOR


def test_own_organs_are_of_several_pieces_unless_the_file_says_other(tmp_path, capfd):
    raw = write_own(tmp_path / "raw", organs=ORGANS + '[[organs]]\nname = "liver"\npieces = "largest"\n')
    data = prepared(raw)
    assert {organ["name"]: organ["pieces"] for organ in data.organs} == {"tumour": "all", "liver": "largest"}
    (raw / "organs.toml").write_text('[[organs]]\nname = "liver"\npieces = "two"\n')
    assert "pieces 'two'" in refused(raw, capfd)


def test_nnunets_layout_with_its_folds(tmp_path):
    raw = write_own(tmp_path / "Dataset042_Liver", name="Liver")
    folds = [
        {"train": list(NAMES[:4]), "val": list(NAMES[4:])},
        {"train": list(NAMES[2:]), "val": list(NAMES[:2])},
    ]
    (raw / "splits_final.json").write_text(json.dumps(folds), encoding="utf-8")
    data = prepared(raw)
    assert data.name == "Liver" and {case.id for case in data.cases} == set(NAMES)
    split = choose_split(data, "fold-1")
    assert split.train == NAMES[2:] and split.validation == split.test == NAMES[:2]
    assert "came with the data" in split.statement and "share" in split.statement


def test_the_places_of_files_in_dataset_json_are_read(tmp_path, capfd):
    raw = write_own(tmp_path / "raw")
    (raw / "imagesTr").rename(tmp_path / "elsewhere")
    document = json.loads((raw / "dataset.json").read_text(encoding="utf-8"))
    document["dataset"] = {
        name: {"images": [f"../elsewhere/{name}_0000.nii.gz"], "label": f"labelsTr/{name}.nii.gz"}
        for name in NAMES[:3]
    }
    (raw / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    data = prepared(raw)
    assert {case.id for case in data.cases} == set(NAMES[:3]) and data.native(NAMES[1])[1].any()
    document["dataset"][NAMES[0]]["images"] = ["a", "b"]
    (raw / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    assert NAMES[0] in refused(raw, capfd)
    document["dataset"] = {
        NAMES[0]: {"images": ["imagesTr/none.nii.gz"], "label": f"labelsTr/{NAMES[0]}.nii.gz"}
    }
    (raw / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    assert "imagesTr/none.nii.gz" in refused(raw, capfd)


@pytest.mark.parametrize("own_folds", [False, True])
def test_a_labelled_test_set_tests_every_split_and_trains_nothing(tmp_path, capfd, own_folds):
    raw = write_own(tmp_path / "raw")
    if own_folds:
        folds = [{"train": list(NAMES[1:]), "val": list(NAMES[:1])}]
        (raw / "splits_final.json").write_text(json.dumps(folds), encoding="utf-8")
    for name in ("t1", "t2", "t3"):
        image, labels = two_organs()
        write(raw / f"imagesTs/{name}_0000.nii.gz", image)
        if name != "t3":
            write(raw / f"labelsTs/{name}.nii.gz", labels)
    data = prepared(raw)
    said = capfd.readouterr().out
    assert "without labels in labelsTs are not used: 1." in said and "cases of imagesTs (2)" in said
    for number in range(5):
        split = choose_split(data, f"fold-{number}")
        assert split.test == ("t1", "t2") and not {"t1", "t2"} & {*split.train, *split.validation}
        assert split.validation and "Selection has cases of its own" in split.statement
    if own_folds:
        assert choose_split(data, "fold-0").validation == NAMES[:1]
    everything = choose_split(data, "all")
    assert set(everything.train) == set(NAMES) and everything.test == ("t1", "t2")
    assert "No case selects" in everything.statement
    image, labels = two_organs()
    write(raw / f"imagesTs/{NAMES[0]}_0000.nii.gz", image)
    write(raw / f"labelsTs/{NAMES[0]}.nii.gz", labels)
    assert "has the name of another case" in refused(raw, capfd)


def test_the_old_dataset_json_is_understood(tmp_path):
    raw = write_own(tmp_path / "Task01", labels={"0": "background", "1": "tumour", "6": "liver"})
    document = json.loads((raw / "dataset.json").read_text())
    document["modality"] = document.pop("channel_names")
    (raw / "dataset.json").write_text(json.dumps(document))
    assert {organ["name"]: organ["label"] for organ in prepared(raw).organs} == {"tumour": 1, "liver": 6}


def test_splits_come_from_the_file_beside_or_from_another_one(tmp_path, capfd):
    text = ORGANS + '[splits.mine]\ntrain = ["d"]\ntest = ["e", "f"]\n'
    raw = write_own(tmp_path / "raw", organs=text)
    assert choose_split(prepared(raw), "mine").test == ("e", "f")
    other = tmp_path / "more.toml"
    other.write_text(text.replace("mine", "yours"))
    data = prepared(raw, "--organs", str(other))
    assert next(organ for organ in data.organs if organ["name"] == "tumour")["color"] == [10, 20, 30]
    assert set(data.splits) == {"yours"}
    other.write_text(ORGANS.replace("tumour", "spleen"))
    assert "'spleen'" in refused(raw, capfd, "--organs", str(other))


@pytest.mark.parametrize("ignore", [9, 255])
def test_an_ignore_label_becomes_unknown_everywhere(tmp_path, ignore):
    data = prepared(write_own(tmp_path / "raw", labels={**LABELS, "ignore": ignore}, value=ignore))
    assert data.native("d")[1][0, 0, 0] == 255 and data.case("d").voxels[255] == 1
    assert [organ["label"] for organ in data.organs] == [1, 6]


def test_unknown_voxels_keep_their_share_of_the_arrays(tmp_path):
    raw = write_own(tmp_path / "raw", names=("a",), labels={**LABELS, "ignore": 9})
    labels = two_organs()[1]
    labels[:, :20] = 9
    write(raw / "labelsTr/a.nii.gz", labels)
    small = prepared(raw).arrays("a")[1]
    assert (small[:, :8] == 255).all() and not (small[:, 8:] == 255).any()


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        ({**LABELS, "whole": [1, 6]}, "region"),
        ({**LABELS, "cyst": 255}, "255"),
        ({**LABELS, "cyst": 300}, "300"),
        ({**LABELS, "cyst": 1}, "twice"),
        ({**LABELS, "cyst": 2.5}, "2.5"),
        ({**LABELS, "ignore": 6}, "unknown"),
        ({"background": 0}, "no organ"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(tmp_path, labels, word, capfd):
    assert word in refused(write_own(tmp_path / "raw", names=("a",), labels=labels), capfd)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"channel_names": {"0": "CT", "1": "PET"}}, "2 channels (CT, PET)"),
        ({"file_ending": ".png"}, ".png"),
        ({"labels": ["liver"]}, "no labels"),
    ],
)
def test_a_dataset_json_that_cannot_be_used_is_refused(tmp_path, change, word, capfd):
    raw = write_own(tmp_path / "raw", names=("a",))
    document = json.loads((raw / "dataset.json").read_text())
    (raw / "dataset.json").write_text(json.dumps({**document, **change}))
    assert word in refused(raw, capfd)
    (raw / "dataset.json").write_text("{")
    assert "cannot be read" in refused(raw, capfd)


def test_another_channel_than_ct_is_a_warning(tmp_path, capfd):
    raw = write_own(tmp_path / "raw", names=("a",), channel_names={"0": "MR"})
    assert main([str(raw), "--check-only", "--workers", "1"]) == 0
    assert "WARNING" in (out := capfd.readouterr().out) and "MR" in out


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("organs = ['tumour']", "not tables"),
        ("[[organs]]\ncolor = [1, 2, 3]", "no organ None"),
        ("[[organs]]\nname = 'kidney'", "no organ 'kidney'"),
        ("[[organs]]\nname = 'tumour'\nlabel = 1", "'organs.label'"),
        ("[[organs]]\nname = 'tumour'\ncolour = [1, 2, 3]", "'organs.colour'"),
        ("[[organs]]\nname = 'tumour'\ncolor = [1, 2, 300]", "300"),
        ("[[organs]]\nname = 'tumour'\nterminology = {type = {scheme = 'SCT'}}", "terminology"),
        ("[splits.x]\nvalidation = ['d']", "without train"),
        ("[splits.x]\ntrain = 'd'", "not a list"),
        ("ignore = 9", "'ignore'"),
        ("[[organs", "cannot be read"),
    ],
)
def test_a_file_of_organs_that_cannot_be_used_is_refused(tmp_path, text, word, capfd):
    assert word in refused(write_own(tmp_path / "raw", names=("a",), organs=text), capfd)


def test_a_file_of_organs_that_is_not_there_is_refused_only_if_it_was_asked_for(tmp_path, capfd):
    raw = write_own(tmp_path / "raw", names=("a",), organs=None)
    assert "other.toml cannot be read" in refused(raw, capfd, "--organs", str(tmp_path / "other.toml"))
    assert len(prepared(raw).cases) == 1


def test_files_without_partner_or_with_two(tmp_path, capfd):
    raw = write_own(tmp_path / "raw")
    (raw / "labelsTr/d.nii.gz").unlink()
    assert len(prepared(raw).cases) == len(NAMES) - 1
    (raw / "imagesTr/e_0000.nii.gz").unlink()
    (raw / "imagesTr/f_0000.NII.GZ").write_bytes((raw / "imagesTr/f_0000.nii.gz").read_bytes())
    text = refused(raw, capfd)
    assert "Labels have no image" in text and "Two files claim the same name" in text
    assert "d" not in [case.id for case in prepared(raw, "--exclude", "e", "f").cases]


def test_labels_and_values_that_cannot_be_used_are_findings(tmp_path, capfd):
    raw = write_own(tmp_path / "raw", ending=".nrrd")
    image, labels = two_organs()
    decimal = labels.astype(np.float32)
    decimal[0, 0, 0] = np.nan
    write(raw / "labelsTr/d.nrrd", decimal)
    labels[0, 0, 0] = 3
    write(raw / "labelsTr/e.nrrd", labels)
    text = refused(raw, capfd)
    assert "whole numbers" in text and "belong to no organ" in text
    numbers = image.astype(np.float32)
    numbers[0, :3, 0] = np.nan
    write(raw / "imagesTr/f_0000.nrrd", numbers)
    data = prepared(raw, "--exclude", "d", "e")
    assert "not numbers" in capfd.readouterr().out
    assert data.arrays("f")[0].isfinite().all()


def test_the_cache_notices_another_meaning_of_the_labels(tmp_path):
    raw = write_own(tmp_path / "raw")
    before = prepared(raw)
    write_own(raw, names=(), labels={"background": 0, "liver": 6, "lesion": 1}, organs=None)
    (raw / "organs.toml").unlink()
    assert prepared(raw).fingerprint != before.fingerprint


def test_an_own_folder_within_another_is_not_mixed_with_the_official_set(tmp_path, capfd):
    write_own(tmp_path / "raw/own")
    assert "no images with labels" in refused(tmp_path / "raw", capfd)
