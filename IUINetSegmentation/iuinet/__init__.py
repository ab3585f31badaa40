"""IUINet: segmentation of the abdominal organs in CT.

    from iuinet import segment
    result = segment(image)       # SimpleITK image in, result.labels and result.report out

    from iuinet import cohort
    summary = cohort("studies", "results", workers=2)   # every CT of a folder; summary.page is for people

Importing the package is cheap: torch is loaded by the first call of ``segment``, never before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cohorts import cohort
    from .segmentation import segment

__version__ = "0.1.0"
__all__ = ["__version__", "cohort", "segment"]


def __getattr__(name: str) -> Any:
    if name == "segment":
        from .segmentation import segment

        return segment
    if name == "cohort":
        from .cohorts import cohort

        return cohort
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
