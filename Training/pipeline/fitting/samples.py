"""Where training samples come from: prepared cases, registered pairs, synthetic CT, or several of these.

Sample number n of a phase is a function of (seed, phase, n) alone: neither an interruption nor the number of
processes changes it. Prepared samples pass in shuffled order, each once before any comes again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch

from iuinet.geometry import canonical_grid
from pipeline.augmentation import Augmentation, augment
from pipeline.dataset.prepared import PreparedData

# Purposes of seeds: two draws never share one.
ORDER, AUGMENTATION, ANATOMY, SCAN = range(4)
_MASK = 2**64 - 1

# Image, channels and, where these do not show all classes, bool (classes,): which they show.
Sample = tuple[torch.Tensor, torch.Tensor] | tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Samples(Protocol):
    """count: of different samples, 0 for no end."""

    count: int

    def name(self, number: int) -> str: ...

    def sample(self, number: int, size: int) -> Sample: ...


class Cases(Protocol):
    """What a validation measures, the same samples every time, by their ids."""

    ids: tuple[str, ...]

    def take(self, id: str, size: int) -> Sample: ...


class PreparedSamples:
    """Cases or pairs of prepared data.

    ids: which. channels: uint8 (256,), see ``dataset.organs.channel_lookup``. keep: hold what was read on the
    device. settings: of the augmentation; ``Augmentation.off()`` for the samples as they are.
    labelled: bool (classes,), the classes that the labels show, None for all.
    """

    def __init__(
        self,
        data: PreparedData,
        ids: Sequence[str],
        channels: torch.Tensor,
        settings: Augmentation,
        seed: tuple[int, ...] = (0, 0),
        device: torch.device | str = "cpu",
        keep: bool = False,
        labelled: torch.Tensor | None = None,
    ) -> None:
        self.data, self.ids, self.channels = data, tuple(ids), channels
        self.labelled = None if labelled is None else labelled.to(device)
        self.settings, self.seed, self.device, self.keep = settings, seed, device, keep
        self.count = len(self.ids)
        self._read: dict[str, Sample] = {}
        self._order: tuple[int, list[int]] = (-1, [])

    def name(self, number: int) -> str:
        """The case or pair of a sample."""
        turn, place = divmod(number, self.count)
        if self._order[0] != turn:
            chance = torch.Generator().manual_seed(seed_of(*self.seed, turn, ORDER))
            self._order = turn, torch.randperm(self.count, generator=chance).tolist()
        return self.ids[self._order[1][place]]

    def sample(self, number: int, size: int) -> Sample:
        """Image float32 HU (S, S, S) and channels uint8 (S, S, S), 255 unknown, on the device."""
        return self.take(self.name(number), size, seed_of(*self.seed, number, AUGMENTATION))

    def take(self, id: str, size: int, seed: int = 0) -> Sample:
        """The same of one case or pair. Raises: InputRefused "cache-damaged"."""
        image, labels = self._arrays(id)
        grid = canonical_grid(self.data.case(id).grid)
        extent = [n * step for n, step in zip(grid.size, grid.spacing, strict=True)]
        spacing = tuple(part / self.data.size for part in reversed(extent))
        return with_mask(augment(image, labels, size, self.settings, seed, spacing), self.labelled)

    def _arrays(self, id: str) -> Sample:
        if id in self._read:
            return self._read[id]
        image, labels = self.data.arrays(id)
        labels = self.channels[labels.long()]
        found = image.to(self.device), labels.to(self.device)
        if self.keep:
            self._read[id] = found
        return found


class SyntheticSamples:
    """An endless series of synthetic CT.

    anatomies: ``synthesis.Anatomy``. weights: how often each is drawn. channels, labelled: as above.
    """

    count = 0

    def __init__(
        self,
        anatomies: Sequence,
        weights: Sequence[float],
        channels: torch.Tensor,
        seed: tuple[int, ...],
        device: torch.device | str = "cpu",
        labelled: torch.Tensor | None = None,
    ) -> None:
        self.anatomies, self.channels, self.seed, self.device = anatomies, channels, seed, device
        self.labelled = None if labelled is None else labelled.to(device)
        self.weights = torch.tensor(list(weights) or [1.0] * len(anatomies))

    def _index(self, number: int) -> int:
        chance = torch.Generator().manual_seed(seed_of(*self.seed, number, ANATOMY))
        return int(torch.multinomial(self.weights, 1, generator=chance))

    def name(self, number: int) -> str:
        """The anatomy of a sample."""
        return self.anatomies[self._index(number)].name

    def sample(self, number: int, size: int) -> Sample:
        """Image float32 HU (S, S, S) and channels uint8 (S, S, S), 255 unknown, on the device."""
        from pipeline.synthesis import generate

        anatomy = self.anatomies[self._index(number)]
        made = generate(anatomy, seed_of(*self.seed, number, SCAN), size, donors=self.anatomies)
        labels = self.channels[made.labels.long()]
        return with_mask((made.image[0, 0].to(self.device), labels.to(self.device)), self.labelled)


class MixedSamples:
    """Several sources in turn, each as often as its share.

    shares: of each source, above 0, whatever their sum. The turns are spread evenly and are a function of the
    sample's number; each source counts its own samples, so that all of its cases pass as they do alone.
    """

    count = 0

    def __init__(self, sources: Mapping[str, Samples], shares: Mapping[str, float]) -> None:
        self.sources = [(source, shares[name]) for name, source in sources.items()]

    def _turn(self, number: int) -> tuple[Samples, int]:
        """Whose turn a number is, and which number of its own it is."""
        left = sum(share for _, share in self.sources)
        for source, share in self.sources[:-1]:
            before, after = (math.floor(n * (share / left)) for n in (number, number + 1))
            if after > before:
                return source, before
            number, left = number - before, left - share
        return self.sources[-1][0], number

    def name(self, number: int) -> str:
        """The case, pair or anatomy of a sample."""
        source, own = self._turn(number)
        return source.name(own)

    def sample(self, number: int, size: int) -> Sample:
        """The sample of the source whose turn it is."""
        source, own = self._turn(number)
        return source.sample(own, size)


def with_mask(sample: Sample, labelled: torch.Tensor | None) -> Sample:
    """The sample with the classes that it shows, where these are not all."""
    return sample if labelled is None else (*sample, labelled)


def keeps_on_device(choice: str, data: PreparedData, samples: int, device: torch.device) -> bool:
    """Whether so many prepared samples are held in the device's memory. choice: of the recipe.

    "auto" does it on a GPU where they take at most a third of what is free.
    """
    if choice != "auto" or device.type != "cuda":
        return choice == "true"
    needed = 3 * samples * data.size**3  # float16 image, uint8 labels
    return needed <= torch.cuda.mem_get_info(device)[0] / 3


class GeneratedCases:
    """So many synthetic CT from seeds that no phase draws from: the same in every run.

    samples: what makes them. They are made once for each size, and kept until there is another.
    """

    def __init__(self, samples: SyntheticSamples, count: int) -> None:
        self.samples = samples
        self.ids = tuple(f"{number:04d}" for number in range(count))
        self._made: dict[tuple[str, int], Sample] = {}

    def take(self, id: str, size: int) -> Sample:
        """Image float32 HU (S, S, S) and channels uint8 (S, S, S), 255 unknown, on the device."""
        if (id, size) not in self._made:
            self._made = {key: made for key, made in self._made.items() if key[1] == size}
            self._made[id, size] = self.samples.sample(int(id), size)
        return self._made[id, size]


# Seeds ------------------------------------------------------------------------------------------------------


def seed_of(*parts: int) -> int:
    """A seed of 63 bits, a good mixture of the parts and their order.

    Each part goes through the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): neighbouring
    numbers give seeds that have nothing in common.
    """
    state = len(parts)
    for part in parts:
        state = _mixed((state + part + 0x9E3779B97F4A7C15) & _MASK)
    return state >> 1


def _mixed(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
