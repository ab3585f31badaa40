"""What a clinician does with a result: finds it, looks at its organs, runs again; and loses nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import slicer
from clicking import at_state
from helpers.scenes import segment_arrays

from iuinet.quality import RELIABLE, WORDS
from IUINetSegmentationLib.state import State

pytestmark = [pytest.mark.needs_torch, pytest.mark.usefixtures("one_worker")]


@pytest.fixture
def views(gui, scene) -> Iterator[object]:
    """Slicer's slice views."""
    yield gui.app.open_views()
    gui.app.close_views()


@pytest.fixture
def done(ct, panel, finish, views):
    """The panel after a run."""
    panel.ui.inputSelector.setCurrentNode(ct)
    run(panel, finish)
    return panel


def run(panel, finish) -> object:
    """A click on Segment; the result's node."""
    panel.ui.segmentButton.click()
    finish()
    assert panel.controller.state is State.DONE, panel.controller.error
    return panel.controller.node


def segmentations() -> list[object]:
    return slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def centre(view: object) -> np.ndarray:
    """RAS of the middle of a slice view."""
    return slicer.util.arrayFromVTKMatrix(view.GetSliceNode().GetSliceToRAS())[:3, 3]


def test_the_selector_shows_the_result_and_the_next_run_takes_its_place(done, finish) -> None:
    node = done.controller.node
    assert done.ui.outputSelector.currentNode() is node
    assert not done.ui.replaceCheckBox.visible
    assert run(done, finish) is node and segmentations() == [node]
    assert done.ui.undoButton.visible
    assert run(done, finish) is node and segmentations() == [node]


@pytest.mark.parametrize("edit", ["paint", "own segment", "rename"])
def test_a_result_that_somebody_changed_is_not_replaced_unasked(done, ct, finish, edit) -> None:
    node = done.controller.node
    segmentation = node.GetSegmentation()
    first = segmentation.GetNthSegmentID(0)
    if edit == "paint":
        mask = np.zeros_like(next(iter(segment_arrays(node, ct).values()))).astype(np.uint8)
        mask[:5] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, first, ct)
    elif edit == "own segment":
        segmentation.AddEmptySegment("mine", "my own segment")
    else:
        segmentation.GetSegment(first).SetName("mine")
    assert done.ui.replaceCheckBox.visible, "the panel sees it at once"
    before = {name: mask.copy() for name, mask in segment_arrays(node, ct).items()}
    other = run(done, finish)
    assert other is not node and segmentations() == [node, other]
    assert {name: mask.sum() for name, mask in segment_arrays(node, ct).items()} == {
        name: mask.sum() for name, mask in before.items()
    }
    assert len({one.GetName() for one in segmentations()}) == 2, "two names for two results"
    assert f"too: {node.GetName()}." in done.ui.resultLabel.text, "both lie over the CT"
    node.GetDisplayNode().SetVisibility(False)
    assert run(done, finish) is other and "Shown over" not in done.ui.resultLabel.text


def test_showing_a_result_in_3d_or_hiding_an_organ_is_no_change(done, finish) -> None:
    node = done.controller.node
    done.ui.show3DButton.click()
    done.ui.resultTable.item(0, 0).setCheckState(slicer_qt().Qt.Unchecked)
    assert run(done, finish) is node


def slicer_qt():
    import qt

    return qt


def test_another_volume_gets_a_result_of_its_own(done, finish) -> None:
    from helpers.sample_ct import sample_ct

    from IUINetSegmentationLib.scene.volume_node import add_volume_node

    node = done.controller.node
    other = add_volume_node(sample_ct((48, 40, 32)), "CT")
    done.ui.inputSelector.setCurrentNode(other)
    assert done.ui.outputSelector.currentNode() is None
    assert run(done, finish) is not node and len(segmentations()) == 2
    assert sorted(one.GetName() for one in segmentations()) == ["CT segmentation", "CT segmentation_1"]


