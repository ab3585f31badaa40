"""The headless harness keeps its promises: it behaves as Slicer does where the module looks."""

from __future__ import annotations

import pytest
import slicer

from harness.headless import boot


def test_there_is_one_application_per_process(application):
    assert boot() is application
    assert slicer.mrmlScene is application.scene


def test_the_logics_of_slicer_are_where_scripts_look_for_them(scene):
    for name in ("volumes", "segmentations", "terminologies"):
        assert getattr(slicer.modules, name).logic().GetMRMLScene() is scene


def test_the_base_classes_and_translation_can_be_imported_as_in_slicer():
    from slicer.i18n import tr, translate
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

    assert tr("Segment") == translate("context", "Segment") == "Segment"
    assert ScriptedLoadableModuleLogic().moduleName == "ScriptedLoadableModule"


def test_a_panel_cannot_be_made_by_mistake():
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget

    with pytest.raises(NotImplementedError):
        ScriptedLoadableModuleWidget()


class TestSubjectHierarchy:
    @pytest.fixture
    def hierarchy(self, scene):
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)

    def test_a_new_data_node_gets_an_item(self, scene, hierarchy):
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        item = hierarchy.GetItemByDataNode(node)
        assert hierarchy.GetItemParent(item) == hierarchy.GetSceneItemID()

    def test_a_display_node_gets_none(self, scene, hierarchy):
        scene.AddNewNodeByClass("vtkMRMLSegmentationDisplayNode")
        assert hierarchy.GetNumberOfItems() == 0

    def test_the_item_goes_with_its_node(self, scene, hierarchy):
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        scene.RemoveNode(node)
        assert hierarchy.GetNumberOfItems() == 0


def test_the_self_test_runner_runs_every_test_method(application):
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

    class Example(ScriptedLoadableModuleTest):
        calls: list[str]

        def setUp(self):
            self.calls = [*getattr(self, "calls", []), "setUp"]

        def test_one(self):
            self.calls.append("one")

        def test_two(self):
            self.calls.append("two")

    example = Example()
    example.runTest()
    assert example.calls == ["setUp", "one", "setUp", "two"]
