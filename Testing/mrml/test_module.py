"""The module file: what Slicer shows of it, and its self test."""

from __future__ import annotations

import re

import numpy as np
import pytest
import slicer

from iuinet.errors import IUINetError


@pytest.fixture
def description(module):
    """What the module told Slicer about itself."""
    return slicer.modules.iuinetsegmentation


def test_it_is_found_under_segmentation_and_says_what_it_does(description):
    assert description.title == "IUINet abdominal CT segmentation"
    assert description.categories == ["Segmentation"]
    assert description.contributors


def test_its_help_tells_the_limits(description):
    for words in ("checked", "not for diagnosis", "adults"):
        assert words in description.helpText


def test_it_names_every_organ_it_segments(description):
    for word in ("spleen", "kidney", "gallbladder", "esophagus", "liver", "stomach", "aorta", "pancreas"):
        assert word in description.helpText


def test_without_a_panel_it_is_not_in_the_list_of_modules(module, description):
    assert description.hidden != hasattr(module, "IUINetSegmentationWidget")


def test_its_resources_are_beside_it(description):
    from pathlib import Path

    assert Path(slicer.modules.IUINetSegmentationInstance.resourcePath("Weights")).is_dir()


def test_its_help_and_thanks_lead_to_documentation_source_and_paper(description):
    links = re.findall(r'href="([^"]*)"', description.helpText + description.acknowledgementText)
    assert all(link.startswith("https://") for link in links)
    for part in ("Documentation/slicer.md", "github.com", "c-s-a.org.cn", "starter-tiny.md"):
        assert any(part in link for link in links), part


@pytest.mark.parametrize("with_torch", [False, pytest.param(True, marks=pytest.mark.needs_torch)])
def test_the_self_test_says_what_it_skips(module, small_model, monkeypatch, caplog, with_torch):
    monkeypatch.setattr(module.IUINetSegmentationTest, "weights", str(small_model))
    if not with_torch:
        error = IUINetError("PyTorch is not installed", code="torch-missing")
        monkeypatch.setattr(module.IUINetSegmentationLogic, "segment", lambda *_, **__: raise_(error))
    with caplog.at_level("INFO"):
        slicer.selfTests["IUINetSegmentation"]()
    assert "Skipped: there is no panel in a process without Qt" in caplog.text
    assert ("Skipped: PyTorch is not installed" in caplog.text) is not with_torch


def raise_(error):
    """As an expression."""
    raise error


def test_the_self_test_of_the_export_notices_a_wrong_voxel_and_a_nameless_array(module, monkeypatch):
    from IUINetSegmentationLib.scene import segmentation_node

    test = module.IUINetSegmentationTest("test_LabelsToExport")
    test.setUp()
    test.test_LabelsToExport()
    original = segmentation_node._labelmap

    def shifted(labels, source):
        return original(np.roll(labels, 1, axis=1), source)

    def nameless(labels, source):
        image = original(labels, source)
        image.GetPointData().GetScalars().SetName(None)
        return image

    for fault in (shifted, nameless):
        monkeypatch.setattr(segmentation_node, "_labelmap", fault)
        test.setUp()
        with pytest.raises(AssertionError):
            test.test_LabelsToExport()


@pytest.mark.needs_torch
def test_the_self_test_passes(module, small_model, monkeypatch):
    monkeypatch.setattr(module.IUINetSegmentationTest, "weights", str(small_model))
    slicer.selfTests["IUINetSegmentation"]()
