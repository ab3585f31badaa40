"""The ledger of a cohort: with what its results are made, and what became of each case.

A text file with one JSON object a line. The first says which version, model and options this folder belongs
to; each other one is appended when a case has ended. That a case is done, its folder says, which appears
whole or not at all; so a ledger that a killed program could not finish is completed from the folders.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iuinet.errors import UsageError
from iuinet.files import atomic, output_error

from .names import ID

FILE = "ledger.jsonl"
FORMAT = 1
DONE = "done"  # its folder is there
REFUSED = "refused"  # the scan cannot be segmented: not tried again unless asked for
SET_ASIDE = "set aside"  # it ended its worker twice: not tried again unless asked for
FAILED = "failed"  # files that are gone, memory that does not suffice: tried again by the next run
FINAL = (REFUSED, SET_ASIDE)
STATES = (SET_ASIDE, FAILED, REFUSED, DONE)
_ANOTHER = "Choose another output folder for it; this one stays as it is."


class Ledger:
    """The ledger of an output folder.

    made: version, model and options that decide what results look like. outcomes: the last one of each case
    that is not done. done: ids of the others.
    Raises: UsageError "other-cohort" for a folder of another model or option, "ledger" for a file that is
    none; OutputError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ledger = Ledger(Path(folder), {"model": "toy"})
    ...     ledger.add({"case": "case-0123456789", "state": "refused", "code": "not-ct"})
    ...     Ledger(Path(folder), {"model": "toy"}).outcomes["case-0123456789"]["code"]
    'not-ct'
    """

    def __init__(self, folder: Path, made: Mapping[str, Any]) -> None:
        self._folder, self._path = folder, folder / FILE
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.done = {
            entry.name for entry in os.scandir(folder) if ID.fullmatch(entry.name) and entry.is_dir()
        }
        header = {"format": FORMAT, **made}
        if self._path.exists():
            self._read(header)
        else:
            with atomic(self._path) as draft:
                draft.write_text(json.dumps(header, ensure_ascii=False) + "\n", encoding="utf-8")

    def _read(self, header: dict[str, Any]) -> None:
        logged = set()
        try:
            with open(self._path, "rb+") as file:
                lines = file.readlines()
                if lines and not lines[-1].endswith(b"\n"):  # its writer was killed
                    file.truncate(sum(map(len, lines[:-1])))
                    del lines[-1]
            there, *outcomes = map(json.loads, lines)
            for outcome in outcomes:
                if outcome["state"] == DONE:
                    logged.add(outcome["case"])
                    self.outcomes.pop(outcome["case"], None)
                else:
                    self.outcomes[outcome["case"]] = outcome
        except OSError as error:
            raise output_error(self._path, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{self._path} is not a ledger of IUINet: {error}",
                hint="Choose another output folder.",
                code="ledger",
            ) from error
        _refuse_another(there, header)
        for case in sorted(self.done - logged):
            self.add({"case": case, "state": DONE})

    def add(self, outcome: Mapping[str, Any]) -> None:
        """Append what became of a case; it is on the disk afterwards.

        Raises: OutputError.
        """
        line = json.dumps(outcome, ensure_ascii=False) + "\n"
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise output_error(self._path, error) from error
        if outcome["state"] == DONE:
            self.done.add(outcome["case"])
            self.outcomes.pop(outcome["case"], None)
        else:
            self.outcomes[outcome["case"]] = dict(outcome)

    def is_open(self, case: str, retry: bool) -> bool:
        """Whether a case is still to be done. retry: also one that was refused or set aside."""
        if case in self.done:
            return False
        return retry or self.outcomes.get(case, {}).get("state") not in FINAL


def _refuse_another(there: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    for key, value in header.items():
        if there.get(key) != value:
            raise UsageError(
                f"the output folder was made with {key} {_text(there.get(key))}, and this would be "
                f"{_text(value)}",
                hint=_ANOTHER,
                code="other-cohort",
            )


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(part) for part in value.values())
    return "all" if value is None else str(value)
