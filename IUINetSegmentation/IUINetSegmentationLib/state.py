"""The states of a run, and what it is to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from iuinet.options import Options


class State(Enum):
    """Where the module stands. Its work owns it; the panel only shows it."""

    IDLE = "idle"
    CHECKING = "checking"
    SETTING_UP = "setting up"
    DOWNLOADING = "downloading"
    EXPORTING = "exporting"
    RUNNING = "running"
    IMPORTING = "importing"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self not in (State.IDLE, State.DONE, State.CANCELLED, State.FAILED)


@dataclass(frozen=True)
class Settings:
    """What the user chose.

    options: about the segmentation itself; the rest is about the scene. replace: take the place of this
    module's own segments in a segmentation that is not empty; without it such an output is refused.
    region: a vtkMRMLMarkupsROINode to segment inside of, None for the whole volume. all_frames: of a volume
    that belongs to a sequence, else only the frame that is shown.
    """

    options: Options = field(default_factory=Options)
    replace: bool = False
    region: Any = None
    all_frames: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a run has come. fraction: of its stage, 0 to 1. note: a sentence for the user, mostly "".

    frame, frames: which one of how many volumes is under way, from 0.
    """

    stage: str = ""
    fraction: float = 0.0
    note: str = ""
    frame: int = 0
    frames: int = 1
