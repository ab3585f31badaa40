"""For developers: lets Slicer's Reload button take the module's library anew, not only its first file."""

from __future__ import annotations

import sys

PACKAGES = ("IUINetSegmentationLib", "iuinet")


def forget_library() -> None:
    """Forget the imported modules of the library, so that the next import reads their files again.

    What still runs keeps its own references to the old ones.
    """
    for name in list(sys.modules):
        if name.partition(".")[0] in PACKAGES:
            del sys.modules[name]
