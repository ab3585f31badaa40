"""The module on Slicer's own Python files: with SLICER_BASE_PYTHON=<a checkout of Slicer>/Base/Python.

All panel tests run on them then. Here is what needs them: that they are the real ones, and that packages are
read and looked for by the real ``slicer.packaging``, with a stand-in for pip alone.
"""

from __future__ import annotations

import gc
import inspect
import os
import subprocess
import sys

import pytest
import slicer
from clicking import failed

from harness.gui import base_python
from IUINetSegmentationLib import packages
from IUINetSegmentationLib.state import State

pytestmark = [
    pytest.mark.needs_torch,
    # Slicer's own reader of a process leaves a pipe open.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(
        not os.environ.get(base_python.VARIABLE), reason="needs Slicer's sources: set SLICER_BASE_PYTHON"
    ),
]

@pytest.fixture
def real_packaging(gui, scene):
    """slicer.packaging is Slicer's own; pip is the stand-in."""
    gui.packages.hide("safetensors")
    before = sys.modules["slicer.packaging"]
    base_python.load(base_python.folder(), "packaging")
    yield gui.packages
    sys.modules["slicer.packaging"] = slicer.packaging = before
    gc.collect()


def test_the_base_classes_are_slicers_own(panel, widget) -> None:
    folder = str(base_python.folder())
    for cls in (type(widget).__mro__[1], type(widget.logic).__mro__[1]):
        assert inspect.getsourcefile(cls).startswith(folder)
    assert inspect.getsourcefile(slicer.i18n.tr).startswith(folder)


def test_the_modules_own_test_passes_on_slicers_test_class(widget, small_model, monkeypatch) -> None:
    module = sys.modules["IUINetSegmentation"]
    monkeypatch.setattr(module.IUINetSegmentationTest, "weights", str(small_model))
    slicer.selfTests["IUINetSegmentation"](msec=10)


def test_requirements_are_read_and_named_in_the_one_dialog(
    real_packaging, panel, ct, dialogs, finish
) -> None:
    assert packages.make_plan().packages[0].startswith("safetensors")
    panel.ui.inputSelector.setCurrentNode(ct)
    panel.ui.segmentButton.click()
    finish()
    assert len(dialogs.shown) == 1 and "safetensors" in dialogs.shown[0]


def test_a_pip_that_fails_is_explained_by_what_it_said(real_packaging, panel, ct, dialogs, finish) -> None:
    real_packaging.pip(lines=["NewConnectionError: getaddrinfo failed"], status=1)
    panel.ui.inputSelector.setCurrentNode(ct)
    dialogs.answers.append("Ok")
    panel.ui.segmentButton.click()
    finish()
    assert "no connection to the package index" in failed(panel, "no-connection")


def test_a_pip_that_succeeds_lets_the_run_go_on(real_packaging, panel, ct, dialogs, finish) -> None:
    panel.ui.inputSelector.setCurrentNode(ct)
    dialogs.answers.append("Ok")
    panel.ui.segmentButton.click()
    finish()
    assert panel.controller.state is State.DONE, panel.controller.error
    assert len(dialogs.shown) == 1


OWN_TESTS = """
import importlib.util, sys, unittest
from harness.gui import boot_gui
gui = boot_gui()
spec = importlib.util.spec_from_file_location("own", sys.argv[1])
sys.modules["own"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
found = unittest.defaultTestLoader.loadTestsFromModule(module)
result = unittest.TextTestRunner(verbosity=2).run(found)
sys.exit(0 if result.testsRun and result.wasSuccessful() else 1)
"""


@pytest.mark.parametrize(
    "name",
    ["parameter_node_wrapper", "parameter_pack", "util_childWidgetVariables", "util_VTKObservationMixin"],
)
def test_the_harness_passes_slicers_own_tests(name: str) -> None:
    """They were written for Slicer alone; what they need of Qt, CTK and MRML the harness has to give."""
    path = base_python.folder() / "tests" / f"test_slicer_{name}.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, "-c", OWN_TESTS, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
