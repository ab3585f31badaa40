"""Starts the headless application once for all MRML tests, and gives each test an empty scene."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import vtk

ROOT = Path(__file__).resolve().parents[2]
MODULE_FOLDER = ROOT / "IUINetSegmentation"
# As Slicer does for the module; and what the tests share among themselves.
sys.path[:0] = [str(MODULE_FOLDER), str(ROOT / "Testing"), str(Path(__file__).parent)]


@pytest.fixture(scope="session")
def application():
    """The running headless application."""
    from harness.headless import boot

    return boot()


@pytest.fixture(scope="session")
def module(application):
    """The module's Python file, loaded as Slicer loads it."""
    from harness.headless import load_module

    return load_module("IUINetSegmentation", MODULE_FOLDER)


@pytest.fixture(autouse=True)
def scene(application):
    """An empty scene, before and after."""
    application.clear_scene()
    yield application.scene
    application.clear_scene()


@pytest.fixture(autouse=True)
def no_vtk_messages():
    """Fail a test in which VTK or MRML complains: they print their errors and go on."""
    window = vtk.vtkStringOutputWindow()
    before = vtk.vtkOutputWindow.GetInstance()
    vtk.vtkOutputWindow.SetInstance(window)
    yield
    vtk.vtkOutputWindow.SetInstance(before)
    assert window.GetOutput() == ""
