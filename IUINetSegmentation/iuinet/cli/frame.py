"""The frame around a command: interrupts, quiet libraries, refusals in two lines, the exit status."""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Callable

from ..errors import Cancelled
from ..unexpected import plain_error
from .console import Console


def run_command(
    parse: Callable[[], argparse.Namespace], run: Callable[[argparse.Namespace, Console], None]
) -> int:
    """Parse the options (they hold ``debug``) and run the command; gives the exit status."""
    console = Console()
    debug = False
    try:
        with console.interruptible():
            options = parse()
            debug = options.debug
            with console.quiet(unless=debug):
                run(options, console)
        return 0
    except SystemExit as end:  # --help and --version
        return int(end.code or 0)
    except BrokenPipeError:  # the reader of our output, such as "head", has seen enough
        return 0
    except BaseException as error:
        if debug:
            traceback.print_exc()
        # Native code may turn the interrupt into an error of its own.
        if console.interrupted or isinstance(error, KeyboardInterrupt):
            error = Cancelled("stopped before it was done", hint="Nothing was written.")
        refusal = plain_error(error, "Run the command again with --debug for the details.")
        console.refuse(refusal)
        return refusal.exit_status
    finally:
        console.close()
