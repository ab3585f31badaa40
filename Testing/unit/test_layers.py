"""The arrows between the layers run one way, and torch stays out of the Slicer application."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib

import pytest
from helpers.repository import MODULE, ROOT, Import, imports, module_name, python_files, text_files

SLICER = {"slicer", "vtk", "qt", "ctk", "mrml", "vtkITK", "sitkUtils", "SampleData", "PythonQt", "PySide6"}
SLICER_SIDE = ("IUINetSegmentation/IUINetSegmentation.py", "IUINetSegmentation/IUINetSegmentationLib")
OWN_SLICER_SIDE = {"IUINetSegmentation", "IUINetSegmentationLib"}
TRAINING = {"Training", *(module_name(path).split(".")[0] for path in python_files("Training"))}
# What Slicer brings, and so may be imported when Slicer starts.
IN_SLICER = {*SLICER, *sys.stdlib_module_names, "numpy", "scipy", "SimpleITK"}
# What the Slicer side may import of the library in any case; more is allowed as long as it needs no torch.
TORCH_FREE = {f"iuinet.{name}" for name in ("labels", "weights", "worker", "errors", "report")}
LONGEST_FILE = 400
# The library's front door opens these two only when they are asked for; contract of the public interface.
LAZY = {"iuinet": {"iuinet.segmentation", "iuinet.cohorts"}}


def top_name(found: Import) -> str:
    return found.name.split(".")[0]


def offences(folders: tuple[str, ...], forbidden: set[str]) -> list[str]:
    """Every import of a forbidden top-level name in the folders, as file:line."""
    return [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.name}"
        for path in python_files(*folders)
        for found in imports(path)
        if top_name(found) in forbidden
    ]


def test_the_library_knows_nothing_of_slicer_of_the_module_or_of_training():
    assert python_files("IUINetSegmentation/iuinet"), "the test looks at the wrong place"
    assert not offences(("IUINetSegmentation/iuinet",), {*SLICER, *OWN_SLICER_SIDE, *TRAINING})


def test_training_knows_nothing_of_slicer():
    assert not offences(("Training",), {*SLICER, *OWN_SLICER_SIDE})


def test_the_pipeline_imports_no_script():
    scripts = {path.stem for path in (ROOT / "Training").glob("*.py")}
    assert {"evaluate", "prepare", "train"} <= scripts, "the test looks at the wrong place"
    assert not offences(("Training/pipeline",), scripts)


def test_the_module_knows_nothing_of_training_nor_of_the_tests():
    assert not offences(("IUINetSegmentation",), {"harness", "helpers", "unit", "tools", *TRAINING})


def test_the_slicer_library_does_not_import_the_module_that_stands_on_it():
    assert not offences(("IUINetSegmentation/IUINetSegmentationLib",), {"IUINetSegmentation"})


def test_the_module_starts_with_what_slicer_brings():
    assert not [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.name} when Slicer starts"
        for path in python_files(*SLICER_SIDE)
        for found in imports(path)
        if found.top and top_name(found) not in {*IN_SLICER, *OWN_SLICER_SIDE, "iuinet"}
    ]


# Kernels can only be written where Triton is there: nobody imports these files but late, and each other.
KERNELS = {f"iuinet.network.gpu.{name}" for name in ("kernels", "operations")}


def test_the_kernels_are_imported_where_they_are_used():
    assert not [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.name} for whoever imports the file"
        for path in python_files("IUINetSegmentation/iuinet")
        for found in imports(path)
        if found.top and found.name.startswith(tuple(KERNELS)) and module_name(path) not in KERNELS
    ]


def test_extras_are_imported_where_they_are_used():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = extras["optional-dependencies"]
    names = {re.match(r"[\w-]+", line).group() for extra in extras.values() for line in extra}
    assert not [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.name} for whoever imports the file"
        for path in python_files("IUINetSegmentation/iuinet")
        for found in imports(path)
        if found.top
        and top_name(found) in names
        and not (top_name(found) == "triton" and module_name(path) in KERNELS)
    ]


def arrows(*folders: str) -> dict[str, set[str]]:
    """Which module imports which of the same folders, also late or for types alone."""
    modules = {module_name(path): path for path in python_files(*folders)}
    found: dict[str, set[str]] = {name: set() for name in modules}
    for name, path in modules.items():
        named = {one.name for one in imports(path)}
        # ``from package import module`` needs the module; the package is only the way to it.
        ways = {one.rpartition(".")[0] for one in named if one in modules}
        direct = {one for one in named if one in modules and one not in ways}
        symbols = {one.rpartition(".")[0] for one in named if one not in modules}
        found[name] = (direct | (symbols & set(modules))) - {name, *LAZY.get(name, ())}
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of one circle in their order, [] where there is none."""
    done: set[str] = set()

    def follow(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph[name]):
            if found := follow(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := follow(name, []))), [])


