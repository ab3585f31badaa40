"""The preview shows the right sides, true millimetres and the organs' edges, whatever it is given."""

import itertools
import struct
import sys
import warnings

import numpy as np
import pytest
from helpers.sample_ct import CHALLENGE

from iuinet.errors import IUINetError, OutputError
from iuinet.labels import Organ
from iuinet.preview import draw_preview, make_figure, quiet_matplotlib
from iuinet.preview.sections import AXIAL, CORONAL, PLANES, SAGITTAL, cut, overview_ranges, place_of, scan_of
from iuinet.volume import Grid, Volume
from pipeline.generated.phantom import make_sample

pytest.importorskip("matplotlib")

MARKER = Organ("marker", 1, (255, 0, 255))
ALL_ORDERS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def patient(shape=(24, 40, 50), spacing=(2.0, 2.5, 5.0)) -> Volume:
    """A body in air, canonical: array axes to the head, the back and the left; spacing of i, j, k."""
    k, j, i = np.indices(shape)
    size = np.array(shape)[:, None, None, None] - 1
    _, y, x = np.stack([k, j, i]) / size * 2 - 1
    array = np.where(x**2 + y**2 < 0.9, 40, -1000).astype(np.int16)
    return Volume(array, Grid(shape[::-1], spacing, (-60.0, -45.0, 300.0)))


def right_front_top(volume: Volume) -> np.ndarray:
    """A marker at the patient's right, in front, near the head; not a cube."""
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[15:21, 10:16, 11:18] = MARKER.label
    return labels


def stored(volume: Volume, labels: np.ndarray, order, signs) -> tuple[Volume, np.ndarray]:
    """The same patient with the array axes permuted and turned round, and a header that says so."""
    flips = tuple(slice(None, None, sign) for sign in signs)
    array, labels = volume.array.transpose(order)[flips], labels.transpose(order)[flips]
    axes = [2 - axis for axis in order][::-1]  # the image axes i, j, k now are these ones
    direction, origin = np.eye(3)[:, axes], np.array(volume.grid.origin)
    spacing = tuple(volume.grid.spacing[axis] for axis in axes)
    for axis, sign in enumerate(signs[::-1]):
        if sign < 0:
            origin = origin + direction[:, axis] * spacing[axis] * (array.shape[2 - axis] - 1)
            direction[:, axis] *= -1
    return Volume(array, Grid(array.shape[::-1], spacing, tuple(origin), direction)), labels


