"""The loop: synthesise a scan, one step, keep the average, log, save."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from synthesis import IGNORE, Anatomy, generate

from iuinet.network import IUINet
from iuinet.preprocessing import apply_window

from .loss import deep_loss
from .options import Options
from .state import CHECKPOINT, Average, load_state, save_state

LOG = "log.jsonl"


def train(
    options: Options,
    anatomies: list[Anatomy],
    folder: Path,
    limit: int | None = None,
    show: Callable[[str], None] = print,
) -> Path:
    """Train in the folder, going on from its checkpoint if there is one; returns the checkpoint's path.

    limit: stop after this many steps in all. show: takes a line of progress every ten steps.
    """
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    folder.mkdir(parents=True, exist_ok=True)
    net = IUINet(options.network).train()
    average = Average(net, options.average)
    optimiser = torch.optim.Adam(net.parameters(), lr=options.learning_rate, betas=options.betas)
    done = load_state(folder, net, average, optimiser)
    last = min(options.steps, limit if limit is not None else options.steps)
    started, recent = time.monotonic(), None
    with open(folder / LOG, "a") as log:
        for step in range(done, last):
            entry = _step(options, anatomies, net, average, optimiser, step)
            log.write(json.dumps(entry) + "\n")
            log.flush()
            recent = entry["loss"] if recent is None else 0.97 * recent + 0.03 * entry["loss"]
            if (step + 1) % 10 == 0 or step + 1 == last:
                seconds = (time.monotonic() - started) / (step + 1 - done)
                show(_line(options, step + 1, last, recent, seconds))
            if (step + 1) % options.checkpoint_every == 0 or step + 1 == last:
                save_state(folder, net, average, optimiser, step + 1, options)
    return folder / CHECKPOINT


def _step(
    options: Options,
    anatomies: list[Anatomy],
    net: IUINet,
    average: Average,
    optimiser: torch.optim.Optimizer,
    step: int,
) -> dict:
    """One step on one new scan; returns the line for the log."""
    size, begun = options.stage_size(step), time.monotonic()
    image, labels, name = draw(options, anatomies, step, size)
    drawn = time.monotonic()
    for group in optimiser.param_groups:
        group["lr"] = options.rate(step)
    loss = deep_loss(net(image), labels, torch.tensor(options.class_weights), IGNORE)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = float(torch.nn.utils.clip_grad_norm_(net.parameters(), options.clip))
    # One broken scan must not end hours of work: its step is left out.
    if math.isfinite(norm):
        optimiser.step()
        average.update(net, step)
    return {
        "step": step + 1,
        "size": size,
        "anatomy": name,
        "loss": round(float(loss.detach()), 4),
        "norm": round(norm, 2) if math.isfinite(norm) else None,
        "synthesis_s": round(drawn - begun, 3),
        "step_s": round(time.monotonic() - begun, 3),
    }


def draw(
    options: Options, anatomies: list[Anatomy], step: int, size: int
) -> tuple[torch.Tensor, torch.Tensor, str]:
    """Network input (1, 1, S, S, S), labels int64 (1, S, S, S), anatomy's name: a function of the step."""
    # Seeds of neighbouring steps and runs must not overlap: 2654435761 is Knuth's multiplicative constant.
    seed = (options.seed * 1_000_003 + step) * 2654435761 % 2**31
    choice = torch.Generator().manual_seed(seed)
    index = int(torch.multinomial(torch.tensor(options.weights[: len(anatomies)]), 1, generator=choice))
    sample = generate(anatomies[index], seed, size, donors=anatomies)
    return apply_window(sample.image, options.window), sample.labels.long()[None], anatomies[index].name


def _line(options: Options, step: int, last: int, loss: float, seconds: float) -> str:
    """Progress in one line. The time left counts voxels: twice the edge is eight times the work."""
    size = options.stage_size(step - 1)
    minutes = sum((options.stage_size(n) / size) ** 3 for n in range(step, last)) * seconds / 60
    return f"step {step}/{last}  size {size}  loss {loss:.3f}  {seconds:.2f} s/step  {minutes:.0f} min left"
