"""The table of organs, and what becomes of a model's own."""

import re

import pytest

from iuinet.errors import UsageError, WeightsError
from iuinet.labels import (
    NEUTRAL_COLOR,
    ORGANS,
    Code,
    Organ,
    organ_by_name,
    organs_of_model,
    select,
    terminology_entry,
)

NAMES = (
    "spleen", "right kidney", "left kidney", "gallbladder", "esophagus", "liver", "stomach", "aorta",
    "inferior vena cava", "portal and splenic veins", "pancreas", "right adrenal gland", "left adrenal gland",
)  # fmt: skip

RIGHT, LEFT = "SCT^24028007^Right", "SCT^7771000^Left"
# As they stand in the vocabulary that ships with Slicer, where each was looked up; that of the portal and
# splenic veins, which it lacks, as DICOM SEG files of other segmenters have it.
TYPES_AND_MODIFIERS = {
    "spleen": ("SCT^78961009^Spleen", "^^"),
    "right kidney": ("SCT^64033007^Kidney", RIGHT),
    "left kidney": ("SCT^64033007^Kidney", LEFT),
    "gallbladder": ("SCT^28231008^Gallbladder", "^^"),
    "esophagus": ("SCT^32849002^Esophagus", "^^"),
    "liver": ("SCT^10200004^Liver", "^^"),
    "stomach": ("SCT^69695003^Stomach", "^^"),
    "aorta": ("SCT^15825003^Aorta", "^^"),
    "inferior vena cava": ("SCT^64131007^Inferior vena cava", "^^"),
    "portal and splenic veins": ("SCT^110765007^Portal vein and splenic vein", "^^"),
    "pancreas": ("SCT^15776009^Pancreas", "^^"),
    "right adrenal gland": ("SCT^23451007^Adrenal gland", RIGHT),
    "left adrenal gland": ("SCT^23451007^Adrenal gland", LEFT),
}


def model(*organs: dict) -> dict:
    return {"id": "theirs", "organs": list(organs)}


def test_the_ids_are_those_of_the_challenge():
    challenge = ORGANS[:13]
    assert tuple(organ.name for organ in challenge) == NAMES
    assert [organ.label for organ in challenge] == [organ.id for organ in challenge] == list(range(1, 14))


def test_each_entry_is_slicers_seven_parts_with_the_looked_up_terms():
    for organ in ORGANS:
        kind, modifier = TYPES_AND_MODIFIERS[organ.name]
        assert terminology_entry(organ).split("~") == [
            "Segmentation category and type - DICOM master list",
            "SCT^123037004^Anatomical Structure",
            kind,
            modifier,
            "Anatomic codes - DICOM master list",
            "^^",
            "^^",
        ]


def test_no_two_organs_have_the_same_terms():
    assert len({terminology_entry(organ) for organ in ORGANS}) == len(ORGANS)


def test_the_one_code_that_slicers_lists_lack_is_said_to_be_so():
    notes = {organ.name: organ.terminology.note for organ in ORGANS if organ.terminology.note}
    assert list(notes) == ["portal and splenic veins"]
    assert "Slicer's own lists lack this code" in notes["portal and splenic veins"]


# From Slicer's SegmentationCategoryTypeModifier-DICOM-Master.json (5.13); both sides have one colour.
RECOMMENDED = {
    "spleen": (157, 108, 162), "gallbladder": (139, 150, 98), "esophagus": (211, 171, 143),
    "liver": (221, 130, 101), "stomach": (216, 132, 105), "aorta": (224, 97, 76), "pancreas": (249, 180, 111),
    "right kidney": (185, 102, 83), "left kidney": (185, 102, 83), "right adrenal gland": (249, 186, 150),
    "left adrenal gland": (249, 186, 150),
}  # fmt: skip


def told_apart(color: tuple[int, ...], others: list[tuple[int, ...]]) -> bool:
    """From each other, and from a grey scan; dark ones are lost on it."""
    apart = all(sum((a - b) ** 2 for a, b in zip(color, one, strict=True)) ** 0.5 > 45 for one in others)
    return apart and max(color) - min(color) > 50 and max(color) > 150


