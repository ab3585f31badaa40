"""From a volume to labels on its own grid: orientation, resizing, network, exact upsampling, and back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from iuinet.boxes import Box, cells_inside, common, lengths, moved, whole
from iuinet.devices import device_name
from iuinet.errors import Cancelled, out_of_memory
from iuinet.geometry import box_to_canonical, canonical_axes, canonical_grid, from_canonical, to_canonical
from iuinet.islands import keep_largest_components
from iuinet.labels import LARGEST, Organ, organs_of_model, select
from iuinet.network import IUINet
from iuinet.network.complexity import count_modules
from iuinet.network.fast import fast_logits, is_usable
from iuinet.options import Options
from iuinet.preprocessing import prepare
from iuinet.volume import Volume
from iuinet.weights.load import load_model
from iuinet.weights.model_file import Weights

from .fallback import CPU, Fallback, Step, conditions
from .second_pass import SecondPass, fuse
from .upsampling import upsample_labels

Progress = Callable[[str, float], None]

_SMALLEST_EDGE = 32  # voxels, of the smallest cube that a network takes


@dataclass
class Prediction:
    """Labels of one volume, and what the report holds on how they came about.

    labels: uint8 (k, j, i) of the region, or the volume's own grid, holding the organs' label ids.
    organs: the requested organs.
    margins: per organ, the mean lead of its softmax over the runner-up, on the last pass's grid.
    components: per organ of which only the largest connected piece was kept, how many there were.
    seconds: per stage. device: where the network ran in the end. fallbacks: what had to be changed for it.
    passes: how often the network ran, see ``second_pass``.
    """

    labels: np.ndarray
    organs: tuple[Organ, ...]
    margins: dict[str, float]
    components: dict[str, int]
    seconds: dict[str, float]
    device: str
    fallbacks: list[str] = field(default_factory=list)
    passes: int = 1


@dataclass(frozen=True)
class Logits:
    """What the network returned of a canonical volume: of both passes, (classes, H, W, D) each.

    region: the voxels (k, j, i) to segment. field: what the first pass was shown, the region and perhaps more
    on its sides. box, second: the same of a second pass, averaged with the first; None without one.
    """

    region: Box
    first: torch.Tensor
    field: Box
    box: Box | None = None
    second: torch.Tensor | None = None

    @property
    def last(self) -> tuple[torch.Tensor, Box]:
        """The logits of the last pass, and what it was shown."""
        return (self.first, self.field) if self.box is None else (self.second, self.box)

    def labels(self, stages: Stages) -> np.ndarray:
        """Channel numbers uint8 (k, j, i) of the region."""

        def shown(logits: torch.Tensor, box: Box, advance: Callable[[float], None]) -> np.ndarray:
            part = moved(common(box, self.region), box)
            return upsample_labels(logits, lengths(box), advance, stages.cancelled, part)

        if self.box is None:
            return shown(self.first, self.field, stages.advance)
        labels = shown(self.first, self.field, lambda x: stages.advance(x / 2))
        closer = shown(self.second, self.box, lambda x: stages.advance(0.5 + x / 2))
        labels[moved(common(self.box, self.region), self.region)] = closer
        return labels

    def margins(self, organs: tuple[Organ, ...]) -> dict[str, float]:
        """``softmax_margins`` of the last pass, in the region alone."""
        logits, box = self.last
        return softmax_margins(logits[:, *cells_inside(box, self.region, logits.shape[1:])], organs)


class Stages:
    """Names the stage that is under way, times it, reports its progress, and is the place to cancel.

    notice: called with a sentence when the work has to be done in another way than requested.
    """

    def __init__(
        self,
        progress: Progress | None,
        cancelled: Callable[[], bool] | None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        self._notice, self._noticed = notice, set()
        self.progress = progress or (lambda stage, fraction: None)
        self.cancelled = cancelled or (lambda: False)
        self.seconds: dict[str, float] = {}
        self.name = ""
        self.span = (0.0, 1.0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage and report its start and end."""
        self.name, self.span, start = name, (0.0, 1.0), time.perf_counter()
        self.advance(0.0)
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        self.span = (0.0, 1.0)
        self.advance(1.0)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a part of the present stage by itself; the stage's own seconds are then without it."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.seconds[self.name] = self.seconds.get(self.name, 0.0) - seconds

    def notice(self, text: str) -> None:
        """Report a sentence, once: both passes may meet the same trouble."""
        if self._notice and text not in self._noticed:
            self._noticed.add(text)
            self._notice(text)

    def check(self) -> None:
        """Raises: Cancelled for a user who wants to stop."""
        if self.cancelled():
            raise Cancelled()

    def advance(self, fraction: float) -> None:
        """Report progress within the stage, or the span of it; ``check`` first."""
        self.check()
        low, high = self.span
        self.progress(self.name, low + (high - low) * fraction)


