"""The panel in Chinese: real Qt reads what Slicer would load, and nothing that is seen stays English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
import slicer
from tools import translations

from IUINetSegmentationLib.state import State

# Names and units that Chinese leaves as they are, and where a model or the test names itself or its files.
LATIN = re.compile(
    r"IUINet|Slicer|PyTorch( Utils)?|Python|safetensors|CTLiver|Medical Segmentation Decathlon|liver_100"
    r"|Synapse/BTCV|CT|MR|DICOM( SEG)?|CPU|GPU|GB|MB|HU|mm|ml|3D|SHA-256 [0-9a-f]+|small-random|'[^']*'"
    r"|许可：.*"  # a licence is quoted
    r"|[\w.-]+\.safetensors|NaN|none: random weights for tests|Tests only\."
    r"|Create new MarkupsROI"  # Slicer's own word in its selector
)
ENGLISH = re.compile(r"[A-Za-z]{2,}")

pytestmark = pytest.mark.usefixtures("one_worker")


@pytest.fixture
def chinese(gui) -> Iterator[None]:
    """Slicer's setting "language"; to be asked for before the panel."""
    gui.app.applicationLocaleName = "zh-Hans"
    yield
    gui.app.forget_translations()


@pytest.fixture
def language(gui):
    """The module under test; it imports what only the running application has."""
    from IUINetSegmentationLib import language

    return language


@pytest.fixture
def panel(chinese, widget):
    return widget.panel


def seen(panel) -> dict[str, str]:
    """Every text of the panel that a person can read now, also in sections that are closed, but the log."""
    import qt

    texts = {}
    top = panel.ui.IUINetSegmentation
    for part in [top, *top.findChildren(qt.QWidget)]:
        for name in ("text", "title", "toolTip", "placeholderText", "noneDisplay"):
            value = getattr(part, name, None)
            value = value() if callable(value) else value
            if isinstance(value, str) and part.objectName != "logText":
                texts[f"{part.objectName}.{name}"] = value
        if isinstance(part, qt.QComboBox):
            texts |= {f"{part.objectName}[{row}]": part.itemText(row) for row in range(part.count)}
    organs, table = panel.ui.organsList, panel.ui.resultTable
    texts |= {f"organ {row}": organs.item(row).text() for row in range(organs.count)}
    for column in range(table.columnCount if table.rowCount else 0):
        texts[f"head {column}"] = table.horizontalHeaderItem(column).text()
        for row in range(table.rowCount):
            texts[f"cell {row} {column}"] = table.item(row, column).text()
            texts[f"tip {row} {column}"] = table.item(row, column).toolTip()
    return texts


def english(panel) -> dict[str, str]:
    """What of it is still English."""
    return {name: text for name, text in seen(panel).items() if ENGLISH.search(LATIN.sub("", text))}


def test_qt_reads_every_translation_under_each_name_of_the_language(gui) -> None:
    for name, settings in translations.LANGUAGES.items():
        wanted = translations.read_ts(translations.ts_file(name))
        for setting in (*settings, *(setting.replace("-", "_") for setting in settings)):
            gui.app.applicationLocaleName = setting
            gui.app.loadTranslations(str(translations.FOLDER))
            assert {key: gui.app.translate(*key) for key in wanted} == wanted
            gui.app.forget_translations()
    for setting in ("en_US", "fr-FR", "zh-Hant"):
        gui.app.applicationLocaleName = setting
        gui.app.loadTranslations(str(translations.FOLDER))
        assert gui.app.translate("organs", "liver") == "liver"
        gui.app.forget_translations()


def test_a_fresh_panel_is_chinese_throughout(panel, wait) -> None:
    assert english(panel) == {}
    wait(lambda: not panel.status.poll())
    assert english(panel) == {}
    assert panel.ui.segmentButton.text == "分割"
    assert [panel.ui.organsList.item(row).text() for row in (0, 1, 5, 9, 11)] == [
        "脾脏", "右肾", "肝脏", "门静脉和脾静脉", "右肾上腺",
    ]  # fmt: skip
    parent = slicer.modules.iuinetsegmentation
    assert parent.title == "IUINet 腹部 CT 分割" and "不是医疗器械" in parent.helpText


def test_the_card_of_the_model_that_ships_is_chinese(panel, monkeypatch) -> None:
    from iuinet.weights import list_models
    from IUINetSegmentationLib.panel.models import card

    monkeypatch.delenv("IUINET_WEIGHTS_INDEX")
    shipped = next(entry for entry in list_models() if entry.default)
    assert "肾上腺" in card(shipped) and not ENGLISH.search(LATIN.sub("", card(shipped)))


def test_the_scene_and_scripts_keep_the_names_of_the_table(panel) -> None:
    """What is chosen in Chinese is asked for, stored and exported under the organ's one name."""
    import qt

    panel.ui.organsList.item(1).setCheckState(qt.Qt.Unchecked)
    assert list(panel.parameters.leftOut) == ["right kidney"]
    chosen = panel.settings().options.organs
    assert len(chosen) == 12 and "right kidney" not in chosen
    panel.restore_choices()
    assert panel.ui.organsList.item(1).checkState() == qt.Qt.Unchecked
    assert panel.ui.organsList.item(0).checkState() == qt.Qt.Checked


