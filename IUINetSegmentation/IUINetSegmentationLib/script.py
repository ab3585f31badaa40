"""One segmentation from volume node to segmentation node for scripts: the controller's run, waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import slicer

from iuinet.errors import IUINetError
from iuinet.options import Options
from IUINetSegmentationLib.controller import Controller
from IUINetSegmentationLib.state import Progress, Settings, State

_POLL_S = 0.02


def segment_volume_node(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
    options: Options | None = None,
    progress: Callable[[str, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    region: slicer.vtkMRMLMarkupsROINode | None = None,
) -> tuple[slicer.vtkMRMLSegmentationNode, dict[str, Any]]:
    """Segment a volume node; blocks until the worker has finished. See IUINetSegmentationLogic.segment."""
    steps: list[Progress] = []
    controller = Controller(changed=lambda: steps.append(controller.progress))
    try:
        controller.start(volume_node, segmentation_node, Settings(options or Options(), region=region))
        while controller.poll():
            # Here and not in the controller, so that an error in the caller's function is the caller's.
            _report(steps, progress)
            if cancelled is not None and cancelled():
                controller.cancel()
            time.sleep(_POLL_S)
        _report(steps, progress)
        if controller.state is not State.DONE:
            raise controller.error or IUINetError("the run did not end", code="failed")
        return controller.node, controller.report
    finally:
        controller.close()


def _report(steps: list[Progress], progress: Callable[[str, float], None] | None) -> None:
    """Report every step since the last time to the caller."""
    for step in steps:
        if progress is not None and step.stage:
            progress(step.stage, step.fraction)
    steps.clear()
