"""``slicer.modules``: the C++ module logics that slicer-core brings, under the names Slicer gives them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import slicer

# The logics that a segmentation module can meet. slicer-core holds more; each is one line away.
LOGIC_CLASSES = {
    "colors": slicer.vtkSlicerColorLogic,
    "segmentations": slicer.vtkSlicerSegmentationsModuleLogic,
    "sequences": slicer.vtkSlicerSequencesLogic,
    "subjecthierarchy": slicer.vtkSlicerSubjectHierarchyModuleLogic,
    "terminologies": slicer.vtkSlicerTerminologiesModuleLogic,
    "transforms": slicer.vtkSlicerTransformLogic,
    "volumes": slicer.vtkSlicerVolumesLogic,
}


class LoadedModule(SimpleNamespace):
    """A C++ module as scripts see it: a name and a logic. There is no widget here."""

    name: str
    _logic: Any

    def logic(self) -> Any:
        """The module's one logic."""
        return self._logic


class Modules(SimpleNamespace):
    """The loaded modules as attributes with lower-case names: ``slicer.modules.volumes.logic()``."""

    @classmethod
    def started(
        cls, scene: slicer.vtkMRMLScene, application_logic: slicer.vtkSlicerApplicationLogic
    ) -> Modules:
        """All of LOGIC_CLASSES, each connected to the scene and known to the application logic."""
        modules = cls()
        for name, logic_class in LOGIC_CLASSES.items():
            logic = logic_class()
            logic.SetMRMLApplicationLogic(application_logic)
            logic.SetMRMLScene(scene)
            application_logic.SetModuleLogic(name.capitalize(), logic)
            setattr(modules, name, LoadedModule(name=name.capitalize(), _logic=logic))
        return modules
