"""The commands of the checkout: what a user types reaches the program as it was typed."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from helpers.repository import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed here")


@pytest.fixture
def typed(tmp_path):
    """Run ``make segment`` with a program that only says what it was given; returns that."""
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$CT" "$OUT" "$WEIGHTS" "$DEVICE"\n', encoding="utf-8")
    program.chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    clean = {key: value for key, value in clean.items() if key not in {"CT", "OUT", "WEIGHTS", "DEVICE"}}

    def run(*words: str) -> list[str]:
        command = ["make", "--no-print-directory", "--old-file=setup", "segment", f"PYTHON={program}", *words]
        done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    return run


def test_without_options_a_sample_goes_to_out_on_the_best_device(typed):
    assert typed() == ["", "out", "", "auto"]


@pytest.mark.parametrize(
    "path", ["/data/CT of 2024", "Lékař 中文 ü/scan.nii", 'it\'s "odd"; rm x', "$HOME $(x) a$$b"]
)
def test_a_path_arrives_as_it_was_typed(typed, path):
    assert typed(f"CT={path}", f"OUT={path}") == [path, path, "", "auto"]


def test_model_and_device_are_passed_on(typed):
    assert typed("WEIGHTS=my model.safetensors", "DEVICE=cuda:1") == [
        "",
        "out",
        "my model.safetensors",
        "cuda:1",
    ]


def test_plain_make_lists_the_commands():
    listing = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "make segment" in listing
    assert "make test" in listing
