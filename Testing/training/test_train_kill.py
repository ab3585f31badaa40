"""Whatever ends a training - kill -9, Ctrl-C, a full disk, a loss that is no number - it goes on unharmed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from helpers.waiting import communicate, wait_until

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from training.training_runs import assert_same, call, command, losses, small_recipe, steps, train

from iuinet.errors import IUINetError, WeightsError
from pipeline.fitting.checkpoint import read_checkpoint
from pipeline.fitting.samples import PreparedSamples

needs_signals = pytest.mark.skipif(os.name == "nt", reason="this system has no such signals")
pytestmark = pytest.mark.usefixtures("own_threads")


def begin(folder: Path, data: Path, run: Path) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(folder, data, run), env=environment, **quiet)


def wait_for_steps(process: subprocess.Popen, run: Path, count: int) -> None:
    """Until the history has so many lines."""
    history = run / "steps.jsonl"

    def there() -> bool:
        assert process.poll() is None, process.stderr.read()
        return history.exists() and history.read_bytes().count(b"\n") >= count

    wait_until(there, what="the training does not get on")


@needs_signals
def test_kills_at_many_points_change_no_bit(whole_run, training_data, tmp_path):
    whole, _ = whole_run
    run = tmp_path / "run"
    for count in (1, 7, 12):  # before the first checkpoint, within an epoch, in the next phase
        process = begin(tmp_path, training_data.folder, run)
        wait_for_steps(process, run, count)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
        process.stderr.close()
    done = call(tmp_path, training_data.folder, run)
    assert done.returncode == 0 and "Going on after step" in done.stdout
    assert_same(whole / "last.safetensors", run / "last.safetensors")
    assert_same(whole / "best.safetensors", run / "best.safetensors")
    assert losses(run) == losses(whole), "no line is missing or double"
    assert (run / "epochs.csv").read_text().count("\n") == 6


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_asks_it_to_stop_gets_a_checkpoint(training_data, tmp_path, number):
    process = begin(tmp_path, training_data.folder, tmp_path / "run")
    wait_for_steps(process, tmp_path / "run", 3)
    process.send_signal(number)
    _, said = communicate(process)
    assert process.returncode == 6 and said.startswith("error[cancelled]: the training was stopped")
    assert "the same command goes on" in said and len(said.splitlines()) == 2
    document = read_checkpoint(tmp_path / "run" / "last.safetensors")[1]
    assert document["step"] == len(steps(tmp_path / "run")) >= 3


@needs_signals
def test_a_full_disk_leaves_the_last_checkpoint_whole(training_data, tmp_path):
    run, recipe = tmp_path / "run", small_recipe(tmp_path)
    train(recipe, training_data, run, limit_steps=4)
    before = (run / "last.safetensors").read_bytes()
    assert len(before) > 2**18

    def small_files() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, 2**18))

    done = call(tmp_path, training_data.folder, run, preexec_fn=small_files)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 2, done.stderr
    assert "cannot be written" in done.stderr and "safetensors" in done.stderr
    assert (run / "last.safetensors").read_bytes() == before
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    train(recipe, training_data, run, limit_steps=7)
    assert len(steps(run)) == 7


def test_a_loss_that_is_no_number_stops_with_the_weights_intact(training_data, tmp_path, monkeypatch):
    run, recipe = tmp_path / "run", small_recipe(tmp_path)
    train(recipe, training_data, run, limit_steps=4)
    before = (run / "last.safetensors").read_bytes()
    sample = PreparedSamples.sample

    def broken(self, number, size):
        image, labels = sample(self, number, size)
        return (image * torch.nan if number == 11 else image), labels

    with monkeypatch.context() as patch:
        patch.setattr(PreparedSamples, "sample", broken)
        with pytest.raises(IUINetError) as stopped:
            train(recipe, training_data, run)
    assert stopped.value.code == "loss-not-finite" and "step 6" in stopped.value.message
    assert (run / "last.safetensors").read_bytes() == before
    train(recipe, training_data, run, limit_steps=7)
    assert losses(run)[-1] == losses(run)[6]


def test_a_cache_that_cannot_be_read_stops_in_two_lines(training_data, tmp_path):
    import shutil

    copy = tmp_path / "prepared"
    shutil.copytree(training_data.folder, copy)
    for path in (copy / "arrays").iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    done = call(tmp_path, copy, tmp_path / "run")
    assert done.returncode == 3 and done.stderr.startswith("error[cache-damaged]")
    assert "prepare.py again" in done.stderr and len(done.stderr.splitlines()) == 2


def test_a_damaged_checkpoint_is_refused_and_kept(training_data, tmp_path):
    run, recipe = tmp_path / "run", small_recipe(tmp_path)
    train(recipe, training_data, run, limit_steps=1)
    path = run / "last.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    damaged = path.read_bytes()
    with pytest.raises(WeightsError) as refused:
        train(recipe, training_data, run)
    assert refused.value.code == "checkpoint-damaged" and path.read_bytes() == damaged
