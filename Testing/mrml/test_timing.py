"""The time that the panel promises: from the probe before the first run, from the runs after it."""

from __future__ import annotations

from pathlib import Path

import pytest

CT = {"size": [512, 512, 300]}
VOXELS = 512 * 512 * 300


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IUINET_HOME", str(tmp_path / "Lékař"))
    return tmp_path


def report(network: float, device: str = "cpu", passes: int = 1) -> dict:
    return {
        "passes": passes,
        "input": CT,
        "device": device,
        "weights": {"sha256": "a" * 64},
        "seconds": {"segmenting": network},
    }


def test_before_the_first_run_the_probe_counts_and_after_it_the_runs(module):
    from IUINetSegmentationLib.panel import status as panel_status

    assert panel_status.expected_seconds("cpu", "a" * 64, VOXELS, None) is None
    before = panel_status.expected_seconds("cpu", "a" * 64, VOXELS, 10.0)
    assert 10.0 < before < 13.0
    panel_status.remember_run(report(20.0), 22.0)
    assert panel_status.expected_seconds("cpu", "a" * 64, VOXELS, 10.0) == pytest.approx(22.0)
    # Half the voxels save half of what depends on them.
    assert panel_status.expected_seconds("cpu", "a" * 64, VOXELS // 2, 10.0) == pytest.approx(21.0)
    # Another model and another device are other matters.
    assert panel_status.expected_seconds("cpu", "b" * 64, VOXELS, None) is None
    assert panel_status.expected_seconds("NVIDIA", "a" * 64, VOXELS, 0.5) < 3.0


def test_two_passes_take_twice_one_whichever_was_measured(module):
    from IUINetSegmentationLib.panel import status as panel_status

    assert panel_status.expected_seconds("cpu", "a" * 64, 0, 10.0, passes=2) == pytest.approx(20.0)
    panel_status.remember_run(report(30.0, passes=2), 32.0)
    assert panel_status.expected_seconds("cpu", "a" * 64, VOXELS, None, passes=2) == pytest.approx(32.0)
    assert panel_status.expected_seconds("cpu", "a" * 64, VOXELS, None, passes=1) == pytest.approx(17.0)


def test_one_slow_run_among_others_does_not_decide(module):
    from IUINetSegmentationLib.panel import status as panel_status

    for network in (10.0, 10.0, 90.0, 10.0):
        panel_status.remember_run(report(network), network + 2.0)
    assert panel_status.expected_seconds("cpu", "a" * 64, VOXELS, None) == pytest.approx(12.0)


def test_a_damaged_file_is_as_good_as_none(module, own_folder):
    from IUINetSegmentationLib.panel import status as panel_status

    panel_status.remember_run(report(10.0), 12.0)
    (file,) = own_folder.rglob("timing.json")
    file.write_text("{ not json", encoding="utf-8")
    assert panel_status.expected_seconds("cpu", "a" * 64, VOXELS, None) is None
    panel_status.remember_run(report(10.0), 12.0)
    assert panel_status.expected_seconds("cpu", "a" * 64, VOXELS, None) == pytest.approx(12.0)


def test_the_expected_time_is_translated_with_the_panel(module, monkeypatch):
    from IUINetSegmentationLib.panel import status as panel_status

    assert [panel_status.in_words(seconds) for seconds in (3, 62, 125)] == [
        "about 5 s",
        "about 60 s",
        "about 2 min",
    ]
    monkeypatch.setattr(panel_status, "_", lambda text: text.replace("about", "etwa"))
    assert panel_status.in_words(62) == "etwa 60 s"
