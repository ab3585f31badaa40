"""A program that stands in for pip: it says what it is told to, and "installs" by ending to hide a package.

HARNESS_PIP names a folder: ``hidden`` holds the hidden packages, ``versions.json`` pretended versions,
``calls`` what was asked for, and ``orders.json``:
lines: what it says. seconds: waits before each. status: how it ends. child: starts a child that lives as
long. fetched: bytes to leave in the folder for temporary files. sees: False installs without any effect.
pids: the numbers of the processes that ran are written to ``pids``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main(program: str) -> None:
    """Do as ordered. program: the module that was run."""
    folder = Path(os.environ["HARNESS_PIP"])
    orders = json.loads((folder / "orders.json").read_text())
    asked = [word for word in sys.argv[1:] if not word.startswith("-") and word != "install"]
    pids = [os.getpid()]
    if orders.get("child"):
        pids.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)
    if orders.get("fetched"):
        Path(tempfile.mkdtemp(prefix="pip-unpack-"), "torch.whl").write_bytes(bytes(orders["fetched"]))
    (folder / "pids.part").write_text(" ".join(map(str, pids)))
    (folder / "pids.part").replace(folder / "pids")  # who waits for the file finds it whole
    with open(folder / "calls", "a") as file:
        print(json.dumps([program, asked]), file=file)
    for line in orders.get("lines", [f"Collecting {name}" for name in asked]):
        time.sleep(orders.get("seconds", 0.02))
        print(line)
    if orders.get("status", 0):
        sys.exit(orders["status"])
    if orders.get("sees", True):
        names = {re.match(r"[\w.-]+", name).group() for name in asked}
        hidden = (folder / "hidden").read_text().split()
        (folder / "hidden").write_text("\n".join(name for name in hidden if name not in names))
        (folder / "versions.json").unlink(missing_ok=True)
