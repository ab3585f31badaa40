"""Neutral ids for cases, and the one file that tells which id came from where.

Names of folders and files often are a patient's. So every case gets an id from chance, which says nothing of
where it came from, not even the order. The mapping file is for its owner's eyes alone; it is what makes the
same case keep its id in the next run.
"""

from __future__ import annotations

import csv
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from iuinet.errors import UsageError
from iuinet.files import atomic

from .source import Odd, Source

FILE = "mapping.csv"
FIELDS = ("case", "path", "series")
ID = re.compile(r"(case|odd)-[0-9a-f]{10}")


class Names:
    """The ids in a cohort's folder.

    Raises: UsageError "mapping" for a mapping file that cannot be used.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     names = Names(Path(folder))
    ...     names.learn([Source(("scan.nii",))])
    ...     again = Names(Path(folder))
    ...     names.id_of(Source(("scan.nii",))) == again.id_of(Source(("scan.nii",)))
    True
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._ids: dict[tuple[str, str], str] = {}
        if self._path.exists():
            self._ids = dict(_read(self._path))

    def __len__(self) -> int:
        return len(self._ids)

    def id_of(self, thing: Source | Odd) -> str:
        """The id of what was learnt."""
        return self._ids[thing.key]

    def learn(self, things: Iterable[Source | Odd]) -> None:
        """Give ids to those that have none, and keep them on the disk.

        Raises: OutputError.
        """
        known, before = set(self._ids.values()), len(self._ids)
        for thing in things:
            if thing.key not in self._ids:
                kind = "odd" if isinstance(thing, Odd) else "case"
                while (name := f"{kind}-{secrets.token_hex(5)}") in known:
                    pass
                known.add(name)
                self._ids[thing.key] = name
        if len(self._ids) > before or not self._path.exists():
            self._write()

    def _write(self) -> None:
        with atomic(self._path, overwrite=True) as draft:
            os.chmod(draft, 0o600)  # before anything is in it
            with open(draft, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                rows = csv.writer(file)
                rows.writerow(FIELDS)
                rows.writerows((name, *key) for key, name in self._ids.items())


def _read(path: Path) -> Iterable[tuple[tuple[str, str], str]]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file)
            if tuple(next(rows, ())) != FIELDS:
                raise ValueError("its first line is another one")
            for name, place, series in rows:
                if not ID.fullmatch(name):
                    raise ValueError(f"{name!r} is no id")
                yield (place, series), name
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(
            f"the mapping file {path} cannot be used: {error}",
            hint="Put back the file that IUINet wrote, or choose another output folder.",
            code="mapping",
        ) from error
