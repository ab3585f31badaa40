"""The course of a training: a line per step and per validation, a row per epoch, TensorBoard's scalars.

Every line is handed to the system as it is written, so a killed process loses none of the lines before; what
lies behind the checkpoint that a run goes on from is dropped by ``rewind``, so that no line is double.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from iuinet.errors import InputRefused
from iuinet.files import atomic, output_error

from .run_folder import ATTENTION, EPOCHS, STEPS, TENSORBOARD

STEP_KEYS = ("phase", "epoch", "step", "loss", "learning_rate", "gradient_norm", "seconds")
EPOCH_KEYS = ("phase", "epoch", "step", "train_loss", "validation_loss", "mean_dsc")
LAST_KEYS = ("learning_rate", "seconds")
ORGAN_COLUMN = "dsc "  # begins the columns of single organs


class History:
    """Writes a run's history into its folder, after what is there.

    organs: names, for the columns of epochs.csv. notice: takes a sentence for the user, such as that
    TensorBoard is not installed.
    Raises: InputRefused "history-other" if the folder's epochs.csv has other columns, OutputError.
    """

    def __init__(
        self, folder: Path, organs: Sequence[str], notice: Callable[[str], None] = lambda sentence: None
    ) -> None:
        self.folder, self.notice, self.organs = folder, notice, tuple(organs)
        # A name on two lines would make two lines of a row.
        self.columns = [*EPOCH_KEYS, *(ORGAN_COLUMN + " ".join(name.split()) for name in organs), *LAST_KEYS]
        self._steps_path, self._epochs_path = folder / STEPS, folder / EPOCHS
        self._attention_path = folder / ATTENTION
        folder.mkdir(parents=True, exist_ok=True)
        self._files: dict[Path, BinaryIO] = {}
        self._events: Events | None = None  # opened with the first scalar
        self._wants_events = True
        self._check_columns()
        self._rewrite()

    def step(self, entry: Mapping[str, Any]) -> None:
        """One step: phase, epoch, step (counted over the whole run, from 1), loss, learning_rate,
        gradient_norm, seconds; further keys are kept. What is not a finite number becomes null."""
        line = json.dumps({key: _number(value) for key, value in entry.items()}, ensure_ascii=False)
        self._append(self._steps_path, line + "\n")
        self._scalars(entry["step"], entry, {"loss": "loss", "gradient_norm": "gradient norm"})

    def epoch(self, entry: Mapping[str, Any]) -> None:
        """One epoch: phase, epoch, step, train_loss, validation_loss, mean_dsc, dsc {organ: value},
        learning_rate, seconds; what is missing or None stays empty."""
        organs = {name: (entry.get("dsc") or {}).get(name) for name in self.organs}
        values = [entry.get(key) for key in EPOCH_KEYS]
        values += [*organs.values(), *(entry.get(key) for key in LAST_KEYS)]
        if not (self._epochs_path.exists() and self._epochs_path.stat().st_size):
            self._append(self._epochs_path, _csv_line(self.columns))
        self._append(self._epochs_path, _csv_line(["" if _number(v) is None else v for v in values]))
        tags = {"train_loss": "epoch/train loss", "validation_loss": "epoch/validation loss"}
        tags |= {"mean_dsc": "DSC/mean", "learning_rate": "learning rate"}
        self._scalars(entry["step"], entry, tags)
        self._scalars(entry["step"], organs, {name: f"DSC/{name}" for name in organs})
        if self._events:
            self._events.flush()

    def attention(self, step: int, layers: Mapping[str, Mapping[str, float]]) -> None:
        """What the DyFC did in the validation after this step: entropy and deviation by their names."""
        if layers:
            self._append(self._attention_path, json.dumps({"step": step, "layers": layers}) + "\n")

    def rewind(self, step: int, epochs: int) -> None:
        """Drop what lies behind a checkpoint: lines after this step, and rows after so many epochs.

        Lines that are missing before it (a computer without power loses what it had not yet written) are
        reported.
        """
        lines = self._rewrite(step, epochs)
        if lines < step:
            self.notice(f"{STEPS} lacks {step - lines} of the {step} steps before the checkpoint.")
        self._close_events()

    def sync(self) -> None:
        """Bring everything to the disk; called before a checkpoint is written."""
        for path, file in self._files.items():
            try:
                os.fsync(file.fileno())
            except OSError as error:
                raise output_error(path, error) from error
        if self._events:
            self._events.flush()

    def close(self) -> None:
        """Close the files; the history can go on afterwards."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._close_events()

    # Files ----------------------------------------------------------------------------------------------

    def _append(self, path: Path, line: str) -> None:
        try:
            if path not in self._files:
                self._files[path] = open(path, "ab", buffering=0)  # noqa: SIM115 - stays open
            data = line.encode("utf-8")
            # Without a buffer a full disk may take a part, which the next rewind drops.
            while data:
                data = data[self._files[path].write(data) :]
        except OSError as error:
            raise output_error(path, error) from error

    def _rewrite(self, step: float = math.inf, epochs: int | None = None) -> int:
        """Keep the whole lines up to a step and so many rows; returns the number of steps that are left."""
        self.close()
        lines, measured = (
            [line for line in whole_lines(path) if json.loads(line)["step"] <= step]
            for path in (self._steps_path, self._attention_path)
        )
        rows = read_epochs(self.folder)[:epochs]
        self._replace(self._steps_path, "".join(lines))
        self._replace(self._attention_path, "".join(measured))
        text = "".join(_csv_line([row[key] for key in self.columns]) for row in rows)
        self._replace(self._epochs_path, _csv_line(self.columns) + text if rows else "")
        return len(lines)

    def _replace(self, path: Path, text: str) -> None:
        if path.exists() and path.read_bytes() != text.encode("utf-8"):
            with atomic(path, overwrite=True) as draft:
                draft.write_bytes(text.encode("utf-8"))

    def _check_columns(self) -> None:
        header = next(csv.reader(whole_lines(self._epochs_path)), self.columns)
        if header != self.columns:
            raise InputRefused(
                f"{self._epochs_path} has the columns of another training",
                hint="Choose another run folder, or move this file away.",
                code="history-other",
            )

    # TensorBoard ----------------------------------------------------------------------------------------

    def _scalars(self, step: int, entry: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        if self._events is None and self._wants_events:
            try:
                self._events = Events(self.folder / TENSORBOARD, step)
            except ImportError:
                self._wants_events = False
                said = "TensorBoard is not installed: its curves are left out (pip install tensorboard)."
                self.notice(said)
            except OSError as error:
                raise output_error(self.folder / TENSORBOARD, error) from error
        if self._events:
            self._events.scalars(step, {tag: _number(entry.get(key)) for key, tag in tags.items()})

    def _close_events(self) -> None:
        if self._events:
            self._events.close()
            self._events = None


def read_steps(folder: Path) -> list[dict[str, Any]]:
    """The steps of a run, oldest first; a line that was cut off is left out."""
    return [json.loads(line) for line in whole_lines(folder / STEPS)]


def read_attention(folder: Path) -> list[dict[str, Any]]:
    """What the DyFC of a run did at each validation, oldest first: step, and layers by name."""
    return [json.loads(line) for line in whole_lines(folder / ATTENTION)]


def read_epochs(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's epochs.csv as text, oldest first; a row that was cut off is left out."""
    return list(csv.DictReader(whole_lines(folder / EPOCHS)))


def whole_lines(path: Path) -> list[str]:
    """The lines of a file with their ends, without a last one that a kill has cut off; [] without a file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    return data[: data.rfind(b"\n") + 1].decode("utf-8").splitlines(keepends=True)


def _csv_line(values: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def _number(value: Any) -> Any:
    """The value, None for one that is not a finite number: JSON and CSV have no sign for it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Events:
    """One file of TensorBoard's; it takes back what a run's earlier files hold from its first step on.

    The file is named here: TensorBoard's own writers put the machine's name into it.
    start: first step that will be written. Raises: ImportError where TensorBoard is not installed.
    """

    def __init__(self, folder: Path, start: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from torch.utils.tensorboard import RecordWriter

        self._event, self._summary = Event, Summary
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads a folder's files in the order of their names.
        earlier = (int(path.name[-5:]) for path in folder.glob("events.out.tfevents." + 5 * "[0-9]"))
        number = 1 + max(earlier, default=0)
        self._records = RecordWriter(open(folder / f"events.out.tfevents.{number:05d}", "xb"))  # noqa: SIM115
        self._write(file_version="brain.Event:2")
        if number > 1:
            self._write(step=start, session_log=SessionLog(status=SessionLog.START))
        self.flush()

    def scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        """Numbers by their names at a step; what is None is left out."""
        known = {tag: value for tag, value in values.items() if value is not None}
        parts = [self._summary.Value(tag=tag, simple_value=value) for tag, value in known.items()]
        if parts:
            self._write(step=step, summary=self._summary(value=parts))

    def flush(self) -> None:
        """Hand everything to the system."""
        self._records.flush()

    def close(self) -> None:
        """Write what is left."""
        self._records.close()

    def _write(self, **content: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **content).SerializeToString())
