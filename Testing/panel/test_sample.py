"""The samples: the generated CT that the module ships, and a real one that Slicer's Sample Data downloads."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
from helpers.faulty_server import serve
from helpers.sample_ct import shipped

from IUINetSegmentationLib.scene import volume_node
from IUINetSegmentationLib.state import State

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "IUINetSegmentation"

pytestmark = pytest.mark.usefixtures("one_worker")


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


def test_a_second_click_brings_no_second_volume(panel, scene) -> None:
    panel.ui.sampleButton.click()
    node = panel.ui.inputSelector.currentNode()
    panel.ui.inputSelector.setCurrentNode(None)
    panel.ui.sampleButton.click()
    assert panel.ui.inputSelector.currentNode() is node
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1


# A real CT, by Slicer's own module ----------------------------------------------------------------------


@pytest.fixture
def sample_data(gui, monkeypatch, tmp_path):
    """Slicer's Sample Data module, with nothing in it and an empty cache."""
    import SampleData

    monkeypatch.setattr(SampleData.SampleDataLogic, "sources", {})
    monkeypatch.setattr(SampleData.SampleDataLogic, "titles", {})
    monkeypatch.setattr(SampleData, "CACHE", tmp_path)
    return SampleData.SampleDataLogic


@pytest.fixture
def server(ct, tmp_path):
    """A web server on this computer that has a CT."""
    path = tmp_path / "served.nrrd"
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(path))
    assert storage.WriteData(ct)
    with serve(path.read_bytes()) as running:
        yield running


def test_a_real_ct_is_downloaded_once_and_only_by_a_click_that_says_so(
    panel, sample_data, server, ct, scene
) -> None:
    button = panel.ui.realSampleButton
    address = server.address("good")
    sample_data.registerCustomSampleDataSource("builtIn", "CTLiver", address, "CTLiver.nrrd", "CTLiver")
    panel.ui.inputSelector.setCurrentNode(ct)
    assert not button.visible, "who has a CT needs none"
    panel.ui.inputSelector.setCurrentNode(None)
    assert button.visible and "Download" in button.text and "Internet" in button.toolTip
    panel.ui.sampleButton.click()
    assert button.visible and server.requests == []
    view = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    button.click()
    node = panel.ui.inputSelector.currentNode()
    assert node.GetName() == "CTLiver" and view.GetBackgroundVolumeID() == node.GetID()
    assert np.array_equal(slicer.util.arrayFromVolume(node), slicer.util.arrayFromVolume(ct))
    assert panel.ui.segmentButton.enabled and len(server.requests) == 1
    panel.ui.sampleButton.click()
    button.click()
    assert panel.ui.inputSelector.currentNode() is node and len(server.requests) == 1
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 3


@pytest.mark.parametrize("way", ["missing", "refused", "unknown"])
def test_a_download_that_fails_says_what_needs_none(panel, sample_data, server, scene, way: str) -> None:
    panel.ui.inputSelector.setCurrentNode(None)
    address = {"missing": server.address("status/404"), "refused": "http://127.0.0.1:9/ct.nrrd"}.get(way)
    if address:
        sample_data.registerCustomSampleDataSource("builtIn", "CTLiver", address, "CTLiver.nrrd", "CTLiver")
    panel.ui.realSampleButton.click()
    assert panel.trouble.current.code == "sample-download"
    assert "press Try a sample, which needs none." in panel.ui.progressLabel.text
    assert "stands still" not in panel.ui.checksLabel.text
    panel.ui.sampleButton.click()
    assert panel.trouble.current is None and panel.ui.segmentButton.enabled


def test_the_generated_ct_stands_in_slicers_sample_data_without_a_download(
    gui, widget, sample_data, tmp_path
) -> None:
    module = sys.modules["IUINetSegmentation"]
    module.registerSampleData()
    module.registerSampleData()
    ((source,),) = sample_data.sources.values()
    assert source.uris.startswith("file://") and Path(source.thumbnailFileName).is_file()
    (node,) = sample_data().downloadSamples(source.sampleName)
    assert np.array_equal(slicer.util.arrayFromVolume(node), shipped().array)


def test_it_is_offered_when_slicer_has_started(gui, sample_data) -> None:
    from harness.headless import load_module

    gui.app.complete_startup()
    sample_data.sources.clear()
    load_module("IUINetSegmentation", MODULE_FOLDER)  # makes its description again
    assert sample_data.sources == {}
    gui.app.complete_startup()
    assert list(sample_data.sources) == ["IUINet"]


# The volume that is chosen is the one that is seen -------------------------------------------------------


def test_choosing_a_ct_shows_it_and_what_a_user_shows_meanwhile_stays(panel, widget, ct, scene) -> None:
    from helpers.sample_ct import sample_ct

    other = volume_node.add_volume_node(sample_ct((32, 32, 24)), "other")
    views = [scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode") for _ in range(2)]
    panel.ui.inputSelector.setCurrentNode(other)
    assert {view.GetBackgroundVolumeID() for view in views} == {other.GetID()}
    views[0].SetBackgroundVolumeID(ct.GetID())  # to compare
    widget.exit()
    widget.enter()
    assert [view.GetBackgroundVolumeID() for view in views] == [ct.GetID(), other.GetID()]
    panel.ui.inputSelector.setCurrentNode(None)
    panel.ui.inputSelector.setCurrentNode(other)
    assert views[0].GetBackgroundVolumeID() == ct.GetID(), "one view shows it already"
