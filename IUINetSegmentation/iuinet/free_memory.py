"""How much memory a new program can have now. Standard library only, since Slicer bundles no psutil."""

from __future__ import annotations

import ctypes
import os
import re
from contextlib import suppress
from pathlib import Path


def free_memory() -> int | None:
    """Bytes that are free or can be freed at once; None where the system does not tell."""
    if os.name == "nt":
        return _windows()
    with suppress(OSError):
        found = re.search(
            r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"), re.MULTILINE
        )
        return int(found[1]) * 1024 if found else None
    return None


class _Status(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        *((name, ctypes.c_ulonglong) for name in ("total", "free", "page_total", "page_free")),
        *((name, ctypes.c_ulonglong) for name in ("virtual_total", "virtual_free", "extended_free")),
    )


def _windows() -> int | None:
    status = _Status(length=ctypes.sizeof(_Status))
    return status.free if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else None
