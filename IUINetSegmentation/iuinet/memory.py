"""The memory of a process and of the computer.

How a process keeps and returns its own: on Linux, what makes the network three times as fast on the CPU.

A layer's output at full size is larger than what the C library takes from its own store, so that each is
requested from the system again, page by page, and returned after use: on the CPU this took most of the
network's time. ``keep_memory`` keeps what was requested, ``give_back_memory`` ends that between two runs.
Other systems' C libraries have no such switch; there both do nothing.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

# Kept memory is cut into pieces that do not always fit, so the peak is higher. Computers that may not have it
# keep the slower way.
_PLENTY = 12e9
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # glibc's malloc.h


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "malloc_trim") else None


def keep_memory() -> bool:
    """Keep requested memory until ``give_back_memory``; returns whether that was possible.

    >>> keep_memory()  # doctest: +SKIP
    True
    """
    library = _glibc()
    if library is None or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < _PLENTY:
        return False
    # One store for all threads: what a thread of its own store gives back goes to the system.
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_ARENA_MAX, 1))
    return all(library.mallopt(name, value) for name, value in settings)


def give_back_memory() -> None:
    """Return to the system what is kept and not in use.

    >>> give_back_memory()
    """
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


# How much memory a new program can have now; Slicer bundles no psutil ---------------------------------


def free_memory() -> int | None:
    """Bytes that are free or can be freed at once; None where the system does not report it.

    >>> free_memory()  # doctest: +SKIP
    8123456789
    """
    if os.name == "nt":
        return _windows()
    with suppress(OSError):
        text = Path("/proc/meminfo").read_text("ascii")
        found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
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
