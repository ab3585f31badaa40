"""Writes on a result with what it was made, so that it can be read from the scene years later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import slicer

import iuinet

PREFIX = "IUINet."


def write_provenance(node: slicer.vtkMRMLNode, report: Mapping[str, Any]) -> None:
    """Store the facts of a run as attributes of its node; Slicer saves them with the scene.

    report: the run's report. The device is the one that was really used.
    """
    weights = report["weights"]
    accepted = [check["code"] for check in report["checks"] if check["severity"] == "warning"]
    facts = {
        "ModuleVersion": iuinet.__version__,
        "WeightsId": weights["id"],
        "WeightsVersion": weights["version"],
        "WeightsSha256": weights["sha256"],
        "Device": report["device"],
        "Passes": report["passes"],
        "Date": datetime.now(UTC).isoformat(timespec="seconds"),
        # A warning that is in the report of a finished run was accepted: without that there is no run.
        "AcceptedWarnings": ", ".join(accepted),
        # What had to be changed because a GPU was short of memory or failed.
        "Fallbacks": " ".join(report["fallbacks"]),
    }
    for name, value in facts.items():
        node.SetAttribute(PREFIX + name, str(value))
