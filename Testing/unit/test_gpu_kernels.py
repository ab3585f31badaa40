"""The GPU's kernels without a GPU: their numbers by Triton's interpreter, their machine code by its compiler.

What only a GPU can show, that they run there and how fast, is for ``bench_gpu.py`` and for the check that
the network makes before it uses them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import torch
from helpers.repository import ROOT, SOURCES

from iuinet.network import IUINet, IUINetConfig
from iuinet.network.gpu import can_fuse, check, why_not

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not here: it is for Linux and newer PyTorch"
)
CONFIG = IUINetConfig(width=4, size=32)
# Of a type's rounding, as the check allows.
ROUNDING = {"float32": 2**-23, "bfloat16": 2**-7, "float16": 2**-10}


def tell(folder, what: str) -> dict:
    """What the helper's program prints, in a process of its own: Triton asks its environment only once."""
    path = os.pathsep.join(map(str, SOURCES))
    path = os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "TRITON_CACHE_DIR": str(folder)}
    command = [sys.executable, "-W", "ignore", str(ROOT / "Testing/helpers/gpu_kernels.py"), what]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory) -> dict:
    return tell(tmp_path_factory.mktemp("triton"), "interpret")


@needs_triton
@pytest.mark.parametrize("kind", ROUNDING)
def test_results_and_gradients_are_the_definitions_to_rounding(interpreted, kind):
    errors = interpreted["of_operations"][kind]
    assert set(errors) == {"moments", "normed", "product", "shifted"}
    assert max(errors.values()) < 2 * ROUNDING[kind]


@needs_triton
def test_offsets_of_every_kind_move_and_learn_as_the_reference_says(interpreted):
    assert len(interpreted["of_offsets"]) == 6
    assert max(interpreted["of_offsets"].values()) < 1e-6


@needs_triton
def test_a_small_deviation_around_a_large_mean_keeps_its_digits(interpreted):
    assert interpreted["of_far_mean"] < 1e-5


@needs_triton
@pytest.mark.parametrize("name", ["usual", "unusual"])
def test_a_whole_network_has_the_plain_paths_outputs_and_gradients(interpreted, name):
    plain_output, plain_gradient, output, gradient = interpreted["of_networks"][name]
    assert output < 4 * plain_output + 1e-6
    assert gradient < 4 * plain_gradient + 1e-6


@needs_triton
def test_the_check_takes_right_kernels_and_refuses_wrong_failing_and_slow_ones(interpreted):
    found = interpreted["refused"]
    assert found["right"] == ""
    # Said after its numbers were right.
    assert found["slow bfloat16"] == "1.000 s where the plain path takes 1.000 s"
    assert found["wrong"] == "wrong numbers of product"
    assert found["fails"] == "RuntimeError: Failed to find C compiler. Please specify one."
    assert found["wrong network"].startswith("logits are off by ")


@needs_triton
def test_every_kernel_becomes_machine_code_of_a_gpu_as_it_is_called(tmp_path):
    found = tell(tmp_path, "compile")
    assert sorted(found["compiled"]) == found["called"] and len(found["called"]) == 9
    assert all(size > 0 for size in found["compiled"].values())


def test_without_triton_the_reason_is_told_and_nothing_else_happens(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "iuinet.network.gpu.operations", raising=False)
    found = check.refusal(torch.device("cpu"), torch.float32, IUINet, CONFIG)
    assert found.startswith("ModuleNotFoundError: import of triton halted")


def test_on_the_cpu_nobody_asks():
    assert not can_fuse(IUINet(CONFIG), torch.zeros(1, 1, 32, 32, 32))
    assert why_not() == {}
