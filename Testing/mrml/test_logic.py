"""The module's Logic from volume node to segmentation node, with the real worker process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.sample_ct import sample_ct
from helpers.scenes import OBLIQUE, scene_state, segment_arrays, segment_points, transform_node, warp_node

from iuinet.errors import Cancelled, InputRefused, UsageError, WeightsError
from iuinet.labels import ORGANS
from iuinet.options import Options
from iuinet.volume import Grid, Volume
from IUINetSegmentationLib.scene.region import add_region
from IUINetSegmentationLib.scene.volume_node import add_volume_node, box_of

pytestmark = pytest.mark.needs_torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sample() -> Volume:
    """A small generated CT."""
    return sample_ct((48, 40, 32))


@pytest.fixture
def ct(sample, scene):
    """The sample as a volume node."""
    return add_volume_node(sample, "CT")


@pytest.fixture
def logic(module):
    """The module's logic."""
    return module.IUINetSegmentationLogic()


def assert_labels(masks: dict[str, np.ndarray], wanted: np.ndarray) -> None:
    """Each organ's segment holds the voxels of its label; an organ that was not found has none."""
    for organ in ORGANS:
        mask = masks.get(organ.name, np.zeros(wanted.shape, bool))
        assert np.array_equal(mask, wanted == organ.label), organ.name


class TestRun:
    def test_the_node_holds_the_labels_that_the_library_gives(self, logic, ct, sample, small_model):
        from iuinet.segmentation import segment_volume

        node, report = logic.segment(ct, weights=str(small_model), device="cpu")
        options = Options(small_model, "cpu")
        wanted = segment_volume(sample, options.find_model(), options).labels
        assert wanted.any()
        masks = segment_arrays(node, ct)
        assert list(masks) == [organ["name"] for organ in report["organs"] if organ["found"]]
        assert_labels(masks, wanted)

    def test_in_a_box_are_the_labels_that_the_library_gives_for_that_region(
        self, logic, ct, sample, two_pass_model
    ):
        from iuinet.segmentation import segment_volume

        box = add_region(ct, "box")
        region = [(edges.start, edges.stop) for edges in box_of(box, ct)]
        options = Options(two_pass_model, "cpu", region=region)
        wanted = segment_volume(sample, options.find_model(), options)
        assert wanted.labels.any()
        node, report = logic.segment(ct, weights=str(two_pass_model), device="cpu", region=box)
        assert report["organs"] == wanted.report["organs"]
        assert_labels(segment_arrays(node, ct), wanted.labels)

    def test_the_report_and_the_node_agree(self, logic, ct, small_model):
        node, report = logic.segment(ct, weights=str(small_model), device="cpu")
        voxels = {organ["name"]: organ["voxels"] for organ in report["organs"] if organ["found"]}
        assert {name: mask.sum() for name, mask in segment_arrays(node, ct).items()} == voxels
        facts = {
            name: node.GetAttribute(f"IUINet.{name}") for name in ("WeightsId", "Device", "AcceptedWarnings")
        }
        assert facts == {"WeightsId": "small-random", "Device": "cpu", "AcceptedWarnings": ""}
        assert len(node.GetAttribute("IUINet.WeightsSha256")) == 64
        assert node.GetAttribute("IUINet.Date").startswith("20")
        assert node.GetAttribute("IUINet.ModuleVersion")

    def test_the_place_follows_the_scan_and_not_the_way_it_is_stored(self, logic, sample, small_model):
        grid = sample.grid
        turned = Grid(grid.size, grid.spacing, (20.0, -35.5, 400.25), OBLIQUE)
        # The same scan with its last axis first and the other way round.
        stored = np.ascontiguousarray(sample.array[::-1].transpose(2, 1, 0))
        direction = np.stack([-OBLIQUE[:, 2], OBLIQUE[:, 1], OBLIQUE[:, 0]], axis=1)
        origin = turned.index_to_lps() @ [0, 0, grid.size[2] - 1, 1]
        other = Grid(grid.size[::-1], grid.spacing[::-1], tuple(origin[:3]), direction)
        nodes = [
            logic.segment(add_volume_node(volume, "CT"), weights=str(small_model), device="cpu")[0]
            for volume in (Volume(sample.array, turned), Volume(stored, other))
        ]
        names = [
            {
                n.GetSegmentation().GetNthSegment(i).GetName()
                for i in range(n.GetSegmentation().GetNumberOfSegments())
            }
            for n in nodes
        ]
        assert names[0] == names[1]
        for name in names[0]:
            one, two = (segment_points(node, name) for node in nodes)
            assert np.abs(one - two).max() < 1e-6, name

    def test_progress_runs_through_the_stages(self, logic, ct, small_model):
        seen = []
        logic.segment(
            ct, weights=str(small_model), device="cpu", progressCallback=lambda *step: seen.append(step)
        )
        stages = list(dict.fromkeys(stage for stage, _ in seen))
        assert set(stages) <= {"reading", "preparing", "segmenting", "finishing", "writing"}
        assert "segmenting" in stages
        assert all(0 <= fraction <= 1 for _, fraction in seen)

    def test_only_the_organs_that_were_asked_for_become_segments(self, logic, ct, small_model):
        _, everything = logic.segment(ct, weights=str(small_model), device="cpu")
        wanted = max(everything["organs"], key=lambda organ: organ["voxels"])["name"]
        node, _ = logic.segment(ct, weights=str(small_model), device="cpu", organs=[wanted])
        assert list(segment_arrays(node, ct)) == [wanted]

    def test_under_a_linear_transform_the_result_gets_the_same_one(self, logic, ct, small_model):
        move = np.eye(4)
        move[:3, 3] = 10, 20, 30
        ct.SetAndObserveTransformNodeID(transform_node(move).GetID())
        node, _ = logic.segment(ct, weights=str(small_model), device="cpu")
        assert node.GetTransformNodeID() == ct.GetTransformNodeID()

    def test_a_given_node_takes_the_result(self, logic, ct, scene, small_model):
        mine = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
        node, _ = logic.segment(ct, mine, weights=str(small_model), device="cpu")
        assert node is mine
        assert mine.GetName() == "mine"
        assert mine.GetSegmentation().GetNumberOfSegments() > 0

    def test_an_accepted_warning_is_remembered(self, logic, small_model):
        # Values from 0 to 1 are no Hounsfield units; nothing else says what it is.
        noise = np.random.default_rng(0).random((32, 40, 48), dtype=np.float32)
        node = add_volume_node(Volume(noise, Grid((48, 40, 32), (5.0, 5.0, 5.0))), "noise")
        with pytest.raises(InputRefused) as caught:
            logic.segment(node, weights=str(small_model), device="cpu")
        result, _ = logic.segment(node, weights=str(small_model), device="cpu", acceptWarnings=True)
        assert caught.value.code in result.GetAttribute("IUINet.AcceptedWarnings").split(", ")


