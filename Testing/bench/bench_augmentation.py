#!/usr/bin/env python3
"""What one augmented sample costs, change by change, and beside MONAI's equivalent transforms where monai is.

    PYTHONPATH=Testing:Training:IUINetSegmentation python Testing/bench/bench_augmentation.py [--size 128]

On a CPU processor time of one thread, the median of some runs in turn, so that a busy machine misleads
little; wall time on a GPU. MONAI moves labels by nearest neighbour, and resamples once for the crop and once
for the rest.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import statistics
import time
from collections.abc import Callable

import torch

from pipeline.augmentation import Augmentation, augment

Sample = tuple[torch.Tensor, torch.Tensor]
Change = Callable[[torch.Tensor, torch.Tensor, int], Sample]
ORGANS = 13
CHANGES = [
    field.name.removesuffix("_probability")
    for field in dataclasses.fields(Augmentation)
    if field.name.endswith("_probability")
]


def body(size: int, device: torch.device) -> Sample:
    """Noise, and labels in boxes: what is in a sample does not change the time, how many labels does."""
    chance = torch.Generator().manual_seed(0)
    image = 200 * torch.randn(size, size, size, generator=chance)
    labels = torch.zeros(size, size, size, dtype=torch.uint8)
    step = size // (ORGANS + 1)
    for organ in range(ORGANS):
        labels[size // 4 : size // 2, size // 4 : size // 2, organ * step : (organ + 1) * step] = 1 + organ
    return image.half().to(device), labels.to(device)


def with_all(names: list[str]) -> Augmentation:
    """These changes in every sample, the others in none."""
    return dataclasses.replace(Augmentation.off(), **{f"{name}_probability": 1.0 for name in names})


def ours(settings: Augmentation, image: torch.Tensor, labels: torch.Tensor, seed: int) -> Sample:
    """A sample of this project."""
    return augment(image, labels, image.shape[0], settings, seed, (2.0, 2.5, 2.5))


def monai_changes(size: int) -> Change | None:
    """All of the changes, made of MONAI's transforms with the ranges of the defaults; None without monai."""
    try:
        from monai import transforms as t
    except ImportError:
        return None
    d, both = Augmentation(), ["image", "labels"]
    modes = ("bilinear", "nearest")
    whole = (d.scale[0] * d.stretch[0] - 1, d.scale[1] * d.stretch[1] - 1)
    turn = d.rotation_degrees * torch.pi / 180
    least = [int(size * share[0]) for share in (d.crop_shares_head, *[d.crop_shares_plane] * 2)]
    pipeline = t.Compose(
        [
            t.RandSpatialCropd(both, least, random_size=True),
            t.Resized(both, (size,) * 3, mode=("trilinear", "nearest"), anti_aliasing=(True, False)),
            t.Rand3DElasticd(
                both,
                sigma_range=(8, 8),
                magnitude_range=(500, 500),  # about 2 voxels, as 5 mm are
                prob=1.0,
                rotate_range=(turn,) * 3,
                scale_range=(whole,) * 3,
                mode=modes,
                padding_mode="zeros",
            ),
            t.RandSimulateLowResolutiond("image", prob=1.0, zoom_range=(0.4, 0.77)),
            t.RandGaussianSmoothd("image", *[d.blur_voxels] * 3, prob=1.0),
            t.RandScaleIntensityd("image", factors=0.25, prob=1.0),
            t.RandShiftIntensityd("image", offsets=d.brightness_hu, prob=1.0),
            t.RandAdjustContrastd("image", prob=1.0, gamma=d.gamma),
            t.RandGaussianNoised("image", prob=1.0, std=d.noise_hu[1]),
        ]
    )

    def change(image: torch.Tensor, labels: torch.Tensor, seed: int) -> Sample:
        pipeline.set_random_state(seed=seed)
        found = pipeline({"image": image.float()[None], "labels": labels.float()[None]})
        return found["image"][0], found["labels"][0]

    return change


def seconds(change: Change, sample: Sample, seed: int) -> float:
    """Time of one sample."""
    on_gpu = sample[0].is_cuda
    clock = time.perf_counter if on_gpu else time.process_time
    start = clock()
    change(*sample, seed)
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - start


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sample = body(options.size, torch.device(options.device))
    settings = {f"{name} alone": with_all([name]) for name in CHANGES} | {"all of them": with_all(CHANGES)}
    rows: dict[str, Change] = {name: functools.partial(ours, each) for name, each in settings.items()}
    theirs = monai_changes(options.size)
    if theirs:
        rows["MONAI, all of them"] = theirs
    taken: dict[str, list[float]] = {name: [] for name in rows}
    for run in range(options.runs + 1):  # the first one warms up
        for name, change in rows.items():
            taken[name].append(seconds(change, sample, run))
    medians = {name: statistics.median(each[1:]) for name, each in taken.items()}
    kind = "wall" if sample[0].is_cuda else "processor"
    print(f"{options.size}^3, {ORGANS} organs, {options.device}, {kind} time")
    for name, median in medians.items():
        print(f"  {name:<24}{1000 * median:>9.0f} ms")
    often = [taken_by_default(sample, seed) for seed in range(4 * options.runs)]
    print(f"  {'defaults, on average':<24}{1000 * statistics.mean(often):>9.0f} ms")
    if theirs:
        print(f"  MONAI takes {medians['MONAI, all of them'] / medians['all of them']:.2f} times as long")
    else:
        print("  monai is not installed here: nothing to compare with")


def taken_by_default(sample: Sample, seed: int) -> float:
    """Time of a sample as a recipe without an [augmentation] table makes it."""
    return seconds(functools.partial(ours, Augmentation()), sample, seed)


if __name__ == "__main__":
    main()
