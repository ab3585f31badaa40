"""The stand-ins are as strict as what they stand for: what would fail in Slicer has to fail here."""

from __future__ import annotations

import os
import subprocess
import sys
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import slicer


@pytest.fixture
def qt(gui):
    """The module qt; slots that failed on purpose are forgotten afterwards."""
    import qt

    yield qt
    qt.errors.clear()


def load(tmp_path: Path, body: str, connections: str = ""):
    """The widget of a small .ui file."""
    text = f'<ui version="4.0"><class>top</class>{body}<connections>{connections}</connections></ui>'
    path = tmp_path / "panel.ui"
    path.write_text(text)
    return slicer.util.loadUI(str(path))


# PythonQt's ways ----------------------------------------------------------------------------------------


def test_properties_are_attributes_and_not_functions(qt) -> None:
    label = qt.QLabel("one")
    label.text = "zwei ü"
    assert label.text == "zwei ü"
    with pytest.raises(TypeError):
        label.text()


def test_a_timer_has_a_property_and_its_class_a_function_of_one_name(qt, wait) -> None:
    timer, got = qt.QTimer(), []
    timer.singleShot = True
    assert timer.singleShot is True
    qt.QTimer.singleShot(0, lambda: got.append(1))
    wait(lambda: got == [1])


def test_an_attribute_that_a_widget_does_not_have_is_an_error(qt, gui) -> None:
    for widget in (qt.QPushButton(), slicer.qMRMLNodeComboBox()):
        with pytest.raises(AttributeError, match="enabld"):
            widget.enabld = True


def test_an_unknown_signal_is_an_error(qt) -> None:
    button = qt.QPushButton()
    for signal in ("clickd(bool)", "clicked(int)", "released(QString)"):
        with pytest.raises(ValueError, match="no signal"):
            button.connect(signal, print)


def test_a_slot_gets_as_many_values_as_it_takes(qt) -> None:
    button, got = qt.QPushButton(), []
    button.checkable = True
    button.connect("clicked(bool)", lambda: got.append("none"))
    button.connect("clicked(bool)", lambda checked: got.append(checked))
    button.connect("clicked(bool)", lambda *values: got.append(values))
    button.click()
    assert got == ["none", True, (True,)]


def test_a_connection_can_be_undone(qt) -> None:
    button, got = qt.QPushButton(), []

    def slot() -> None:
        got.append(1)

    button.connect("clicked()", slot)
    assert button.disconnect("clicked()", slot) and not button.disconnect("clicked()", slot)
    button.click()
    assert got == []


def test_an_error_in_a_slot_is_kept_for_the_test_to_see(qt) -> None:
    button = qt.QPushButton()
    button.connect("clicked()", lambda: 1 / 0)
    button.click()
    assert len(qt.errors) == 1 and "ZeroDivisionError" in qt.errors[0]


def test_properties_take_what_pythonqt_takes(qt) -> None:
    box, edit = qt.QSpinBox(), qt.QLineEdit()
    box.value = np.int64(7)
    edit.text = Path("a") / "b"
    assert box.value == 7 and edit.text == str(Path("a") / "b")


@pytest.mark.parametrize("name", ["Signal", "Slot", "Property"])
def test_what_slicer_lacks_is_not_there(qt, name: str) -> None:
    assert not hasattr(qt, name)


def test_an_unknown_ctk_or_slicer_widget_is_an_error(gui) -> None:
    import ctk

    with pytest.raises(AttributeError):
        ctk.ctkSomethingElse()
    with pytest.raises(AttributeError):
        slicer.qMRMLSomethingElse()


# Files of widgets ---------------------------------------------------------------------------------------


def test_a_ui_file_with_an_unknown_class_signal_or_slot_is_an_error(qt, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ctkNoSuchWidget"):
        load(tmp_path, '<widget class="ctkNoSuchWidget" name="top"/>')
    top = '<widget class="qMRMLWidget" name="top"><widget class="qMRMLNodeComboBox" name="box"/></widget>'
    wire = (
        "<connection><sender>top</sender><signal>{}</signal>"
        "<receiver>{}</receiver><slot>{}</slot></connection>"
    )
    good = ("mrmlSceneChanged(vtkMRMLScene*)", "box", "setMRMLScene(vtkMRMLScene*)")
    for wrong, words in (
        (("mrmlSceneChange(vtkMRMLScene*)", *good[1:]), "no signal"),
        ((good[0], "bax", good[2]), "not in the .ui file"),
        ((*good[:2], "setScene(vtkMRMLScene*)"), "no slot"),
    ):
        with pytest.raises(RuntimeError, match=words):
            load(tmp_path, top, wire.format(*wrong))
    widget = load(tmp_path, top, wire.format(*good))
    widget.setMRMLScene(slicer.mrmlScene)
    assert widget.children()[-1].mrmlScene() is slicer.mrmlScene


# Slicer's widgets ---------------------------------------------------------------------------------------


def selector(*types: str, none: bool = True):
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = list(types)
    box.noneEnabled = none
    box.setMRMLScene(slicer.mrmlScene)
    return box


def test_a_node_selector_offers_the_nodes_of_its_classes_and_follows_the_scene(scene) -> None:
    box, changes = selector("vtkMRMLScalarVolumeNode"), []
    box.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: changes.append(node))
    first = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "a")
    scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "b")
    assert box.nodeCount() == 1 and box.currentNode() is None
    box.setCurrentNode(first)
    assert changes == [first] and box.currentNodeID == first.GetID()
    scene.RemoveNode(first)
    assert box.currentNode() is None and changes == [first, None]


