"""IUINet: segmentation of the abdominal organs in CT.

    from iuinet import segment
    result = segment(image)       # SimpleITK image in, result.labels and result.report out

Importing the package is cheap: torch is loaded by the first call of ``segment``, never before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .segmentation import segment

__version__ = "0.1.0"
__all__ = ["__version__", "segment"]


def __getattr__(name: str) -> Any:
    if name == "segment":
        from .segmentation import segment

        return segment
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
