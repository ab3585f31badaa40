"""Starts the application with a Qt half: what a panel finds under ``slicer``, ``qt`` and ``ctk``."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from ..headless import Application, boot, scripted_module
from . import base_python, main_window, parameter_connections, qt_module, sample_data, widget_base
from .packages import Packages


class ExtensionsManager:
    """The model of the Extensions Manager. works: whether installing succeeds; calls: what was asked for."""

    def __init__(self) -> None:
        self.works = True
        self.interactive = True
        self.calls: list[tuple[str, bool]] = []

    def setInteractive(self, value: bool) -> None:
        """Whether to ask before an extension is installed."""
        self.interactive = value

    def installExtensionFromServer(self, name: str, restart: bool = True, update: bool = False) -> bool:
        """Would download and install an extension."""
        if self.interactive and not slicer.util.confirmYesNoDisplay(f"Do you want to install '{name}' now?"):
            return False
        self.calls.append((name, restart))
        return self.works


class App:
    """``slicer.app`` as far as a panel needs it."""

    applicationName = "Slicer"
    applicationVersion = "harness"
    slicerHome = str(Path(tempfile.gettempdir()))

    def __init__(self, application: Application, settings: QtCore.QSettings) -> None:
        self._application = application
        self._settings = settings
        self._testing = False
        self.restarts = 0
        self.main_window = main_window.MainWindow()
        self.extensions = ExtensionsManager()
        self.layout_manager: main_window.LayoutManager | None = None
        self._at_start: list[Callable[[], None]] = []
        self.applicationLocaleName = "en_US"
        self._translators: list[QtCore.QTranslator] = []

    def connect(self, signal: str, slot: Callable[[], None]) -> None:
        """Of the application's signals the one that modules wait for."""
        if signal != "startupCompleted()":
            raise ValueError(f"no signal {signal}")
        self._at_start.append(slot)

    def complete_startup(self) -> None:
        """Of the harness: all modules are loaded."""
        while self._at_start:
            self._at_start.pop(0)()

    def loadTranslations(self, folder: str) -> None:
        """Install the *.qm of a folder whose names end with the user's language, as Slicer looks for them."""
        name = self.applicationLocaleName.replace("_", "-")
        endings = [name, name.replace("-", "_")], [self.applicationLocaleName.partition("_")[0]]
        found: list[Path] = []
        for tried in endings:
            found = found or sorted({file for end in tried for file in Path(folder).glob(f"*{end}.qm")})
        for path in found:
            translator = QtCore.QTranslator()
            if not translator.load(str(path)):
                raise RuntimeError(f"Qt cannot read {path}")
            QtCore.QCoreApplication.installTranslator(translator)
            self._translators.append(translator)

    def forget_translations(self) -> None:
        """Of the harness: the application is English again."""
        self.applicationLocaleName = "en_US"
        while self._translators:
            QtCore.QCoreApplication.removeTranslator(self._translators.pop())

    def translate(self, context: str, text: str) -> str:
        """The text in the user's language."""
        return QtCore.QCoreApplication.translate(context, text)

    def testingEnabled(self) -> bool:
        """Whether Slicer was started with --testing."""
        return self._testing

    def setTestingEnabled(self, enabled: bool) -> None:
        """What the command line option does."""
        self._testing = enabled

    def processEvents(self) -> None:
        """Let Qt work."""
        QtWidgets.QApplication.processEvents()

    def settings(self) -> QtCore.QSettings:
        """The user's settings: a private file of this process."""
        return self._settings

    def userSettings(self) -> QtCore.QSettings:
        """The same."""
        return self._settings

    def applicationLogic(self) -> Any:
        """The C++ application logic."""
        return self._application.logic

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._application.scene

    def extensionsManagerModel(self) -> ExtensionsManager:
        """What installs extensions."""
        return self.extensions

    def layoutManager(self) -> main_window.LayoutManager | None:
        """None, as without a main window, until a test opens the views."""
        return self.layout_manager

    def open_views(self) -> main_window.LayoutManager:
        """The three slice views; they stay until they are closed."""
        self.layout_manager = main_window.LayoutManager(self._application)
        return self.layout_manager

    def close_views(self) -> None:
        """Take the slice views away."""
        if self.layout_manager is not None:
            self.layout_manager.close()
        self.layout_manager = None

    def clipboard(self) -> Any:
        """The clipboard of Qt."""
        return QtWidgets.QApplication.clipboard()

    def setOverrideCursor(self, cursor: Any) -> None:
        """The mouse pointer while Slicer is busy."""
        QtWidgets.QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        """The usual mouse pointer."""
        QtWidgets.QApplication.restoreOverrideCursor()

    def topLevelWidgets(self) -> list[Any]:
        """The windows."""
        return [self.main_window]

    @property
    def modules_shown(self) -> list[str]:
        """The modules that were switched to, in order."""
        return self.main_window.moduleSelector().shown

    def restart(self) -> None:
        """Slicer would end and start again; here it is only counted."""
        self.restarts += 1

    @property
    def temporaryPath(self) -> str:
        """Slicer's folder for temporary files."""
        return tempfile.gettempdir()


@dataclass(frozen=True)
class GuiApplication:
    """scene and logics (headless), the Qt application, the fakes for package installation, Segment Editor."""

    headless: Application
    qt: QtWidgets.QApplication
    app: App
    packages: Packages
    editor: main_window.SegmentEditor


_gui: GuiApplication | None = None


def boot_gui() -> GuiApplication:
    """The running application with its Qt half; the first call starts it."""
    global _gui
    if _gui is None:
        _gui = _start()
    return _gui


def _start() -> GuiApplication:
    headless = boot()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
    QtCore.QCoreApplication.setOrganizationName("IUINet harness")
    folder = tempfile.mkdtemp(prefix="iuinet-harness-")
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, folder)
    sys.modules["qt"], sys.modules["ctk"] = qt_module.make_qt(), qt_module.make_ctk()
    for name, cls in qt_module.mrml_classes().items():
        setattr(slicer, name, cls)
    app = App(headless, QtCore.QSettings(str(Path(folder, "Slicer.ini")), QtCore.QSettings.Format.IniFormat))
    slicer.app = app
    scripted_module.ScriptedLoadableModuleWidget = widget_base.ScriptedLoadableModuleWidget
    parameter_connections.install()
    base_python.install(sys.modules["ctk"])
    sys.modules["SampleData"] = sample_data
    packages = Packages()
    packages.install_stand_ins()
    editor = main_window.install_segment_editor()
    return GuiApplication(headless, application, app, packages, editor)
