"""What the Slicer application gives a scripted module, without the application and without Qt.

The MRML classes are Slicer's own (the slicer-core wheel); only what lives in the application is stood in
for: the scene's owner, ``slicer.modules``, the base classes of scripted modules, translation, and the
subject hierarchy's automatic items. The stand-ins follow Slicer's public documentation, so a test that
passes here shows that the module's logic is right on real nodes, and does not show that its panel works.

    from harness.headless import boot, load_module
    application = boot()
    module = load_module("IUINetSegmentation", folder)
"""

from .application import Application, boot
from .loading import load_module

__all__ = ["Application", "boot", "load_module"]