def test_the_views_show_the_volume_whole_with_the_organs_in_the_middle(done, ct, views) -> None:
    bounds, volume = np.zeros(6), np.zeros(6)
    done.controller.node.GetRASBounds(bounds)
    ct.GetRASBounds(volume)
    for view in views.logics:
        assert view.GetSliceCompositeNode().GetBackgroundVolumeID() == ct.GetID()
        assert np.allclose(centre(view), bounds.reshape(3, 2).mean(axis=1), atol=1)
    width = views.logics[0].GetSliceNode().GetFieldOfView()[0]
    assert width >= volume[1] - volume[0]


def test_a_click_on_a_row_brings_the_organ_and_its_tick_hides_it(done, views) -> None:
    qt = slicer_qt()
    node, table = done.controller.node, done.ui.resultTable
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    for row in range(table.rowCount):
        item = table.item(row, 0)
        identifier = segmentation.GetSegmentIdBySegmentName(item.text())
        table.cellClicked.emit(row, 1)
        expected = node.GetSegmentCenterRAS(identifier)
        assert all(np.allclose(centre(view), expected, atol=1e-3) for view in views.logics)
        color = item.icon().pixmap(12, 12).toImage().pixelColor(6, 6)
        wanted = [round(255 * part) for part in segmentation.GetSegment(identifier).GetColor()]
        assert [color.red(), color.green(), color.blue()] == wanted
        assert item.checkState() == qt.Qt.Checked and display.GetSegmentVisibility(identifier)
        item.setCheckState(qt.Qt.Unchecked)
        assert not display.GetSegmentVisibility(identifier)
        item.setCheckState(qt.Qt.Checked)
        assert display.GetSegmentVisibility(identifier)
    # An organ that was deleted meanwhile: nothing happens, and nothing fails.
    segmentation.RemoveSegment(segmentation.GetSegmentIdBySegmentName(table.item(0, 0).text()))
    table.cellClicked.emit(0, 0)
    table.item(0, 0).setCheckState(qt.Qt.Unchecked)


def test_the_table_says_what_each_organ_is_good_for_and_sets_the_others_apart(done) -> None:
    report, table = done.controller.report, done.ui.resultTable
    quality = {organ["name"]: organ["quality"] for organ in report["organs"]}
    assert {quality[name] for name in ("liver", "aorta", "pancreas")} == {"usable", "correct", "sketch"}
    apart = set()
    for row in range(table.rowCount):
        name, remarks = table.item(row, 0), table.item(row, 3).text()
        verdict = quality[name.text()]
        mark = "" if verdict in RELIABLE else "⚠ "
        assert remarks.split("; ")[0] == mark + WORDS[verdict]
        assert name.font().italic() == bool(mark) == (name.foreground().color().name() == "#808080")
        apart |= {name.text()} if mark else set()
    assert {"pancreas", "gallbladder"} <= apart and not apart & {"liver", "aorta"}


def test_the_headline_counts_no_sketch(done) -> None:
    from IUINetSegmentationLib.panel.result import as_text, headline

    report = done.controller.report
    found = [organ["name"] for organ in report["organs"] if organ["found"]]
    assert "pancreas" in found and "pancreas" not in report["summary"]
    text = headline(report, done.controller.seconds)
    assert text.startswith(f"{len(found) - 1} of {len(report['organs'])} structures found")
    assert "so not counted: pancreas." in text and text in done.ui.resultLabel.text
    line = next(line for line in as_text(report).splitlines() if line.startswith("pancreas\t"))
    assert line.split("\t")[3].startswith("⚠ a sketch, not to be used")


def test_the_card_says_first_what_the_model_is_good_for(done) -> None:
    lines = done.ui.modelCardLabel.text.splitlines()
    assert lines[:3] == [
        "usable after a look: liver.",
        "to be corrected: aorta.",
        "⚠ a sketch, not to be used: pancreas.",
    ]
    assert lines[3].startswith("⚠ not measured on real scans: spleen, right kidney, ")
    assert "SHA-256" in lines[-1]


# What is done elsewhere in Slicer, and what follows ------------------------------------------------------


