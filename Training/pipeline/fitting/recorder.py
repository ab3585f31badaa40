"""A run's folder while it is trained: found or begun, checkpoints, history, curves.

Of several processes the first one alone has a recorder that writes.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from iuinet.console import Console
from iuinet.errors import UsageError
from iuinet.files import require_space

from .checkpoint import read_checkpoint, write_checkpoint
from .curves import draw_curves
from .history import History
from .networks import config_from
from .progress import Progress
from .recipe_file import recipe_from
from .run_folder import (
    ATTENTION,
    BEST,
    CURVES,
    EPOCHS,
    LAST,
    RUN,
    STEPS,
    TENSORBOARD,
    RunFolder,
    differences,
    known,
)

CURVES_EVERY_S = 60.0
CHECKPOINT_EVERY_S = 300.0
_SPARE_BYTES = 50 * 2**20


class Recorder:
    """Opens or makes the folder of a run that begins or goes on, says which, and keeps what happens there.

    document: what every checkpoint says of the run. progress: where the run stands.
    Raises: UsageError, InputRefused "history-other", OutputError.
    """

    def __init__(
        self, folder: Path, document: Mapping[str, Any], progress: Progress, console: Console
    ) -> None:
        self.folder, self.document, self.console = folder, dict(document), console
        if (folder / RUN).is_file():
            self.record = RunFolder.open(folder)
            changed = self.record.resumed(progress.step, document, whole_recipe)
            console.say(f"Going on after step {progress.step}.")
            for sentence in changed:
                console.say(f"changed: {sentence}")
        else:
            self.record = RunFolder.create(folder, document)
        self.history = History(folder, [organ["name"] for organ in document["organs"]], console.say)
        self.history.rewind(progress.step, progress.rows)
        self._saved, self._saved_step = time.monotonic(), progress.step
        self._drawn = self._saved  # a training of seconds draws its curves once, at its end

    def due(self, step: int) -> bool:
        """Whether a checkpoint is due after this step."""
        every = self.document["recipe"]["run"]["checkpoint_every"]
        return step - self._saved_step >= every or time.monotonic() - self._saved > CHECKPOINT_EVERY_S

    def save(
        self, name: str, tensors: Mapping[str, torch.Tensor], progress: Progress, scaler: Mapping[str, float]
    ) -> None:
        """Write last.safetensors or best.safetensors. Raises: OutputError; the earlier file then stays."""
        self.history.sync()
        recipe = self.document["recipe"]
        limited = recipe["run"]["budget_steps"] or recipe["run"]["budget_seconds"]
        document = {
            **self.document,
            "phase": recipe["phases"][progress.phase]["name"],
            "epoch": progress.epoch,
            "step": progress.step,
            # The weights at the end of a budget were chosen by no validation.
            "selection": None if limited else progress.selection,
            "progress": progress.to_json(),
            "scaler": dict(scaler),
        }
        write_checkpoint(self.folder / name, tensors, document)
        if name == LAST:
            self._saved, self._saved_step = time.monotonic(), progress.step

    def draw(self, now: bool = False) -> None:
        """Draw the curves, now and then."""
        if now or time.monotonic() - self._drawn > CURVES_EVERY_S:
            draw_curves(self.folder, self.console.say)
            self._drawn = time.monotonic()

    def close(self) -> None:
        """Close the history."""
        self.history.close()


def find_run(
    folder: Path, document: Mapping[str, Any], resume: bool
) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """The checkpoint that this training goes on from, None for a new one.

    document: of the task. resume: go on although recipe or data differ.
    Raises: UsageError "run-other-network", "run-other", WeightsError for a checkpoint that cannot be read.
    """
    if not (folder / LAST).is_file():
        if resume and not (folder / RUN).is_file():
            raise UsageError(
                f"there is no training in {folder} to go on with",
                hint="Leave --resume out to begin one, or name the folder of an earlier --run.",
                code="no-run",
            )
        return None
    tensors, before = read_checkpoint(folder / LAST)
    # With what recipes did not have yet when it was begun.
    before["recipe"] = whole_recipe(before["recipe"])
    before["network"] = config_from(before["network"]).to_dict()
    document = {**document, "start": before.get("start")}
    for part in ("network", "organs"):
        changed = differences(before[part], known(before[part], document[part]), part)
        if changed:
            raise UsageError(
                f"{folder} holds a training of another network: {changed[0]}",
                hint="Choose another folder for --run; --start takes over its weights.",
                code="run-other-network",
            )
    changed = differences(before["recipe"], document["recipe"], "recipe")
    changed += differences(before["data"], known(before["data"], document["data"]), "data")
    if changed and not resume:
        raise UsageError(
            f"{folder} holds another training: {'; '.join(changed[:3])}",
            hint="Choose another folder for --run, --resume to go on with what is changed, or --restart.",
            code="run-other",
        )
    return tensors, before


def whole_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe of any age with what it did not know yet at its default, as it was trained."""
    return recipe_from(recipe).to_dict()


def clear_run(folder: Path, say: Callable[[str], None]) -> None:
    """Remove a run's files, and nothing else in its folder."""
    names = (LAST, BEST, RUN, STEPS, EPOCHS, ATTENTION, CURVES)
    found = [folder / name for name in names if (folder / name).exists()]
    for path in found:
        path.unlink(missing_ok=True)  # another process of the same run may be doing the same
    shutil.rmtree(folder / TENSORBOARD, ignore_errors=True)
    if found:
        say(f"Removed the training in {folder}, as --restart asks.")


def check_space(folder: Path, tensors: Mapping[str, torch.Tensor], copies: int) -> None:
    """Raises: OutputError "disk-full" before the work if the checkpoints will not fit.

    tensors: the weights. copies: of the same size, kept beside them (average, optimiser's moments).
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    # last and best, and the draft that replaces one of them.
    needed = 3 * (1 + copies) * size + _SPARE_BYTES
    hint = "Free some space, or choose another folder for --run."
    require_space(folder, needed, "checkpoints need up to", hint)