class TestFailure:
    """Whatever goes wrong is told in plain words, and the scene is as before."""

    @pytest.fixture
    def refusal(self, logic, ct, small_model):
        """Run, expect an error of the family, hold the scene against what it was, and give the error."""

        def run(family, **options):
            before = scene_state()
            with pytest.raises(family) as caught:
                logic.segment(ct, **{"weights": str(small_model), "device": "cpu", **options})
            assert scene_state() == before
            assert caught.value.message and caught.value.hint
            return caught.value

        return run

    def test_an_mr_series(self, refusal, ct):
        ct.SetAttribute("DICOM.Modality", "MR")
        assert "MR" in refusal(InputRefused).message

    def test_a_warped_volume(self, refusal, ct):
        ct.SetAndObserveTransformNodeID(warp_node().GetID())
        refusal(InputRefused)

    def test_a_missing_model(self, refusal, tmp_path):
        refusal(WeightsError, weights=str(tmp_path / "none.safetensors"))

    def test_an_unknown_organ(self, refusal):
        assert "spline" in refusal(UsageError, organs=["spline"]).message

    def test_a_cancel(self, refusal):
        refusal(Cancelled, cancelledCallback=lambda: True)

    def test_an_error_in_the_callers_own_callback(self, logic, ct, small_model):
        before = scene_state()
        with pytest.raises(ZeroDivisionError):
            logic.segment(
                ct, weights=str(small_model), device="cpu", progressCallback=lambda stage, fraction: 1 / 0
            )
        assert scene_state() == before

    def test_segments_that_are_there_already_are_never_lost(self, refusal, logic, ct, small_model):
        mine, _ = logic.segment(ct, weights=str(small_model), device="cpu")
        before = segment_arrays(mine, ct)
        refusal(UsageError, segmentationNode=mine)
        assert segment_arrays(mine, ct).keys() == before.keys()


def test_a_whole_run_never_brings_torch_into_slicers_process(small_model):
    program = (
        "import sys\n"
        "from harness.headless import boot, load_module\n"
        "boot()\n"
        "module = load_module('IUINetSegmentation', sys.argv[1])\n"
        "from helpers.sample_ct import sample_ct\n"
        "from IUINetSegmentationLib.scene.volume_node import add_volume_node\n"
        "ct = add_volume_node(sample_ct((32, 32, 24)), 'CT')\n"
        "module.IUINetSegmentationLogic().segment(ct, weights=sys.argv[2], device='cpu')\n"
        "print('torch' in sys.modules)\n"
    )
    folders = [str(ROOT / "IUINetSegmentation"), str(ROOT / "Testing")]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:0] = {folders!r}\n{program}",
            folders[0],
            str(small_model),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "False"
