"""TensorBoard's files, written with its own record format.

torch's and TensorBoard's writers put the machine's name into the file's name; a run's folder is given to
others, so the file is made here.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from pathlib import Path


class Events:
    """One event file; the next one of a run takes back what the earlier ones hold behind its start.

    start: first step that will be written. Raises ImportError where TensorBoard is not installed.
    """

    def __init__(self, folder: Path, start: int = 0) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

        self._event, self._summary, self._checksum = Event, Summary, masked_crc32c
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads a folder's files in the order of their names.
        earlier = (int(path.name[-5:]) for path in folder.glob("events.out.tfevents." + 5 * "[0-9]"))
        number = 1 + max(earlier, default=0)
        self._file = open(folder / f"events.out.tfevents.{number:05d}", "xb")  # noqa: SIM115
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if number > 1:
            session = SessionLog(status=SessionLog.START)
            self._write(Event(wall_time=time.time(), step=start, session_log=session))
        self.flush()

    def scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        """Numbers by their names at a step; what is None is left out."""
        known = [
            self._summary.Value(tag=tag, simple_value=value)
            for tag, value in values.items()
            if value is not None
        ]
        if known:
            self._write(self._event(wall_time=time.time(), step=step, summary=self._summary(value=known)))

    def flush(self) -> None:
        """Hand everything to the system."""
        self._file.flush()

    def close(self) -> None:
        """Write what is left."""
        self._file.close()

    def _write(self, event: object) -> None:
        """One record: length, its checksum, the bytes, their checksum (TFRecord format)."""
        data = event.SerializeToString()
        header = struct.pack("<Q", len(data))
        checks = (struct.pack("<I", self._checksum(part)) for part in (header, data))
        self._file.write(header + next(checks) + data + next(checks))