def test_the_table_follows_what_is_hidden_or_coloured_elsewhere(done) -> None:
    qt = slicer_qt()
    node, table = done.controller.node, done.ui.resultTable
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    item = table.item(0, 0)
    identifier = segmentation.GetSegmentIdBySegmentName(item.text())
    display.SetSegmentVisibility(identifier, False)
    assert item.checkState() == qt.Qt.Unchecked and table.item(1, 0).checkState() == qt.Qt.Checked
    display.SetSegmentVisibility(identifier, True)
    assert item.checkState() == qt.Qt.Checked
    segmentation.GetSegment(identifier).SetColor(0, 0, 1)
    assert item.icon().pixmap(12, 12).toImage().pixelColor(6, 6).name() == "#0000ff"
    segmentation.RemoveSegment(identifier)
    assert item.checkState() == qt.Qt.Unchecked, "an organ that is gone is not shown"


def test_one_tick_takes_the_whole_result_off_the_ct(done, finish) -> None:
    node, box = done.controller.node, done.ui.visibleCheckBox
    display = node.GetDisplayNode()
    assert box.checked and display.GetVisibility()
    box.checked = False
    assert not display.GetVisibility()
    display.SetVisibility(True)  # the eye in Slicer's module Data
    assert box.checked
    box.checked = False
    assert run(done, finish) is node and box.checked and display.GetVisibility(), "a new result is seen"
    slicer.mrmlScene.RemoveNode(node.GetDisplayNode())
    box.checked = not box.checked


def test_a_cancelled_run_leaves_the_result_before_it_as_it_was(done, finish) -> None:
    node, report, ui = done.controller.node, done.controller.report, done.ui
    at_state(done, State.RUNNING, ui.cancelButton.click)
    ui.segmentButton.click()
    assert not ui.resultSection.visible and not ui.replaceCheckBox.visible
    finish()
    assert done.controller.state is State.CANCELLED
    assert ui.resultSection.visible and ui.resultTable.rowCount and "earlier one" in ui.progressLabel.text
    assert done.controller.node is node and done.controller.report is report
    ui.copyTableButton.click()
    assert slicer.app.clipboard().text().startswith("Organ\t")
    # It is fresh still, so the next run takes its place; once it is gone, nothing of it comes back.
    assert run(done, finish) is node and segmentations() == [node]
    at_state(done, State.RUNNING, lambda: (slicer.mrmlScene.RemoveNode(node), ui.cancelButton.click()))
    ui.segmentButton.click()
    finish()
    assert done.controller.state is State.CANCELLED and not ui.resultSection.visible


def test_what_a_box_cuts_is_not_said_to_be_cut_by_the_scan(done, finish) -> None:
    done.ui.regionSelector.activate("Create new MarkupsROI")
    run(done, finish)
    table = done.ui.resultTable
    remarks = [table.item(row, 3).text() for row in range(table.rowCount)]
    assert any("cut by the box" in text for text in remarks)
    assert not [text for text in remarks if "scan's edge" in text]
    assert done.ui.resultLabel.text.startswith("Only inside the box")
    done.ui.copyTableButton.click()
    assert "cut by the box" in slicer.app.clipboard().text()
    done.ui.regionSelector.setCurrentNode(None)
    run(done, finish)
    assert not done.ui.resultLabel.text.startswith("Only inside")


def test_the_panel_says_how_to_keep_the_result_and_get_a_dicom_seg(done, ct, finish) -> None:
    assert "Save Data" in done.ui.keepLabel.text and "Not as DICOM SEG" in done.ui.keepLabel.text
    ct.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    run(done, finish)
    assert "As DICOM SEG: in the module Data" in done.ui.keepLabel.text
    assert "Export to DICOM" in done.ui.keepLabel.text
    assert "A hidden organ is saved and exported all the same" in done.ui.keepLabel.text


def test_the_panel_fits_slicers_narrow_column_with_all_that_it_shows(done, widget) -> None:
    done.ui.advancedSection.collapsed = False
    done.ui.logSection.collapsed = False
    assert widget.parent.minimumSizeHint().width() <= 440


# Choices, words and the life around --------------------------------------------------------------------


