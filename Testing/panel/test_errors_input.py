"""Volumes that cannot be segmented, or about which a person has to decide, as the panel shows them."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from clicking import click
from helpers.scenes import affine, scene_state, volume_node, warp_node

from iuinet import checks
from IUINetSegmentationLib.state import State

pytestmark = [pytest.mark.needs_torch, pytest.mark.usefixtures("one_worker")]


@pytest.fixture
def choose(panel):
    """choose(node): select a volume; gives the line below the selector."""

    def select(node) -> str:
        panel.ui.inputSelector.setCurrentNode(node)
        return panel.ui.checksLabel.text

    return select


def hounsfield(shape=(32, 40, 48), seed=0) -> np.ndarray:
    """Noise around air and around soft tissue, as in a CT."""
    random = np.random.default_rng(seed)
    values = np.where(random.random(shape) < 0.5, -1000, 40) + random.normal(0, 12, shape)
    return values.astype(np.int16)


def make(array: np.ndarray, spacing=(5.0, 5.0, 5.0)):
    """A volume node with this spacing in mm."""
    return volume_node(array, affine(np.diag(spacing)))


def test_no_volume(panel, choose) -> None:
    choose(None)
    assert not panel.ui.segmentButton.enabled
    assert "Select a CT volume" in panel.ui.segmentButton.toolTip
    assert panel.ui.sampleButton.visible and panel.ui.sampleButton.enabled


def test_a_volume_without_voxels(panel, choose, scene) -> None:
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    assert "no image data" in choose(empty) and not panel.ui.segmentButton.enabled
    flat = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "flat")
    image = vtk.vtkImageData()
    image.SetDimensions(4, 0, 4)
    flat.SetAndObserveImageData(image)
    assert "no image data" in choose(flat) and not panel.ui.segmentButton.enabled


def test_an_mr_series_needs_one_more_click_which_counts_for_it_alone(panel, choose, ct, finish) -> None:
    other = make(hounsfield())
    ct.SetAttribute("DICOM.Modality", "MR")
    assert "This is an MR series; the model is for CT." in choose(ct)
    assert not panel.ui.segmentButton.enabled and panel.ui.segmentAnywayButton.visible
    panel.ui.segmentAnywayButton.click()
    assert panel.ui.segmentButton.enabled
    panel.ui.segmentButton.click()
    finish()
    assert panel.controller.state is State.DONE, panel.controller.error
    assert "not-ct" in panel.controller.node.GetAttribute("IUINet.AcceptedWarnings")
    assert "MR series" in panel.ui.resultLabel.text
    other.SetAttribute("DICOM.Modality", "MR")
    choose(other)
    assert panel.ui.inputSelector.currentNode() is other and panel.parameters.volume is other
    assert not panel.ui.segmentButton.enabled and not panel.ui.segmentAnywayButton.checked


def test_values_that_look_like_no_ct(panel, choose) -> None:
    values = np.random.default_rng(0).integers(0, 1200, (32, 40, 48)).astype(np.int16)
    text = choose(make(values))
    assert "do not look like Hounsfield units (0 ... 119" in text
    assert not panel.ui.segmentButton.enabled and panel.ui.segmentAnywayButton.visible


def test_a_ct_that_lost_its_offset_is_guessed_and_not_changed(panel, choose) -> None:
    stored = (hounsfield() + 1024).clip(0).astype(np.int16)
    node = make(stored)
    assert "stored without its offset: air lies near 24" in choose(node)
    assert np.array_equal(slicer.util.arrayFromVolume(node), stored)
    panel.ui.segmentAnywayButton.click()
    assert panel.ui.segmentButton.enabled


@pytest.mark.parametrize(("slices", "spacing", "refused"), [(4, 3.0, True), (1, 5.0, True), (8, 3.0, False)])
def test_a_tiny_volume(panel, choose, slices: int, spacing: float, refused: bool) -> None:
    text = choose(make(hounsfield((slices, 40, 48)), (5.0, 5.0, spacing)))
    assert f"Only {slices} slice" in text and f"({slices * spacing:g} mm)" in text
    assert not panel.ui.segmentButton.enabled
    assert panel.ui.segmentAnywayButton.visible is not refused


def test_an_enormous_volume_can_be_segmented_in_a_region(panel, choose, ct, finish, monkeypatch) -> None:
    monkeypatch.setattr(checks, "TOO_MUCH_MEMORY", checks.FIXED_BYTES + 12 * 50_000)
    monkeypatch.setattr(checks, "MUCH_MEMORY", checks.TOO_MUCH_MEMORY)
    assert "Needs about 2 GB of memory (48 x 40 x 32 voxels)" in choose(ct)
    assert not panel.ui.segmentButton.enabled
    click(panel.ui, "Use a region")
    region = panel.ui.regionSelector.currentNode()
    assert region is not None and not panel.ui.advancedSection.collapsed
    assert "Needs about" not in panel.ui.checksLabel.text and panel.ui.segmentButton.enabled
    panel.ui.segmentButton.click()
    finish()
    assert panel.controller.state is State.DONE, panel.controller.error
    assert panel.controller.report["input"]["size"] == [24, 20, 16]


def test_less_free_memory_than_needed_is_said_before_the_start(panel, choose, ct, monkeypatch) -> None:
    monkeypatch.setattr(checks, "free_memory", lambda: 1_000_000_000)
    monkeypatch.setattr(checks, "WORTH_COMPARING", 0)
    assert "Needs about 2 GB of memory" in choose(ct)
    assert "1 GB are free" in panel.ui.checksLabel.text and panel.ui.inputRemedyButton.text == "Use a region"


def test_a_color_volume(panel, choose, scene) -> None:
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "color")
    image = vtk.vtkImageData()
    image.SetDimensions(20, 20, 20)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    node.SetAndObserveImageData(image)
    assert "Each voxel of the volume holds 3 values" in choose(node) and not panel.ui.segmentButton.enabled
    scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "vector")
    assert panel.ui.inputSelector.nodeCount() == 1, "vector volumes are not even offered"


def test_a_bent_volume_can_be_segmented_as_a_hardened_copy(panel, choose, ct, finish) -> None:
    """Also what Slicer's DICOM import does for slices at uneven distances: it adds a grid transform."""
    ct.SetAndObserveTransformNodeID(warp_node("acquisition transform").GetID())
    values = slicer.util.arrayFromVolume(ct).copy()
    assert "non-linear transform 'acquisition transform'" in choose(ct)
    assert not panel.ui.segmentButton.enabled
    click(panel.ui, "Harden a copy")
    copy = panel.ui.inputSelector.currentNode()
    assert copy is not ct and copy.GetParentTransformNode() is None
    assert np.array_equal(slicer.util.arrayFromVolume(ct), values) and ct.GetParentTransformNode()
    assert panel.ui.segmentButton.enabled, panel.ui.checksLabel.text
    panel.ui.segmentButton.click()
    finish()
    assert panel.controller.state is State.DONE, panel.controller.error


def test_looking_at_volumes_changes_nothing_in_the_scene(panel, choose, ct) -> None:
    before = scene_state()
    choose(ct)
    choose(None)
    choose(ct)
    assert scene_state() == before
