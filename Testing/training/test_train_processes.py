"""Two processes (gloo, torchrun) make the training that one process makes with the same global batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from safetensors.torch import load_file
from training.training_runs import losses, recipe_file

from iuinet.errors import UsageError
from pipeline.fitting.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[2]
STEPS = 20

# Trains one step and keeps its gradient, then twenty. The gradient is not clipped.
PROGRAM = """
import sys
from pathlib import Path

from pipeline.dataset.prepared import open_prepared
from pipeline.fitting import loop
from pipeline.fitting.device import join, leave
from pipeline.fitting.networks import build
from pipeline.fitting.recipe_file import read_recipe
from pipeline.fitting.task import make_task
from safetensors.torch import save_file

import torch

recipe_path, data, out = map(Path, sys.argv[1:])
changes = ["optimiser.clip=0", "optimiser.batch=4", "phases.first.epochs=20", "run.validate_every=5"]
task = make_task(read_recipe(recipe_path, changes), open_prepared(data))
nets = []
loop.build = lambda config: nets.append(build(config)) or nets[-1]
for name, steps in (("one", 1), ("many", 20)):
    loop.train(task, out / name, device="cpu", limit_steps=steps)
    rank = join(torch.device("cpu"))[0].rank
    if steps == 1:
        gradients = {name: p.grad for name, p in nets[0].named_parameters() if p.grad is not None}
        save_file(gradients, out / f"gradients-{rank}.safetensors")
leave()
"""


@pytest.fixture(scope="module")
def results(training_data, tmp_path_factory) -> tuple[Path, Path]:
    """Folders of one process's and of two processes' trainings."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "program.py").write_text(PROGRAM)
    path = os.pathsep.join(str(ROOT / part) for part in ("Training", "IUINetSegmentation"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    outs = folder / "alone", folder / "together"
    for out, words in zip(outs, ([], launch), strict=True):
        out.mkdir()
        files = (folder / "program.py", recipe_file(folder), training_data.folder, out)
        done = subprocess.run(
            [sys.executable, *words, *map(str, files)], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
    return outs


def test_the_first_loss_is_the_same(results):
    alone, together = (losses(out / "one") for out in results)
    assert alone[0] == pytest.approx(together[0], abs=1e-6)


def test_every_gradient_is_the_same_before_the_optimiser(results):
    alone = load_file(results[0] / "gradients-0.safetensors")
    for rank in range(2):
        together = load_file(results[1] / f"gradients-{rank}.safetensors")
        assert alone.keys() == together.keys()
        for name, gradient in alone.items():
            difference = (gradient - together[name]).norm()
            assert difference <= 1e-4 * gradient.norm() + 1e-12, (name, float(difference))


def test_twenty_losses_are_the_same(results):
    alone, together = (losses(out / "many") for out in results)
    assert len(alone) == len(together) == STEPS
    assert max(abs(a - b) for a, b in zip(alone, together, strict=True)) < 1e-3


def test_validation_is_shared_and_selects_the_same(results):
    documents = [read_checkpoint(out / "many" / "last.safetensors")[1] for out in results]
    alone, together = (document["selection"] for document in documents)
    assert alone["epoch"] == together["epoch"]
    assert alone["dsc"] == pytest.approx(together["dsc"], abs=1e-3)
    assert [document["environment"]["processes"] for document in documents] == [1, 2]


def test_a_batch_that_cannot_be_shared_is_refused():
    from pipeline.fitting.device import Processes

    with pytest.raises(UsageError) as refused:
        Processes(0, 2).check_batch(3, 1)
    assert refused.value.code == "batch" and "batch of 3" in refused.value.message
    assert torch.equal(Processes().add(torch.ones(2)), torch.ones(2))
