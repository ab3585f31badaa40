"""The base classes of scripted modules (``slicer.ScriptedLoadableModule``), without Qt.

Written from Slicer's public documentation of scripted modules. A headless process has no panel, so the
widget's base class only says so.
"""

from __future__ import annotations

import logging
import sys
import unittest
from pathlib import Path
from typing import Any

import slicer

__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
    "ScriptedLoadableModuleWidget",
]


class ScriptedLoadableModule:
    """A module's description: its constructor fills in the fields of ``parent``."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = self.moduleName
        parent.categories = []
        parent.dependencies = []
        parent.contributors = []
        parent.helpText = ""
        parent.acknowledgementText = ""
        parent.hidden = False
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, filename: str = "") -> str:
        """Absolute path of a file in the module's Resources folder."""
        module_file = sys.modules[type(self).__module__].__file__
        return str(Path(module_file).parent / "Resources" / filename)

    def runTest(self, msec: int = 100, **kwargs: Any) -> None:
        """Run the module's self test, the class <module>Test of the module's file."""
        test_class = getattr(sys.modules[type(self).__module__], self.moduleName + "Test")
        test_class().runTest()


class ScriptedLoadableModuleWidget:
    """The panel's base class. There is no panel in a headless process."""

    def __init__(self, parent: Any = None) -> None:
        raise NotImplementedError("The headless harness has no Qt, so it cannot show a module's panel.")


class ScriptedLoadableModuleLogic:
    """The base of a module's logic: knows which module it belongs to."""

    def __init__(self, parent: Any = None) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        """The module's one parameter node in the scene; made where there is none."""
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node.SetModuleName(self.moduleName)
            node.SetName(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The base of a module's self test; runTest runs every test method."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
        """Slicer shows the message for a moment; here it only goes to the log."""
        logging.info(message)

    def runTest(self) -> None:
        """Run all test methods, each after setUp and before tearDown."""
        for name in unittest.TestLoader().getTestCaseNames(type(self)):
            self.setUp()
            try:
                getattr(self, name)()
            finally:
                self.tearDown()
