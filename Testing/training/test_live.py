"""The one line that shows where a training stands: in its place on a terminal, else now and then."""

from __future__ import annotations

import math
import os
import pty
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from iuinet.console import Console, duration
from pipeline.fitting.progress import Progress, after_validation, progress_line
from pipeline.fitting.recipe import Phase

LIVE = """
import sys
from iuinet.console import Console, duration
console = Console()
for epoch in (1, 2):
    for step in (1, 2, 3):
        line = f"train epoch {epoch}/2 ({step}/3)  " + "loss 1.500  DSC 0.250  " * 4
        console.status(line, every=float(sys.argv[1]))
    if epoch == 1:
        console.say("first")
console.clear()
console.say("done")
"""


def run_live(every: float, stderr: int | None) -> subprocess.Popen:
    command = [sys.executable, "-c", LIVE, str(every)]
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=surroundings)


def test_on_a_terminal_the_line_stands_in_its_place():
    ours, theirs = pty.openpty()
    process = run_live(0.0, theirs)
    os.close(theirs)
    out, _ = process.communicate(timeout=60)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert out == "first\ndone\n"
    assert b"\n" not in shown and shown.endswith(b"\r\x1b[K")
    lines = shown.decode().split("\r\x1b[K")[1:-1]
    whole = "train epoch 1/2 (1/3)  loss 1.500  DSC 0.250  loss 1.500  DSC 0.250  loss 1.500  DSC 0.250"
    assert lines[0] == whole[:79]  # this terminal has 80 columns, or does not say
    assert len([line for line in lines if line]) == 6


@pytest.mark.parametrize(("every", "count"), [(0.0, 6), (1000.0, 2)])
def test_without_a_terminal_there_is_a_plain_line_now_and_then(every, count):
    process = run_live(every, subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    lines = out.splitlines()
    assert err == "" and lines[-1] == "done" and len(lines) == count + 2
    assert lines[0].startswith("train epoch 1/2 (1/3)  loss 1.500")
    after = lines[lines.index("first") + 1]
    assert after.startswith("train epoch 2/2 (1/3)"), "the first line after another one does not wait"


def test_a_silent_console_says_nothing(capfd):
    console = Console(silent=True)
    console.status("a", every=0.0)
    console.say("b")
    console.clear()
    console.close()
    assert not console.on_terminal and capfd.readouterr() == ("", "")


def test_the_line_says_where_a_training_stands():
    progress = Progress(epoch_steps=2)
    progress.add_step(2.0, True, 0.1)
    shown = progress_line("a", progress, epochs=9, rate=1e-3, seconds_left=None)
    assert shown == "a epoch 1/9 (1/2)  loss 2.000  lr 1.0e-03"
    progress.add_step(math.inf, False, 0.1)  # an overflow in half precision does not count
    progress.add_step(1.0, True, 0.1)
    progress.epoch = 1
    after_validation(Phase(), progress, 1.0, 0.9)
    after_validation(Phase(), progress, 1.0, 0.7)
    shown = progress_line("a", progress, epochs=9, rate=1e-3, seconds_left=61 * 60)
    assert shown == "a epoch 2/9 (1/2)  loss 1.500  DSC 0.700 best 0.900  1 h 01 min left  lr 1.0e-03"
    progress.next_phase()
    progress.epoch_steps = 4
    shown = progress_line("b", progress, epochs=3, rate=1e-3, seconds_left=5)
    assert shown == "b epoch 1/3 (0/4)  loss 0.000  DSC 0.700  5 s left  lr 1.0e-03"


def test_durations_are_for_people():
    spoken = {5: "5 s", 99: "99 s", 150: "2 min", 3599: "1 h 00 min", 3900: "1 h 05 min", 200_000: "2 d 7 h"}
    assert {seconds: duration(seconds) for seconds in spoken} == spoken
