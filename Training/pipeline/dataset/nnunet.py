"""Finds own data, which lie in nnU-Net's raw layout.

That is ``dataset.json``, ``imagesTr/<case>_0000<ending>`` and ``labelsTr/<case><ending>``
(documentation/dataset_format.md of nnU-Net v2; the older dataset.json with "modality" and numbers first is
understood too). Where wanted ``splits_final.json`` beside it holds the folds, and ``organs.toml`` colours,
codes and further splits (``organs.py`` says how).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unicodedata import normalize

from iuinet.errors import InputRefused
from iuinet.labels import ALL
from iuinet.reading import READERS

from .findings import NNUNET, REFUSED, WARNING, Finding, Found, Source
from .organs import ORGANS_FILE, Declared, Splits, checked, complete
from .splits import folds

_CHANNEL = "_0000"
# Not those whose voxels lie in a second file: the hash of the first would not notice a change.
_ENDINGS = tuple(ending for ending in READERS if ending not in (".nhdr", ".mhd"))


def find_nnunet(folder: Path, organs: Path | None) -> Found | None:
    """Own data in a folder, None where it has not this layout.

    organs: a file of organs instead of the one beside dataset.json.
    Raises: InputRefused "own-data" for what nnU-Net's files may not say, UsageError for the organs.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        return None
    document = _read_json(path)
    listed = document.get("dataset") if isinstance(document, dict) else None
    if not isinstance(listed, dict) and not (folder / "imagesTr").is_dir():
        return None
    if not isinstance(document, dict) or not isinstance(document.get("labels"), dict):
        hint = 'Give names and numbers: {"labels": {"background": 0, ...}}.'
        raise _refused("dataset.json has no labels", hint)
    channels = document.get("channel_names", document.get("modality", {"0": "CT"}))
    if len(channels) != 1:
        text = f"dataset.json lists {len(channels)} channels ({', '.join(map(str, channels.values()))})"
        raise _refused(text, "IUINet takes one CT: give a data set with its channel alone.")
    table, ignore = _labels(document["labels"])
    declared = Declared()
    if organs or (folder / ORGANS_FILE).exists():
        table, declared = complete(table, organs or folder / ORGANS_FILE)
    name = str(document.get("name") or folder.resolve().name)
    found = Found(folder, NNUNET, name, table, [], ignore, **vars(declared))
    channel = str(next(iter(channels.values())))
    if channel.strip().upper() != "CT":
        todo = "Go on only if the images hold Hounsfield units."
        what = "dataset.json names a channel that is not CT"
        found.findings.append(Finding(WARNING, "channel", "", what, channel, todo))
    ending = document.get("file_ending", ".nii.gz")
    if ending not in _ENDINGS:
        raise _refused(f"the file_ending {ending!r} cannot be read", f"Use one of {', '.join(_ENDINGS)}.")
    if isinstance(listed, dict):
        _collect(found, *_listed(listed))
    else:
        _collect(found, _images(folder / "imagesTr", ending), _stems(folder / "labelsTr", ending))
    train = [source.id for source in found.sources]
    found.splits.update(_folds(folder))
    _add_test_set(found, train, _images(folder / "imagesTs", ending), _stems(folder / "labelsTs", ending))
    return found


def _images(folder: Path, ending: str) -> dict[str, list[str]]:
    """Case name -> where its image is, without the number of its channel."""
    images = _stems(folder, ending)
    if any(case.endswith(_CHANNEL) for case in images):
        images = {c.removesuffix(_CHANNEL): place for c, place in images.items() if c.endswith(_CHANNEL)}
    return images


