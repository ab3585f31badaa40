"""What several tests of the training share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here")


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Ctrl-C reaches the programs that the tests start, also where a shell in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def training_data(tmp_path_factory: pytest.TempPathFactory):
    """Eight prepared cases of 32^3; nobody changes them."""
    from training.evaluation_factory import prepared_cases

    return prepared_cases(tmp_path_factory.mktemp("training-data"))


@pytest.fixture(scope="session")
def whole_run(training_data, tmp_path_factory: pytest.TempPathFactory):
    """The folder of a small training by the command, to its end, and what the command said."""
    from training.training_runs import call

    folder = tmp_path_factory.mktemp("whole-run")
    done = call(folder, training_data.folder, folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run", done.stdout


@pytest.fixture
def own_threads() -> Iterator[None]:
    """Training sets torch's threads: put them back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
