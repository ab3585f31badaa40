"""Every error case of the design has its test: the table errors.toml against the tests and the code."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

TESTING = Path(__file__).resolve().parents[1]
MODULE = TESTING.parent / "IUINetSegmentation"
ROWS = tomllib.loads((TESTING / "panel" / "errors.toml").read_text(encoding="utf-8"))["row"]

# The cases of the design. A new one comes here first; then this file fails until it is built and tested.
CASES = [
    "Slicer too old",
    "PyTorch extension missing",
    "No torch",
    "torch too old or does not start",
    "Set-up declined",
    "Installation failed",
    "Restart needed",
    "Set-up cancelled",
    "No CUDA",
    "GPU that does not compute",
    "Out of GPU memory",
    "Out of RAM or killed",
    "Download cut off",
    "Hash mismatch",
    "Weights damaged later",
    "Weights folder not writable or disk full",
    "No volume",
    "Volume without voxels",
    "MR instead of CT",
    "CT stored with a wrong offset",
    "Tiny volume",
    "Enormous volume",
    "Uneven slices, color volume, 4-D",
    "Volume under a non-linear transform",
    "Output already has segments",
    "Cancelled",
    "Scene closed while running",
    "Input or output deleted while running",
    "Module reloaded or Slicer closed while running",
    "Worker crashes or hangs",
    "Empty result",
    "Non-ASCII or long path",
    "Region without a place, off the scan or tiny",
    "Sample cannot be downloaded",
    "Second click, or another module installing packages",
]


@cache
def functions_of(file: str) -> frozenset[str]:
    """Names of the test functions of a file, with those in classes; empty where there is no such file."""
    path = TESTING / file
    if not path.is_file():
        return frozenset()
    found = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef))


def test_every_case_has_one_row_in_the_order_of_the_design() -> None:
    assert [row["case"] for row in ROWS] == CASES


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["case"])
def test_every_row_names_tests_that_exist(row: dict) -> None:
    assert row["tests"], "a case without a test"
    for test in row["tests"]:
        file, _, name = test.partition("::")
        assert name.startswith("test_") and name in functions_of(file), f"there is no test {test}"


def test_every_code_in_the_table_is_one_that_the_program_gives() -> None:
    folders = ("*.py", "IUINetSegmentationLib/**/*.py", "iuinet/**/*.py")
    sources = [path for folder in folders for path in MODULE.glob(folder)]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    given = set(re.findall(r'"([a-z]+(?:-[a-z]+)*)"', text))
    assert {code for row in ROWS for code in row["codes"]} - given == set()


def test_every_code_with_a_button_of_its_own_stands_in_the_table(gui) -> None:
    from IUINetSegmentationLib.panel.trouble import REMEDIES, titles

    named = {code for row in ROWS for code in row["codes"]}
    # Their kin stand in the table: the same sentence with another cause, and the same buttons.
    kin = {"torch-missing", "download-certificate", "no-address", "weights-missing", "weights-id"}
    assert set(REMEDIES) - named - kin - {"weights-metadata"} == set()
    assert {remedy for remedies in REMEDIES.values() for remedy in remedies} | {"folder"} == set(titles())
