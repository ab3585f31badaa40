"""``iuinet cohort``: every CT of a folder, resumable, on this computer or a cluster."""

from __future__ import annotations

import argparse
from dataclasses import fields

from iuinet.cohorts import Choice, Summary, cohort
from iuinet.console import Console, stop_on_signal
from iuinet.errors import Cancelled, InputRefused
from iuinet.options import Options

_EVERY_S = 60.0  # between two lines of progress where there is no terminal
_RESUME = "Start the same command again: it goes on where it was."


def run(given: argparse.Namespace, console: Console) -> None:
    """Work through all cases; Ctrl-C at any time."""
    given.loud = given.debug
    names = [one.name for one in (*fields(Options), *fields(Choice)) if hasattr(given, one.name)]
    try:
        with stop_on_signal() as asked:
            summary = cohort(
                given.source,
                given.out,
                progress=lambda line: console.status(line, every=_EVERY_S),
                asked=lambda: bool(asked),
                **{name: getattr(given, name) for name in names},
            )
    except (Cancelled, KeyboardInterrupt) as error:
        raise Cancelled("stopped before it was done", hint=_RESUME) from error
    console.clear()
    _tell(summary, console)


def _tell(summary: Summary, console: Console) -> None:
    """What it came to. Raises: Cancelled, and InputRefused where not all cases were done."""
    total = sum(summary.counts.values())
    for state, count in sorted(summary.counts.items()):
        console.say(f"{state:<13}{count}")
    console.say(f"{'odd':<13}{summary.odd}")
    if summary.made and summary.seconds:
        pace = 3600 * summary.made / summary.seconds
        console.say(f"{'this run':<13}{summary.made} in {summary.seconds:.0f} s, {pace:.0f} an hour")
    console.say()
    console.say(f"{'page':<13}{summary.page}")
    console.say(f"{'table':<13}{summary.table}")
    if summary.cancelled:
        raise Cancelled("stopped before it was done", hint=_RESUME)
    if not total:
        raise InputRefused(
            "no CT was found in the input",
            hint=f"{summary.page} lists what is there instead.",
            code="no-cases",
        )
    if not summary.complete:
        raise InputRefused(
            f"{total - summary.counts['done']} of {total} cases have no result",
            hint=f"{summary.page} shows why.",
            code="cases-refused",
        )
