"""The normal case: open the module, click Segment, get a segmentation; and what else can be clicked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clicking import shown
from helpers.waiting import counted_seconds

from iuinet.labels import ORGANS
from IUINetSegmentationLib.state import State

pytestmark = pytest.mark.needs_torch


def segment_names(node) -> list[str]:
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]


def test_two_clicks_on_a_ready_machine_and_no_dialog(ct, panel, widget, wait, finish, dialogs) -> None:
    ui = panel.ui
    widget.exit()
    widget.enter()  # the first click: the user opens the module, and the volume is chosen already
    assert ui.inputSelector.currentNode() is ct and ui.segmentButton.enabled
    assert "48 × 40 × 32" in ui.checksLabel.text
    wait(lambda: panel.status.devices)
    assert ui.statusLabel.text.startswith("Ready")
    ui.segmentButton.click()
    assert not ui.segmentButton.visible and ui.cancelButton.visible and ui.progressBar.visible
    finish()
    assert panel.controller.state is State.DONE, panel.controller.error
    node = panel.controller.node
    names = segment_names(node)
    assert names and set(names) <= {organ.name for organ in ORGANS}
    assert ui.resultTable.rowCount == len(names) and ui.resultSection.visible
    assert "structures found" in ui.resultLabel.text and "not a diagnosis" in ui.resultLabel.text
    assert ui.segmentButton.visible and not ui.cancelButton.visible
    assert "Finished" in ui.progressLabel.text
    assert dialogs.shown == []


def test_what_is_to_be_known_about_the_scan_stands_with_the_result(ct, panel, finish, monkeypatch) -> None:
    from IUINetSegmentationLib import controller

    notes = ("Two spacings are given; the first was taken.",)
    read = controller.volume_from_node
    monkeypatch.setattr(controller, "volume_from_node", lambda node: replace(read(node), notes=notes))
    panel.ui.inputSelector.setCurrentNode(ct)
    panel.ui.segmentButton.click()
    finish()
    assert panel.controller.report["notes"] == list(notes)
    assert notes[0] in panel.ui.resultLabel.text


def test_the_second_run_has_an_expected_time_and_a_warm_worker(ct, panel, wait, finish) -> None:
    wait(lambda: panel.status.devices)
    panel.ui.inputSelector.setCurrentNode(ct)
    panel.ui.segmentButton.click()
    finish()
    pid = panel.controller.client.pid
    assert pid is not None
    wait(lambda: "seconds" in panel.ui.statusLabel.text or "about" in panel.ui.statusLabel.text)
    began = counted_seconds()
    panel.ui.segmentButton.click()
    finish()
    assert panel.controller.client.pid == pid
    assert counted_seconds() - began < 10


def test_the_button_says_what_is_missing(panel, ct) -> None:
    import qt

    panel.ui.inputSelector.setCurrentNode(None)
    assert not panel.ui.segmentButton.enabled and "Select a CT" in panel.ui.segmentButton.toolTip
    assert panel.ui.checksLabel.text.startswith("Select a CT volume, or load one"), "seen without the mouse"
    panel.ui.inputSelector.setCurrentNode(ct)
    assert panel.ui.segmentButton.enabled
    for row in range(panel.ui.organsList.count):
        panel.ui.organsList.item(row).setCheckState(qt.Qt.Unchecked)
    assert "organ" in panel.ui.segmentButton.toolTip and shown(panel) == "Choose at least one organ."


def test_only_the_chosen_organs_become_segments(ct, panel, finish) -> None:
    import qt

    panel.ui.inputSelector.setCurrentNode(ct)
    for row in range(panel.ui.organsList.count):
        item = panel.ui.organsList.item(row)
        item.setCheckState(qt.Qt.Checked if item.text() in ("liver", "stomach") else qt.Qt.Unchecked)
    panel.ui.segmentButton.click()
    finish()
    assert {organ["name"] for organ in panel.controller.report["organs"]} == {"liver", "stomach"}


def test_the_table_can_be_copied_and_the_log_holds_no_name_of_the_patient(ct, panel, finish) -> None:
    import qt

    ct.SetName("Müller^Jan")
    panel.ui.inputSelector.setCurrentNode(ct)
    panel.ui.segmentButton.click()
    finish()
    panel.ui.copyTableButton.click()
    lines = qt.QApplication.clipboard().text().splitlines()
    assert lines[0].split("\t")[:2] == ["Organ", "ml"] and len(lines) == 1 + panel.ui.resultTable.rowCount
    panel.ui.diagnosticsButton.click()
    told = qt.QApplication.clipboard().text() + panel.log.text
    assert "torch" in told and "small-random" in told
    assert "Müller" not in told
    assert panel.controller.node.GetName() == "Müller^Jan segmentation"


def test_settings_are_kept_in_the_scene(panel, widget, ct) -> None:
    panel.ui.inputSelector.setCurrentNode(ct)
    panel.ui.islandsCheckBox.click()
    panel.ui.fastCheckBox.click()
    assert panel.parameters.islands is False and panel.parameters.volume is ct
    assert panel.parameters.fast is True
    widget.exit()
    assert panel.parameters is None
    widget.enter()
    assert panel.ui.islandsCheckBox.checked is False and panel.ui.fastCheckBox.checked is True
    assert panel.ui.inputSelector.currentNode() is ct


def test_only_the_chosen_model_is_timed_and_another_one_when_it_is_chosen(
    ct, panel, two_pass_model, wait
) -> None:
    panel.ui.inputSelector.setCurrentNode(ct)
    wait(lambda: panel.status.devices)
    first = panel.models.entry.sha256
    assert list(panel.status.devices["network_seconds"]["cpu"]) == [first]
    assert panel.models.install(two_pass_model)
    second = panel.models.entry.sha256
    wait(lambda: second in panel.status.devices["network_seconds"]["cpu"])
    assert list(panel.status.devices["network_seconds"]["cpu"]) == [first, second]
    wait(lambda: "seconds" in panel.ui.statusLabel.text or "about" in panel.ui.statusLabel.text)


def test_fast_leaves_out_the_second_look_and_the_strip_expects_less(
    ct, panel, two_pass_model, wait, finish
) -> None:
    panel.ui.inputSelector.setCurrentNode(ct)
    assert panel.models.install(two_pass_model) and panel.models.entry.id == "two-passes"
    wait(lambda: panel.status.devices)
    assert panel.models.passes == 2
    panel.status.devices["network_seconds"]["cpu"][panel.models.entry.sha256] = 100.0  # a slow computer
    panel.refresh()
    assert panel.ui.statusLabel.text.endswith("no GPU: about 3 min on the CPU (Fast: about 2 min)")
    panel.ui.segmentButton.click()
    finish()
    assert panel.controller.report["passes"] == 2
    panel.ui.fastCheckBox.click()
    panel.ui.segmentButton.click()
    finish()
    assert panel.controller.report["passes"] == 1


def test_the_models_card_is_words_whatever_the_file_says_of_its_training(panel) -> None:
    from pathlib import Path

    from iuinet.weights.model_file import read_document
    from IUINetSegmentationLib.panel.models import training_data

    sentence = "Trained on CT that was made from label maps."
    data = {"name": "synthetic", "statement": sentence, "train": 3}
    assert training_data({"data": data}) == sentence
    assert training_data({"data": data, "description": "Synthetic CT alone."}) == "Synthetic CT alone."
    assert training_data({"data": "Words."}) == "Words." and training_data({}) == ""
    weights = Path(__file__).parents[2] / "IUINetSegmentation/Resources/Weights"
    (shipped,) = [training_data(read_document(file)["training"]) for file in weights.glob("*.safetensors")]
    assert "14 real CTs of the Synapse/BTCV set" in shipped and "{" not in shipped
    assert "none: random weights for tests" in panel.ui.modelCardLabel.text
