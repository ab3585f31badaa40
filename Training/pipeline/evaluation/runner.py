"""Runs every model on every case: inference in this thread, scores in others, results kept as they come.

Finished results lie on disk, one file per model and case, so that an evaluation that was stopped goes on. A
result is taken again only if everything that decides it is the same: the model's file, the data, the case's
own files and the settings. All that is in its key.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import iuinet
from iuinet.console import Console
from iuinet.files import output_error
from iuinet.labels import Organ
from iuinet.options import Options
from iuinet.reading import read_volume
from iuinet.volume import Grid, Volume
from iuinet.writing import image_on_grid, write_json, write_labels
from pipeline.dataset.facts import finite
from pipeline.dataset.parallel import TimeLeft
from pipeline.dataset.prepared import PreparedData

from .candidates import Candidate, Member
from .metrics import TRANSUNET, Rules
from .scoring import Found, Reference, score_case, to_shape, translation
from .segmenters import Model, segmenter

# Raised whenever label maps would be found or scored otherwise than before, within a version of the program.
SCORING = 3
PARTS, LABELS = "parts", "labels"


def usual_threads() -> int:
    """Threads that score beside the one that segments."""
    return min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Settings:
    """rules: of the scores. islands, fast: see ``iuinet.options``. workers: threads that score.

    By the rules of TransUNet all pieces are kept, as the code behind the published tables does.
    """

    rules: Rules = field(default_factory=Rules)
    islands: bool = True
    device: str = "auto"
    workers: int = 1
    fast: bool = False

    def __post_init__(self) -> None:
        if self.rules.convention == TRANSUNET:
            object.__setattr__(self, "islands", False)


class Runner:
    """Measures candidates on prepared data; finished results in the store are not computed again.

    organs: the data's.
    """

    def __init__(
        self,
        data: PreparedData,
        organs: tuple[Organ, ...],
        settings: Settings,
        store: Store,
        console: Console,
    ) -> None:
        self.data, self.organs, self.settings = data, organs, settings
        self.store, self.console = store, console
        self._models: dict[str, Model] = {}

    def run(self, candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
        """The rows of all candidates on their cases, in the order of candidates, cases and organs."""
        results = {}
        waiting: list[tuple[str, Candidate]] = []
        for case in dict.fromkeys(case for candidate in candidates for case in candidate.cases):
            for candidate in [candidate for candidate in candidates if case in candidate.cases]:
                known = self.store.read(candidate.name, case, self._key(candidate, case))
                if known is None:
                    waiting.append((case, candidate))
                else:
                    results[candidate.name, case] = known
        total = len(waiting)
        left = TimeLeft(total, 1 + self.settings.workers)
        if results:
            self.console.say(f"{len(results)} results are kept from before, {total} are to be computed.")
        self.console.status(f"0 of {total}")
        for done, (name, case, result) in enumerate(self._measure(waiting), start=1):
            results[name, case] = result
            place = f"{done:>4} of {total}  {name}  {case}"
            rest = left.after(done)
            scores = [r["dsc"] for r in result["rows"] if r["grid"] == "native" and r["dsc"] is not None]
            self.console.clear()
            self.console.say(f"{place}  DSC {f'{np.mean(scores):.3f}' if scores else '-'}{rest}")
            self.console.status(f"{done} of {total}{rest}")
        self.console.clear()
        return [
            {"model": candidate.name, "case": case, **row}
            for candidate in candidates
            for case in candidate.cases
            for row in results[candidate.name, case]["rows"]
        ]

    def predict(self, candidate: Candidate, case: str, volume: Volume) -> tuple[Found, dict[str, Any]]:
        """Labels of a candidate on a case, and how they came about."""
        model = self._load(candidate.member_for(case))
        prediction = model(volume, Options(islands=self.settings.islands, fast=self.settings.fast))
        lookup, organs = translation(model.organs, self.organs)
        organs = {name: label for name, label in organs.items() if name in self.data.labelled}
        native = to_shape(lookup[prediction.labels], self._label_grid(case).shape)
        found = Found(native, lookup[model.at_network_size(self.settings.islands)], organs)
        about = {
            "device": prediction.device,
            "seconds": {stage: round(seconds, 2) for stage, seconds in prediction.seconds.items()},
            "pieces": prediction.components,
            "fallbacks": prediction.fallbacks,
        }
        return found, about

    def look_up(self, candidate: Candidate, case: str) -> tuple[Volume, np.ndarray, np.ndarray]:
        """CT, reference and the candidate's labels on the reference's grid: as kept, else computed."""
        volume, reference = self._native(case)
        labels = self.store.read_labels(candidate.name, case)
        if labels is None:
            labels = self.predict(candidate, case, volume)[0].native
        shown = Volume(to_shape(volume.array, reference.shape), self._label_grid(case), volume.name)
        return shown, reference, labels

    # One case after the other ---------------------------------------------------------------------------

    def _measure(self, waiting: Sequence[tuple[str, Candidate]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Results as they come. Cases go one by one, so that each is read once for all models."""
        at_once = max(1, self.settings.workers)
        pool = ThreadPoolExecutor(at_once)
        pending: set[Future] = set()
        loaded, volume, reference = None, None, None
        try:
            for case, candidate in waiting:
                if case != loaded:
                    volume, labels = self._native(case)
                    loaded, reference = case, Reference(labels, self._label_grid(case))
                found, about = self.predict(candidate, case, volume)
                pending.add(pool.submit(self._finish, candidate, case, found, reference, about))
                # Label maps wait in memory for their scores: no more of them than are worked on, and one.
                done, pending = wait(pending, None if len(pending) > at_once else 0, FIRST_COMPLETED)
                yield from (future.result() for future in done)
            for future in wait(pending)[0]:
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _finish(
        self, candidate: Candidate, case: str, found: Found, reference: Reference, about: dict[str, Any]
    ) -> tuple[str, str, dict[str, Any]]:
        result = {"rows": score_case(found, reference, self.settings.rules), **about}
        self.store.write_labels(candidate.name, case, found.native, reference.grid, self.organs)
        self.store.write(candidate.name, case, self._key(candidate, case), result)
        return candidate.name, case, result

    def _native(self, case: str) -> tuple[Volume, np.ndarray]:
        volume, labels = self.data.native(case)
        return replace(volume, array=finite(volume.array)), labels

    def _label_grid(self, case: str) -> Grid:
        """The grid of the reference, on which scores are."""
        files = self.data.case(case)
        return files.label_grid or files.grid

    def _key(self, candidate: Candidate, case: str) -> str:
        files = self.data.case(case)
        return key_of(
            models=[candidate.member_for(case).sha256],
            data=self.data.fingerprint,
            files=[files.image_sha256, files.label_sha256],
            rules=asdict(self.settings.rules),
            islands=self.settings.islands,
            fast=self.settings.fast,
            software=iuinet.__version__,
        )

    def _load(self, member: Member) -> Model:
        if member.name not in self._models:
            model = segmenter(member.weights, self.settings.device)
            if model.second_pass and not self.settings.rules.millimetres:
                model.second_pass = replace(model.second_pass, smallest_mm=(0.0,) * 3)
            self._models[member.name] = model
        return self._models[member.name]


