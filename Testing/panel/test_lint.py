"""What a look at the module's code finds and the harness does not: habits that work here, not in Slicer."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

MODULE = Path(__file__).resolve().parents[2] / "IUINetSegmentation"
FILES = [MODULE / "IUINetSegmentation.py", *sorted((MODULE / "IUINetSegmentationLib").rglob("*.py"))]
UI = MODULE / "Resources" / "UI" / "IUINetSegmentation.ui"

# Names of Qt, CTK and Slicer that the module may use: each is known to be there in Slicer's Qt 5 and Qt 6.
ALLOWED = {
    "qt": {
        "QDesktopServices", "QFileDialog", "QListWidgetItem", "QTableWidgetItem", "QTimer",
        "QUrl", "Qt", "QSettings", "QBrush", "QColor", "QIcon", "QPixmap",
    },
    "ctk": set(),
}  # fmt: skip
SLICER_WIDGETS = re.compile(r"^(qMRML|qSlicer)\w+")


def trees() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in FILES]


def is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def test_the_files_are_found() -> None:
    assert len(FILES) > 10 and UI.is_file()


def test_only_names_that_slicer_has_are_used() -> None:
    wrong = [
        f"{path.name}:{node.lineno} {node.value.id}.{node.attr}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.attr not in ALLOWED.get(node.value.id, {node.attr})
    ]
    assert wrong == []


def test_no_keyword_arguments_go_to_qt() -> None:
    """PythonQt takes none; PySide6, which the tests run on, does."""
    wrong = [
        f"{path.name}:{node.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and node.keywords
        and isinstance(node.func, ast.Attribute)
        and (is_name(node.func.value, "qt") or is_name(node.func.value, "ctk"))
    ]
    assert wrong == []


def test_no_enumeration_is_named_by_its_class() -> None:
    """qt.Qt.Checked works everywhere; qt.Qt.CheckState.Checked only with new bindings."""
    wrong = [
        f"{path.name}:{node.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and isinstance(node.value.value, ast.Attribute)
        and is_name(node.value.value.value, "qt")
    ]
    assert wrong == []


@pytest.mark.parametrize("word", ["PySide", "exec(", ".styleSheet", "setStyleSheet", "import torch"])
def test_no_word_stands_there_that_has_no_place_in_the_module(word: str) -> None:
    assert [path.name for path in FILES if word in path.read_text(encoding="utf-8")] == []


def test_texts_are_translated_whole() -> None:
    """No f-string inside _(): a translator would never see it."""
    wrong = [
        f"{path.name}:{node.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and is_name(node.func, "_")
        and not isinstance(node.args[0], ast.Constant)
    ]
    assert wrong == []


def test_signals_are_connected_by_texts_that_both_versions_of_qt_know() -> None:
    """currentIndexChanged(QString) is gone in Qt 6; the bare text is all that Qt 5 and 6 share."""
    known = {
        "clicked(bool)", "toggled(bool)", "timeout()", "currentIndexChanged(int)",
        "currentNodeChanged(vtkMRMLNode*)", "itemChanged(QListWidgetItem*)", "sectionResized(int,int,int)",
        "itemChanged(QTableWidgetItem*)", "cellClicked(int,int)", "startupCompleted()",
    }  # fmt: skip
    used = {
        node.args[0].value
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "connect"
        and isinstance(node.args[0], ast.Constant)
    }
    assert used and used <= known


def test_every_widget_that_is_used_is_in_the_ui_file_and_the_other_way_round() -> None:
    there = {element.get("name") for element in ElementTree.parse(UI).iter("widget")}
    used = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
                owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
                if owner in ("ui", "_ui"):
                    used.add(node.attr)
            if isinstance(node, ast.Constant) and node.value in there:
                used.add(node.value)
    assert used - there == set()
    labels = {name for name in there if re.search(r"Label\d+$", name)}
    assert there - used - labels - {"IUINetSegmentation", "advancedSection", "logSection"} == set()
