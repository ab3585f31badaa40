"""Silences the C++ libraries where their messages would only be noise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import vtk


@contextmanager
def quiet() -> Iterator[None]:
    """Within the block VTK, and with it MRML, writes nothing to the terminal.

    Failures still show: MRML calls report them by their return values, which the callers check.
    """
    verbosity = vtk.vtkLogger.GetCurrentVerbosityCutoff()
    display = vtk.vtkObject.GetGlobalWarningDisplay()
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    vtk.vtkObject.GlobalWarningDisplayOff()
    try:
        yield
    finally:
        vtk.vtkLogger.SetStderrVerbosity(verbosity)
        vtk.vtkObject.SetGlobalWarningDisplay(display)
