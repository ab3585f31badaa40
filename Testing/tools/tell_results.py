"""Print from pytest's JUnit files which tests took longest, and in the last line what was left out."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

MOST = 10


@dataclass(frozen=True)
class Case:
    """One test. seconds: with its set-up. left_out: why it did not run, None if it did."""

    name: str
    seconds: float
    left_out: str | None


def read_cases(files: list[Path]) -> list[Case]:
    """All tests of the files; a part that was killed has left no file."""
    cases = []
    for path in files:
        for node in ElementTree.parse(path).iter("testcase"):
            skipped = node.find("skipped")
            reason = None if skipped is None else skipped.get("message", "").removeprefix("Skipped: ")
            name = f"{node.get('classname', '').replace('.', '/')}::{node.get('name')}"
            cases.append(Case(name, float(node.get("time", 0)), reason))
    return cases


def slowest(cases: list[Case]) -> list[str]:
    """Lines for the tests that took longest."""
    ordered = sorted(cases, key=lambda case: -case.seconds)[:MOST]
    return [f"{case.seconds:7.1f} s  {case.name}" for case in ordered]


def left_out(cases: list[Case]) -> str:
    """What was left out, in one line; the commonest reason first."""
    reasons = Counter(case.left_out for case in cases if case.left_out is not None)
    if not reasons:
        return "nothing left out"
    words = ", ".join(f"{count} ({reason})" for reason, count in reasons.most_common())
    return f"left out: {words}"


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="JUnit files of pytest")
    cases = read_cases(parser.parse_args().files)
    if cases:
        print("The slowest tests:", *slowest(cases), "", sep="\n")
    print(f"{len(cases)} tests, {left_out(cases)}")


if __name__ == "__main__":
    main()
