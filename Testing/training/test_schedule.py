"""Learning rates, the paper's rules for lowering them and for the end, and the time that is left."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from pipeline.fitting.progress import Progress, after_validation, learning_rate, stops_early
from pipeline.fitting.recipe import Phase

PLATEAU = Phase(plateau_patience=3, plateau_factor=0.2, stop_patience=5)


def watch(phase: Phase, values: list[tuple[float, float]]) -> Progress:
    """Validations, (loss, DSC), one an epoch, until the phase stops."""
    progress = Progress()
    for loss, dsc in values:
        progress.epoch += 1
        after_validation(phase, progress, loss, dsc)
        if stops_early(phase, progress):
            break
    return progress


def test_rates_rise_stay_and_fall():
    linear = Phase(schedule="linear", warm_up_steps=10, decay_from=0.6, learning_rate=1.0)
    rates = [learning_rate(linear, step, 100, 0) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[60] == 1.0
    assert rates[80] == pytest.approx(0.5) and 0 < rates[99] < 0.03
    cosine = dataclasses.replace(linear, schedule="cosine", warm_up_steps=0, decay_from=0.0)
    assert learning_rate(cosine, 50, 100, 0) == pytest.approx(0.5)
    assert learning_rate(cosine, 25, 100, 0) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    constant = dataclasses.replace(linear, schedule="constant", warm_up_steps=0)
    assert learning_rate(constant, 99, 100, 3) == 1.0


def test_the_rate_falls_when_the_best_dsc_waits():
    progress = watch(PLATEAU, [(1.0, 0.5)] + [(0.9 - n / 100, 0.4) for n in range(6)])
    assert progress.drops == 2 and progress.best_dsc == 0.5 and progress.best_dsc_epoch == 1
    assert learning_rate(PLATEAU, 50, 100, 2) == pytest.approx(PLATEAU.learning_rate * 0.04)


def test_a_better_dsc_starts_the_wait_anew():
    scores = [0.5, 0.4, 0.4, 0.6, 0.5, 0.5, 0.5]
    assert watch(PLATEAU, [(1.0 - n / 100, dsc) for n, dsc in enumerate(scores)]).drops == 1


def test_a_phase_ends_when_the_validation_loss_has_not_fallen():
    progress = watch(PLATEAU, [(1.0, 0.1), (0.8, 0.2)] + [(0.9, 0.3 + n / 100) for n in range(20)])
    assert progress.epoch == 7 and progress.lowest_loss_epoch == 2
    endless = dataclasses.replace(PLATEAU, stop_patience=0)
    assert watch(endless, [(1.0, 0.1)] * 50).epoch == 50


def test_the_best_is_the_first_of_equals():
    progress = Progress(epoch=1)
    assert after_validation(PLATEAU, progress, 1.0, 0.0), "the first validation is the best so far"
    progress.epoch = 2
    assert not after_validation(PLATEAU, progress, 1.0, 0.0)
    assert progress.selection == {"dsc": 0.0, "epoch": 1}


def test_progress_comes_back_to_the_bit_and_a_new_phase_starts_afresh():
    progress = Progress(step=9, loss_sum=0.1 + 0.2, epoch=3, best_dsc=1 / 3, rows=4, seconds=0.7)
    assert Progress.from_json(json.loads(json.dumps(progress.to_json()))) == progress
    old = {key: value for key, value in progress.to_json().items() if key != "dsc"}
    assert Progress.from_json(old) == progress, "a checkpoint from before the latest DSC was kept"
    progress.next_phase()
    assert progress == Progress(phase=1, step=9, rows=4, seconds=0.7)