def drawn(volume: Volume, labels: np.ndarray, organs=(MARKER,), title: str = ""):
    """The axes by their labels, and each one's pixels, red green blue."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with quiet_matplotlib():
        figure = make_figure(volume, labels, organs, title)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    axes = {one.get_label(): one for one in figure.axes}
    pictures = {}
    for label, one in axes.items():
        box = one.get_window_extent()
        top, bottom = len(pixels) - round(box.y1), len(pixels) - round(box.y0)
        pictures[label] = pixels[top:bottom, round(box.x0) : round(box.x1)]
    return axes, pictures


def marked(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the marker's outline."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    rows, columns = np.nonzero((red - green > 120) & (blue - green > 120))
    assert len(rows), "the outline is not there"
    return rows, columns


class TestSides:
    @pytest.mark.parametrize(
        ("order", "signs"),
        [((0, 1, 2), (1, 1, 1)), ((0, 1, 2), (1, 1, -1)), ((1, 0, 2), (-1, 1, 1)), ((2, 0, 1), (-1, -1, 1))],
    )
    def test_the_patients_right_is_on_the_left_the_front_and_the_head_are_on_top(self, order, signs):
        volume = patient()
        _, pictures = drawn(*stored(volume, right_front_top(volume), order, signs))
        for plane in PLANES:
            picture = pictures[f"overview {plane.name}"]
            rows, columns = marked(picture)
            assert rows.mean() < 0.45 * picture.shape[0], plane.name  # in front, or near the head
            assert columns.mean() < 0.45 * picture.shape[1], plane.name  # right, or in front

    def test_the_letters_stand_on_their_sides(self):
        volume = patient()
        axes, _ = drawn(volume, right_front_top(volume))
        sides = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}
        for of in ("overview", "marker"):
            for plane, letters in sides.items():
                place = {text.get_text(): text.get_position() for text in axes[f"{of} {plane}"].texts}
                left, right, top, bottom = (place[letter] for letter in letters)
                assert left[0] < 0.1 < 0.9 < right[0] and left[1] == right[1] == 0.5
                assert bottom[1] < 0.1 < 0.9 < top[1] and bottom[0] == top[0] == 0.5

    def test_the_sections_are_the_same_however_the_scan_is_stored(self):
        volume = patient()
        volume.array[...] += np.arange(volume.array.size).reshape(volume.array.shape) % 97
        labels = right_front_top(volume)
        scan = scan_of(volume, labels)
        ranges = overview_ranges(scan, [MARKER])
        for order, signs in ALL_ORDERS:
            other = scan_of(*stored(volume, labels, order, signs))
            assert np.allclose(overview_ranges(other, [MARKER]), ranges)
            for plane in PLANES:
                index = scan.largest_section(MARKER.label, plane.axis)
                assert other.largest_section(MARKER.label, plane.axis) == index
                one, same = cut(scan, plane, index, ranges), cut(other, plane, index, ranges)
                assert np.array_equal(one.ct, same.ct) and np.array_equal(one.labels, same.labels)
                assert place_of(other, plane, index, ranges) == place_of(scan, plane, index, ranges)

    def test_an_oblique_scan_has_the_sides_of_its_nearest_axes(self):
        volume = patient()
        turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
        grid = Grid(volume.grid.size, volume.grid.spacing, volume.grid.origin, turn)
        labels = right_front_top(volume)
        assert np.array_equal(scan_of(Volume(volume.array, grid), labels).labels, labels)

    def test_the_place_of_a_section_is_that_of_slicer(self):
        scan = scan_of(patient(), right_front_top(patient()))
        ranges = [scan.extent(axis) for axis in range(3)]
        assert place_of(scan, AXIAL, 2, ranges) == "S: 310.0 mm"
        assert place_of(scan, CORONAL, 10, ranges) == "A: 20.0 mm"  # LPS y = -45 + 10 * 2.5 mm
        assert place_of(scan, SAGITTAL, 5, ranges) == "R: 50.0 mm"


@pytest.fixture(scope="module")
def ball():
    """A ball of 80 mm in voxels of 1 x 2 x 4 mm, in the middle; axes and pictures."""
    volume = patient((40, 80, 160), (1.0, 2.0, 4.0))
    k, j, i = np.indices(volume.array.shape)
    distance = (4.0 * (k - 19.5)) ** 2 + (2.0 * (j - 39.5)) ** 2 + (i - 79.5) ** 2
    return drawn(volume, (distance < 40**2).astype(np.uint8))


class TestMillimetres:
    def test_a_ball_is_round_and_as_large_in_every_plane(self, ball):
        axes, pictures = ball
        for label, picture in pictures.items():
            rows, columns = marked(picture)
            (left, right), width = axes[label].get_xlim(), picture.shape[1]
            line_mm = 3 * (right - left) / width
            for pixels in (np.ptp(rows), np.ptp(columns)):
                # The ball in voxels of 4 mm is at most one of them smaller than the true one.
                assert -4.1 - line_mm < pixels * (right - left) / width - 80 < line_mm, label

    def test_every_picture_of_one_group_has_one_scale(self, ball):
        axes, pictures = ball
        for of in ("overview", "marker"):
            scales = []
            for plane in PLANES:
                height, width = pictures[f"{of} {plane.name}"].shape[:2]
                (left, right), (bottom, top) = (
                    get() for one in [axes[f"{of} {plane.name}"]] for get in (one.get_xlim, one.get_ylim)
                )
                scales += [width / (right - left), height / (bottom - top)]
            assert np.allclose(scales, scales[0], rtol=0.01)

    def test_the_outline_lies_on_the_edge_of_the_voxels(self):
        volume = patient()
        axes, pictures = drawn(volume, right_front_top(volume))
        for label in ("overview axial", "marker axial"):
            picture, (left, right) = pictures[label], axes[label].get_xlim()
            _, columns = marked(picture)
            found = (
                left + (np.array([columns.min(), columns.max()]) + 0.5) * (right - left) / picture.shape[1]
            )
            line_mm = 1.5 * (right - left) / picture.shape[1]
            assert np.allclose(found, [(11 - 0.5) * 2, (17 + 0.5) * 2], atol=line_mm + 0.3)

    def test_the_body_fills_the_overview_and_the_couch_is_left_out(self):
        volume = patient((20, 100, 120), (4.0, 4.0, 5.0))
        volume.array[:, :, :] = -1000
        volume.array[:, 20:70, 30:90] = 40
        volume.array[:, 90, 5:115] = 300
        scan = scan_of(volume, np.zeros(volume.array.shape, np.uint8))
        _, back, left = overview_ranges(scan, [])
        assert np.allclose(back, (20 * 4 - 10, 69 * 4 + 10), atol=4.1)
        assert np.allclose(left, (30 * 4 - 10, 89 * 4 + 10), atol=4.1)

    def test_of_a_long_scan_the_part_with_the_organs_is_shown(self):
        volume = patient((200, 40, 50))
        labels = np.zeros(volume.array.shape, np.uint8)
        labels[100:110, 18:22, 20:25] = 1
        head, *_ = overview_ranges(scan_of(volume, labels), [MARKER])
        assert head == pytest.approx((99.5 * 5 - 60, 109.5 * 5 + 60))


class TestContent:
    def test_each_organ_that_was_found_has_its_largest_section_in_three_planes(self):
        sample = make_sample(size=(64, 64, 48))
        with quiet_matplotlib():
            figure = make_figure(sample.volume, sample.labels, CHALLENGE, "title")
        expected = {f"overview {plane.name}" for plane in PLANES}
        for organ in CHALLENGE:
            assert (sample.labels == organ.label).any()
            expected |= {f"{organ.name} {plane.name}" for plane in PLANES}
        assert {axes.get_label() for axes in figure.axes} == expected
        texts = [text.get_text() for text in figure.texts]
        assert "title" in texts
        for organ in CHALLENGE:
            assert texts.count(organ.name) == 2  # legend and heading
            ml = (sample.labels == organ.label).sum() * sample.volume.grid.voxel_volume_ml
            assert any(text.endswith(" ml") and abs(float(text[:-3]) - ml) < 0.5 for text in texts)

    def test_what_the_model_is_good_for_stands_by_the_organ_and_a_sketch_looks_like_one(self):
        labels, organs = np.zeros((8, 8, 8), np.uint8), [Organ("liver", 1), Organ("pancreas", 2)]
        labels[2:4, 2:4, 2:4], labels[5:7, 5:7, 5:7] = 1, 2
        volume = Volume(np.full((8, 8, 8), 40), Grid((8, 8, 8), (5, 5, 5)))
        figure = make_figure(volume, labels, organs, verdicts={"liver": "usable", "pancreas": "sketch"})
        style = {text.get_text(): text.get_style() for text in figure.texts}
        assert style["liver"] == "normal" == style["liver: usable after a look"]
        assert style["⚠ pancreas"] == "italic" == style["⚠ pancreas: a sketch, not to be used"]
        assert "pancreas" not in style

    def test_the_largest_section_is_the_one_with_most_voxels(self):
        labels = np.zeros((9, 8, 7), np.uint8)
        labels[2:7, 3, 3] = 1
        labels[5, 2:6, 1:5] = 1
        volume = Volume(np.zeros(labels.shape), Grid(labels.shape[::-1], (1, 1, 1)))
        scan = scan_of(volume, labels)
        assert scan.largest_section(1, 0) == 5
        assert [scan.areas[1][1].argmax(), scan.areas[2][1].argmax()] == [3, 3]
        assert all(np.array_equal(area.sum(axis=1), scan.voxels) for area in scan.areas)

    def test_nothing_found_is_said_and_still_a_picture(self):
        axes, _ = drawn(patient(), np.zeros((24, 40, 50), np.uint8), CHALLENGE)
        assert set(axes) == {f"overview {plane.name}" for plane in PLANES}
        texts = [text.get_text() for text in axes["overview axial"].figure.texts]
        assert texts.count("not found") == 13


class TestFile:
    def test_it_is_a_png_of_moderate_size_in_place_of_an_older_one(self, tmp_path):
        sample = make_sample(size=(96, 96, 64))
        path = tmp_path / "Lékař 中文.png"
        path.write_text("old")
        draw_preview(path, sample.volume, sample.labels, CHALLENGE, "Lékař 中文 $x^2$ and $ alone")
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG") and len(data) < 2_000_000
        width, height = struct.unpack(">II", data[16:24])
        assert width == 1800 and 800 < height < 2200
        assert [file.name for file in tmp_path.iterdir()] == [path.name]

    @pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 2), (1, 30, 30), (30, 1, 30), (400, 3, 2)])
    @pytest.mark.parametrize("label", [0, 1])
    def test_the_smallest_and_thinnest_volumes_are_drawn(self, tmp_path, shape, label):
        volume = Volume(np.zeros(shape, np.float32), Grid(shape[::-1], (0.3, 1.0, 5.0)))
        draw_preview(tmp_path / "p.png", volume, np.full(shape, label, np.uint8), [MARKER])
        assert (tmp_path / "p.png").stat().st_size > 1000

    def test_a_place_that_cannot_be_written_is_refused_in_plain_words(self, tmp_path):
        volume = patient()
        with pytest.raises(OutputError) as caught:
            draw_preview(tmp_path / "none" / "p.png", volume, right_front_top(volume), [MARKER])
        assert caught.value.code == "no-output-folder"

    def test_a_missing_matplotlib_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(IUINetError) as caught:
            draw_preview(tmp_path / "p.png", patient(), right_front_top(patient()), [MARKER])
        assert caught.value.code == "no-matplotlib"
        assert not list(tmp_path.iterdir())

    def test_the_users_own_settings_of_matplotlib_neither_matter_nor_change(self, tmp_path):
        import matplotlib

        volume = patient()
        with matplotlib.rc_context({"text.usetex": True, "savefig.dpi": 10}):
            draw_preview(tmp_path / "p.png", volume, right_front_top(volume), [MARKER])
            assert matplotlib.rcParams["text.usetex"] is True
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.warn("kept", stacklevel=1)
        assert [str(warning.message) for warning in caught] == ["kept"]
        assert struct.unpack(">I", (tmp_path / "p.png").read_bytes()[16:20]) == (1800,)