def _listed(listed: dict[str, Any]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Images and labels by case, as the "dataset" of a dataset.json of nnU-Net v2 names them."""
    images, labels = {}, {}
    for name, entry in listed.items():
        try:
            (image,), label = entry["images"], entry["label"]
            places = Path(image).as_posix(), Path(label).as_posix()
        except (TypeError, KeyError, ValueError) as error:
            text = f"dataset.json names the files of {name!r} as {entry!r}"
            raise _refused(text, 'Give {"images": ["one image"], "label": "its labels"}.') from error
        case = normalize("NFC", name)
        images[case], labels[case] = [places[0]], [places[1]]
    return images, labels


def _add_test_set(
    found: Found, train: list[str], images: dict[str, list[str]], labels: dict[str, list[str]]
) -> None:
    """Labelled cases of imagesTs and labelsTs: the test of every split, and no part of any training."""
    both = sorted(set(images) & set(labels))
    if unlabelled := len(set(images) - set(labels)):
        found.notes.append(f"Images of imagesTs without labels in labelsTs are not used: {unlabelled}.")
    if not both:
        return
    for case in sorted(set(both) & set(train)):
        what, todo = "A case of the test set has the name of another case", "Rename one of them."
        found.findings.append(Finding(REFUSED, "duplicate", case, what, images[case][0], todo))
    test = [case for case in both if case not in train]
    _collect(found, {case: images[case] for case in test}, {case: labels[case] for case in test})
    for number, held_out in enumerate(folds(train)):
        rest = [case for case in train if case not in held_out]
        usual = {"train": rest, "validation": list(held_out), "test": []}
        found.splits.setdefault(f"fold-{number}", usual)
    for name, parts in found.splits.items():
        if name.startswith("fold-"):
            parts["test"] = test
    found.splits["all"] = {"train": train, "validation": [], "test": test}
    found.notes.append(
        f"The labelled cases of imagesTs ({len(test)}) are the test of every fold, and train nothing."
    )


def _labels(labels: dict[str, Any]) -> tuple[tuple[dict, ...], int | None]:
    """Organs and the label for unknown voxels from a dataset.json, old or new."""
    if all(isinstance(value, str) and str(key).isdigit() for key, value in labels.items()):
        labels = {value: int(key) for key, value in labels.items()}
    regions = [name for name, value in labels.items() if isinstance(value, (list, tuple))]
    if regions:
        hint = "Write label maps with one number per organ: the parts of the region, without overlap."
        raise _refused(f"the label {regions[0]!r} is a region of several numbers", hint)
    wrong = [name for name, value in labels.items() if type(value) is not int]
    if wrong:
        raise _refused(f"the label {wrong[0]!r} is {labels[wrong[0]]!r}", "Labels are whole numbers.")
    organs = {name: value for name, value in labels.items() if name.lower() != "ignore" and value != 0}
    # Own labels such as "kidneys" or "lesions" are several pieces: where one is not, organs.toml says so.
    table = checked(tuple({"name": name, "label": value, "pieces": ALL} for name, value in organs.items()))
    if not table:
        raise _refused("dataset.json names no organ", "Give names and numbers beside the background.")
    ignore = next((value for name, value in labels.items() if name.lower() == "ignore"), None)
    if ignore is not None and (ignore < 1 or ignore in {organ["label"] for organ in table}):
        text = f"the label {ignore} for unknown voxels is also an organ or the background"
        raise _refused(text, "Give it a number of its own.")
    return table, ignore


def _folds(folder: Path) -> Splits:
    """nnU-Net's folds. Their validation cases serve as test cases too, since nothing else is there."""
    path = folder / "splits_final.json"
    if not path.is_file():
        return {}
    folds = _read_json(path)
    try:
        keys = {"train": "train", "validation": "val", "test": "val"}
        return {
            f"fold-{n}": {name: [normalize("NFC", str(i)) for i in fold[key]] for name, key in keys.items()}
            for n, fold in enumerate(folds)
        }
    except (TypeError, KeyError) as error:
        text = "splits_final.json is not a list of train and val"
        raise _refused(text, "Take the file that nnU-Net wrote.") from error


def _stems(folder: Path, ending: str) -> dict[str, list[str]]:
    """Case name -> where, for the files of a folder with this ending.

    Names are brought to one form (NFC): some systems write an accented letter as two characters.
    """
    found: dict[str, list[str]] = {}
    if not folder.is_dir():
        return found
    for path in sorted(folder.iterdir()):
        if path.name.lower().endswith(ending) and not path.name.startswith("."):
            case = normalize("NFC", path.name[: -len(ending)])
            found.setdefault(case, []).append(f"{folder.name}/{path.name}")
    return found


def _collect(found: Found, images: dict[str, list[str]], labels: dict[str, list[str]]) -> None:
    """Sources for the pairs; findings for what has no partner, or two."""
    for case in sorted({*images, *labels}):
        both = images.get(case, []), labels.get(case, [])
        if twice := next((places for places in both if len(places) > 1), None):
            what, todo = "Two files claim the same name", "Remove one of them."
            found.findings.append(Finding(REFUSED, "duplicate", case, what, " and ".join(twice), todo))
        elif case not in labels:
            what, todo = "An image has no labels", "Nothing has to be done if that is meant."
            missing = Finding(WARNING, "incomplete", case, what, images[case][0], todo, left_out=True)
            found.findings.append(missing)
        elif case not in images:
            what, todo = "Labels have no image", "Add the image, or leave the case out with --exclude."
            found.findings.append(Finding(REFUSED, "incomplete", case, what, labels[case][0], todo))
        else:
            found.sources.append(Source(case, "case", None, images[case][0], labels[case][0]))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        hint = "Compare it with nnU-Net's own description."
        raise _refused(f"{path.name} cannot be read: {error}", hint) from error


def _refused(text: str, hint: str) -> InputRefused:
    return InputRefused(text[0].upper() + text[1:] + ".", hint=hint, code="own-data")
