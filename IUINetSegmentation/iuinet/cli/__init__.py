"""The command ``iuinet``: its options, and how every failure ends in two lines and a status.

Statuses: 0 done, 2 wrong usage, 3 input refused, 4 weights missing or refused, 5 device or memory,
6 cancelled, 1 anything else.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from importlib import import_module

from iuinet import __version__
from iuinet.console import Console, Parser, run_command
from iuinet.errors import UsageError
from iuinet.labels import ALL, LARGEST

from . import weights


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return run_command(lambda: _parse(arguments), lambda options, console: options.run(options, console))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    options = _parser().parse_args(arguments)
    for name, value in vars(options).items():
        if any(isinstance(text, str) and not text.strip() for text in (value, *_listed(value))):
            # A variable of a script that is not set; as a path it would mean the current folder.
            raise UsageError(
                f"the value of {name.replace('_', '-')} is empty",
                hint="Give one, or leave it out; a variable may not be set.",
            )
    return options


def _listed(value: object) -> list:
    return value if isinstance(value, list) else []


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="iuinet",
        description="Segments the organs of the abdomen in CT with IUINet. For research; not a diagnosis.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"iuinet {__version__}")
    parser.set_defaults(debug=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_segment(commands)
    _add_cohort(commands)
    _add_weights(commands)
    command = _add(commands, "info", _later("info"), "show versions, devices, folders and models")
    command.add_argument("--json", action="store_true", help="for programs")
    return parser


def _add(commands: argparse._SubParsersAction, name: str, run: object, text: str) -> argparse.ArgumentParser:
    """A command with what all have in common."""
    command = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
    )
    command.add_argument("--debug", action="store_true", help="show tracebacks and the libraries' warnings")
    command.set_defaults(run=run)
    return command


def _later(module: str) -> Callable[[argparse.Namespace, Console], None]:
    """What runs a command of this package, imported only then: segment brings SimpleITK along."""
    return lambda options, console: import_module(f".{module}", __name__).run(options, console)


def _add_segment(commands: argparse._SubParsersAction) -> None:
    command = _add(commands, "segment", _later("segment"), "segment the organs in one CT")
    add = command.add_argument
    add("ct", metavar="CT", help="NIfTI, NRRD or MetaImage file, or a DICOM folder")
    add("-o", "--output", metavar="OUT", help="by its ending .seg.nrrd (segments with names and colours), "
        ".nii.gz, .nrrd or .mha (label map, with the names of its numbers beside it), .dcm (DICOM SEG of the "
        "CT's series); default: NAME.seg.nrrd in the current folder")  # fmt: skip
    _add_options(command)
    add("--series", metavar="UID", help="which series of a DICOM folder with several")
    add("--overwrite", action="store_true", help="replace files that exist")
    add("--report", metavar="FILE.json", help="also write volumes, checks and timings")
    add("--preview", metavar="FILE.png", help="also draw a picture of the result")


def _add_cohort(commands: argparse._SubParsersAction) -> None:
    text = "segment every CT in a folder, resumable, on this computer or a Dask cluster"
    command = _add(commands, "cohort", _later("cohort"), text)
    add = command.add_argument
    add("source", metavar="IN", help="folder of DICOM studies and volume files, or a CSV list")
    add("out", metavar="OUT", help="folder for the results; one of an earlier run goes on")
    engine = command.add_mutually_exclusive_group().add_argument
    engine("--workers", type=int, default=1, metavar="N", help="processes on this computer; default: 1")
    engine("--scheduler", metavar="tcp://...", help="use the workers of this Dask scheduler instead")
    add("--memory-limit", metavar="8GB", help="of each process on this computer; default: none")
    add("--format", dest="ending", default=".seg.nrrd", metavar="ENDING", help="of the results, as of "
        "segment --output; .dcm is written without the patient's name; default: .seg.nrrd")  # fmt: skip
    add("--no-previews", dest="previews", action="store_false", help="draw no pictures")
    add("--retry", action="store_true", help="try again what was refused or set aside")
    _add_options(command)


def _add_options(command: argparse.ArgumentParser) -> None:
    """Those of ``Options``."""
    add = command.add_argument
    add("--weights", metavar="ID|FILE", help="model to use; default: the one that comes with IUINet")
    add("--device", type=_device, default="auto", help="auto, cpu, cuda, cuda:N or mps; default: auto")
    add("--fast", action="store_true", help="look once, not twice: half the time, less exact")
    add("--pieces", dest="islands", type=_pieces, default=True, metavar="all|largest", help="keep all pieces "
        "of each organ, or only the largest; default: as the model says of each of its organs")  # fmt: skip
    add("--organs", type=_organs, metavar="A,B", help="only these, such as 'liver,left kidney'; default: all")
    add("--accept-warnings", action="store_true", help="go on where a person should decide")


def _add_weights(commands: argparse._SubParsersAction) -> None:
    text = "list, check, import, install and remove models"
    parser = commands.add_parser(
        "weights", help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(actions, "list", weights.run_list, "show the models that are known and where they are")
    command = _add(
        actions, "verify", weights.run_verify, "check that model files are whole and the expected ones"
    )
    command.add_argument("weights", nargs="*", metavar="ID|FILE", help="default: all that are here")
    command = _add(actions, "path", weights.run_path, "show where a model lies, or the folder for models")
    command.add_argument("weights", nargs="?", metavar="ID", help="default: your folder for models")
    command = _add(actions, "import", weights.run_import, "check a model file and copy it into your folder")
    command.add_argument("file", metavar="FILE")
    command = _add(actions, "remove", weights.run_remove, "delete a model from your folder")
    command.add_argument("weights", metavar="ID")
    command = _add(actions, "install", weights.run_install, "get a listed model")
    command.add_argument("weights", metavar="ID")


def _pieces(text: str) -> bool | str:
    if text not in (ALL, LARGEST):
        raise argparse.ArgumentTypeError(f"{text!r} is none of {ALL}, {LARGEST}")
    return text == LARGEST and LARGEST


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", text):
        raise argparse.ArgumentTypeError(f"{text!r} is none of auto, cpu, cuda, cuda:N, mps")
    return text


def _organs(text: str) -> list[str]:
    names = [" ".join(name.split()) for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} holds an empty name")
    return names
