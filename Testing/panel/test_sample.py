"""The sample button: the generated CT that the module ships is loaded, shown and chosen at once."""

from __future__ import annotations

import numpy as np
from helpers.sample_ct import shipped

from IUINetSegmentationLib.scene import volume_node
from IUINetSegmentationLib.state import State


def test_a_click_loads_the_sample_which_can_be_segmented(panel, scene, finish) -> None:
    view = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    panel.ui.sampleButton.click()
    node = panel.ui.inputSelector.currentNode()
    assert node.GetName() == "Sample CT (generated)" and panel.ui.segmentButton.enabled
    assert view.GetBackgroundVolumeID() == node.GetID()
    loaded, expected = volume_node.volume_from_node(node), shipped()
    assert np.array_equal(loaded.array, expected.array)
    assert np.allclose(loaded.grid.index_to_lps(), expected.grid.index_to_lps())
    panel.ui.segmentButton.click()
    assert not panel.ui.sampleButton.enabled, "the volume of a run is not changed under it"
    finish()
    assert panel.controller.state is State.DONE and panel.ui.sampleButton.enabled


def test_a_damaged_sample_is_reported_and_can_be_tried_again(panel, scene, tmp_path, monkeypatch) -> None:
    damaged = tmp_path / "sample-ct.nrrd"
    damaged.write_bytes(volume_node.SAMPLE_CT.read_bytes()[:10_000])
    with monkeypatch.context() as patch:
        patch.setattr(volume_node, "SAMPLE_CT", damaged)
        panel.ui.sampleButton.click()
    assert panel.trouble.current.code == "file-cut"
    assert "ample-ct.nrrd" in panel.ui.progressLabel.text
    assert "Install IUINet again, or load a CT of your own." in panel.ui.progressLabel.text
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    panel.ui.sampleButton.click()
    assert panel.trouble.current is None and panel.ui.segmentButton.enabled
