"""Learning rate and the end of a phase: functions of where a training stands."""

from __future__ import annotations

import math

from .progress import Progress
from .recipe import Phase


def learning_rate(phase: Phase, step: float, steps: int, drops: int) -> float:
    """The rate at a step of a phase, counted from 0, of so many at most.

    drops: how often "plateau" has lowered it.
    """
    rise = min(1.0, (step + 1) / phase.warm_up_steps) if phase.warm_up_steps else 1.0
    first = phase.decay_from * steps
    done = min(1.0, max(0.0, (step - first) / max(1.0, steps - first)))
    fall = {
        "constant": 1.0,
        "plateau": phase.plateau_factor**drops,
        "cosine": (1 + math.cos(math.pi * done)) / 2,
        "linear": 1 - done,
    }[phase.schedule]
    return phase.learning_rate * rise * fall


def after_validation(phase: Phase, progress: Progress, loss: float, dsc: float) -> bool:
    """Take in a validation; gives whether its DSC is the best of the phase.

    Paper, 4.2: the rate falls after epochs without a better DSC, the training stops after epochs without a
    lower validation loss.
    """
    epoch = progress.epoch
    if loss < progress.lowest_loss:
        progress.lowest_loss, progress.lowest_loss_epoch = loss, epoch
    better = dsc > progress.best_dsc
    if better:
        progress.best_dsc, progress.best_dsc_epoch = dsc, epoch
    waited = epoch - max(progress.best_dsc_epoch, progress.dropped_epoch)
    if phase.schedule == "plateau" and waited >= phase.plateau_patience:
        progress.drops, progress.dropped_epoch = progress.drops + 1, epoch
    return better


def stops_early(phase: Phase, progress: Progress) -> bool:
    """Whether the validation loss has not fallen for the phase's patience."""
    return 0 < phase.stop_patience <= progress.epoch - progress.lowest_loss_epoch
