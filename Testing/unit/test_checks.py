"""What is not a usable CT is found before any work starts, and what is a CT passes without a word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from iuinet import checks
from iuinet.checks import NOTE, REFUSE, WARNING, Finding, check_volume, enforce
from iuinet.errors import InputRefused
from iuinet.reading import read_volume
from iuinet.volume import Grid, Volume


def volume_of(array: np.ndarray, spacing: tuple[float, float, float] = (2, 2, 4), **more: object) -> Volume:
    return Volume(array, Grid(array.shape[::-1], spacing, **more))


def body(shape: tuple[int, int, int] = (24, 48, 48), noise: float = 15) -> np.ndarray:
    """float64 HU (k, j, i): a body of soft tissue, fat, lung-like air, a spine and contrast, in air."""
    rng = np.random.default_rng(0)
    k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
    x, y = 2 * i / shape[2] - 1, 2 * j / shape[1] - 1
    radius = np.hypot(x / 0.85, y / 0.7) + 0 * k
    array = np.select([radius < 0.75, radius < 1], [50.0, -100.0], -1000.0)
    array[np.hypot(x, y - 0.4) + 0 * k < 0.12] = 600
    array[np.hypot(x - 0.3, y) + 0 * k < 0.15] = 180
    return array + rng.normal(0, noise, shape)


def mr() -> np.ndarray:
    """Magnitudes as MR has them: dark noise around a body of many greys."""
    rng = np.random.default_rng(1)
    return np.where(body() > -500, rng.gamma(4, 100, body().shape), rng.rayleigh(8, body().shape))


def codes(volume: Volume) -> list[tuple[str, str]]:
    """(code, severity) of what is found; every finding is said in a sentence, with a hint."""
    findings = check_volume(volume)
    for finding in findings:
        assert finding.message.endswith(".") and finding.hint.endswith(".")
    return [(finding.code, finding.severity) for finding in findings]


# What passes ---------------------------------------------------------------------------------------------

PASSING = {
    "float": body(),
    "int16": body().astype(np.int16),
    "no noise": body(noise=0),
    "padded by -3024": np.where(body() < -990, -3024, body()),
    "padded by -2000": np.where(body() < -990, -2000, body()),
    "cropped without air": body()[:, 12:36, 12:36],
    "clipped to -125...275": body().clip(-125, 275),
    "without fat": np.where(np.abs(body() + 100) < 60, 40, body()),
    "half lungs": np.where(np.arange(24)[:, None, None] < 14, np.where(body() > 0, -850, body()), body()),
    "metal": np.where(body() > 640, 30_000, body()),
    "water phantom": np.where(body() > -500, 0.0, -1000.0)
    + np.random.default_rng(2).normal(0, 5, body().shape),
}


@pytest.mark.parametrize("case", PASSING)
def test_a_ct_passes_without_a_word(case: str) -> None:
    assert codes(volume_of(PASSING[case])) == []


@pytest.mark.parametrize("scan", ["CRLM-CT-1004", "CRLM-CT-1006", "TotalSegmentator-slab/dicom"])
def test_a_real_scan_passes_without_a_word(data_folder: Path, scan: str) -> None:
    volume = read_volume(data_folder / "ct" / scan)
    assert codes(volume) == []
    inside = volume.array[:, 180:330, 180:330]
    assert codes(volume_of(inside, volume.grid.spacing)) == []


@pytest.mark.parametrize("scan", ["CRLM-CT-1004", "TotalSegmentator-slab/dicom"])
@pytest.mark.parametrize("offset", [1024, 1000])
@pytest.mark.parametrize("clipped", [True, False], ids=["clipped", "padded"])
def test_a_real_scan_that_lost_its_offset_is_noticed(
    data_folder: Path, scan: str, offset: int, clipped: bool
) -> None:
    volume = read_volume(data_folder / "ct" / scan)
    array = volume.array + np.int16(offset)
    shifted = replace(volume, array=array.clip(0, None) if clipped else array)
    assert codes(shifted) == [("lost-offset", WARNING)]


def test_label_maps_do_not_look_like_ct(data_folder: Path) -> None:
    assert ("looks-not-ct", WARNING) in codes(read_volume(data_folder / "labels" / "amos_0013.nii.gz"))


# Kinds of images -----------------------------------------------------------------------------------------


def test_another_modality_in_the_header_is_named() -> None:
    (finding,) = check_volume(replace(volume_of(mr()), modality="MR"))
    assert (finding.code, finding.severity) == ("not-ct", WARNING)
    assert finding.message == "This is an MR series; the model is for CT."
    (finding,) = check_volume(replace(volume_of(mr()), modality="PT"))
    assert finding.message == "This is a PT series; the model is for CT."


NO_HU = {
    "MR": mr(),
    "MR called CT": mr(),
    "0...1": ((body() + 1000) / 2000).clip(0, 1),
    "0...255": ((body().clip(-125, 275) + 125) * 255 / 400).astype(np.uint8),
    "mean 0, deviation 1": (body() - body().mean()) / body().std(),
    "labels": (body() > 0).astype(np.uint8),
    "16 bits around 0": body() * 30,
    "only air": np.where(body() > 500, -950, -1000) + np.random.default_rng(3).normal(0, 5, body().shape),
    "only padding": np.where(body() > 500, -3000, -3024),
}


@pytest.mark.parametrize("case", NO_HU)
def test_values_that_are_no_hounsfield_units_are_noticed(case: str) -> None:
    volume = replace(volume_of(NO_HU[case]), modality="CT" if case == "MR called CT" else None)
    (finding,) = check_volume(volume)
    assert (finding.code, finding.severity) == ("looks-not-ct", WARNING)
    assert " ... " in finding.message


def test_a_lost_offset_is_named_and_the_values_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = volume_of((body() + 1024).clip(0, None).astype(np.uint16))
    before = volume.array.copy()
    (finding,) = check_volume(volume)
    assert (finding.code, finding.severity) == ("lost-offset", WARNING)
    assert "near 24 instead of -1000" in finding.message and "1024" in finding.hint
    np.testing.assert_array_equal(volume.array, before)


# Unusable voxels and grids -------------------------------------------------------------------------------


def test_a_volume_without_voxels_is_refused() -> None:
    (finding,) = check_volume(volume_of(np.empty((0, 48, 48))))
    assert (finding.code, finding.severity) == ("no-image-data", REFUSE)
    assert "48 x 48 x 0" in finding.message


@pytest.mark.parametrize("shape", [(48, 48), (2, 24, 48, 48), (24, 48, 47)])
def test_voxels_that_do_not_fit_the_grid_are_refused(shape: tuple[int, ...]) -> None:
    assert codes(Volume(np.zeros(shape), Grid((48, 48, 24), (1, 1, 1)))) == [("bad-grid", REFUSE)]


@pytest.mark.parametrize("dtype", [bool, complex])
def test_voxels_that_are_no_numbers_are_refused(dtype: type) -> None:
    assert codes(volume_of(body().astype(dtype))) == [("pixel-type", REFUSE)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_voxel_that_is_not_finite_is_found(dtype: type, value: float) -> None:
    array = body().astype(dtype)
    array[17, 5, 3] = value
    (finding,) = check_volume(volume_of(array))
    assert (finding.code, finding.severity) == ("not-finite", REFUSE)
    assert finding.message.startswith(f"1 of {array.size} voxels")


def test_a_constant_volume_is_refused() -> None:
    (finding,) = check_volume(volume_of(np.full((24, 48, 48), -1024, np.int16)))
    assert (finding.code, finding.severity) == ("constant", REFUSE)
    assert "-1024" in finding.message


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, -2, 1), (1, 1, np.nan), (1, 1, np.inf)], ids=str)
def test_an_impossible_spacing_is_refused(spacing: tuple[float, float, float]) -> None:
    (finding,) = check_volume(volume_of(body(), spacing))
    assert (finding.code, finding.severity) == ("bad-spacing", REFUSE)
    assert " x ".join(f"{value:g}" for value in spacing) in finding.message


def test_an_impossible_place_is_refused() -> None:
    assert codes(volume_of(body(), origin=(0, np.nan, 0))) == [("bad-place", REFUSE)]
    assert codes(volume_of(body(), direction=np.full((3, 3), np.inf))) == [("bad-place", REFUSE)]
    sheared = np.array([[1, 0, 0.3], [0, 1, 0], [0, 0, 1]]) / [1, 1, np.hypot(1, 0.3)]
    assert codes(volume_of(body(), direction=sheared)) == [("sheared-axes", REFUSE)]
    assert codes(volume_of(body(), direction=np.zeros((3, 3)))) == [("sheared-axes", REFUSE)]
    assert codes(volume_of(body(), direction=np.diag([-1.0, 1.0, 1.0]))) == []


# Size ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slices", "thickness", "code", "severity", "named"),
    [
        (1, 50, "too-few-slices", REFUSE, "Only 1 slice (50 mm)"),
        (4, 3, "too-few-slices", REFUSE, "Only 4 slices (12 mm)"),
        (24, 0.5, "too-few-slices", REFUSE, "Only 24 slices (12 mm)"),
        (8, 10, "few-slices", WARNING, "Only 8 slices (80 mm)"),
        (12, 3, "few-slices", WARNING, "Only 12 slices (36 mm)"),
    ],
)
def test_too_few_slices_are_counted(
    slices: int, thickness: float, code: str, severity: str, named: str
) -> None:
    (finding,) = check_volume(volume_of(body()[:slices], (2, 2, thickness)))
    assert (finding.code, finding.severity) == (code, severity)
    assert named in finding.message


def test_forty_millimetres_are_enough() -> None:
    assert codes(volume_of(body()[:20], (2, 2, 2))) == []


def test_narrow_and_overlong_volumes_are_named() -> None:
    assert codes(volume_of(body(), (0.3, 2, 4))) == [("too-small", REFUSE)]
    assert codes(volume_of(body(), (0.6, 2, 4))) == [("small", WARNING)]
    (finding,) = check_volume(volume_of(body(), (2, 2, 400)))
    assert (finding.code, finding.severity) == ("too-long", WARNING)
    assert "24 slices of 400 mm make 9.6 m" in finding.message


@pytest.mark.parametrize(("slices", "severity"), [(2000, NOTE), (7500, WARNING)])
def test_the_memory_that_a_huge_volume_needs_is_named(slices: int, severity: str, monkeypatch) -> None:
    monkeypatch.setattr(checks, "free_memory", lambda: None)  # a system that does not tell
    little = body((24, 64, 64)).astype(np.int16)
    huge = np.broadcast_to(np.tile(little, (1, 8, 8))[:1], (slices, 512, 512))  # takes no memory itself
    (finding,) = check_volume(volume_of(huge, (0.8, 0.8, 0.3)))
    assert (finding.code, finding.severity) == ("much-memory", severity)

    assert f"512 x 512 x {slices}" in finding.message and "GB" in finding.message


def test_less_free_memory_than_needed_is_a_warning_with_both_numbers(monkeypatch) -> None:
    monkeypatch.setattr(checks, "free_memory", lambda: 3_000_000_000)
    little = body((24, 64, 64)).astype(np.int16)
    huge = np.broadcast_to(np.tile(little, (1, 8, 8))[:1], (900, 512, 512))
    (finding,) = check_volume(volume_of(huge, (0.8, 0.8, 0.3)))
    assert finding.severity == WARNING
    assert "about 5 GB of memory" in finding.message and "3 GB are free" in finding.message


# Who decides ---------------------------------------------------------------------------------------------

REFUSED = Finding("constant", REFUSE, "refused.", "do.")
WARNED = Finding("not-ct", WARNING, "warned.", "look.")
NOTED = Finding("much-memory", NOTE, "noted.", "wait.")


def test_notes_never_stop_and_warnings_stop_unless_accepted() -> None:
    enforce([], accept_warnings=False)
    enforce([NOTED], accept_warnings=False)
    enforce([WARNED, NOTED], accept_warnings=True)
    with pytest.raises(InputRefused) as caught:
        enforce([NOTED, WARNED], accept_warnings=False)
    assert (caught.value.code, caught.value.message) == ("not-ct", "warned.")
    assert caught.value.hint.startswith("look. ") and "--accept-warnings" in caught.value.hint


@pytest.mark.parametrize("accepted", [True, False])
def test_a_refusal_cannot_be_accepted_and_comes_first(accepted: bool) -> None:
    with pytest.raises(InputRefused) as caught:
        enforce([WARNED, REFUSED], accepted)
    assert (caught.value.code, caught.value.hint) == ("constant", "do.")


def test_the_gravest_finding_comes_first() -> None:
    severities = [finding.severity for finding in check_volume(volume_of(mr()[:4], (0.6, 2, 3)))]
    assert severities == [REFUSE, WARNING, WARNING]
