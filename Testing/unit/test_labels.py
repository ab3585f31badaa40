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
# As they stand in the vocabulary that ships with Slicer; each was looked up there.
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
    "portal and splenic veins": ("SCT^32764006^Portal vein", "^^"),
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


def test_the_veins_say_that_their_code_is_the_portal_veins_alone():
    notes = {organ.name: organ.terminology.note for organ in ORGANS if organ.terminology.note}
    assert list(notes) == ["portal and splenic veins"]
    assert "portal vein" in notes["portal and splenic veins"]


def test_colours_can_be_told_apart_from_each_other_and_from_a_grey_scan():
    for n, organ in enumerate(ORGANS):
        assert max(organ.color) - min(organ.color) > 50, organ.name
        assert max(organ.color) > 150, organ.name
        for other in ORGANS[:n]:
            distance = sum((a - b) ** 2 for a, b in zip(organ.color, other.color, strict=True)) ** 0.5
            assert distance > 45, (organ.name, other.name)


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
