"""Turn what nobody foresaw into an error that a user can read; the traceback belongs into the log."""

from __future__ import annotations

from .errors import DeviceError, IUINetError


def plain_error(error: BaseException, details: str) -> IUINetError:
    """The error itself if it is one of ours, memory in plain words, and "failed" for all else.

    details: sentence that says where the user finds the traceback.
    """
    if isinstance(error, IUINetError):
        return error
    if isinstance(error, MemoryError):
        return out_of_memory()
    return IUINetError(
        f"an unexpected {type(error).__name__} stopped the work",
        code="failed",
        hint=f"{details} Please report it.",
    )


def out_of_memory() -> DeviceError:
    """The error for a computer whose memory does not suffice."""
    return DeviceError(
        "the memory of the computer does not suffice for this volume",
        hint="Close other programs, or crop the volume to the abdomen.",
        code="memory",
    )
