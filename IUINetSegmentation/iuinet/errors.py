"""The one family of errors: each says what is wrong, and what to do about it.

Every error that a user can meet carries a short stable ``code``, the exit status of the ``iuinet``
command, one sentence with the offending value, and one hint. The panel, the command line and the
worker's protocol all show these same four, so no layer writes its own message.
"""

from __future__ import annotations


class IUINetError(Exception):
    """Base of all errors of this library.

    message: one sentence that names the offending value.
    hint: one sentence that says what the user can do.
    code: short, stable, machine-readable name of the case.
    """

    exit_status = 1
    default_code = "failed"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code

    @property
    def text(self) -> str:
        """Message and hint as whole sentences, one after the other."""
        return f"{whole_sentence(self.message)} {whole_sentence(self.hint)}".strip()


class UsageError(IUINetError, ValueError):
    """The command or function was called in a way that cannot work (also a ValueError, as callers expect)."""

    exit_status = 2
    default_code = "usage"


class InputRefused(IUINetError):
    """The image cannot be segmented, or a person has to decide first."""

    exit_status = 3
    default_code = "input"


class WeightsError(IUINetError):
    """A model file is missing, damaged, or not one that this version can read."""

    exit_status = 4
    default_code = "weights"


class DeviceError(IUINetError):
    """The device is absent, unusable, or has too little memory."""

    exit_status = 5
    default_code = "device"


class Cancelled(IUINetError):
    """The user stopped the work; nothing was written."""

    exit_status = 6
    default_code = "cancelled"

    def __init__(
        self,
        message: str = "the segmentation was cancelled",
        *,
        hint: str = "Nothing was changed.",
        code: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=code)


class OutputError(IUINetError):
    """A result could not be written; no partial file is left."""

    default_code = "output"


# Words ------------------------------------------------------------------------------------------------


def whole_sentence(text: str) -> str:
    """A message as people read it: with a capital letter and a full stop. A name of a file stays as it is.

    >>> whole_sentence("the region 'R' has no extent")
    "The region 'R' has no extent."
    >>> whole_sentence("ct.nrrd cannot be read"), whole_sentence("Wait…"), whole_sentence("")
    ('ct.nrrd cannot be read.', 'Wait…', '')
    """
    text = text.strip()
    first = text.split(maxsplit=1)[0] if text else ""
    if first.isalpha():
        text = text[0].upper() + text[1:]
    return text if not text or text.endswith((".", "!", "?", "…", ":")) else f"{text}."


# What was not foreseen; its traceback belongs into the log --------------------------------------------


def plain_error(error: BaseException, details: str) -> IUINetError:
    """The error itself if it is one of ours, memory in plain words, and "failed" for all else.

    details: sentence that says where the user finds the traceback.

    >>> plain_error(KeyError("liver"), "See the log.").message
    'an unexpected KeyError stopped the work'
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
    """The error for a computer whose memory does not suffice.

    >>> out_of_memory().code
    'memory'
    """
    return DeviceError(
        "the memory of the computer does not suffice for this volume",
        hint="Close other programs, or crop the volume to the abdomen.",
        code="memory",
    )
