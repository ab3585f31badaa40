"""What a training leaves behind: run.json, the history with its rewinding after a kill, curves."""

from __future__ import annotations

import csv
import getpass
import json
import math
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch

from iuinet.errors import InputRefused, OutputError, UsageError
from pipeline.fitting import curves
from pipeline.fitting.curves import draw_curves, read_course, spread
from pipeline.fitting.history import History, read_epochs, read_steps
from pipeline.fitting.run_folder import RunFolder, changes, environment

TRAINING = Path(__file__).resolve().parents[2] / "Training"
ORGANS = ("liver", "my, own structure")

# Writes steps and epochs of five steps for ever, and says which step it has reached.
WRITER = """
import sys
from pathlib import Path
from pipeline.fitting.history import History
history = History(Path(sys.argv[1]), ("liver", "my, own structure"))
step = 0
while True:
    step += 1
    entry = {"phase": "a", "epoch": (step + 4) // 5, "step": step, "learning_rate": 1e-3}
    history.step({**entry, "loss": 1 / step})
    if step % 5 == 0:
        history.epoch({**entry, "mean_dsc": 0.5, "dsc": {"liver": 0.5}})
        print(step, flush=True)
"""


def write(history: History, steps: range, phase: str = "a", dsc: float = 0.5) -> None:
    """Steps counted from 1, with an epoch after every fifth one."""
    for step in steps:
        entry = {"phase": phase, "epoch": (step + 4) // 5, "step": step, "loss": 10 / step}
        history.step({**entry, "learning_rate": 1e-3, "gradient_norm": 1.0, "seconds": 0.1})
        if step % 5 == 0:
            scores = {"mean_dsc": dsc, "dsc": {ORGANS[0]: dsc, ORGANS[1]: None}}
            losses = {"train_loss": 10 / step, "validation_loss": 11 / step}
            history.epoch({**entry, **scores, **losses, "learning_rate": 1e-3, "seconds": 1.5})


def numbers(folder: Path) -> tuple[list[int], list[int]]:
    """The steps in steps.jsonl, and those in epochs.csv."""
    return [line["step"] for line in read_steps(folder)], [int(row["step"]) for row in read_epochs(folder)]


# run.json -----------------------------------------------------------------------------------------------


def made_of(recipe: dict, data: dict | None = None, seed: int = 1, **more: object) -> dict:
    """A checkpoint's document, as far as run.json has it."""
    parts = {"recipe": recipe, "data": data or {"name": "a"}, "seed": seed, "start": None}
    return {**parts, "environment": environment(), **more}


def test_a_run_says_what_it_is_made_of_and_names_no_machine_or_person(tmp_path):
    recipe = {"run": {"seed": 3, "threads": 1}, "start": str(tmp_path / "w.safetensors")}
    data = {"name": "synapse", "fingerprint": "ab", "split": "transunet", "train": ("0001", "0002")}
    RunFolder.create(tmp_path / "run", made_of(recipe, data, 3, environment=environment("cpu", 2)))
    text = (tmp_path / "run" / "run.json").read_text()
    document = json.loads(text)
    assert document["recipe"] == {"run": {"seed": 3, "threads": 1}, "start": "w.safetensors"}
    assert document["data"]["train"] == ["0001", "0002"] and document["seed"] == 3
    surroundings = document["environment"]
    assert surroundings["torch"] == torch.__version__ and surroundings["threads"] == torch.get_num_threads()
    assert (surroundings["device"], surroundings["processes"]) == ("cpu", 2)
    top = TRAINING.parent
    if (top / ".git").exists():
        head = subprocess.run(["git", "-C", top, "rev-parse", "HEAD"], capture_output=True, text=True)
        assert surroundings["revision"] == head.stdout.strip() and surroundings["dirty"] in (True, False)
    words = set(text.replace('"', " ").split())
    assert not {platform.node(), getpass.getuser()} & words
    assert str(tmp_path) not in text and str(Path.home()) + "/" not in text


def test_resuming_says_what_has_changed_and_only_that(tmp_path):
    recipe = {"run": {"seed": 1}, "phases": [{"epochs": 5}]}
    RunFolder.create(tmp_path, made_of(recipe))
    run = RunFolder.open(tmp_path)
    assert run.resumed(10, made_of(recipe)) == []
    longer = {"run": {"seed": 1}, "phases": [{"epochs": 9}]}
    other = made_of(longer, environment={**environment(), "threads": 97})
    sentences = run.resumed(20, other)
    threads = torch.get_num_threads()
    assert sentences[0] == f"the number of threads was {threads} and is now 97"
    assert sentences[1:] == ["recipe.phases.0.epochs was 5 and is now 9"]
    assert run.resumed(30, other) == []  # compared with the last time, not the first
    run.ended(40, "the validation loss did not fall for 100 epochs")
    document = RunFolder.open(tmp_path).document
    assert [record["step"] for record in document["resumed"]] == [10, 20, 30]
    assert [len(record["changed"]) for record in document["resumed"]] == [0, 2, 0]
    assert "environment" not in document["resumed"][0] and document["ended"]["step"] == 40


def test_changes_are_sentences():
    before = {"torch": "2.12", "dirty": False, "devices": [], "gone": 1}
    assert changes(before, {"torch": "2.13", "dirty": True, "devices": ["H100"], "new": 1}) == [
        "torch was 2.12 and is now 2.13",
        "whether the checkout had changes that are not committed was no and is now yes",
        "the devices was none and is now H100",
    ]


def test_a_run_is_not_begun_over_another_and_not_opened_where_there_is_none(tmp_path):
    with pytest.raises(InputRefused) as refused:
        RunFolder.open(tmp_path)
    assert refused.value.code == "no-run"
    RunFolder.create(tmp_path, made_of({}))
    with pytest.raises(UsageError) as refused:
        RunFolder.create(tmp_path, made_of({}, seed=2))
    assert refused.value.code == "run-exists" and RunFolder.open(tmp_path).document["seed"] == 1
    for text, code in (('{"format": 2, "rec', "run-damaged"), ('{"format": 99}', "run-damaged")):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(InputRefused) as refused:
            RunFolder.open(tmp_path)
        assert refused.value.code == code


# History ------------------------------------------------------------------------------------------------


def test_the_history_is_what_was_told(tmp_path):
    history = History(tmp_path, ORGANS)
    write(history, range(1, 11))
    history.step({"phase": "a", "epoch": 3, "step": 11, "loss": math.nan, "learning_rate": 1e-3})
    history.close()
    lines, rows = read_steps(tmp_path), read_epochs(tmp_path)
    assert lines[0]["loss"] == 10.0 and lines[-1]["loss"] is None
    assert rows[1]["mean_dsc"] == "0.5" and rows[1]["dsc my, own structure"] == ""
    assert rows[1]["validation_loss"] == "1.1" and rows[1]["seconds"] == "1.5"
    with open(tmp_path / "epochs.csv", newline="") as file:
        assert {len(row) for row in csv.reader(file)} == {6 + 2 + 2}


@pytest.mark.parametrize("checkpoint", [0, 7, 10])
def test_after_a_kill_no_line_is_double_and_none_is_torn(tmp_path, checkpoint):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    paths = os.pathsep.join([str(TRAINING), *sys.path])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
    ) as process:
        while int(process.stdout.readline()) < 20:
            pass
        process.send_signal(signal.SIGKILL)
    for name in ("steps.jsonl", "epochs.csv"):  # as if the kill had come in the middle of a line
        with open(tmp_path / name, "ab") as file:
            file.write(b'{"phase": "a", "st')
    history = History(tmp_path, ORGANS)
    history.rewind(checkpoint, checkpoint // 5)
    write(history, range(checkpoint + 1, 26))
    history.close()
    assert numbers(tmp_path) == (list(range(1, 26)), [5, 10, 15, 20, 25])
    assert not list(tmp_path.glob(".iuinet-*"))


def test_the_rows_that_the_checkpoint_had_seen_decide_at_the_end_of_an_epoch(tmp_path):
    history = History(tmp_path, ORGANS)
    write(history, range(1, 11))
    before_validation = (
        len(read_epochs(tmp_path)) - 1
    )  # a checkpoint between the last step and its validation
    history.rewind(10, before_validation)
    assert numbers(tmp_path) == (list(range(1, 11)), [5])
    history.close()


def test_missing_lines_are_said(tmp_path):
    told: list[str] = []
    history = History(tmp_path, ORGANS, told.append)
    write(history, range(1, 6))
    history.rewind(5, 1)
    assert told == []
    history.rewind(8, 1)
    assert told == ["steps.jsonl lacks 3 of the 8 steps before the checkpoint."]
    history.close()


def test_a_history_of_other_organs_is_not_continued(tmp_path):
    history = History(tmp_path, ORGANS)
    write(history, range(1, 6))
    history.close()
    with pytest.raises(InputRefused) as refused:
        History(tmp_path, ("spleen",))
    assert refused.value.code == "history-other"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_plain_error(tmp_path):
    history = History(tmp_path, ORGANS)
    (tmp_path / "steps.jsonl").symlink_to("/dev/full")
    with pytest.raises(OutputError) as refused:
        write(history, range(1, 2))
    history.close()
    assert refused.value.code == "disk-full"


def test_tensorboard_reads_the_scalars_without_what_was_rewound(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "this-machine")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    history = History(tmp_path, ORGANS)
    write(history, range(1, 16), dsc=0.1)
    history.rewind(7, 1)
    write(history, range(8, 21), dsc=0.9)
    history.close()
    names = [path.name for path in (tmp_path / "tensorboard").iterdir()]
    assert sorted(names) == ["events.out.tfevents.00001", "events.out.tfevents.00002"]  # no host name
    assert not [path for path in (tmp_path / "tensorboard").iterdir() if b"this-machine" in path.read_bytes()]
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 21))
    found = [(event.step, round(event.value, 3)) for event in events.Scalars("DSC/liver")]
    assert found == [(5, 0.1), (10, 0.9), (15, 0.9), (20, 0.9)]


