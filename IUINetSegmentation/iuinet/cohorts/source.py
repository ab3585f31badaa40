"""Where a case comes from, and what makes no case. Both may hold names, so neither shows them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Source:
    """A volume file, or the folders in which the files of one DICOM series lie.

    places: absolute paths. series: key of the DICOM series, "" for a volume file.
    shared: whether the folders hold other series, too; it may change, and so is no part of what a source is.
    """

    places: tuple[str, ...]
    series: str = ""
    shared: bool = field(default=False, compare=False)

    @property
    def key(self) -> tuple[str, str]:
        """What a source is known by from run to run."""
        return self.places[0], self.series

    @property
    def uid(self) -> str | None:
        """UID of the series; None for a volume file, and for a series that has none."""
        return self.series if self.series and has_uid(self.series) else None

    def __repr__(self) -> str:
        return "Source(...)"  # logs show arguments of functions


def has_uid(key: str) -> bool:
    """Whether a series' key is its UID. Where an anonymiser emptied that, it is "study/number", or just "/".

    >>> has_uid("1.2.840.77"), has_uid("/3")
    (True, False)
    """
    return "/" not in key


@dataclass(frozen=True)
class Odd:
    """Something in the input that makes no case. message: says why, without a name."""

    path: str
    series: str
    code: str
    message: str

    @property
    def key(self) -> tuple[str, str]:
        """As of a source."""
        return self.path, self.series

    def __repr__(self) -> str:
        return f"Odd({self.code})"