def test_without_any_organ_segment_is_off_at_once_and_says_why(panel, ct) -> None:
    qt = slicer_qt()
    panel.ui.inputSelector.setCurrentNode(ct)
    items = [panel.ui.organsList.item(row) for row in range(panel.ui.organsList.count)]
    for item in items:
        item.setCheckState(qt.Qt.Unchecked)
    assert not panel.ui.segmentButton.enabled and "at least one organ" in panel.ui.segmentButton.toolTip
    items[3].setCheckState(qt.Qt.Checked)
    assert panel.ui.segmentButton.enabled


def test_device_model_and_organs_are_kept_in_the_scene(panel, widget, ct, two_pass_model, gui, wait) -> None:
    qt = slicer_qt()
    wait(lambda: panel.status.devices)
    assert panel.models.install(two_pass_model) and panel.models.entry.id == "two-passes"
    panel.ui.deviceComboBox.currentIndex = panel.ui.deviceComboBox.findData("cpu")
    panel.ui.organsList.item(2).setCheckState(qt.Qt.Unchecked)
    left_out = panel.ui.organsList.item(2).text()
    saved = slicer.vtkMRMLScriptedModuleNode()
    saved.Copy(panel.parameters.parameterNode)  # what the scene's file would hold
    gui.headless.clear_scene()
    assert panel.models.device == "auto" and panel.models.organs is None, "a new scene has its defaults"
    assert panel.models.entry.id == "small-random"
    widget.exit()
    widget.logic.getParameterNode().Copy(saved)
    widget.enter()
    assert panel.models.device == "cpu" and panel.models.entry.id == "two-passes"
    assert panel.models.left_out == [left_out]


def test_a_device_of_the_scene_that_is_found_later_is_chosen_then(panel) -> None:
    panel.models.show_devices({})
    panel.models.restore("cuda:1", "", [])
    assert panel.models.device == "auto"
    gpu = {"name": "Toy", "free": 4e9, "usable": True, "device": "cuda:1"}
    panel.models.show_devices({"gpus": [gpu]})
    assert panel.models.device == "cuda:1"


def test_every_error_is_whole_sentences(panel) -> None:
    from iuinet.errors import InputRefused

    panel.trouble.say(InputRefused("the region 'R' has no extent", hint="Place the box first", code="x"))
    assert panel.ui.progressLabel.text == "✕ The region 'R' has no extent.\nPlace the box first."
    assert panel.log.text.splitlines()[-1] == "The region 'R' has no extent. Place the box first."


def test_a_second_sample_is_the_first_one(panel, scene, ct) -> None:
    panel.ui.sampleButton.click()
    sample = panel.ui.inputSelector.currentNode()
    panel.ui.inputSelector.setCurrentNode(ct)
    panel.ui.sampleButton.click()
    assert panel.ui.inputSelector.currentNode() is sample
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 2
    scene.RemoveNode(sample)
    panel.ui.sampleButton.click()
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 2


def test_the_sample_fits_the_views(panel, views) -> None:
    panel.ui.sampleButton.click()
    sample, bounds = panel.ui.inputSelector.currentNode(), np.zeros(6)
    sample.GetRASBounds(bounds)
    for view in views.logics:
        assert np.allclose(centre(view), bounds.reshape(3, 2).mean(axis=1), atol=3)
    assert views.logics[0].GetSliceNode().GetFieldOfView()[0] >= bounds[1] - bounds[0]


def test_a_scene_that_is_closed_while_the_panel_is_hidden_gets_its_parameters(widget, gui) -> None:
    widget.parent.hide()  # its dock is closed, the module is still the chosen one
    gui.headless.clear_scene()
    assert widget.panel.parameters is not None


def test_a_button_gets_its_words_while_the_user_is_elsewhere(panel, widget) -> None:
    from iuinet.errors import WeightsError

    widget.parent.hide()
    panel.trouble.say(WeightsError("x", code="no-address"))
    assert panel.ui.firstRemedyButton.text == "Install from file…"
    assert panel.ui.secondRemedyButton.text == "Copy address"
