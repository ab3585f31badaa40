"""Brings the missing packages: pip in a process of its own, heard line by line, and ended when the user asks.

Where there are several builds of PyTorch it comes by light-the-torch, as with Slicer's PyTorch extension,
which chooses the one that fits the computer's GPU and driver. Nothing here waits.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable

from iuinet.errors import IUINetError
from iuinet.leftovers import PrivateFolder
from iuinet.requirements import requirement
from iuinet.worker.child import child_environment
from iuinet.worker.piped import Piped, find_python
from IUINetSegmentationLib.packages import REQUIREMENTS, Plan, check_plan, installed_version, make_plan

# The first one that knows the builds for CUDA 12.8 and newer, and so today's GPUs.
LIGHT_THE_TORCH = "light-the-torch>=0.8.1"
_OPTIONS = ("--progress-bar=raw", "--disable-pip-version-check", "--no-input")
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")  # pip's raw progress bar: bytes
_KEPT_LINES = 400
_LINE = 200  # characters of a line that the panel shows

# What pip's words mean, and what helps; the first match counts.
_OWN_FOLDER = "Install Slicer into a folder of your own, or ask whoever administers this computer."
_CLASH = (
    "no version of them fits this Python, this system and what is installed",
    "Remove the package that it names from Slicer's Python, or use a Slicer without the other extension.",
)
_CAUSES = (
    ("no-space", r"No space left|Errno 28|not enough space", "the disk is full", "Free some space first."),
    (
        "files-in-use",  # of a PyTorch that Slicer has loaded: Windows then denies to replace it
        r"WinError 32|used by another process|WinError 5\b|Access is denied",
        "files that have to be replaced are in use by Slicer",
        "Restart Slicer, and set up IUINet first, before another module uses PyTorch.",
    ),
    ("no-permission", r"Permission denied|Errno 13", "Slicer's folder may not be written to", _OWN_FOLDER),
    # pip found versions, so the network is not to blame, whatever it said on the way.
    ("versions-clash", r"ResolutionImpossible|conflicting dependencies|from versions: (?!none)", *_CLASH),
    (
        "certificate",
        r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCert",
        "the connection is not trusted, probably because a proxy inspects it",
        "Set SSL_CERT_FILE to your network's certificates, start Slicer again, and try again.",
    ),
    (
        "proxy",
        r"ProxyError|Cannot connect to proxy|Tunnel connection failed",
        "the proxy does not let it through",
        "Check HTTPS_PROXY, or ask whoever administers the network.",
    ),
    (
        "no-connection",
        r"ConnectionError|NameResolutionError|name resolution|getaddrinfo|Failed to resolve|timed out"
        r"|(?:Connect|Read)Timeout|Network is unreachable|Max retries exceeded|IncompleteRead"
        r"|Connection (?:reset|aborted|refused)",
        "there is no connection to the package index",
        "Check the network, or install the packages offline as the manual describes.",
    ),
    ("versions-clash", r"No matching distribution found", *_CLASH),
)


class Installation:
    """One set-up under way. Call ``poll`` until it returns True, then ``result`` once; ``close`` in any case.

    plan: what is to be brought. log: called with every line that pip writes. python: the interpreter that
    gets the packages, None for Slicer's. note: pip's last line. fraction: of the file that pip is fetching,
    None while it fetches none.
    Raises: as check_plan; IUINetError "python-missing"; OutputError for want of a place for temporary files.
    """

    def __init__(self, plan: Plan, log: Callable[[str], None], python: str | None = None) -> None:
        check_plan(plan)
        self.note, self.fraction = "", None
        self._log, self._python = log, python or find_python()
        self._loaded = _loaded_packages()
        self._steps = [("pip", plan.requirements)]
        if plan.torch and requirement().builds:
            self._steps = [("pip", (LIGHT_THE_TORCH,)), ("light_the_torch", plan.requirements)]
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._error: IUINetError | None = None
        self._folder = PrivateFolder()  # a pip that is killed leaves what it has downloaded
        try:
            self._process = self._start()
        except BaseException:
            self._folder.remove()
            raise

    def poll(self) -> bool:
        """Hear what pip has said; True when all is done, or has failed."""
        code = self._process.exit_code
        for line in self._process.lines():
            self._hear(line.decode("utf-8", "replace").rstrip())
        if code is None:
            return False
        if code != 0:
            self._error = failure("\n".join(self._lines))
        elif self._steps:
            self._process.kill()  # closes its pipe
            self._process = self._start()
            return False
        return True

    def result(self) -> None:
        """Nothing, where the packages are here now.

        Raises: IUINetError for the cause that pip's words name, "restart-needed" for what is not seen yet.
        """
        if self._error is not None:
            raise self._error
        replaced = any(installed_version(name) != version for name, version in self._loaded.items())
        if replaced or make_plan().needed:
            raise IUINetError(
                "the packages were installed, but Slicer does not see them yet",
                code="restart-needed",
                hint="Restart Slicer to finish.",
            )

    def close(self) -> None:
        """End pip, with all that it started, and remove what it left of its downloads."""
        self._process.kill()
        self._folder.remove()

    def _start(self) -> Piped:
        module, requirements = self._steps.pop(0)
        temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self._folder.path))
        try:
            return Piped(
                [self._python, "-m", module, "install", *_OPTIONS, *requirements],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
                cwd=REQUIREMENTS.parent,  # "-m" puts it first on the path: it holds no Python
                env={**child_environment(os.environ), **temporary, "PYTHONUNBUFFERED": "1"},
            )
        except OSError as error:
            raise IUINetError(
                f"Slicer's Python cannot be started: {self._python} ({error.strerror})",
                code="python-missing",
                hint="Install Slicer again: its program PythonSlicer is missing or damaged.",
            ) from error

    def _hear(self, line: str) -> None:
        progress = _PROGRESS.fullmatch(line)
        if progress is not None:
            received, total = map(int, progress.groups())
            self.fraction = received / total if total else None
        elif line.strip():
            self.note, self.fraction = line.strip()[:_LINE], None
            self._lines.append(line)
            self._log(line)


def failure(words: str) -> IUINetError:
    """The error for a pip that failed. words: what it wrote."""
    lines = [line.strip() for line in words.splitlines() if line.strip()] or ["pip gave no reason"]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    last = (errors or lines)[-1][:_LINE]
    for code, pattern, meaning, hint in _CAUSES:
        if re.search(pattern, words, re.IGNORECASE):
            text = f"the packages could not be installed: {meaning}"
            if code == "versions-clash":
                text = f"the packages could not be installed: {meaning} ({last})"
            return IUINetError(text, code=code, hint=hint)
    return IUINetError(
        f"the packages could not be installed: {last}",
        code="set-up-failed",
        hint="The log says more.",
    )


def _loaded_packages() -> dict[str, str]:
    """Versions of packages that this process has loaded: it cannot use others before it starts again."""
    found = {name: installed_version(name) for name in ("numpy", "torch") if name in sys.modules}
    return {name: version for name, version in found.items() if version}