# Results on disk ---------------------------------------------------------------------------------------


def key_of(**settings: Any) -> str:
    """A short name for all that decides a result."""
    text = json.dumps({"scoring": SCORING, **settings}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Store:
    """Results and label maps in an output folder, which is made. Raises: OutputError where it cannot be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, model: str, case: str, key: str) -> dict[str, Any] | None:
        """The result of a model on a case, None where there is none of this key."""
        try:
            document = json.loads(self._part(model, case).read_text(encoding="utf-8"))
            return document["result"] if document["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # a damaged result is computed again

    def write(self, model: str, case: str, key: str, result: dict[str, Any]) -> None:
        """Keep a result, completely or not at all."""
        path = self._part(model, case)
        make_folder(path.parent)
        write_json(path, {"key": key, "result": result}, overwrite=True)

    def labels(self, model: str, case: str) -> Path:
        """Where the label map of a model on a case lies."""
        return self.folder / LABELS / model / f"{case}.nii.gz"

    def read_labels(self, model: str, case: str) -> np.ndarray | None:
        """Kept labels (k, j, i), None where there are none."""
        path = self.labels(model, case)
        return read_volume(path).array.astype(np.uint8) if path.is_file() else None

    def write_labels(
        self, model: str, case: str, labels: np.ndarray, grid: Grid, organs: tuple[Organ, ...]
    ) -> None:
        """Keep a label map. labels: uint8 (k, j, i), ids of the organs."""
        path = self.labels(model, case)
        make_folder(path.parent)
        write_labels(path, image_on_grid(labels, grid), organs, overwrite=True)

    def _part(self, model: str, case: str) -> Path:
        return self.folder / PARTS / model / f"{case}.json"


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises: OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
