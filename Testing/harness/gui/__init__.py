"""The Qt half of Slicer for tests: a module's panel runs on it without the Slicer application.

    from harness.gui import boot_gui, open_panel
    application = boot_gui()
    panel = open_panel("IUINetSegmentation", folder)

Qt is real (PySide6, off-screen), and so are the MRML classes (slicer-core). Slicer's own widgets, its base
classes and its package installation are stood in for, after their documentation. A test that passes here does
not prove that the panel works in Slicer. In particular, unlike PythonQt, PySide6
* takes keyword arguments in constructors and methods, and has signals and enumerations under its own names;
* lets Python subclass any widget, and keeps Python's and C++'s lifetimes together differently;
* is Qt 6, where Slicer may be built with Qt 5.
The lint of the module's files (Testing/panel) forbids what is known to differ.
"""

from .application import GuiApplication, boot_gui
from .widget_base import close_panel, open_panel, reload_panel

__all__ = ["GuiApplication", "boot_gui", "close_panel", "open_panel", "reload_panel"]
