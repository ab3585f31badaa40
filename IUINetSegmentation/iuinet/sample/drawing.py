"""The sample CT drawn by a process of its own: it takes seconds, for which no window should stand still."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from iuinet.child import Child
from iuinet.errors import IUINetError, OutputError
from iuinet.protocol import read_volume
from iuinet.volume import Volume


class SampleDrawing:
    """One drawing under way; needs no torch. Call ``poll`` until it gives True, then ``result`` once.

    python: the interpreter, None for this one. Errors: OutputError if there is no place for temporary files,
    IUINetError worker-start.
    """

    def __init__(self, python: str | None = None) -> None:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="iuinet-sample-"))
        except OSError as error:
            raise OutputError(
                f"the sample CT cannot be made: no temporary file can be written ({error.strerror})",
                hint="Make room on the disk.",
                code="temporary-files",
            ) from error
        try:
            self._child = Child(python, program=("iuinet.sample", str(self._folder)))
        except IUINetError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def poll(self) -> bool:
        """Whether it has ended, well or badly; waits for nothing."""
        self._child.messages()  # so that a full pipe never holds it up
        return self._child.exit_code is not None

    def result(self) -> Volume:
        """The CT. Errors: IUINetError sample-failed."""
        code, lines = self._child.exit_code, self._child.last_lines
        try:
            if code != 0:
                reason = lines[-1] if lines else f"exit code {code}"
                raise IUINetError(
                    f"the sample CT could not be made ({reason})",
                    hint="Try again, or load a CT of your own.",
                    code="sample-failed",
                )
            document = json.loads((self._folder / "volume.json").read_text(encoding="utf-8"))
            volume = read_volume(document)
            return dataclasses.replace(volume, array=np.array(volume.array))  # the file goes now
        finally:
            self.close()

    def close(self) -> None:
        """End the process, and leave no file."""
        self._child.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
