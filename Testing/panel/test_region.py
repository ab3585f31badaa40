"""The box to segment in: made by a click, placed over the scan, and followed while a user drags it."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from clicking import click
from helpers.scenes import GEOMETRIES, affine, volume_node

from iuinet import checks
from IUINetSegmentationLib.scene.region import is_placed
from IUINetSegmentationLib.scene.volume_node import box_of, to_vtk_matrix
from IUINetSegmentationLib.state import State

pytestmark = pytest.mark.usefixtures("one_worker")


@pytest.fixture
def opened(panel, ct):
    """The panel with a volume that can be segmented."""
    panel.ui.inputSelector.setCurrentNode(ct)
    assert panel.ui.segmentButton.enabled
    return panel


def create(panel):
    """Click on "Create new" in the selector of the region."""
    panel.ui.regionSelector.activate("Create new MarkupsROI")
    return panel.ui.regionSelector.currentNode()


def hounsfield(shape) -> np.ndarray:
    """Noise around air and around soft tissue, as in a CT."""
    random = np.random.default_rng(0)
    return (np.where(random.random(shape) < 0.5, -1000, 40) + random.normal(0, 12, shape)).astype(np.int16)


@pytest.mark.needs_torch
def test_a_new_box_lies_over_the_scan_with_its_handles_and_can_be_segmented(
    opened, ct, finish, tmp_path
) -> None:
    region = create(opened)
    assert is_placed(region) and box_of(region, ct) == (slice(8, 24), slice(10, 30), slice(12, 36))
    display = region.GetDisplayNode()
    assert display.GetVisibility() and display.GetHandlesInteractive() and display.GetScaleHandleVisibility()
    assert "24 × 20 × 16 voxels" in opened.ui.checksLabel.text
    assert "Only inside the box 'R'" in opened.ui.checksLabel.text and "handles" in opened.ui.checksLabel.text
    assert opened.ui.segmentButton.enabled and not opened.ui.inputRemedyButton.visible
    opened.ui.segmentButton.click()
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    assert opened.controller.report["input"]["size"] == [24, 20, 16]
    # How long it took says nothing about a whole scan.
    assert not list(tmp_path.rglob("timing.json"))
    opened.ui.regionSelector.setCurrentNode(None)
    opened.ui.segmentButton.click()
    finish()
    assert list(tmp_path.rglob("timing.json"))


def test_a_box_that_is_made_before_the_volume_is_chosen_is_placed_then(panel, ct) -> None:
    panel.ui.inputSelector.setCurrentNode(None)
    region = create(panel)
    assert not is_placed(region)
    panel.ui.inputSelector.setCurrentNode(ct)
    assert is_placed(region) and panel.ui.segmentButton.enabled


def test_a_box_that_a_user_placed_stays_where_it_is(opened, ct) -> None:
    region = create(opened)
    region.SetSize(150.0, 120.0, 100.0)
    opened.ui.regionSelector.setCurrentNode(None)
    opened.ui.regionSelector.setCurrentNode(region)
    assert region.GetSize() == (150.0, 120.0, 100.0)


@pytest.mark.parametrize("name", [*list(GEOMETRIES)[::11], "oblique", "oblique and mirrored"])
@pytest.mark.parametrize("moved", [False, True])
def test_a_new_box_lies_inside_a_volume_of_any_direction(panel, scene, name: str, moved: bool) -> None:
    shape = (24, 64, 72)
    node = volume_node(hounsfield(shape), affine(GEOMETRIES[name]))
    if moved:
        transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        turn = vtk.vtkTransform()
        turn.Translate(40, -10, 5)
        turn.RotateWXYZ(25, 1, 2, 3)
        transform.SetMatrixTransformToParent(turn.GetMatrix())
        node.SetAndObserveTransformNodeID(transform.GetID())
    panel.ui.inputSelector.setCurrentNode(node)
    region = create(panel)
    assert panel.ui.segmentButton.enabled, panel.ui.checksLabel.text
    # The box's corners are inside the volume, and so along its axes that no voxel is covered beside them.
    to_world = slicer.util.arrayFromVTKMatrix(region.GetObjectToWorldMatrix())
    assert np.linalg.det(to_world[:3, :3]) == pytest.approx(1.0), "a rotation"
    box = box_of(region, node)
    counts = [part.stop - part.start for part in box]
    steps = np.linalg.norm(GEOMETRIES[name], axis=0)[::-1]  # k, j, i
    assert sorted(np.multiply(counts, steps)) == pytest.approx(sorted(region.GetSize()), abs=2 * max(steps))
    for part, count in zip(box, shape, strict=True):
        assert part.start > 0 or part.stop == count, "in the middle, or all of a short axis"
        assert abs(part.start - (count - part.stop)) <= 1


def test_a_short_scan_gets_a_box_that_is_large_enough(panel, scene) -> None:
    node = volume_node(hounsfield((12, 64, 64)), affine(np.diag([1.5, 1.5, 4.0])))
    panel.ui.inputSelector.setCurrentNode(node)
    box = box_of(create(panel), node)
    assert box[0] == slice(0, 12) and box[1].stop - box[1].start == 32
    assert panel.ui.segmentButton.enabled, panel.ui.checksLabel.text


# While the user moves it --------------------------------------------------------------------------------


def test_a_box_dragged_off_the_volume_is_noticed_at_once_and_back_again(opened) -> None:
    region = create(opened)
    place = region.GetCenter()
    region.SetCenter(9000.0, 0.0, 0.0)
    assert not opened.ui.segmentButton.enabled
    assert "does not touch the volume" in opened.ui.checksLabel.text
    region.SetCenter(place)
    assert opened.ui.segmentButton.enabled and "does not touch" not in opened.ui.checksLabel.text
    region.SetNthControlPointPosition(0, 9000.0, 0.0, 0.0)
    assert not opened.ui.segmentButton.enabled


def test_a_box_made_tiny_is_noticed_and_can_be_placed_again_by_a_click(opened, ct) -> None:
    region = create(opened)
    region.SetSize(10.0, 10.0, 10.0)
    assert not opened.ui.segmentButton.enabled and "Only " in opened.ui.checksLabel.text
    click(opened.ui, "Place the box over the scan")
    assert opened.ui.segmentButton.enabled and box_of(region, ct)[0] == slice(8, 24)


def test_what_is_inside_the_box_is_looked_at_when_it_rests_or_segment_is_clicked(panel, scene, wait) -> None:
    values = hounsfield((40, 40, 80))
    values[:, :, 40:] = -1000  # nothing but air
    node = volume_node(values, affine(np.diag([3.0, 3.0, 3.0])))
    panel.ui.inputSelector.setCurrentNode(node)
    region = create(panel)
    center = region.GetCenter()
    region.SetSize(60.0, 60.0, 60.0)
    for shift, way in ((90.0, "rests"), (84.0, "clicked")):
        region.SetCenter(center[0] - 45.0, center[1], center[2])
        wait(lambda: panel.ui.segmentButton.enabled and "same value" not in panel.ui.checksLabel.text)
        region.SetCenter(center[0] - 45.0 + shift, center[1], center[2])
        if way == "rests":
            wait(lambda: "Every voxel has the same value" in panel.ui.checksLabel.text)
        else:
            panel.ui.segmentButton.click()
            assert panel.controller.state is State.IDLE
        assert not panel.ui.segmentButton.enabled


def test_a_box_whose_points_are_deleted_is_noticed(opened) -> None:
    region = create(opened)
    region.RemoveAllControlPoints()
    assert not opened.ui.segmentButton.enabled and "has no extent" in opened.ui.checksLabel.text
    click(opened.ui, "Place the box over the scan")
    assert opened.ui.segmentButton.enabled


def test_a_box_or_a_volume_that_a_transform_moves_is_noticed(opened, ct, scene) -> None:
    region = create(opened)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    far = np.eye(4)
    far[0, 3] = 9000.0
    for node in (region, ct):
        node.SetAndObserveTransformNodeID(transform.GetID())
        transform.SetMatrixTransformToParent(to_vtk_matrix(far))
        assert not opened.ui.segmentButton.enabled, node.GetName()
        transform.SetMatrixTransformToParent(to_vtk_matrix(np.eye(4)))
        assert opened.ui.segmentButton.enabled, node.GetName()
        node.SetAndObserveTransformNodeID(None)


def test_voxels_that_change_under_the_panel_are_looked_at_again(opened, ct) -> None:
    values = slicer.util.arrayFromVolume(ct)
    kept = values.copy()
    values[:] = 7
    slicer.util.arrayFromVolumeModified(ct)
    assert not opened.ui.segmentButton.enabled and "same value" in opened.ui.checksLabel.text
    values[:] = kept
    slicer.util.arrayFromVolumeModified(ct)
    assert opened.ui.segmentButton.enabled


def test_a_box_that_is_chosen_no_longer_is_not_followed(opened, scene) -> None:
    region = create(opened)
    opened.ui.regionSelector.setCurrentNode(None)
    region.SetCenter(9000.0, 0.0, 0.0)
    assert opened.ui.segmentButton.enabled
    opened.ui.regionSelector.setCurrentNode(region)
    assert not opened.ui.segmentButton.enabled
    scene.RemoveNode(region)
    assert opened.ui.segmentButton.enabled and opened.ui.regionSelector.currentNode() is None


def test_a_second_box_for_want_of_memory_is_half_of_the_first(opened, scene, ct, monkeypatch) -> None:
    monkeypatch.setattr(checks, "MUCH_MEMORY", checks.FIXED_BYTES)  # however little it is
    opened.ui.regionSelector.setCurrentNode(None)
    opened.ui.inputSelector.setCurrentNode(None)
    opened.ui.inputSelector.setCurrentNode(ct)
    click(opened.ui, "Use a region")
    region = opened.ui.regionSelector.currentNode()
    first = np.prod(region.GetSize())
    region.GetDisplayNode().SetVisibility(False)
    click(opened.ui, "Use a region")
    assert opened.ui.regionSelector.currentNode() is region and region.GetDisplayNode().GetVisibility()
    assert np.prod(region.GetSize()) == pytest.approx(first / 2)
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsROINode") == 1