def test_no_circle_of_imports():
    graph = arrows("IUINetSegmentation", "Training")
    assert "iuinet.labels" in graph["iuinet.report"], "the test looks at the wrong place"
    assert circle(graph) == []


def test_the_check_sees_a_circle():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]


def test_what_the_slicer_side_imports_of_the_library_needs_no_torch():
    known = {module_name(path) for path in python_files("IUINetSegmentation/iuinet")}
    used = {
        found.name for path in python_files(*SLICER_SIDE) for found in imports(path) if found.name in known
    }
    assert used, "the Slicer side uses nothing of the library: the test looks at the wrong place"
    assert not modules_that_bring_torch(sorted({"iuinet", *TORCH_FREE, *used}))


def test_the_check_sees_relative_and_late_imports():
    top = {found.name: found.top for found in imports(MODULE / "iuinet" / "network" / "__init__.py")}
    assert top["iuinet.network.config"]
    lazy = {found.name: found.top for found in imports(MODULE / "iuinet" / "__init__.py")}
    assert not lazy["iuinet.segmentation"]


def test_the_check_for_torch_sees_torch():
    pytest.importorskip("torch", reason="torch is not installed here")
    assert modules_that_bring_torch(["iuinet.errors", "iuinet.network"]) == ["iuinet.network"]


def modules_that_bring_torch(names: list[str]) -> list[str]:
    """The first of the modules that brings torch into a fresh interpreter, in a list; else an empty one."""
    program = (
        "import importlib, json, sys\n"
        "for name in json.loads(sys.argv[1]):\n"
        "    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules:\n"
        "        print(name)\n"
        "        break\n"
    )
    command = [sys.executable, "-c", program, json.dumps(names)]
    done = subprocess.run(command, cwd=MODULE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


# Files --------------------------------------------------------------------------------------------------


def test_every_python_file_has_at_most_400_lines():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in python_files(".")}
    too_long = {path: length for path, length in lengths.items() if length > LONGEST_FILE}
    assert not [f"{path.relative_to(ROOT)} has {length} lines" for path, length in too_long.items()]


def test_every_python_file_says_what_it_is_for():
    assert not [
        str(path.relative_to(ROOT))
        for path in python_files(".")
        if (text := path.read_text(encoding="utf-8")) and not ast.get_docstring(ast.parse(text))
    ]


# The brackets keep these patterns from finding themselves.
MACHINE = re.compile(
    r"(?<![\w.~$}])/(?:wor[k]|roo[t]|tm[p]|hom[e]/\w+)/|/opt/(?:pyp[i]|wheel[s])"
    r"|pyp[i]\.org|pythonhoste[d]\.org|download\.pytorc[h]\.org|--(?:extra-)?inde[x]-url"
)


def test_no_file_names_a_place_of_one_machine_or_a_package_registry():
    assert not [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path, text in text_files()
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE.search(line)
    ]
