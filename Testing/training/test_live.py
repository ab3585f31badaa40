"""The one line that shows where a training stands: in its place on a terminal, else now and then."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from fitting.live import LiveLine, duration

TRAINING = Path(__file__).resolve().parents[2] / "Training"

LIVE = """
import sys, time
from iuinet.console import Console
from fitting.live import LiveLine
console = Console()
line = LiveLine(console, every=float(sys.argv[1]))
for epoch in (1, 2):
    for step in (1, 2, 3):
        line.update("train", epoch, 2, step, 3, 1.5, 0.25 * epoch, 1e-3, 61 * 60)
        time.sleep(0.25)
console.clear()
console.say("done")
"""


def run_live(every: float, stderr: int | None) -> tuple[str, subprocess.Popen]:
    paths = os.pathsep.join([str(TRAINING), *sys.path])
    command = [sys.executable, "-c", LIVE, str(every)]
    surroundings = {**os.environ, "PYTHONPATH": paths}
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
    assert out == "done\n"
    assert b"\n" not in shown and shown.endswith(b"\r\x1b[K")
    lines = shown.decode().split("\r\x1b[K")[1:-1]
    whole = "train epoch 1/2 (1/3)  loss 1.500  DSC 0.250 best 0.250  1 h 01 min left  lr 1.0e-03"
    assert lines[0] == whole[:79]  # this terminal has 80 columns, or does not say
    assert len(lines) == 6


def test_without_a_terminal_there_is_a_plain_line_now_and_then():
    process = run_live(0.7, subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    lines = out.splitlines()
    assert err == "" and lines[-1] == "done" and 2 <= len(lines) - 1 <= 4
    assert lines[0].startswith("train epoch 1/2 (1/3)  loss 1.500") and "1 h 01 min left" in lines[0]


def test_the_best_score_stays():
    class Plain:
        on_terminal = False

        def __init__(self) -> None:
            self.lines: list[str] = []

        def say(self, text: str = "") -> None:
            self.lines.append(text)

        def status(self, line: str) -> None:
            raise AssertionError

    screen = Plain()
    line = LiveLine(screen, best=0.8, every=0)
    line.update("a", 1, 9, 1, 2, None, None, 1e-3, None)
    line.update("a", 1, 9, 2, 2, 2.0, 0.9, 1e-3, 5)
    line.update("a", 2, 9, 1, 2, 1.0, 0.7, 1e-3, 5)
    assert screen.lines == [
        "a epoch 1/9 (1/2)  loss -  DSC - best 0.800  lr 1.0e-03",
        "a epoch 1/9 (2/2)  loss 2.000  DSC 0.900 best 0.900  5 s left  lr 1.0e-03",
        "a epoch 2/9 (1/2)  loss 1.000  DSC 0.700 best 0.900  5 s left  lr 1.0e-03",
    ]


def test_durations_are_for_people():
    spoken = {5: "5 s", 99: "99 s", 150: "2 min", 3599: "1 h 00 min", 3900: "1 h 05 min", 200_000: "2 d 7 h"}
    assert {seconds: duration(seconds) for seconds in spoken} == spoken
