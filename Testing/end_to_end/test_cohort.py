"""Whole cohorts: real workers really killed, a real scheduler, and no name in anything that is left."""

from __future__ import annotations

import csv
import json
import os
import signal
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from helpers.cohort_tools import (
    KILLING,
    MARKS,
    cases_in,
    kill,
    start,
    state_of,
    wait_for_cases,
    wait_for_none,
    write_scan,
    write_tree,
)
from helpers.command_tools import PACKAGE_ROOT, environment
from helpers.waiting import communicate, wait_until

from iuinet import cohort
from iuinet.errors import IUINetError, UsageError

pytest.importorskip("distributed", reason="needs dask.distributed: install the extra cohort")
pytestmark = pytest.mark.needs_torch

FILES = {"report.json", "seg.nrrd"}  # without previews, which are drawn in the tests of one case


class Done:
    """A finished run. said: all that it printed, Dask's own log with it."""

    def __init__(self, source: Path, out: Path, temporary: Path, arguments: list[str]) -> None:
        self.source, self.out, self.temporary, self.arguments = source, out, temporary, arguments
        self.status, self.said = 0, ""

    def run(self, *more: str, **variables: str) -> Done:
        command = start(self.source, self.out, *self.arguments, *more, **variables)
        self.said = "".join(communicate(command))
        self.status = command.returncode
        return self

    def rows(self) -> list[dict[str, str]]:
        with open(self.out / "organs.csv", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, shallow_model: Path) -> Done:
    """All that can lie in an input, worked through by a worker that one of the scans kills."""
    base = tmp_path_factory.mktemp("cohort")
    (base / "temporary").mkdir()
    (base / "program").mkdir()
    (base / "program" / "sitecustomize.py").write_text(KILLING, encoding="utf-8")
    source = write_tree(base / "ZZFOLDER in")
    arguments = ["--weights", str(shallow_model), "--organs", "liver,spleen", "--accept-warnings"]
    arguments.append("--no-previews")
    found = Done(source, source / "out", base / "temporary", arguments)
    path = os.pathsep.join([str(base / "program"), str(PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")])
    return found.run("--debug", TMPDIR=str(base / "temporary"), PYTHONPATH=path)


def test_every_case_is_accounted_for(done: Done) -> None:
    assert done.status == 3, done.said
    states = {row["case"]: (row["state"], row["code"]) for row in done.rows()}
    counts = Counter(states.values())
    assert counts.pop(("done", "")) == 4
    assert counts.pop(("refused", "file-damaged")) == 1
    assert counts.pop(("set aside", "killed-its-worker")) == 1
    odd = {code: count for (state, code), count in counts.items() if state == "odd"}
    assert odd == {"link": 1, "no-file": 1, "empty-folder": 1, "localizer": 1, "not-ct": 1}
    assert len(states) == 11
    assert len(cases_in(done.out)) == 4
    for case in cases_in(done.out):
        assert {path.name.removeprefix(f"{case.name}.") for path in case.iterdir()} == FILES


def test_the_table_has_a_row_per_case_and_organ(done: Done) -> None:
    rows = [row for row in done.rows() if row["state"] == "done"]
    assert Counter(row["case"] for row in rows) == {case.name: 2 for case in cases_in(done.out)}
    found = [row for row in rows if row["found"] == "True"]
    assert found and all(float(row["millilitres"]) > 0 for row in found)
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: install the extra cohort")
    table = parquet.read_table(done.out / "organs.parquet").to_pylist()
    assert [(row["case"], row["organ"] or "") for row in table] == [
        (row["case"], row["organ"]) for row in done.rows()
    ]
    assert {row["model_sha256"] for row in table if row["state"] == "done"} == {rows[0]["model_sha256"]}


def test_nothing_that_is_left_behind_or_printed_holds_a_name(done: Done) -> None:
    mapping = done.out / "mapping.csv"
    files = [path for path in done.out.rglob("*") if path.is_file() and path != mapping]
    assert len(files) == 4 * len(FILES) + 5  # ledger, lock, page, two tables
    for path in files:
        data = path.read_bytes() + str(path.relative_to(done.out)).encode()
        assert not [word for word in MARKS if word.encode() in data], path
    said = done.said.replace(str(done.source), "")  # the command names the folder that it was given
    assert "killed" in said or "Restarting" in said or "restart" in said, "Dask's log is not seen"
    assert not [word for word in MARKS if word in said]
    assert not [path for path in done.temporary.iterdir() if path.name.startswith("iuinet-")]
    text = mapping.read_text(encoding="utf-8")
    assert "ZZFILE 0 ZZNAME" in text and stat.S_IMODE(mapping.stat().st_mode) == 0o600


def test_a_second_run_changes_nothing_and_tries_no_refused_case_again(done: Done) -> None:
    before, ledger = state_of(done.out), (done.out / "ledger.jsonl").read_bytes()
    again = Done(done.source, done.out, done.temporary, done.arguments).run()
    counts = "done         4\nrefused      1\nset aside    1\nodd          5\n"
    assert again.status == 3 and counts in again.said
    assert state_of(done.out) == before
    assert (done.out / "ledger.jsonl").read_bytes() == ledger


@pytest.mark.parametrize(
    "other",
    [{"fast": True}, {"ending": ".nii.gz"}, {"organs": None}, {"weights": ""}, {"region": [(0, 9)] * 3}],
)
def test_another_model_or_option_is_refused(other: dict, done: Done, small_model: Path) -> None:
    chosen = {"weights": done.arguments[1], "organs": ["liver", "spleen"], **other}
    chosen["weights"] = chosen["weights"] or str(small_model)
    with pytest.raises(UsageError) as caught:
        cohort(done.source, done.out, **chosen)
    assert caught.value.code == "other-cohort"


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Six scans."""
    for number in range(6):
        write_scan(tmp_path / "in" / f"{number}.nii.gz", number)
    return tmp_path / "in"


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Scheduler]:
    """A scheduler as a cluster has it."""
    with Scheduler(tmp_path) as running:
        yield running


class Scheduler:
    """Dask's own scheduler and workers, each a process."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._running = folder, []
        self._file = folder / "scheduler.json"

    def __enter__(self) -> Scheduler:
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        wait_until(self._is_known, what="the scheduler did not start")
        self.address = json.loads(self._file.read_text(encoding="utf-8"))["address"]
        return self

    def _is_known(self) -> bool:
        """Whether the scheduler's file is there and whole: dask makes it before it fills it."""
        return self._file.exists() and self._file.read_text(encoding="utf-8").rstrip().endswith("}")

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
            process.wait()

    def add_worker(self) -> subprocess.Popen:
        """A worker that says it has a GPU, without a nanny: killed, it does not come again."""
        options = ("--nthreads", "3", "--resources", "GPU=1", "--local-directory", str(self._folder))
        return self._start("worker", "--no-nanny", "--no-dashboard", *options)

    def _start(self, kind: str, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "dask", kind, "--scheduler-file", str(self._file), *arguments]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._running.append(subprocess.Popen(command, env=environment(), **quiet))
        return self._running[-1]


def test_a_killed_command_goes_on_where_it_was_on_another_engine_whose_workers_come_and_go(
    scans: Path, tmp_path: Path, shallow_model: Path, scheduler: Scheduler
) -> None:
    out = tmp_path / "out"
    arguments = [scans, out, "--weights", shallow_model, "--accept-warnings", "--no-previews"]
    command = start(*arguments)
    wait_for_cases(command, out, 2)
    processes = psutil.Process(command.pid).children(recursive=True)
    kill(command.pid)
    communicate(command)
    wait_for_none(processes)
    before = state_of(out)
    for case in cases_in(out):
        assert {path.name.removeprefix(f"{case.name}.") for path in case.iterdir()} == FILES

    first = scheduler.add_worker()
    scheduler.add_worker()
    command = start(*arguments, "--scheduler", scheduler.address)
    wait_for_cases(command, out, len(cases_in(out)) + 1)
    first.kill()
    scheduler.add_worker()
    said = communicate(command)
    assert command.returncode == 0, said
    after = state_of(out)
    assert len(cases_in(out)) == 6 and len(after) == 6 * len(FILES)
    assert {name: after[name] for name in before} == before
    ledger = [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()[1:]]
    assert Counter((one["case"], one["state"]) for one in ledger) == {
        (case.name, "done"): 1 for case in cases_in(out)
    }
    assert {path.name for path in out.iterdir() if path.name.startswith(".")} == {".lock"}


def test_ctrl_c_stops_it_and_says_how_it_goes_on(tmp_path: Path, scans: Path, shallow_model: Path) -> None:
    out = tmp_path / "out"
    command = start(scans, out, "--weights", shallow_model, "--accept-warnings", "--no-previews")
    wait_for_cases(command, out, 1)
    os.killpg(command.pid, signal.SIGSTOP)  # else it may be done meanwhile
    with pytest.raises(UsageError, match="another run") as caught:
        cohort(scans, out, weights=shallow_model, accept_warnings=True)
    assert caught.value.code == "output-in-use"
    processes = psutil.Process(command.pid).children(recursive=True)
    os.killpg(command.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    os.killpg(command.pid, signal.SIGCONT)
    said, refused = communicate(command)
    assert command.returncode == 6 and refused.startswith("error[cancelled]: ") and "goes on" in refused
    wait_for_none(processes)
    assert len(said.splitlines()) > 3 and len(cases_in(out)) < 6
    assert (out / "index.html").exists() and not (out / ".drafts").exists()


def test_an_output_that_cannot_be_written_is_said_before_any_work(
    tmp_path: Path, shallow_model: Path
) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(IUINetError) as caught:
        cohort(tmp_path / "in", tmp_path / "file" / "out", weights=shallow_model)
    assert caught.value.code == "no-output-folder"