def test_a_node_selector_without_none_takes_the_first_node(scene) -> None:
    box = selector("vtkMRMLScalarVolumeNode", none=False)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "a")
    assert box.currentNode() is node


def test_a_label_map_is_not_offered_as_a_volume(scene) -> None:
    box = selector("vtkMRMLScalarVolumeNode")
    box.showChildNodeTypes = False
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    assert box.nodeCount() == 0


def test_a_collapsed_section_hides_its_children(gui, qt) -> None:
    import ctk

    section = ctk.ctkCollapsibleButton("Advanced")
    layout = qt.QVBoxLayout(section)
    child = qt.QLabel("inside")
    layout.addWidget(child)
    section.show()
    section.collapsed = True
    assert child.isHidden()
    section.collapsed = False
    assert not child.isHidden()
    section.hide()


def test_a_child_that_was_hidden_by_itself_stays_hidden_when_its_section_opens(qt, tmp_path: Path) -> None:
    hidden = '<property name="visible"><bool>false</bool></property>'
    collapsed = '<property name="collapsed" stdset="0"><bool>true</bool></property>'
    buttons = "".join(
        f'<item><widget class="QPushButton" name="{name}">{more}</widget></item>'
        for name, more in (("plain", ""), ("hidden", hidden))
    )
    section = load(
        tmp_path,
        f'<widget class="ctkCollapsibleButton" name="top">{collapsed}'
        f'<layout class="QHBoxLayout" name="row">{buttons}</layout></widget>',
    )
    section.show()
    named = {child.objectName: child for child in section.findChildren(type(qt.QPushButton()))}
    for _again in range(2):
        section.collapsed = False
        assert named["plain"].visible and not named["hidden"].visible
        section.collapsed = True
        assert not named["plain"].visible
    named["hidden"].visible = True  # told while the section is closed, seen when it opens
    named["plain"].visible = False
    assert not named["hidden"].visible
    section.collapsed = False
    assert named["hidden"].visible and not named["plain"].visible
    assert section.hasHeightForWidth() == section.layout().hasHeightForWidth()
    section.collapsed = True
    assert not section.hasHeightForWidth()  # closed, it takes no room for texts that wrap
    section.hide()


def test_create_new_makes_a_node_as_slicer_does_and_says_so_last(scene) -> None:
    box, said = selector("vtkMRMLMarkupsROINode"), []
    box.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: said.append(("chosen", node)))
    box.connect("nodeAddedByUser(vtkMRMLNode*)", lambda node: said.append(("added", node)))
    box.activate("Create new MarkupsROI")
    node = box.currentNode()
    assert said == [("chosen", node), ("added", node)] and node.GetName() == "R"
    assert node.GetSize() == (0.0, 0.0, 0.0) and node.GetNumberOfControlPoints() == 0
    assert node.GetDisplayNode() is None
    box.addEnabled = False
    box.setMRMLScene(slicer.mrmlScene)
    with pytest.raises(ValueError, match="no entry"):
        box.activate("Create new MarkupsROI")


# Parameters and packages --------------------------------------------------------------------------------


class Mode(Enum):
    """Two words."""

    ACCURATE = "Accurate"
    FAST = "Fast"


def wrapped():
    """A wrapped parameter node with a field of each kind."""
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    class Fields:
        """Fields."""

        volume: slicer.vtkMRMLScalarVolumeNode
        name: str = "none"
        count: int = 3
        share: float = 0.5
        on: bool = True
        mode: Mode = Mode.FAST
        words: list[str] = ["a"]  # noqa: RUF012 - as a module writes it

    return parameterNodeWrapper(Fields)(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def test_parameters_keep_their_types_and_defaults(scene) -> None:
    fields = wrapped()
    assert (fields.name, fields.count, fields.share, fields.on) == ("none", 3, 0.5, True)
    assert fields.volume is None and fields.mode is Mode.FAST and fields.words == ["a"]
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "v")
    fields.volume, fields.on, fields.mode, fields.words = volume, False, Mode.ACCURATE, ["b", "c"]
    assert fields.volume is volume and fields.on is False
    assert fields.mode is Mode.ACCURATE and fields.words == ["b", "c"]
    with pytest.raises(TypeError, match="int"):
        fields.count = "three"
    if not os.environ.get("SLICER_BASE_PYTHON"):  # Slicer's own wrapper does not notice it
        with pytest.raises(AttributeError, match="cuont"):
            fields.cuont = 3


def test_a_hidden_package_is_missing_here_and_in_a_new_process(gui, scene) -> None:
    import importlib.metadata

    from slicer.packaging import pip_check

    program = [sys.executable, "-c", "import safetensors"]
    gui.packages.hide("safetensors")
    assert not pip_check("safetensors>=0.4")
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("safetensors")
    assert subprocess.run(program, capture_output=True, check=False).returncode == 1
    subprocess.run([sys.executable, "-m", "pip", "install", "safetensors>=0.4"], check=True)
    assert gui.packages.calls == [("pip", ["safetensors>=0.4"])]
    assert pip_check("safetensors>=0.4")
    assert subprocess.run(program, capture_output=True, check=False).returncode == 0
