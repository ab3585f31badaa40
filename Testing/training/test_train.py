"""The training loop: it learns, survives a kill, and refuses what it does not know."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from fitting.loop import draw, train
from fitting.loss import deep_loss, single_loss
from fitting.options import Options, read_options
from fitting.state import CHECKPOINT, read_average
from synthesis import IGNORE, Anatomy, save
from training.small_anatomy import small_anatomy

TRAIN = Path(__file__).resolve().parents[2] / "Training" / "train.py"
SMALL = Options(
    size=32,
    stages=((32, 20),),
    anatomies=("small",),
    weights=(1.0,),
    warm_up=2,
    threads=1,
    checkpoint_every=5,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    save(small_anatomy(), folder)
    return folder


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return small_anatomy()


@pytest.fixture(autouse=True)
def own_threads():
    """Training sets torch's threads: put them back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def losses(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def command(run: Path, cache: Path, *more: str) -> list[str]:
    fields = ("size", "stages", "anatomies", "weights", "threads")
    settings = [f"{field}={getattr(SMALL, field)!r}" for field in fields]
    changes = [word for setting in (*settings, "checkpoint_every=2") for word in ("--set", setting)]
    return [sys.executable, str(TRAIN), "--run", str(run), "--cache", str(cache), *changes, *more]


def test_twenty_steps_lower_the_loss(anatomy, tmp_path):
    train(SMALL, [anatomy], tmp_path, show=lambda line: None)
    values = [entry["loss"] for entry in losses(tmp_path)]
    assert len(values) == 20
    assert sum(values[-5:]) < 0.95 * sum(values[:5])


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(anatomy, tmp_path):
    options = dataclasses.replace(SMALL, stages=((32, 6),), checkpoint_every=3)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(options, [anatomy], whole, show=lambda line: None)
    train(options, [anatomy], parts, limit=3, show=lambda line: None)
    train(options, [anatomy], parts, show=lambda line: None)
    one, _ = read_average(whole / CHECKPOINT)
    other, state = read_average(parts / CHECKPOINT)
    assert state["step"] == 6
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system knows no SIGKILL")
def test_a_killed_training_process_loses_little_and_goes_on(cache, tmp_path):
    process = subprocess.Popen(command(tmp_path, cache), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (tmp_path / CHECKPOINT).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL, "it ended before it could be killed"
    _, state = read_average(tmp_path / CHECKPOINT)
    done = state["step"]
    assert 2 <= done < 20
    again = command(tmp_path, cache, "--limit-steps", str(done + 2))
    subprocess.run(again, check=True, stdout=subprocess.DEVNULL)
    assert read_average(tmp_path / CHECKPOINT)[1]["step"] == done + 2
    assert losses(tmp_path)[-1]["step"] == done + 2


def test_options_come_from_a_file_and_from_the_command_line():
    options = read_options(TRAIN.parent / "config" / "tiny.toml", ["seed=7", "stages=[[32, 1], [48, 2]]"])
    assert options.preset == "tiny" and options.seed == 7 and options.stages == ((32, 1), (48, 2))
    assert [options.stage_size(step) for step in range(3)] == [32, 48, 48]
    assert options.network.classes == len(options.class_weights)
    with pytest.raises(ValueError, match="speed"):
        read_options(None, ["speed=1"])
    with pytest.raises(ValueError, match="key=value"):
        read_options(None, ["seed"])


def test_the_learning_rate_rises_stays_and_falls():
    options = Options(stages=((32, 100),), warm_up=10, decay_from=0.6, learning_rate=1.0)
    rates = [options.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[59] == 1.0
    assert rates[80] == pytest.approx(0.5) and 0 < rates[99] < 0.03


def test_scans_are_a_function_of_run_and_step(anatomy):
    first, again, other = (draw(SMALL, [anatomy], step, 32)[0] for step in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert float(first.min()) >= 0 and float(first.max()) <= 1


def test_what_nobody_knows_does_not_count():
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 16, 16, 16)
    labels = torch.randint(0, 3, (1, 16, 16, 16))
    labels[:, :, 8:] = IGNORE
    changed = logits.clone()
    changed[:, :, :, 8:] += torch.randn(1, 3, 16, 8, 16)
    weights = torch.ones(3)
    assert single_loss(logits, labels, weights, IGNORE) == single_loss(changed, labels, weights, IGNORE)
    everywhere = torch.full_like(labels, IGNORE)
    assert deep_loss([logits], everywhere, weights, IGNORE) == 0


def test_a_perfect_answer_has_almost_no_loss():
    labels = torch.randint(0, 3, (1, 16, 16, 16))
    logits = 30.0 * torch.nn.functional.one_hot(labels, 3).movedim(-1, 1)
    assert single_loss(logits, labels, torch.ones(3), IGNORE) < 1e-3
