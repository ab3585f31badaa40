"""Which PyTorch each platform is asked for, and which one that is there already may stay."""

from __future__ import annotations

import tomllib

import pytest
from helpers.repository import ROOT
from packaging.requirements import Requirement

from iuinet.requirements import PLATFORMS, requirement, torch_will_do

# As Python and pip name them: platform.system, sys_platform, platform.machine.
KINDS = [
    ("Linux", "linux", "x86_64"),
    ("Linux", "linux", "aarch64"),
    ("Windows", "win32", "AMD64"),
    ("Darwin", "darwin", "x86_64"),  # Slicer's, on Apple's processors by Rosetta
    ("Darwin", "darwin", "arm64"),
]


@pytest.mark.parametrize(("system", "sys_platform", "machine"), KINDS)
def test_pip_and_slicer_ask_for_the_same(system: str, sys_platform: str, machine: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [Requirement(line) for line in project["dependencies"]]
    here = {"sys_platform": sys_platform, "platform_machine": machine}
    asked = [line for line in lines if line.name in ("torch", "numpy") and line.marker is not None]
    asked = [f"{line.name}{line.specifier}" for line in asked if line.marker.evaluate(here)]
    wanted = [str(Requirement(line)) for line in requirement(system, machine).packages]
    assert asked == wanted


def test_the_last_torch_for_intels_macos_is_taken_there_and_with_the_numpy_that_it_was_built_for() -> None:
    torch, numpy = map(Requirement, requirement("Darwin", "x86_64").packages)
    assert "2.2.2" in torch.specifier and "2.3.0" not in torch.specifier
    assert "1.26.4" in numpy.specifier and "2.0.0" not in numpy.specifier


@pytest.mark.parametrize("version", ["2.2.2", "2.2.2+cpu", "2.5.1+cu121", "2.8.0", "2.10.0", "3.0.0a1"])
def test_what_works_may_stay_for_the_sake_of_others(version: str) -> None:
    assert torch_will_do(version)


@pytest.mark.parametrize("version", ["1.13.1", "2.0.1", "2.1.2", "2.9.0", "2.9.1+cu128", "", "custom"])
def test_what_does_not_is_replaced(version: str) -> None:
    assert not torch_will_do(version)


def test_what_is_asked_for_will_do() -> None:
    for platform in PLATFORMS:
        asked = Requirement(platform.packages[0]).specifier
        versions = ["2.2.2", "2.9.1", "2.10.0", "2.13.0"]
        assert [version for version in versions if version in asked and torch_will_do(version)], platform