class Segmenter:
    """A loaded model on a device; call it with volumes.

    weights: a model that ``weights.resolve`` found. device: see ``devices.choose_device``.
    net, document: the model, where a run begins. used: the device on which the last run ended.
    Raises: WeightsError for the file, DeviceError for the device.
    """

    used: torch.device | None = None

    def __init__(self, weights: Weights, device: str = "auto") -> None:
        self.weights, self.fallback = weights, Fallback(device)
        try:
            self.net = self._load(self.fallback.device)
        except RuntimeError as error:
            self.fallback.leave_device(error)
            self.net = self._load(CPU)
        self._net_on_cpu: IUINet | None = None
        self.device = self.used = self.fallback.device
        self.organs = organs_of_model(self.document)
        self.second_pass = SecondPass.of_model(self.document)

    def _load(self, device: torch.device) -> IUINet:
        """The model on a device, and what its layers cost, as the weights of the progress."""
        net, self.document = load_model(self.weights.path)
        # A small volume shares the work between the layers as a large one does; tensors without memory
        # would need none, but torch then loads its compiler, which takes seconds.
        small = torch.zeros(1, 1, *[_SMALLEST_EDGE] * 3)
        with torch.inference_mode():
            self._costs = {name: cost.total for name, cost in count_modules(net, small).items()}
        return net.to(device)

    def __call__(
        self,
        volume: Volume,
        options: Options | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> Prediction:
        """Segment one volume, or a region of it.

        options: of these organs, islands, fast and region, which the volume holds; None for the defaults.
        notice: called at once with a sentence on what had to be changed.
        Raises: Cancelled; DeviceError for too little memory; UsageError for unknown organs.
        """
        options = options or Options()
        stages = Stages(progress, cancelled, notice)
        wanted = self.organs if options.organs is None else select(self.organs, options.organs)
        axes = canonical_axes(volume.grid.direction)
        array = to_canonical(volume.array, axes)
        region = box_to_canonical(options.box or whole(volume.array.shape), volume.array.shape, axes)
        try:
            with torch.inference_mode():
                with stages.stage("preparing"):
                    spacing = canonical_grid(volume.grid).spacing[::-1]
                    field = self.field(region, array.shape, spacing)
                    x = self.prepare(array, field, stages.check)
                with stages.stage("segmenting"):
                    logits, fallbacks = self.look(x, array, region, field, spacing, stages, options.fast)
                with stages.stage("finishing"):
                    margins = logits.margins(self.organs)
                    with stages.part("upsampling"):
                        channels = logits.labels(stages)
                    channels, components = self.clean(channels, options.islands)
                    labels = from_canonical(self.to_label_ids(channels, wanted), axes)
        except MemoryError as error:
            raise out_of_memory() from error
        names = {organ.name for organ in wanted}
        return Prediction(
            labels=np.ascontiguousarray(labels),
            organs=wanted,
            margins={name: value for name, value in margins.items() if name in names},
            components={name: value for name, value in components.items() if name in names},
            seconds=stages.seconds,
            device=device_name(self.used or self.device),
            fallbacks=fallbacks,
            passes=1 if logits.box is None else 2,
        )

    def field(
        self, region: Box, shape: tuple[int, int, int], spacing: tuple[float, float, float]
    ) -> Box:
        """What the first pass is shown of a volume of this shape (k, j, i) to segment a region of it.

        spacing: mm along k, j, i.
        """
        return region if self.second_pass is None else self.second_pass.field(region, shape, spacing)

    def look(
        self,
        x: torch.Tensor,
        array: np.ndarray,
        region: Box,
        field: Box,
        spacing: tuple[float, float, float],
        stages: Stages,
        fast: bool,
    ) -> tuple[Logits, list[str]]:
        """Run the network on the field, and again on the organs' box where the model is made for it.

        x: network input, of the box ``field``. array: canonical HU (k, j, i), of which the voxels of
        ``region`` are to be segmented; spacing: mm along k, j, i.
        """
        once = fast or self.second_pass is None
        stages.span = (0.0, 1.0 if once else 0.5)
        first, fallbacks = self.run(x, stages)
        box = None if once else self.second_pass.box(first, field, spacing)
        if box is None or common(box, region) is None:
            return Logits(region, first, field), fallbacks
        stages.span = (0.5, 1.0)
        part, more = self.run(self.prepare(array, box, stages.check), stages)
        fallbacks = list(dict.fromkeys(fallbacks + more))
        return Logits(region, first, field, box, fuse(first, part, box, field)), fallbacks

    def prepare(self, array: np.ndarray, box: Box, check: Callable[[], None]) -> torch.Tensor:
        """A box of a canonical HU array (k, j, i) -> network input (1, 1, size, size, size)."""
        settings = self.document["preprocessing"]
        return prepare(array, settings["size"], tuple(settings["window"]), check, box)

    def run(self, x: torch.Tensor, stages: Stages) -> tuple[torch.Tensor, list[str]]:
        """Finest logits (classes, H, W, D), float32 on the CPU, and what had to be changed on the way."""

        def attempt(device: torch.device, step: Step) -> torch.Tensor:
            stages.check()
            net = self._net_on(device)
            with conditions(step, net, device):
                return self.forward(net, x.to(device), stages)

        result = self.fallback.run(attempt, stages.notice)
        self.used = self.fallback.used
        return result

    def _net_on(self, device: torch.device) -> IUINet:
        """The model where a run begins; another one on the CPU, once that was needed."""
        if device == self.device:
            return self.net
        if self._net_on_cpu is None:
            self._net_on_cpu = load_model(self.weights.path, device)[0]
        return self._net_on_cpu

    def forward(self, net: IUINet, x: torch.Tensor, stages: Stages) -> torch.Tensor:
        """One pass; between its layers progress advances by their cost, and the user can cancel."""
        costs = self._costs
        total, done = sum(costs.values()), 0.0

        def advance(cost: float) -> None:
            nonlocal done
            done += cost
            stages.advance(min(done / total, 1.0))

        if is_usable(net, x):
            per_cost = _SMALLEST_EDGE**3 / x[0].numel()  # costs are those of the smallest cube
            finest = fast_logits(net, x, only_finest=True, advance=lambda macs: advance(macs * per_cost))[0]
            return finest[0]

        def after(name: str) -> Callable:
            return lambda *_: advance(costs[name])

        hooks = [
            module.register_forward_hook(after(name)) for name, module in net.named_modules() if name in costs
        ]
        try:
            return net(x)[0][0].float().cpu()
        finally:
            for handle in hooks:
                handle.remove()

    def clean(self, channels: np.ndarray, islands: bool | str) -> tuple[np.ndarray, dict[str, int]]:
        """Keep the largest piece of the organs that ``islands`` means, see ``Options``.

        Only their pieces are counted.
        """
        one_piece = [
            channel
            for channel, organ in enumerate(self.organs, start=1)
            if islands == LARGEST or (islands and organ.pieces == LARGEST)
        ]
        if not one_piece:
            return channels, {}
        channels, components = keep_largest_components(channels, one_piece)
        return channels, {self.organs[n - 1].name: count for n, count in components.items()}

    def to_label_ids(self, channels: np.ndarray, wanted: tuple[Organ, ...]) -> np.ndarray:
        """Channel numbers -> label ids of the wanted organs; everything else is background."""
        names = {organ.name for organ in wanted}
        ids = [0, *(organ.label if organ.name in names else 0 for organ in self.organs)]
        if ids == list(range(len(ids))):
            return channels
        return np.array(ids, dtype=np.uint8)[channels]


def softmax_margins(logits: torch.Tensor, organs: tuple[Organ, ...]) -> dict[str, float]:
    """Mean lead of the winner's softmax over the runner-up, over the voxels that each organ wins.

    logits: (classes, H, W, D). Organs that win no voxel are left out.

    >>> logits = torch.tensor([0.0, 2.0]).reshape(2, 1, 1, 1)
    >>> round(softmax_margins(logits, (Organ("liver", 6, (0, 0, 0)),))["liver"], 2)
    0.76
    """
    if logits.shape[0] < 2:
        return {}
    # Most voxels are background, whose lead is not needed: they are found by the cheapest means.
    organ_wins = (logits[1:].amax(0) > logits[0]).flatten().nonzero()[:, 0]
    best, winner = torch.softmax(logits.flatten(1)[:, organ_wins], 0).topk(2, dim=0)
    winner, lead = winner[0], (best[0] - best[1]).double()
    sums = torch.bincount(winner, lead, minlength=logits.shape[0])
    counts = torch.bincount(winner, minlength=logits.shape[0])
    return {
        organ.name: float(sums[n] / counts[n]) for n, organ in enumerate(organs, start=1) if counts[n] > 0
    }
