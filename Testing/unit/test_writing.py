"""Output files are complete or absent, hold what they should, and nothing about the patient."""

import errno
import gzip
import itertools
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from iuinet.descriptions import description_paths, description_text
from iuinet.errors import IUINetError, OutputError, UsageError
from iuinet.files import atomic
from iuinet.labels import ORGANS, Organ
from iuinet.volume import Grid
from iuinet.writing import ENDINGS, image_on_grid, write_json, write_labels

TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
GRID = Grid((10, 8, 6), (0.7, 1.1, 2.5), (12.5, -31.25, 407.0625), TURN)


@pytest.fixture
def labels() -> sitk.Image:
    """Blobs of liver (6) and spleen (1), placed obliquely."""
    array = np.zeros(GRID.shape, np.uint8)
    array[1:4, 2:6, 1:5] = 6
    array[2:5, 3:7, 6:9] = 1
    return image_on_grid(array, GRID)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestAtomic:
    def test_the_file_appears_at_the_end_and_the_draft_is_gone(self, tmp_path):
        path = tmp_path / "Lékař 中文.report.json"
        with atomic(path) as draft:
            assert draft.parent == path.parent and draft.suffix == ".json"
            draft.write_text("whole")
            assert not path.exists()
        assert names(tmp_path) == [path.name] and path.read_text() == "whole"

    @pytest.mark.parametrize("ending", [".nii.gz", ".seg.nrrd", ".nrrd", ".png"])
    def test_the_draft_has_the_same_ending(self, tmp_path, ending):
        with atomic(tmp_path / f"a.b{ending.upper()}") as draft:
            assert draft.name.endswith(ending)

    @pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
    def test_a_failure_leaves_nothing_and_keeps_what_was_there(self, tmp_path, failure):
        (tmp_path / "old").write_text("old")
        for path in (tmp_path / "old", tmp_path / "new"):
            with pytest.raises(failure), atomic(path, overwrite=True) as draft:
                draft.write_text("half")
                raise failure
        assert names(tmp_path) == ["old"] and (tmp_path / "old").read_text() == "old"

    def test_an_existing_file_is_kept_unless_it_may_be_replaced(self, tmp_path):
        path = tmp_path / "there"
        path.write_text("precious")
        with pytest.raises(UsageError) as caught, atomic(path):
            pytest.fail("the work began")
        assert caught.value.code == "output-exists"
        assert path.read_text() == "precious"
        with atomic(path, overwrite=True) as draft:
            draft.write_text("new")
        assert names(tmp_path) == ["there"] and path.read_text() == "new"

    def test_of_many_writers_of_one_name_one_wins_and_the_others_are_told(self, tmp_path):
        path, start, told = tmp_path / "one", threading.Barrier(8), []

        def write(number: int) -> None:
            try:
                with atomic(path) as draft:
                    draft.write_text(str(number))
                    start.wait(10)
            except UsageError as error:
                told.append(error.code)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert told == ["output-exists"] * 7
        assert names(tmp_path) == ["one"] and path.read_text() in "01234567"

    def test_others_may_read_the_result_as_the_system_is_set_up(self, tmp_path):
        path, plain = tmp_path / "result", tmp_path / "plain"
        with atomic(path) as draft:
            draft.write_text("x")
        plain.write_text("x")
        assert path.stat().st_mode == plain.stat().st_mode

    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("none/x.json", "no-output-folder"),
            ("file/x.json", "no-output-folder"),
            ("folder", "output-is-folder"),
            ("n" * 300, "name-too-long"),
        ],
    )
    def test_a_place_that_cannot_be_is_refused_before_the_work(self, tmp_path, name, code):
        (tmp_path / "file").write_text("")
        (tmp_path / "folder").mkdir()
        with pytest.raises(OutputError) as caught, atomic(tmp_path / name, overwrite=True):
            pytest.fail("the work began")
        assert caught.value.code == code and caught.value.hint
        assert names(tmp_path) == ["file", "folder"]

    @pytest.mark.skipif(os.name != "posix" or not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_a_full_disk_is_named(self, tmp_path):
        full = Path("/dev/full")
        with pytest.raises(OutputError, match="disk is full") as caught, atomic(tmp_path / "x"):
            full.write_bytes(b"x")
        assert caught.value.code == "disk-full"
        assert not names(tmp_path)

    @pytest.mark.parametrize(
        ("number", "code"),
        [
            (errno.EACCES, "no-permission"),
            (errno.EROFS, "no-permission"),
            (errno.EDQUOT, "disk-full"),
            (errno.EIO, "output"),
        ],
    )
    def test_what_the_system_says_becomes_plain_words(self, tmp_path, number, code):
        with pytest.raises(OutputError) as caught, atomic(tmp_path / "x") as draft:
            raise OSError(number, os.strerror(number), str(draft))
        assert caught.value.code == code and "x cannot be written: " in caught.value.message
        assert ".iuinet-" not in caught.value.message

    def test_an_error_about_another_file_is_left_alone(self, tmp_path):
        with pytest.raises(FileNotFoundError), atomic(tmp_path / "x"):
            (tmp_path / "the input").read_bytes()
        assert not names(tmp_path)


class TestJson:
    def test_it_is_utf_8_and_can_be_read_by_people(self, tmp_path):
        document = {"model": "Lékař", "numbers": [1, 2.5, None, True]}
        write_json(tmp_path / "r.json", document)
        text = (tmp_path / "r.json").read_bytes().decode()
        assert json.loads(text) == document and "Lékař" in text and text.endswith("}\n")

    def test_no_file_holds_what_json_does_not_know(self, tmp_path):
        with pytest.raises(ValueError, match="JSON"):
            write_json(tmp_path / "r.json", {"mean": float("nan")})
        assert not names(tmp_path)


class TestLabels:
    @pytest.mark.parametrize("ending", ENDINGS)
    def test_every_format_holds_the_ids_compressed_and_in_their_place(self, tmp_path, labels, ending):
        path = tmp_path / f"Bauch CT ü{ending}"
        write_labels(path, labels, ORGANS)
        again = sitk.ReadImage(str(path))
        assert names(tmp_path) == [path.name]
        assert again.GetPixelID() == sitk.sitkUInt8
        assert np.array_equal(*(sitk.GetArrayViewFromImage(image) for image in (again, labels)))
        for read in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert np.allclose(getattr(again, read)(), getattr(labels, read)(), atol=1e-5), read
        big = image_on_grid(np.zeros((60, 60, 60), np.uint8), Grid((60, 60, 60), (1, 1, 1)))
        write_labels(path, big, ORGANS, overwrite=True)
        assert path.stat().st_size < 10_000

    def test_the_ending_chooses_whatever_its_case(self, tmp_path, labels):
        write_labels(tmp_path / "A.NII.GZ", labels, ORGANS)
        assert gzip.decompress((tmp_path / "A.NII.GZ").read_bytes())[344:347] == b"n+1"

    @pytest.mark.parametrize("name", ["labels", "labels.png", "labels.nii", "nrrd"])
    def test_other_endings_are_refused(self, tmp_path, labels, name):
        with pytest.raises(UsageError) as caught:
            write_labels(tmp_path / name, labels, ORGANS)
        assert caught.value.code == "unknown-ending" and ".seg.nrrd" in caught.value.message

    def test_an_existing_file_is_kept(self, tmp_path, labels):
        path = tmp_path / "a.mha"
        path.write_text("precious")
        with pytest.raises(UsageError):
            write_labels(path, labels, ORGANS)
        assert path.read_text() == "precious"

    def test_the_headers_of_the_input_do_not_travel_along(self, tmp_path, labels):
        labels.SetMetaData("0010|0010", "Doe^Jane")
        for ending in (".nrrd", ".seg.nrrd", ".mha"):
            write_labels(tmp_path / f"a{ending}", labels, ORGANS)
            assert b"Doe" not in (tmp_path / f"a{ending}").read_bytes()
        assert labels.GetMetaData("0010|0010") == "Doe^Jane", "the caller's image is left alone"

    def test_other_integers_are_stored_as_bytes(self, tmp_path, labels):
        write_labels(tmp_path / "a.nrrd", sitk.Cast(labels, sitk.sitkInt64), ORGANS)
        assert sitk.ReadImage(str(tmp_path / "a.nrrd")).GetPixelID() == sitk.sitkUInt8

    @pytest.mark.parametrize(
        "wrong",
        [
            np.full((2, 2, 2), len(ORGANS) + 1),
            np.full((2, 2, 2), 262),
            np.full((2, 2, 2), -1),
            np.zeros((2, 2, 2), np.float32),
            np.zeros((2, 2), np.uint8),
        ],
    )
    def test_what_is_no_label_map_of_these_organs_is_an_error(self, tmp_path, wrong):
        with pytest.raises(IUINetError) as caught:
            write_labels(tmp_path / "a.nrrd", sitk.GetImageFromArray(wrong), ORGANS)
        assert caught.value.code == "labels"
        assert not names(tmp_path)


class TestDescriptions:
    """What stands beside a label map; Slicer's own reader tries the colour table in the MRML tests."""

    ODD = Organ('tumor: "left"\nlobe', 200, (1, 2, 3))

    def test_itk_snap_finds_its_eight_columns(self):
        text = description_text([*ORGANS, self.ODD], "a.labels.txt")
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        # Number, red, green, blue, opacity 0 to 1, visible, mesh visible, and the name in quotation marks.
        form = re.compile(r'\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([01])\s+([01])\s+([01])\s+"([^"]+)"')
        rows = [form.fullmatch(line).groups() for line in lines]
        assert rows[0] == ("0", "0", "0", "0", "0", "0", "0", "Clear Label")
        for row, organ in zip(rows[1:-1], ORGANS, strict=True):
            assert row == (str(organ.label), *map(str, organ.color), "1", "1", "1", organ.name)
        assert rows[-1][0] == "200" and rows[-1][-1] == "tumor: 'left' lobe"

    def test_programs_find_all_that_is_known(self):
        organs = json.loads(description_text([*ORGANS, self.ODD], "a.labels.json"))["organs"]
        assert [organ["name"] for organ in organs] == [organ.name for organ in (*ORGANS, self.ODD)]
        assert organs[9]["terminology"]["type"]["value"] == "110765007"
        assert organs[2]["terminology"]["modifier"]["meaning"] == "Left" and organs[-1]["terminology"] is None

    def test_only_label_maps_have_them(self):
        assert [len(description_paths(f"a{ending}")) for ending in (*ENDINGS, ".dcm")] == [0, 3, 3, 3, 0]
        assert description_paths("Bauch.CT.NII.GZ")[0].name == "Bauch.CT.labels.txt"


class TestSegmentationHeader:
    def fields(self, path: Path) -> dict[str, str]:
        """The file's own lines, not what a reader makes of them."""
        header = path.read_bytes().split(b"\n\n", 1)[0].decode()
        return dict(line.split(":=", 1) for line in header.splitlines() if ":=" in line)

    def test_it_has_slicers_fields_for_each_organ_with_voxels(self, tmp_path, labels):
        write_labels(tmp_path / "a.seg.nrrd", labels, ORGANS)
        fields = self.fields(tmp_path / "a.seg.nrrd")
        assert [fields[f"Segment{n}_Name"] for n in range(2)] == ["spleen", "liver"]
        assert "Segment2_ID" not in fields
        assert fields["Segment1_LabelValue"] == "6" and fields["Segment1_Layer"] == "0"
        assert fields["Segment1_Extent"] == "0 9 0 7 0 5"
        color = [float(part) for part in fields["Segment1_Color"].split()]
        assert [round(255 * part) for part in color] == list(ORGANS[5].color)
        assert fields["Segment1_NameAutoGenerated"] == fields["Segment1_ColorAutoGenerated"] == "0"
        assert fields["Segment1_Tags"].startswith("TerminologyEntry:Segmentation category and type - ")
        assert fields["Segmentation_MasterRepresentation"] == "Binary labelmap"
        assert fields["Segmentation_ContainedRepresentationNames"] == "Binary labelmap|"
        assert fields["Segmentation_ReferenceImageExtentOffset"] == "0 0 0"
        assert fields["Segmentation_ConversionParameters"].startswith("Reference image geometry|-0.5")

    def test_it_says_what_made_the_segments_and_with_what(self, tmp_path, labels):
        report = {
            "weights": {"id": "a|model\\x", "version": "1.2", "sha256": "ab" * 32},
            "checks": [{"code": "not-ct", "severity": "warning"}],
            "device": "cpu",
            "passes": 2,
            "fallbacks": ["The CPU is used."],
        }
        write_labels(tmp_path / "a.seg.nrrd", labels, ORGANS, report=report)
        fields = self.fields(tmp_path / "a.seg.nrrd")
        tags = dict(tag.split(":", 1) for tag in fields["Segment1_Tags"].split("|") if tag)
        assert tags["IUINet.Organ"] == "liver"
        assert tags["DICOM.SegmentAlgorithmType"] == "AUTOMATIC"
        assert tags["DICOM.SegmentAlgorithmName"] == "IUINet a model x 1.2"
        assert fields["IUINet.WeightsSha256"] == "ab" * 32 and fields["IUINet.Device"] == "cpu"
        assert fields["IUINet.AcceptedWarnings"] == "not-ct"
        assert fields["IUINet.Fallbacks"] == "The CPU is used."

    def test_an_organ_without_code_gets_no_terminology(self, tmp_path, labels):
        organs = [Organ("appendix", 6), Organ('tumor: left; "big"\nor = not', 1)]
        write_labels(tmp_path / "a.seg.nrrd", labels, organs)
        fields = self.fields(tmp_path / "a.seg.nrrd")
        assert fields["Segment0_Name"] == "appendix" and "TerminologyEntry" not in fields["Segment0_Tags"]
        assert sitk.ReadImage(str(tmp_path / "a.seg.nrrd")).GetMetaData("Segment1_Name") == organs[1].name

    def test_nothing_found_is_a_file_without_segments(self, tmp_path, labels):
        write_labels(tmp_path / "a.seg.nrrd", labels * 0, ORGANS)
        assert not [name for name in self.fields(tmp_path / "a.seg.nrrd") if name.startswith("Segment0")]


NO_ROOM = """
import resource, signal, sys
from pathlib import Path
import numpy as np
import SimpleITK as sitk
from iuinet.errors import OutputError
from iuinet.labels import ORGANS
from iuinet.writing import ENDINGS, write_labels

noise = np.random.default_rng(0).integers(0, 14, (40, 60, 60)).astype(np.uint8)
image = sitk.GetImageFromArray(noise)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in (100, 50_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for ending in ENDINGS:
        try:
            write_labels(Path(sys.argv[1]) / f"labels{ending}", image, ORGANS)
        except OutputError as error:
            print(limit, ending, error.code)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits on file sizes are POSIX")
def test_a_disk_without_room_is_named_for_every_format_and_nothing_is_left(tmp_path):
    """A real refusal by the system in the middle of the file; ITK's NIfTI writer does not notice it."""
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    expected = [f"{limit} {ending} file-too-large" for limit in (100, 50_000) for ending in ENDINGS]
    assert (done.stdout.splitlines(), done.stderr) == (expected, "")
    assert not names(tmp_path)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # what was opened, and not yet known to anyone
def test_an_interrupt_after_any_call_leaves_the_whole_file_or_nothing(tmp_path: Path) -> None:
    """Python lets a signal through when a call of native code has ended; here after each of them in turn."""
    for place in itertools.count():
        calls = itertools.count()

        def interrupt(frame, event, argument, calls=calls, place=place) -> None:
            ours = event == "c_return" and frame.f_globals["__name__"].startswith("iuinet.")
            if ours and next(calls) == place:
                sys.setprofile(None)
                raise KeyboardInterrupt

        folder = tmp_path / str(place)
        folder.mkdir()
        try:
            sys.setprofile(interrupt)
            with atomic(folder / "report.json") as draft:
                draft.write_bytes(b"{}")
        except KeyboardInterrupt:
            assert os.listdir(folder) in ([], ["report.json"])
            continue
        finally:
            sys.setprofile(None)
        break
    assert os.listdir(folder) == ["report.json"]
    assert place > 20
