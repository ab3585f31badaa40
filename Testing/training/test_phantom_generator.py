"""The generated CT: every organ in place and of human size, Hounsfield units by phase, obeyed options."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from scipy import ndimage

from iuinet.errors import UsageError
from pipeline.generated.phantom import PHASES, SampleOptions, draw_options, make_sample

# Volumes of adults, ml: wide enough for healthy people of all sizes.
VOLUMES_ML = {
    1: (80, 350), 2: (80, 230), 3: (80, 230), 4: (10, 80), 5: (8, 45), 6: (1000, 2200), 7: (150, 700),
    8: (40, 160), 9: (35, 130), 10: (10, 45), 11: (38, 130), 12: (2, 10), 13: (2, 11),
}
SPLEEN, RIGHT_KIDNEY, LEFT_KIDNEY, LIVER, STOMACH, AORTA, VENA_CAVA = 1, 2, 3, 6, 7, 8, 9
SMALL = (48, 48, 48)
QUIET = SampleOptions(noise_hu=0)


@pytest.fixture(scope="module")
def standard():
    return make_sample()


def volumes(sample) -> np.ndarray:
    counts = np.bincount(sample.labels.ravel(), minlength=14)
    return counts * sample.volume.grid.voxel_volume_ml


def centre_lps(sample, label: int) -> np.ndarray:
    index = np.argwhere(sample.labels == label).mean(axis=0)[::-1]
    return (sample.volume.grid.index_to_lps() @ [*index, 1])[:3]


def test_picture_and_labels_share_one_grid_and_have_the_promised_types(standard):
    array, grid = standard.volume.array, standard.volume.grid
    assert array.dtype == np.int16 and standard.labels.dtype == np.uint8
    assert array.shape == standard.labels.shape == grid.shape == (96, 192, 192)
    assert array.min() >= -1024 and array.max() <= 3071
    assert set(np.unique(standard.labels)) == set(range(14))
    assert np.array_equal(grid.direction, np.eye(3))
    assert standard.volume.name == "sample-ct" and standard.volume.modality == "CT"
    assert any("generated" in note for note in standard.volume.notes)


@pytest.mark.parametrize("seed", [0, 3, 12])
def test_every_organ_is_one_piece_of_human_size(seed, standard):
    sample = standard if seed == 0 else make_sample(seed, (112, 112, 72))
    found = volumes(sample)
    for label, (low, high) in VOLUMES_ML.items():
        assert low < found[label] < high, f"label {label}: {found[label]:.1f} ml"
        _, pieces = ndimage.label(sample.labels == label, np.ones((3, 3, 3)))
        assert pieces == 1, f"label {label} lies in {pieces} pieces"


def test_the_standard_liver_and_spleen_have_ordinary_volumes(standard):
    found = volumes(standard)
    assert 1200 < found[LIVER] < 1800
    assert 120 < found[SPLEEN] < 300


@pytest.mark.parametrize("seed", [1, 2])
def test_organs_lie_on_their_sides(seed):
    sample = make_sample(seed, SMALL)
    place = {label: centre_lps(sample, label) for label in (1, 2, 3, 6, 7, 8, 9, 12, 13)}
    assert place[LIVER][0] < -20 < 20 < place[SPLEEN][0], "LPS x grows to the patient's left"
    assert place[RIGHT_KIDNEY][0] < 0 < place[LEFT_KIDNEY][0]
    assert place[12][0] < 0 < place[13][0]
    assert place[VENA_CAVA][0] < place[AORTA][0]
    assert place[STOMACH][1] < place[SPLEEN][1], "the stomach lies in front of the spleen"
    assert place[LIVER][2] > place[RIGHT_KIDNEY][2], "the liver lies above the right kidney"


@pytest.mark.parametrize("phase", PHASES)
def test_hounsfield_units_follow_the_contrast_phase(phase):
    expected = {  # non-contrast, arterial, portal, delayed
        1: (48, 120, 122, 98), 2: (32, 150, 180, 151), 3: (32, 150, 180, 151), 6: (58, 78, 112, 95),
        8: (42, 300, 160, 118), 9: (40, 85, 138, 115), 10: (40, 130, 168, 116), 11: (40, 105, 98, 76),
    }
    options = replace(QUIET, phase=phase, variation=0.0)
    sample = make_sample(0, (72, 72, 56), options)
    for label, means in expected.items():
        median = float(np.median(sample.volume.array[sample.labels == label]))
        target = means[PHASES.index(phase)]
        assert abs(median - target) < 8 + 0.15 * target, f"label {label}: {median} HU instead of {target}"


def test_body_fat_muscle_bone_and_air_are_there(standard):
    array = standard.volume.array
    millilitres = standard.volume.grid.voxel_volume_ml
    assert np.count_nonzero(array < -900) * millilitres > 5000, "air around the patient"
    assert np.count_nonzero((array > -130) & (array < -70)) * millilitres > 2000, "fat"
    assert np.count_nonzero((array > 30) & (array < 90)) * millilitres > 2000, "muscle"
    assert 300 < np.count_nonzero(array > 250) * millilitres < 2000, "bone"
    stomach = array[standard.labels == STOMACH]
    assert (stomach < -700).mean() > 0.05, "the stomach holds air"


def test_air_in_the_stomach_rises_to_the_front(standard):
    stomach = standard.labels == STOMACH
    air = np.argwhere(stomach & (standard.volume.array < -700))[:, 1].mean()
    water = np.argwhere(stomach & (np.abs(standard.volume.array) < 40))[:, 1].mean()
    assert air < water, "the patient lies on the back, and j grows to the back"


def test_the_same_seed_gives_the_same_picture_and_another_seed_another():
    tiny = (32, 32, 32)
    first, again, other = make_sample(4, tiny), make_sample(4, tiny), make_sample(5, tiny)
    assert np.array_equal(first.volume.array, again.volume.array)
    assert np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.volume.array, other.volume.array)
    assert not np.array_equal(first.labels, other.labels)


def test_the_anatomy_of_a_seed_does_not_depend_on_the_size():
    coarse, fine = make_sample(2, SMALL), make_sample(2, (80, 80, 80))
    for label in (SPLEEN, LIVER, STOMACH):
        assert np.allclose(centre_lps(coarse, label), centre_lps(fine, label), atol=4)
        assert volumes(coarse)[label] == pytest.approx(volumes(fine)[label], rel=0.12)


def test_field_of_view_and_length_set_the_grid():
    options = SampleOptions(field_of_view_mm=400, length_mm=120, top_mm=60)
    grid = make_sample(0, (40, 50, 30), options).volume.grid
    assert grid.size == (40, 50, 30)
    assert grid.spacing == pytest.approx((10, 10, 4))
    assert grid.origin[2] - 2 == pytest.approx(60 - 120), "lower edge of the lowest slice"
    assert grid.origin[0] == pytest.approx(-195) and grid.origin[1] == pytest.approx(-245)


def test_a_scan_of_the_pelvis_holds_no_upper_organs():
    sample = make_sample(0, SMALL, SampleOptions(length_mm=60, top_mm=-140))
    assert not np.isin(sample.labels, (SPLEEN, LIVER, STOMACH, RIGHT_KIDNEY)).any()
    assert (sample.volume.array > 250).any(), "the pelvis is there"


def test_thicker_slices_blur_along_the_body():
    def roughness(thickness_mm):
        options = replace(QUIET, thickness_mm=thickness_mm)
        array = make_sample(0, (40, 40, 96), options).volume.array.astype(float)
        return np.abs(np.diff(array, axis=0)).mean()

    assert roughness(12.0) < 0.9 * roughness(3.0)


def test_noise_has_the_asked_strength():
    quiet = make_sample(0, (48, 48, 32), QUIET).volume.array.astype(float)
    noisy = make_sample(0, (48, 48, 32), replace(QUIET, noise_hu=20)).volume.array - quiet
    middle = noisy[:, 16:32, 16:32]
    assert middle.std() == pytest.approx(20, rel=0.1)
    assert abs(middle.mean()) < 1


def test_fat_liver_and_fat_patient_are_obeyed():
    plain = make_sample(0, SMALL, QUIET)
    changed = make_sample(0, SMALL, replace(QUIET, fatty_liver_hu=40, fat_mm=35, field_of_view_mm=450))
    liver = [np.median(s.volume.array[s.labels == LIVER]) for s in (plain, changed)]
    assert liver[0] - liver[1] == pytest.approx(40, abs=4)
    fat = [
        np.count_nonzero((s.volume.array > -130) & (s.volume.array < -80)) * s.volume.grid.voxel_volume_ml
        for s in (plain, changed)
    ]
    assert fat[1] > 1.3 * fat[0]


def test_the_reconstruction_circle_is_padded():
    array = make_sample(0, SMALL, SampleOptions(circle=True)).volume.array
    assert (array[:, :4, :4] == -1024).all()


def test_seed_zero_is_the_standard_scan_and_others_draw_their_own():
    assert draw_options(0) == SampleOptions()
    drawn = [draw_options(seed) for seed in range(1, 60)]
    assert {options.phase for options in drawn} == set(PHASES)
    assert len({options.top_mm for options in drawn}) == len(drawn)
    with pytest.raises(FrozenInstanceError):
        SampleOptions().phase = "arterial"


@pytest.mark.parametrize(
    ("name", "value"), [("phase", "venous"), ("noise_hu", -1), ("stomach_content", "soup"), ("length_mm", 0)]
)
def test_impossible_options_are_refused_with_the_value(name, value):
    with pytest.raises(UsageError) as refused:
        SampleOptions(**{name: value})
    assert repr(value) in refused.value.message and refused.value.hint


@pytest.mark.parametrize(("seed", "size"), [(-1, SMALL), (0, (48, 48, 4))])
def test_impossible_seed_and_size_are_refused(seed, size):
    with pytest.raises(UsageError):
        make_sample(seed, size)
