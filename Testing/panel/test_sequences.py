"""4-D images: all frames into a sequence of segmentations, or only the one that is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import slicer
from clicking import at_state, failed, freeze_worker, shown
from helpers.sample_ct import sample_ct
from helpers.scenes import scene_state, segment_arrays

from iuinet.labels import ORGANS
from iuinet.options import Options
from iuinet.volume import Volume
from IUINetSegmentationLib.scene.volume_node import add_volume_node
from IUINetSegmentationLib.state import State

pytestmark = [pytest.mark.needs_torch, pytest.mark.usefixtures("one_worker")]

COUNT = 3


@pytest.fixture
def frames() -> list[Volume]:
    """Three frames of one generated patient, who moves: each frame is the first one, shifted."""
    first = sample_ct((48, 40, 32))
    return [
        Volume(np.ascontiguousarray(np.roll(first.array, 3 * n, axis=2)), first.grid) for n in range(COUNT)
    ]


@pytest.fixture
def movie(scene, frames):
    """The frames in a sequence with a browser, as Slicer's loader leaves them; gives proxy and browser."""
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D CT")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "4D CT browser")
    for number, frame in enumerate(frames):
        node = add_volume_node(frame, "frame")
        sequence.SetDataNodeAtValue(node, f"{0.4 * number:.1f}")
        slicer.mrmlScene.RemoveNode(node)
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(sequence)
    proxy.SetName("4D CT")
    return proxy, browser


@pytest.fixture
def opened(movie, panel):
    """The panel with the proxy volume chosen."""
    panel.ui.inputSelector.setCurrentNode(movie[0])
    return panel


def show_frame(browser, number: int) -> None:
    """What the user's slider does."""
    browser.SetSelectedItemNumber(number)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)


def alone(frame: Volume, model: Path) -> dict[str, np.ndarray]:
    """Segments of a frame that the library segments as a volume of its own."""
    from iuinet.segmentation import segment_volume

    options = Options(model, "cpu")
    labels = segment_volume(frame, options.find_model(), options).labels
    return {organ.name: labels == organ.id for organ in ORGANS if (labels == organ.id).any()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Whether two segmentations agree in every voxel."""
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_all_frames_become_a_sequence_of_segmentations(opened, movie, frames, finish, small_model) -> None:
    proxy, browser = movie
    show_frame(browser, 1)
    ui = opened.ui
    assert ui.allFramesCheckBox.visible and ui.allFramesCheckBox.text == "Segment all 3 time points"
    ui.allFramesCheckBox.click()
    texts = []
    original = opened.controller._changed
    opened.controller._changed = lambda: (original(), texts.append(shown(opened)))
    ui.segmentButton.click()
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    assert any(text.startswith("Time point 2 of 3: ") for text in texts)
    node = opened.controller.node
    sequence = browser.GetSequenceNode(node)
    assert sequence.GetNumberOfDataNodes() == COUNT == len(opened.controller.reports)
    assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("time", "s")
    assert [sequence.GetNthIndexValue(n) for n in range(COUNT)] == ["0.0", "0.4", "0.8"]
    assert browser.GetSelectedItemNumber() == 1, "the shown frame is still the user's choice"
    wanted = [alone(frame, small_model) for frame in frames]
    assert not same(wanted[0], wanted[1]), "the frames differ, else this test shows nothing"
    for number in (1, 0, 2):
        show_frame(browser, number)
        assert same(segment_arrays(node, proxy), wanted[number]), number
    assert "all 3 time points" in ui.resultLabel.text.lower()


@pytest.fixture
def reading(scene, tmp_path: Path) -> Iterator[None]:
    """What the application gives the scene, so that it can unpack a file."""
    cache, manager = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
    cache.SetRemoteCacheDirectory(str(tmp_path / "cache"))
    cache.SetMRMLScene(scene)
    manager.SetCacheManager(cache)
    scene.SetCacheManager(cache)
    scene.SetDataIOManager(manager)
    yield
    scene.SetDataIOManager(None)
    scene.SetCacheManager(None)


def test_a_sequence_of_segmentations_is_saved_and_read_again(
    opened, movie, finish, reading, tmp_path, scene
) -> None:
    opened.ui.allFramesCheckBox.click()
    opened.ui.segmentButton.click()
    finish()
    sequence = movie[1].GetSequenceNode(opened.controller.node)
    storage = sequence.CreateDefaultStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / "result.seq.mrb"))
    assert storage.WriteData(sequence)
    again = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "again")
    assert storage.ReadData(again) and again.GetNumberOfDataNodes() == COUNT
    for number in range(COUNT):
        one, other = (node.GetNthDataNode(number) for node in (sequence, again))
        names = [segment_names(node) for node in (one, other)]
        assert names[0] == names[1] and names[0]
        assert (
            other.GetAttribute("IUINet.WeightsId") == one.GetAttribute("IUINet.WeightsId") == "small-random"
        )


def segment_names(node) -> list[str]:
    """Names of a segmentation's segments."""
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]


