"""The scripts in Documentation/slicer.md run as they stand there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk
import slicer
from helpers.sample_ct import sample_ct

from iuinet.reading import read_volume
from iuinet.writing import image_on_grid
from IUINetSegmentationLib.scene.volume_node import add_volume_node

pytestmark = pytest.mark.needs_torch

PAGE = Path(__file__).resolve().parents[2] / "Documentation" / "slicer.md"
SIZE = (64, 64, 40)


@pytest.fixture
def scripts(module, monkeypatch) -> list[str]:
    """The page's Python, with the module importable by its name, as in Slicer."""
    monkeypatch.setitem(sys.modules, "IUINetSegmentation", module)
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_example_prints_the_organs(scripts, capsys):
    volume = add_volume_node(sample_ct(SIZE), "CT")
    exec(compile(scripts[0], str(PAGE), "exec"), {"volumeNode": volume})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["spleen", "liver"]


def test_the_batch_recipe_goes_through_a_folder_and_on_after_a_bad_scan(
    scripts, tmp_path, capsys, monkeypatch
):
    source, target = tmp_path / "scans", tmp_path / "segmented"
    source.mkdir()
    sample = sample_ct(SIZE)
    for name, array in (("a", sample.array), ("b", sample.array[:1])):
        sitk.WriteImage(
            image_on_grid(
                array,
                sample.grid.__class__(
                    (*SIZE[:2], len(array)), sample.grid.spacing, sample.grid.origin, sample.grid.direction
                ),
            ),
            str(source / f"{name}.nii.gz"),
        )
    saved = []
    # These three need the application; what they do is Slicer's, not the recipe's.
    monkeypatch.setattr(
        slicer.util, "loadVolume", lambda path: add_volume_node(read_volume(Path(path)), "CT")
    )
    monkeypatch.setattr(slicer.util, "saveNode", lambda node, path: saved.append((node.GetClassName(), path)))
    monkeypatch.setattr(slicer.util, "exit", lambda: None)
    script = scripts[1].replace("/data/scans", str(source)).replace("/data/segmented", str(target))
    exec(compile(script, str(PAGE), "exec"), {})
    assert saved == [("vtkMRMLSegmentationNode", str(target / "a.seg.nrrd"))]
    assert capsys.readouterr().out.startswith("b.nii.gz: ")
