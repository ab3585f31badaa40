"""Which PyTorch this computer needs: what is asked for where there is none, and which one may stay.

Other programs, in Slicer other extensions, share the PyTorch that is installed. So only one with which the
module does not work is replaced. The package's own metadata (pyproject.toml) says the same, which is tested.
"""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass

# Inference is tested with the oldest and with a new one (make test-torch-2.2, make test).
OLDEST_TORCH = (2, 2)
# 2.9 computes 3-D convolutions in 16 bits slowly and with far more memory than the others.
LEFT_OUT = frozenset({(2, 9)})


@dataclass(frozen=True)
class Requirement:
    """What pip is asked for on a platform.

    system, machine: as Python's platform names them, "" for any. packages: requirements, PyTorch's first.
    builds: whether there is more than one of PyTorch, for several kinds of GPU, to choose from.
    download, disk: bytes that they take with all that comes with them, roughly.
    """

    system: str
    machine: str
    packages: tuple[str, ...]
    builds: bool
    download: int
    disk: int


# The first that fits counts.
PLATFORMS = (
    # Slicer for macOS is a program for Intel, on Apple's processors too. For these PyTorch ended with 2.2,
    # which was built for numpy 1: what others do with the two needs that, though the module does not.
    Requirement("Darwin", "x86_64", ("torch>=2.2.2,<2.3", "numpy<2"), False, 200_000_000, 900_000_000),
    Requirement("Darwin", "", ("torch>=2.10",), False, 200_000_000, 900_000_000),
    # With CUDA; without, the download is a tenth of it.
    Requirement("", "", ("torch>=2.10",), True, 2_700_000_000, 6_500_000_000),
)


def requirement(system: str | None = None, machine: str | None = None) -> Requirement:
    """What pip is asked for on a platform, by default on this one.

    >>> requirement("Darwin", "x86_64").packages
    ('torch>=2.2.2,<2.3', 'numpy<2')
    >>> requirement("Windows", "AMD64").packages
    ('torch>=2.10',)
    """
    system = platform.system() if system is None else system
    machine = platform.machine() if machine is None else machine
    return next(one for one in PLATFORMS if one.system in ("", system) and one.machine in ("", machine))


def torch_will_do(version: str) -> bool:
    """Whether the module works with this version of PyTorch.

    >>> torch_will_do("2.2.2"), torch_will_do("2.6.0+cu124"), torch_will_do("2.13.0")
    (True, True, True)
    >>> torch_will_do("1.13.1"), torch_will_do("2.9.1"), torch_will_do("unknown")
    (False, False, False)
    """
    found = re.match(r"(\d+)\.(\d+)", version)
    release = tuple(map(int, found.groups())) if found else (0, 0)
    return release >= OLDEST_TORCH and release not in LEFT_OUT
