"""The module file: what Slicer shows of it, and its self test."""

from __future__ import annotations

import pytest
import slicer


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


@pytest.mark.needs_torch
def test_the_self_test_passes(module, small_model, monkeypatch):
    monkeypatch.setattr(module.IUINetSegmentationTest, "weights", str(small_model))
    slicer.selfTests["IUINetSegmentation"]()