def bad_volumes() -> dict[str, object]:
    """Generated volumes with a fault each, by what the panel says of it."""
    import numpy as np
    from helpers.sample_ct import sample_ct

    from iuinet.volume import Volume

    ct = sample_ct((48, 40, 32))
    same = ct.grid
    return {
        "只有 6 层": Volume(ct.array[:6], replace(same, size=(*same.size[:2], 6)), "CT", "CT"),
        "所有体素的值相同": Volume(np.zeros_like(ct.array), same, "CT", "CT"),
        "数值不像亨氏单位": Volume((ct.array > 0).astype(np.int16), same, "CT", "CT"),
        "这是 MR 序列": Volume(ct.array, same, "CT", "MR"),
    }


@pytest.mark.parametrize("said", ["只有 6 层", "所有体素的值相同", "数值不像亨氏单位", "这是 MR 序列"])
def test_what_speaks_against_a_volume_is_said_in_chinese(panel, said) -> None:
    from IUINetSegmentationLib.scene.volume_node import add_volume_node

    volume = bad_volumes()[said]
    node = add_volume_node(volume, "CT")
    if volume.modality == "MR":
        import_modality(node, "MR")
    panel.ui.inputSelector.setCurrentNode(node)
    assert said in panel.ui.checksLabel.text
    assert english(panel) == {}


def import_modality(node, modality: str) -> None:
    """As Slicer's DICOM import leaves it."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    hierarchy.SetItemAttribute(hierarchy.GetItemByDataNode(node), "DICOM.Modality", modality)


@pytest.mark.needs_torch
def test_a_run_and_its_result_are_chinese(panel, ct, wait, finish) -> None:
    import qt

    panel.ui.inputSelector.setCurrentNode(ct)
    panel.ui.segmentButton.click()
    said = []
    wait(lambda: said.append(english(panel)) or not panel.controller.state.busy)
    assert panel.controller.state is State.DONE, panel.controller.error
    assert [texts for texts in said if texts] == [] and english(panel) == {}
    table = panel.ui.resultTable
    assert table.horizontalHeaderItem(0).text() == "器官" and table.rowCount > 0
    node = panel.controller.node
    names = {node.GetSegmentation().GetNthSegment(0).GetName()}
    assert names <= {name for name in translations.collect()["organs"]}, "segments keep their names"
    table.item(0, 0).setCheckState(qt.Qt.Unchecked)
    first = node.GetSegmentation().GetNthSegmentID(0)
    assert not node.GetDisplayNode().GetSegmentVisibility(first), "the row finds its segment"


@pytest.mark.needs_torch
def test_an_error_is_chinese_and_the_log_keeps_the_original(panel, ct, finish, monkeypatch) -> None:
    """A drive that is full, as the operating system tells it to the run."""
    from iuinet.errors import OutputError

    def full(*_args, **_kwargs):
        raise OutputError(
            "nothing can be stored in /scratch for a while: No space left on device",
            hint="Free some space there, or set TMPDIR (Windows: TEMP) to another folder.",
            code="temporary-folder",
        )

    panel.ui.inputSelector.setCurrentNode(ct)
    monkeypatch.setattr(panel.controller.client, "start", full)
    panel.ui.segmentButton.click()
    finish()
    assert panel.controller.state is State.FAILED
    assert panel.ui.progressLabel.text == (
        "✕ 暂时无法在 /scratch 中存储：No space left on device。\n"
        "在那里释放一些空间，或把 TMPDIR（Windows：TEMP）设为其他文件夹。"
    )
    assert "nothing can be stored in /scratch" in panel.log.text.casefold()
    assert panel.ui.retryButton.text == "重试"


def test_every_sentence_of_the_library_is_recognised_with_its_values(chinese, widget, language) -> None:
    for template in translations.collect()["messages"]:
        names = translations.placeholders(template)
        values = {name[1:-1]: f"w{number}" for number, name in enumerate(names)}
        translated = translations.read_ts(translations.ts_file("zh-Hans"))["messages", template]
        assert language.localized(template.format(**values)) == translated.format(**values), template


def test_values_are_translated_in_turn_and_what_is_not_known_stays(chinese, widget, language) -> None:
    said = language.sentence("the packages could not be installed: the disk is full")
    assert said == "无法安装软件包：磁盘已满。"
    short = "Only 5 slices (10 mm); at least 8 and 40 mm are needed."
    assert language.sentence(short) == "只有 5 层（10 mm）；至少需要 8 且 40 mm。"
    assert language.sentence("the moon is full") == "The moon is full."
    assert language.organ_name("Liver") == "肝脏" and language.organ_name("lesions") == "lesions"


def test_in_english_nothing_changes(widget, language) -> None:
    assert language.sentence("the disk is full") == "The disk is full."
    assert language.localized("the disk is full") == "the disk is full"
    assert language.organ_name("Liver") == "Liver" and language.listed(["liver", "spleen"]) == "liver, spleen"
    assert widget.ui.segmentButton.text == "Segment"
