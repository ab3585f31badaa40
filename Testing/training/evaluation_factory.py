"""Small labelled cases, prepared as a user would, and small models with random weights to measure on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import prepare
import SimpleITK as sitk
import torch
from helpers.sample_ct import CHALLENGE

from iuinet.network import PRESETS, IUINet
from iuinet.weights.load import save_model
from iuinet.writing import image_on_grid, write_json
from pipeline.dataset.prepared import PreparedData, open_prepared
from pipeline.generated.phantom import make_sample

SIZE = 32
CASES = tuple(f"c{number}" for number in range(8))
SUBSET = ("liver", "spleen", "gallbladder")


def prepared_cases(folder: Path) -> PreparedData:
    """Eight cases of own data, prepared for a network of 32^3.

    c1 has no gallbladder; c2 is stored with other axes.
    The split "mine": c0 trains, c1 selects, c1 to c7 test.
    """
    raw = folder / "cases"
    for part in ("imagesTr", "labelsTr"):
        (raw / part).mkdir(parents=True)
    for seed, name in enumerate(CASES):
        sample = make_sample(seed=seed, size=(30, 26, 22))
        labels = np.where((sample.labels == 4) & (name == "c1"), 0, sample.labels).astype(np.uint8)
        for file, array in ((f"imagesTr/{name}_0000", sample.volume.array), (f"labelsTr/{name}", labels)):
            image = image_on_grid(array, sample.volume.grid)
            if name == "c2":
                image = sitk.DICOMOrient(image, "SAL")
            sitk.WriteImage(image, str(raw / f"{file}.nii.gz"))
    organs = {"background": 0, **{organ.name: organ.label for organ in CHALLENGE}}
    write_json(raw / "dataset.json", {"channel_names": {"0": "CT"}, "labels": organs})
    lists = {"train": CASES[:1], "validation": CASES[1:2], "test": CASES[1:]}
    split = "".join(f"{part} = {list(ids)}\n".replace("'", '"') for part, ids in lists.items())
    (raw / "organs.toml").write_text(f"[splits.mine]\n{split}", encoding="utf-8")
    command = [str(raw), "--out", str(folder / "prepared"), "--size", str(SIZE), "--workers", "1"]
    assert prepare.main(command) == 0
    return open_prepared(folder / "prepared")


def random_model(
    path: Path,
    seed: int,
    organs: Sequence[str] = SUBSET,
    training: dict[str, Any] | None = None,
    window: Sequence[float] = (-125, 275),
    **preprocessing: Any,
) -> Path:
    """A model file whose id is the file's stem. preprocessing: more that its document says of it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = IUINet(replace(PRESETS["tiny"], size=SIZE, classes=len(organs) + 1))
    labels = {organ.name: organ.label for organ in CHALLENGE} | {"spinal cord": 20}
    document = {
        "format": 1,
        "id": path.stem,
        "version": "1",
        # Ids of its own, so that nothing can work by the accident of equal numbers.
        "organs": [{"name": name, "label": 100 + labels[name]} for name in organs],
        "preprocessing": {"orientation": "LPS", "size": SIZE, "window": list(window), **preprocessing},
        "training": training or {},
        "metrics": {},
        "license": "Apache-2.0",
        "attributions": [],
        "intended_use": "Only for tests of the evaluation.",
    }
    save_model(path, net, document)
    return path


def training_on(data: PreparedData, seed: int = 0, split: str = "mine", **changes: Any) -> dict[str, Any]:
    """What a model of train.py says of its training on the data."""
    from pipeline.dataset.splits import choose_split

    chosen = choose_split(data, split)
    about = {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "split": split,
        "statement": chosen.statement,
        "train": list(chosen.train),
        "validation": list(chosen.validation),
        "test": list(chosen.test),
        "pretrain": 0,
        "atlases": "train",
    }
    recipe = {"network": {"preset": "tiny"}, "data": {"split": split}, "run": {"seed": seed}}
    selection = {"dsc": 0.5, "epoch": 3}
    return {"recipe": recipe, "seed": seed, "selection": selection, "data": {**about, **changes}}


def small_models(folder: Path, data: PreparedData) -> dict[str, Path]:
    """Two seeds of one recipe, and one model of three organs whose file says nothing of its training."""
    organs = ("inferior vena cava", *SUBSET)
    return {
        "one": random_model(folder / "run-seed1.safetensors", 1, organs, training_on(data, 1)),
        "two": random_model(folder / "run-seed2.safetensors", 2, organs, training_on(data, 2)),
        "few": random_model(folder / "three.safetensors", 3, SUBSET),
    }


def run(*arguments: object) -> int:
    """evaluate.py with these arguments, on one thread; its exit status."""
    return evaluate.main([str(argument) for argument in (*arguments, "--workers", 1, "--device", "cpu")])


def results_of(out: Path) -> dict[str, Any]:
    """The document that it wrote."""
    return json.loads((out / "results.json").read_text(encoding="utf-8"))
