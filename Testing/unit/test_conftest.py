"""The rules that conftest.py adds to every test, seen from outside by running small test files."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from conftest import LONGEST
from helpers.repository import ROOT

LEFT_OUT = """
import pytest

@pytest.fixture
def slab(data_folder):
    return data_folder / "slab"

def test_of_data(slab):
    if not slab.exists():
        pytest.skip("no slab")
"""


@pytest.fixture
def outcome(tmp_path):
    """Run a test file under Testing/conftest.py; returns the exit status and what pytest printed."""

    def run(text: str, data: str | None) -> tuple[int, str]:
        (tmp_path / "test_example.py").write_text(text, encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "Testing")}
        environment.pop("IUINET_DATA", None)
        if data is not None:
            environment["IUINET_DATA"] = data
        options = ["-p", "conftest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", "-c", os.devnull]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, str(tmp_path)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    return run


def test_without_the_data_a_data_test_is_skipped(outcome):
    status, text = outcome(LEFT_OUT, None)
    assert status == 0
    assert "1 skipped" in text


def test_with_the_data_a_skipped_data_test_is_a_failure(outcome, tmp_path):
    status, text = outcome(LEFT_OUT, str(tmp_path))
    assert status == 1
    assert "was skipped although IUINET_DATA is set" in text


def test_with_the_data_a_data_test_runs(outcome, tmp_path):
    (tmp_path / "slab").mkdir()
    assert outcome(LEFT_OUT, str(tmp_path))[0] == 0


def test_data_that_is_named_but_absent_is_a_failure(outcome, tmp_path):
    status, text = outcome(LEFT_OUT, str(tmp_path / "nothing"))
    assert status == 1
    assert "which is not a folder" in text


def test_other_tests_may_be_skipped_with_the_data(outcome, tmp_path):
    text = "import pytest\n\ndef test_other():\n    pytest.skip('a reason')\n"
    assert outcome(text, str(tmp_path))[0] == 0


def test_no_test_sees_the_models_of_whoever_runs_it(outcome):
    text = "import os\n\ndef test_home():\n    assert 'iuinet-home' in os.environ['IUINET_HOME']\n"
    assert outcome(text, None)[0] == 0


def test_the_files_that_are_begun_first_are_there():
    there = [path.name for path in (ROOT / "Testing").rglob("test_*.py")]
    assert [there.count(name) for name in LONGEST] == [1] * len(set(LONGEST))
