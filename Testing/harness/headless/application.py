"""Starts the headless application: one scene, its logics, and the stand-ins under ``slicer``."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import slicer
import slicer.util

from . import parameter_node_wrapper, scripted_module, translation
from .messages import quiet
from .modules import Modules
from .subject_hierarchy import ItemMaker

# Where a module imports it from, and what it gets here.
STAND_INS = {
    "slicer.ScriptedLoadableModule": scripted_module,
    "slicer.i18n": translation,
    "slicer.parameterNodeWrapper": parameter_node_wrapper,
    "slicer.util": slicer.util,
}


@dataclass(frozen=True)
class Application:
    """The parts that Slicer's application object owns.

    scene: the MRML scene, also ``slicer.mrmlScene``.
    logic: the application logic, which knows the color and the module logics.
    modules: the logics by module name, also ``slicer.modules``.
    """

    scene: slicer.vtkMRMLScene
    logic: slicer.vtkSlicerApplicationLogic
    modules: Modules
    item_maker: ItemMaker

    def clear_scene(self) -> None:
        """Empty the scene as File > Close Scene does: singleton nodes stay."""
        self.scene.Clear(0)


_application: Application | None = None


def boot() -> Application:
    """The running headless application; the first call starts it, later ones return the same.

    One process has one scene, as in Slicer.
    """
    global _application
    if _application is None:
        _application = _start()
    return _application


def _start() -> Application:
    """Make scene, logics and stand-ins, and hang them where modules look for them."""
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    # The color logic brings the tables that volume and label map nodes refer to by id.
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.GetColorLogic().AddDefaultColorNodes()
    _add_label_colors(scene)
    # slicer-core brings no terminology files, and the terminologies logic complains of each.
    with quiet():
        modules = Modules.started(scene, logic)
    slicer.mrmlScene = scene
    slicer.modules = modules
    slicer.selfTests = {}
    for name, stand_in in STAND_INS.items():
        sys.modules[name] = stand_in
        setattr(slicer, name.rpartition(".")[2], stand_in)
    return Application(scene, logic, modules, ItemMaker(scene))


def _add_label_colors(scene: slicer.vtkMRMLScene) -> None:
    """The table that label maps are shown with: in Slicer it comes from a file of the application."""
    table = slicer.vtkMRMLColorTableNode()
    table.SetTypeToLabels()
    table.SetName("GenericColors")
    table.SetSingletonTag("FileGenericColors.txt")  # with the class name this makes the id that is asked for
    scene.AddNode(table)
