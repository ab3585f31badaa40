"""Every public function of the library shows an example, and each example does what it shows."""

from __future__ import annotations

import ast
import doctest
import importlib

import pytest
from helpers.repository import ROOT, module_name, python_files

# The command's functions take parsed options and a console; the worker's file is a program.
PROGRAMS = ("iuinet.cli", "iuinet.worker.__main__", "iuinet.__main__")
FILES = {
    name: path
    for path in python_files("IUINetSegmentation/iuinet")
    if not (name := module_name(path)).startswith(PROGRAMS)
}

TORCH_INSIDE = ("iuinet.devices",)  # import torch in their functions: no import says so


def public_functions(name: str) -> list[ast.FunctionDef]:
    """The functions at the top of a module's file whose names have no underscore before them."""
    tree = ast.parse(FILES[name].read_text(encoding="utf-8"))
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"]


def test_every_public_function_has_an_example():
    assert "keep_largest_components" in {node.name for node in public_functions("iuinet.islands")}
    assert not [
        f"{FILES[name].relative_to(ROOT)}:{node.lineno} {node.name}"
        for name in FILES
        for node in public_functions(name)
        if ">>>" not in (ast.get_docstring(node) or "")
    ]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.needs_torch] if name in TORCH_INSIDE else [])
        for name in FILES
        if public_functions(name)
    ],
)
def test_the_examples_do_what_they_show(name: str, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    found = doctest.testmod(importlib.import_module(name), optionflags=options)
    assert found.failed == 0, "the captured output shows what came instead"
