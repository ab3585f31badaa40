"""A short run of the damaged, lying and hostile inputs; ``make fuzz`` tries ten thousand."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers.repository import ROOT

pytestmark = [
    pytest.mark.needs_torch,  # recipes are read by the pipeline, which imports it
    pytest.mark.skipif(not hasattr(os, "fork"), reason="cases are tried in forked children"),
]


def test_a_few_damaged_inputs_of_every_kind_are_refused_or_read_rightly():
    folders = os.pathsep.join(str(ROOT / name) for name in ("Testing", "Training", "IUINetSegmentation"))
    finished = subprocess.run(
        [sys.executable, "-m", "fuzz", "--cases", "210", "--seed", "7"],
        env={**os.environ, "PYTHONPATH": folders},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert len(finished.stdout.splitlines()) > 22  # a line for each format, and the sums
