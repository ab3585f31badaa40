"""What all tests share: where the development data is, a small model, and how tests run without torch."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

if os.name == "posix":
    # nohup lets a whole test run ignore it, and with it the programs that tests end by it.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

HAS_TORCH = importlib.util.find_spec("torch") is not None
NO_TORCH = "torch is not installed here"
# The files that take longest, longest first: begun last, one would keep a process busy alone at the end.
LONGEST = (
    *("test_train_kill.py", "test_train.py", "test_chain.py", "test_initial.py", "test_train_processes.py"),
    *("test_export.py", "test_budget.py", "test_evaluate.py", "test_mixed_sources.py", "test_page.py"),
    *("test_ablate_compare.py", "test_references.py", "test_dataset_transunet.py"),
    *("test_gpu_kernels.py", "test_network.py", "test_fast.py", "test_ladder.py", "test_fast_learning.py"),
    *("test_inference.py", "test_download.py", "test_result.py", "test_life.py", "test_errors_run.py"),
    *("test_cohort.py", "test_killed.py", "test_worker_faults.py", "test_worker_life.py", "test_fuzz.py"),
    "test_cli_segment.py",
)


@pytest.fixture(scope="session", autouse=True)
def user_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty per-user folder, so that no test reads or changes the models of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("iuinet-home")
        patch.setenv("IUINET_HOME", str(folder))
        patch.delenv("IUINET_WEIGHTS_INDEX", raising=False)
        yield folder


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The development data, named by IUINET_DATA. Without it the test is skipped; with it, it must run."""
    named = os.environ.get("IUINET_DATA")
    if not named:
        pytest.skip("needs the development data: set IUINET_DATA to its folder")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"IUINET_DATA names {named}, which is not a folder")
    return folder


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete model file with an input of 32^3 voxels and random weights, always the same ones."""
    return random_model(tmp_path_factory.mktemp("small-model") / "small-random.safetensors")


@pytest.fixture(scope="session")
def shallow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with three of the five stages: for tests that segment very often."""
    path = tmp_path_factory.mktemp("shallow-model") / "shallow-random.safetensors"
    return random_model(path, blocks=(1, 1, 1))


def random_model(path: Path, **network: object) -> Path:
    """Write a model file with an input of 32^3 voxels. network: what differs from the preset "tiny"."""
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    from dataclasses import replace

    from helpers.sample_ct import CHALLENGE

    from iuinet.network import PRESETS, IUINet
    from iuinet.weights.load import save_model

    size = 32
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = IUINet(replace(PRESETS["tiny"], size=size, **network))
    document = {
        "format": 1,
        "id": path.stem,
        "version": "1",
        "organs": [{"name": organ.name, "label": organ.id} for organ in CHALLENGE],
        "preprocessing": {"orientation": "LPS", "size": size, "window": [-125, 275]},
        "training": {"data": "none: random weights for tests"},
        "metrics": {},
        "license": "Apache-2.0",
        "attributions": [],
        "intended_use": "Tests only.",
    }
    save_model(path, net, document)
    return path


@pytest.fixture(scope="session")
def two_pass_model(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    """The same model under another name, made for a second, closer look."""
    from iuinet.weights.load import load_model, save_model

    net, document = load_model(small_model)
    document["id"] = "two-passes"
    organs = ["spleen", "left kidney", "portal and splenic veins"]
    document["preprocessing"]["second_pass"] = {"organs": organs, "margin_mm": 4.0}
    path = tmp_path_factory.mktemp("two-pass-model") / "two-passes.safetensors"
    save_model(path, net, document)
    return path


# The order, a missing torch and missing data ------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; leave out what runs torch in a process of its own without torch."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
    if HAS_TORCH:
        return
    for item in items:
        if item.get_closest_marker("needs_torch"):
            item.add_marker(pytest.mark.skip(reason=NO_TORCH))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """A test file that cannot be imported for want of torch alone is left out, with the reason."""
    report = yield
    if report.failed and _torch_is_missing(report.longreprtext):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 1, f"Skipped: {NO_TORCH}")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """A test that meets the missing torch is left out; a data test that is left out with the data fails."""
    report = yield
    if call.excinfo is None:
        return report
    if report.failed and _torch_is_missing(str(call.excinfo.value)):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 1, f"Skipped: {NO_TORCH}")
    elif report.skipped and os.environ.get("IUINET_DATA") and "data_folder" in item.fixturenames:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped although IUINET_DATA is set: {call.excinfo.value}"
    return report


def _torch_is_missing(text: str) -> bool:
    return not HAS_TORCH and "No module named 'torch'" in text