def test_without_tensorboard_and_matplotlib_it_is_said_once(tmp_path, monkeypatch):
    for name in ("tensorboard.compat.proto.event_pb2", "matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(curves, "_said", set())
    told: list[str] = []
    history = History(tmp_path, ORGANS, told.append)
    write(history, range(1, 11))
    assert draw_curves(tmp_path, told.append) is None and draw_curves(tmp_path, told.append) is None
    history.rewind(5, 1)
    write(history, range(6, 11))
    history.close()
    assert len(told) == 2 and "TensorBoard" in told[0] and "matplotlib" in told[1]
    assert numbers(tmp_path) == (list(range(1, 11)), [5, 10])


# Curves -------------------------------------------------------------------------------------------------


def test_the_curves_show_the_history(tmp_path):
    pytest.importorskip("matplotlib")
    assert draw_curves(tmp_path) is None  # nothing has happened yet
    history = History(tmp_path, ORGANS)
    write(history, range(1, 11), "pre-train")
    write(history, range(11, 16), "fine-tune", dsc=0.7)
    history.close()
    course = read_course(tmp_path)
    assert course.phases == [("pre-train", 1, 10), ("fine-tune", 11, 15)]
    assert course.mean.tolist() == [0.5, 0.5, 0.7] and np.isnan(course.organs["my, own structure"]).all()
    figure = curves.make_figure(course)
    loss, scores, rate = figure.axes
    assert [text.get_text() for text in loss.texts] == ["pre-train", "fine-tune"]
    assert [text.get_text() for text in scores.texts] == ["liver 0.70", "mean 0.70"]
    assert rate.get_yscale() == "log" and loss.get_xlim() == (0, 15)
    path = draw_curves(tmp_path)
    assert path.name == "curves.png" and path.read_bytes().startswith(b"\x89PNG")
    assert draw_curves(tmp_path) == path  # takes the place of the one before


def test_a_long_history_is_thinned_to_means(tmp_path):
    steps = 4 * curves.MOST_POINTS
    with open(tmp_path / "steps.jsonl", "w") as file:
        for step in range(1, steps + 1):
            file.write(json.dumps({"phase": "a", "step": step, "loss": step % 2, "learning_rate": 1}) + "\n")
    course = read_course(tmp_path)
    assert course.steps.size == curves.MOST_POINTS and set(course.loss) == {0.5}
    assert course.phases == [("a", 1, steps)]


def test_labels_are_spread_without_leaving_their_order():
    values = [0.5, 0.5, 0.51, 0.9, 0.99, 1.0]
    places = spread(values, 0.05)
    gaps = np.diff(places)
    assert gaps.min() >= 0.05 - 1e-9 and places[0] >= 0 and places[-1] <= 1 + 1e-9
    assert places[:3] == pytest.approx([0.4533, 0.5033, 0.5533], abs=1e-3)  # around where they were
    assert spread([0.2, 0.8], 0.05) == [0.2, 0.8]
    assert spread([1.0] * 30, 0.05)[0] == pytest.approx(0.0)  # more than fit: evenly
