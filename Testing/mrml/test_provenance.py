"""What a result's node says years later about how it was made."""

from __future__ import annotations


def test_a_device_that_failed_is_noted_on_the_result(module):
    import slicer

    from IUINetSegmentationLib.scene.segmentation_node import write_provenance

    told = ["The memory of Fake GPU was short: half precision is used.", "The CPU is used."]
    report = {
        "weights": {"id": "toy", "version": "1", "sha256": "a" * 64},
        "checks": [],
        "device": "cpu",
        "passes": 2,
        "fallbacks": told,
    }
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    write_provenance(node, report)
    assert node.GetAttribute("IUINet.Device") == "cpu"
    assert node.GetAttribute("IUINet.Passes") == "2"
    assert node.GetAttribute("IUINet.Fallbacks") == " ".join(told)
