"""The memory of a process and of the computer.

How a process keeps and gives back its own: on Linux, what makes the network on the CPU thrice as fast.

A layer's output at full size is larger than what the C library takes from its own store, so that each is
asked of the system anew, page by page, and given back after use: on the CPU this took most of the network's
time. ``keep_memory`` keeps what was once asked for, and ``give_back_memory`` ends that between two runs.
Other systems' C libraries have no such switch; there both do nothing.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

# Kept memory is cut into pieces that do not always fit, so the peak is higher: for the largest preset 4.3
# instead of 2.6 GB. Computers that may not have it stay with the slower way.
_PLENTY = 12e9
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # glibc's malloc.h


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "malloc_trim") else None


def keep_memory() -> bool:
    """Keep memory that was asked for until it is given back; gives whether that was possible."""
    library = _glibc()
    if library is None or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < _PLENTY:
        return False
    return bool(library.mallopt(_M_MMAP_MAX, 0) and library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def give_back_memory() -> None:
    """Return to the system what is kept and not in use."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


# How much memory a new program can have now; Slicer bundles no psutil ---------------------------------


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
