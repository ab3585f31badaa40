"""One case and its ledger: whole or not there, sorted by whose fault it was, and without names."""

from __future__ import annotations

import json
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from helpers.cohort_tools import MARKS, mark
from helpers.dicom_factory import body_volume, write_series
from PIL import Image

from iuinet.cohorts.case import Case, Job, Work
from iuinet.cohorts.find import Finder
from iuinet.cohorts.ledger import Ledger
from iuinet.cohorts.marks import Marks, begin_run, end_runs
from iuinet.cohorts.pipeline import Pipeline, Turn
from iuinet.cohorts.source import Source
from iuinet.errors import OutputError, UsageError
from iuinet.labels import ORGANS
from iuinet.options import Options

MADE = {"iuinet": "1", "model": {"id": "toy", "sha256": "ab"}, "fast": False}
CASE = "case-0123456789"


class Result:
    """What the network gives, as far as writing needs it."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.labels = np.zeros(shape, np.uint8)
        self.labels[2:5, 4:9, 4:9] = 6
        self.organs = ORGANS[:13]
        weights = {"id": "toy", "version": "1", "sha256": "ab" * 32}
        self.report = {"weights": weights, "checks": [], "device": "cpu", "passes": 1, "fallbacks": []}
        self.report["organs"] = [{"name": "liver"}]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    out = tmp_path / "out"
    out.mkdir()
    return Job(out, begin_run(out), Options(), "ab" * 32, previews=False)


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    with warnings.catch_warnings():  # a worker silences them for good
        yield Pipeline()


def written(tmp_path: Path, job: Job, ending: str, previews: bool = False) -> Work:
    """A marked series whose result is to be written."""
    write_series(tmp_path / "ZZFOLDER", body_volume((12, 24, 28)), edit=mark, name="ZZFILE{}.dcm".format)
    finder = Finder(job.out)
    finder.search(tmp_path / "ZZFOLDER")
    chosen = Job(job.out, job.run, job.options, job.sha256, ending, previews)
    work = Work(Case(CASE, finder.sources[0]), chosen)
    work.read()
    work.result = Result(work.volume.array.shape)
    return work


def test_a_dicom_segmentation_has_the_id_in_the_place_of_the_patient(tmp_path: Path, job: Job) -> None:
    work = written(tmp_path, job, ".dcm")
    work.write()
    work.close()
    path = job.out / CASE / f"{CASE}.dcm"
    seg = pydicom.dcmread(path)
    assert (seg.PatientName, seg.PatientID, seg.PatientBirthDate, seg.AccessionNumber) == (CASE, CASE, "", "")
    assert not [word for word in (b"ZZ", b"19470823") if word in path.read_bytes()]


def test_pictures_have_no_name_in_them_and_a_small_one_is_for_the_page(tmp_path: Path, job: Job) -> None:
    work = written(tmp_path, job, ".seg.nrrd", previews=True)
    work.write()
    work.close()
    kinds = {path.name.removeprefix(f"{CASE}."): path for path in (job.out / CASE).iterdir()}
    assert set(kinds) == {"seg.nrrd", "report.json", "preview.png", "thumb.jpg"}
    assert not [
        kind for kind, path in kinds.items() if any(word.encode() in path.read_bytes() for word in MARKS)
    ]
    with Image.open(kinds["thumb.jpg"]) as small, Image.open(kinds["preview.png"]) as large:
        assert small.width <= 560 < large.width and small.convert("L").getextrema()[1] > 100


@pytest.mark.skipif(os.name == "nt", reason="the limit is POSIX's")
def test_a_disk_that_takes_nothing_leaves_nothing_and_another_ones_result_stays(
    tmp_path: Path, job: Job
) -> None:
    import resource

    work = written(tmp_path, job, ".seg.nrrd")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))  # the disk, seen from here
    try:
        with pytest.raises(OutputError):
            work.write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (job.out / CASE).exists() and not list((job.out / ".drafts").iterdir())
    work.write()
    first = (job.out / CASE / f"{CASE}.seg.nrrd").stat().st_ino
    work.write()  # as a worker does whose coordinator was killed
    assert (job.out / CASE / f"{CASE}.seg.nrrd").stat().st_ino == first
    work.close()


def test_a_file_that_is_gone_is_no_verdict_on_the_scan_and_has_no_name(
    tmp_path: Path, job: Job, pipeline: Pipeline
) -> None:
    for source in (Source((str(tmp_path / "Doe.nii"),)), Source((str(tmp_path / "Doe"),), "1.2.3")):
        outcome = pipeline.do(Case(CASE, source), job)
        assert (outcome["state"], outcome["code"]) == ("failed", "not-found")
        assert "Doe" not in json.dumps(outcome)
    assert not os.listdir(job.out / ".run" / job.run)


def test_what_was_not_foreseen_is_told_by_its_place_alone(
    tmp_path: Path, job: Job, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(work: Work) -> None:
        raise KeyError("Doe")

    monkeypatch.setattr(Work, "read", fail)
    outcome = pipeline.do(Case(CASE, Source(("/a.nii",))), job)
    assert outcome["state"] == "failed" and "KeyError" in outcome["message"]
    assert "Doe" not in json.dumps(outcome)


def test_a_case_that_ended_two_workers_is_not_begun_again(job: Job, pipeline: Pipeline) -> None:
    marks = Marks(job.out, job.run)
    for _ in range(2):
        marks.begin(CASE)
    outcome = pipeline.do(Case(CASE, Source(("/a.nii",))), job)
    assert (outcome["state"], outcome["code"]) == ("set aside", "killed-its-worker")


def test_a_run_that_has_ended_stops_its_workers(job: Job, pipeline: Pipeline) -> None:
    end_runs(job.out)
    assert pipeline.do(Case(CASE, Source(("/a.nii",))), job)["state"] == "cancelled"


def test_a_suspect_is_alone_in_its_worker() -> None:
    turn, inside, most = Turn(3), [], []
    with turn.taken(alone=False):
        assert not turn._has_place(alone=True) and turn._has_place(alone=False)
    with turn.taken(alone=True):
        assert not turn._has_place(alone=True) and not turn._has_place(alone=False)

    def work(alone: bool) -> None:
        with turn.taken(alone):
            inside.append(alone)
            most.append(len(inside))
            assert not (any(inside) and len(inside) > 1)
            inside.remove(alone)

    threads = [threading.Thread(target=work, args=(number % 5 == 0,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 40 and turn.inside == 0


def test_a_ledger_goes_on_after_a_line_that_was_cut_and_believes_the_folders(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, MADE)
    ledger.add({"case": "case-aaaaaaaaaa", "state": "refused", "code": "not-ct"})
    with open(tmp_path / "ledger.jsonl", "ab") as file:
        file.write(b'{"case": "case-bbbbbbbbbb", "sta')
    (tmp_path / CASE).mkdir()
    again = Ledger(tmp_path, MADE)
    assert again.done == {CASE} and set(again.outcomes) == {"case-aaaaaaaaaa"}
    assert not again.is_open(CASE, retry=True)
    assert not again.is_open("case-aaaaaaaaaa", retry=False) and again.is_open("case-aaaaaaaaaa", retry=True)
    assert again.is_open("case-bbbbbbbbbb", retry=False)
    lines = (tmp_path / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3 and all(map(json.loads, lines))
    (tmp_path / CASE).rmdir()
    assert Ledger(tmp_path, MADE).is_open(CASE, retry=False)


def test_a_ledger_of_something_else_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path, MADE)
    with pytest.raises(UsageError, match="made with model toy ab, and this would be toy cd") as caught:
        Ledger(tmp_path, {**MADE, "model": {"id": "toy", "sha256": "cd"}})
    assert caught.value.code == "other-cohort"
    (tmp_path / "ledger.jsonl").write_text("shopping\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        Ledger(tmp_path, MADE)
    assert caught.value.code == "ledger"