def test_colours_are_slicers_wherever_these_can_be_told_apart():
    own = [organ.name for organ in ORGANS if RECOMMENDED.get(organ.name) != organ.color]
    assert [organ.name for organ in ORGANS if organ.name not in own] == [
        "spleen", "esophagus", "liver", "pancreas"
    ]  # fmt: skip
    for name in set(own) & set(RECOMMENDED):
        paired = [color for other, color in RECOMMENDED.items() if other != name]
        now = [organ.color for organ in ORGANS if organ.name != name]
        assert not told_apart(RECOMMENDED[name], [*paired, *now]), name


def test_colours_can_be_told_apart_from_each_other_and_from_a_grey_scan():
    for n, organ in enumerate(ORGANS):
        assert told_apart(organ.color, [other.color for other in ORGANS[:n]]), organ.name


def test_a_models_known_organs_are_completed_whatever_their_number_and_case():
    liver, spleen = organs_of_model(model({"name": "Liver", "label": 1}, {"name": "spleen", "label": 200}))
    assert (liver.name, liver.label, spleen.label) == ("Liver", 1, 200)
    assert liver.color == organ_by_name("liver").color
    assert terminology_entry(liver) == terminology_entry(organ_by_name("liver"))


def test_an_unknown_organ_gets_a_neutral_colour_and_no_invented_code():
    (organ,) = organs_of_model(model({"name": "appendix", "label": 1}))
    assert organ == Organ("appendix", 1, NEUTRAL_COLOR, None)
    assert terminology_entry(organ) == ""
    assert organ_by_name("appendix") is None


def test_what_a_model_says_itself_goes_before_the_table():
    term = {"type": {"scheme": "SCT", "value": "66754008", "meaning": "Appendix"}}
    appendix, liver = organs_of_model(
        model(
            {"name": "appendix", "label": 1, "terminology": term},
            {"name": "liver", "label": 2, "color": [1, 2, 3]},
        )
    )
    assert "~SCT^66754008^Appendix~^^~" in terminology_entry(appendix)
    assert liver.color == (1, 2, 3) and "~SCT^10200004^Liver~" in terminology_entry(liver)


@pytest.mark.parametrize(
    "wrong",
    [
        {"color": [1, 2]},
        {"color": [1, 2, 256]},
        {"color": "red"},
        {"color": 7},
        {"terminology": {}},
        {"terminology": {"type": "liver"}},
        {"terminology": {"type": {"scheme": "SCT", "value": "1", "meaning": "a|b"}}},
        {"terminology": {"type": {"scheme": "SCT", "value": 1, "meaning": "a"}}},
    ],
)
def test_a_colour_or_terms_that_make_no_sense_are_refused(wrong):
    with pytest.raises(WeightsError, match="theirs") as caught:
        organs_of_model(model({"name": "liver", "label": 1, **wrong}))
    assert caught.value.code == "weights-metadata" and caught.value.hint


@pytest.mark.parametrize("sign", ["~", "^", "|", "&", "\n", "\r"])
def test_a_term_cannot_break_slicers_text(sign):
    with pytest.raises(ValueError, match=re.escape(repr(f"li{sign}ver"))):
        Code("SCT", "1", f"li{sign}ver")


def test_organs_are_selected_by_name_in_the_tables_order():
    names = [organ.name for organ in select(ORGANS, ["Liver", " left  kidney", "spleen", "liver"])]
    assert names == ["spleen", "left kidney", "liver"]


def test_unknown_names_are_refused_with_the_list_of_the_known_ones():
    with pytest.raises(UsageError) as caught:
        select(ORGANS, ["liver", "livr", "brain"])
    assert caught.value.code == "unknown-organ"
    assert "'livr', 'brain'" in caught.value.message and "'liver'" not in caught.value.message
    assert all(name in caught.value.hint for name in NAMES)
    with pytest.raises(UsageError) as caught:
        select(ORGANS, [])
    assert caught.value.code == "no-organ"