def test_only_the_shown_frame_is_segmented_unless_it_is_asked_for(
    opened, movie, frames, finish, small_model
) -> None:
    proxy, browser = movie
    show_frame(browser, 2)
    opened.ui.segmentButton.click()
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    assert same(segment_arrays(opened.controller.node, proxy), alone(frames[2], small_model))
    assert browser.GetSequenceNode(opened.controller.node) is None
    assert len(slicer.util.getNodesByClass("vtkMRMLSequenceNode")) == 1


def test_a_plain_volume_offers_no_frames(opened, ct) -> None:
    opened.ui.inputSelector.setCurrentNode(ct)
    assert not opened.ui.allFramesCheckBox.visible


def test_a_cancel_between_frames_leaves_the_scene_as_it_was(opened, finish) -> None:
    before = scene_state()
    opened.ui.allFramesCheckBox.click()
    seen = []
    original = opened.controller._changed

    def changed() -> None:
        original()
        if opened.controller.progress.frame == 1 and not seen:
            seen.append(1)
            opened.ui.cancelButton.click()

    opened.controller._changed = changed
    opened.ui.segmentButton.click()
    finish()
    assert seen and opened.controller.state is State.CANCELLED and scene_state() == before


def test_a_frame_that_cannot_be_segmented_is_named(opened, movie, finish) -> None:
    _, browser = movie
    frame = browser.GetMasterSequenceNode().GetNthDataNode(1)
    frame.SetAndObserveImageData(None)
    before = scene_state()
    opened.ui.allFramesCheckBox.click()
    opened.ui.segmentButton.click()
    finish()
    assert "Time point 2 of 3: the volume has no image data" in failed(opened, "no-image-data")
    assert scene_state() == before


def test_if_the_browser_goes_meanwhile_the_result_has_its_own(opened, movie, finish) -> None:
    _, browser = movie
    opened.ui.allFramesCheckBox.click()
    at_state(opened, State.IMPORTING, lambda: slicer.mrmlScene.RemoveNode(browser))
    opened.ui.segmentButton.click()
    finish()
    assert opened.controller.state is State.DONE, opened.controller.error
    (own,) = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")
    assert own.GetSequenceNode(opened.controller.node).GetNumberOfDataNodes() == COUNT


def test_closing_the_scene_between_frames_leaves_nothing(opened, gui, wait) -> None:
    opened.ui.allFramesCheckBox.click()
    at_state(opened, State.RUNNING, lambda: freeze_worker(opened))
    opened.ui.segmentButton.click()
    wait(lambda: opened.controller.state is State.RUNNING)
    gui.headless.clear_scene()
    assert opened.controller.state is State.IDLE
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []
    assert slicer.util.getNodesByClass("vtkMRMLSequenceNode") == []
