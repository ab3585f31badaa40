"""What stands between Slicer and its Python: a launcher that stays as the worker's parent."""

from __future__ import annotations

import sys
from pathlib import Path

from helpers.waiting import wait_until

# After CTKAppLauncher: input and output are the child's, and a child that was killed or crashed becomes exit
# code 1 with one last line. A name that begins as Slicer's does, so that the worker is started with it.
LAUNCHER = """#!{python} -IS
import subprocess, sys
child = subprocess.Popen([{python!r}, *sys.argv[1:]])
code = child.wait()
if code < 0:
    print("error: [bin/PythonSlicer-real] exit abnormally - Report the problem.", file=sys.stderr)
sys.exit(code if code >= 0 else 1)
"""


def write_launcher(folder: Path) -> Path:
    """A launcher of this Python, as a program in the folder."""
    path = folder / "PythonSlicer"
    path.write_text(LAUNCHER.format(python=sys.executable))
    path.chmod(0o755)
    return path


def child_of(pid: int) -> int:
    """Number of the process that the launcher with this number started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_until(lambda: children.read_text().split(), what="the launcher started nothing")
    return int(children.read_text().split()[0])
