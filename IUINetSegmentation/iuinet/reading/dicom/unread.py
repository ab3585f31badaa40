"""What becomes of the files in a folder that could not be read: left out, or a reason to refuse the scan.

A folder from an archive or a disc holds more than the scan. A broken file of another series takes nothing
from the scan and is left out with a note; one that belongs to the scan, or may be a slice of it, is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iuinet.errors import InputRefused

from .header import FileRefused
from .series import COMPETING, Stack, fits_series

NAMED = 3  # files named in one note
GAPS = ("slices-missing", "slices-uneven")  # refusals behind which a file that was not read may be the cause


@dataclass(frozen=True)
class Unread:
    """A file that gave no image. refusal: why.

    suspect: it is named or looks like DICOM; the others count only where their name is like a slice's.
    """

    path: Path
    refusal: InputRefused
    suspect: bool

    @property
    def series_key(self) -> str | None:
        """Of a file whose header still says to which series it belongs."""
        return self.refusal.series_key if isinstance(self.refusal, FileRefused) else None

    @property
    def modality(self) -> str | None:
        return self.refusal.modality if isinstance(self.refusal, FileRefused) else None


def refuse_what_is_missed(unread: Sequence[Unread], chosen: Stack, asked: bool) -> None:
    """Stops where a file that was not read belongs to the scan.

    It does if its header says so; if the header says nothing, where it is named like one of the slices
    beside it. asked: the series was named by the user; else a CT of which nothing could be read also stops.
    Raises: InputRefused, that of the file.

    >>> refuse_what_is_missed([], Stack(()), asked=False)
    """
    names = {pattern_of(piece.path) for piece in chosen.slices}
    lost = Counter(one.series_key for one in unread if one.series_key is not None and one.modality == "CT")
    for one in unread:
        key = one.series_key
        alike = pattern_of(one.path) in names if key is None else key == chosen.first.series_key
        rival = not asked and key is not None and lost[key] >= max(2, COMPETING * len(chosen.slices))
        if alike or rival:
            raise one.refusal


def cause_of(error: InputRefused, unread: Sequence[Unread]) -> InputRefused:
    """For a scan with a gap, the refusal of a file that may have filled it; else ``error`` itself.

    >>> cause_of(InputRefused("A slice is missing.", code="slices-missing"), []).code
    'slices-missing'
    """
    possible = [one.refusal for one in unread if one.suspect and one.series_key is None]
    return possible[0] if possible and error.code in GAPS else error


def of_series(unread: Sequence[Unread], series: str) -> InputRefused | None:
    """The refusal of the first file whose header names this series (a UID, or its start or end).

    >>> of_series([], "1.2.3") is None
    True
    """
    keyed = (one for one in unread if one.series_key and fits_series(one.series_key, series))
    return next((one.refusal for one in keyed), None)


def notes_on(unread: Sequence[Unread]) -> list[str]:
    """One sentence that names what was left out.

    >>> notes_on([Unread(Path("z.dcm"), InputRefused("The file z.dcm is empty."), suspect=True)])
    ['Left out, since it could not be read and is no part of the scan: z.dcm (The file z.dcm is empty).']
    """
    left = [one for one in unread if one.suspect]
    if not left:
        return []
    named = ", ".join(one.path.name for one in left[:NAMED])
    more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
    reason = left[0].refusal.message.rstrip(".")
    it = "it could not be read and is" if len(left) == 1 else "they could not be read and are"
    return [f"Left out, since {it} no part of the scan: {named}{more} ({reason})."]


def pattern_of(path: Path) -> tuple[Path, str]:
    """The folder, and the name without what counts: numbers, hexadecimal ones too, and a packer's ending.

    >>> pattern_of(Path("study/IM0007.dcm"))[1]
    'IM#.dcm'
    """
    name = re.sub(r"\.(gz|bz2|xz|zip)$", "", path.name, flags=re.IGNORECASE)
    stem, dot, ending = name.rpartition(".")
    stem, ending = (stem, dot + ending) if ending.lower() in ("dcm", "dic", "dicom", "ima") else (name, "")
    return path.parent, re.sub(r"\b[0-9a-fA-F]{8,}\b|[\d.]+", "#", stem) + ending.lower()
