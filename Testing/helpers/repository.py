"""What the tests about the repository itself share: its files, and what its Python files import."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "IUINetSegmentation"
# The folders from which Python finds modules.
SOURCES = (MODULE, ROOT / "Training", ROOT / "Testing")


@dataclass(frozen=True)
class Import:
    """One imported module. name: absolute and dotted. top: whether importing the file imports it too."""

    name: str
    line: int
    top: bool


@cache
def files() -> tuple[Path, ...]:
    """Every file of the repository, committed or about to be; without git all but what is made."""
    if (ROOT / ".git").exists():
        listing = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        found = {ROOT / name for name in listing if name}
    else:
        found = {path for path in ROOT.rglob("*") if not _is_made(path.relative_to(ROOT))}
    return tuple(sorted(path for path in found if path.is_file()))


def _is_made(relative: Path) -> bool:
    made = ("__pycache__", ".venv", ".git", ".pytest_cache", ".ruff_cache", "out", "runs", "build")
    return any(part.startswith(made) or part.endswith(".egg-info") for part in relative.parts)


def git(*arguments: str) -> str:
    """What a git command in the repository prints."""
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True, encoding="utf-8"
    ).stdout


def python_files(*folders: str) -> list[Path]:
    """The Python files under folders (or the files themselves), named relative to the repository."""
    places = [ROOT / folder for folder in folders]
    return [
        path
        for path in files()
        if path.suffix == ".py" and any(path.is_relative_to(place) for place in places)
    ]


def text_files() -> list[tuple[Path, str]]:
    """Every text file with its text."""
    found = []
    for path in files():
        try:
            found.append((path, path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def imports(path: Path) -> list[Import]:
    """All imports of a file, relative ones made absolute. ``from a import b`` counts as ``a.b`` too."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    late = {node for scope in ast.walk(tree) if _is_late(scope) for node in ast.walk(scope)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(path, node)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        found += [Import(name, node.lineno, node not in late) for name in names]
    return found


def _is_late(node: ast.AST) -> bool:
    """A part of a file that does not run when the file is imported."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test).endswith("TYPE_CHECKING")
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = _relative(path).parent.parts
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def _relative(path: Path) -> Path:
    """The path below the folder from which Python finds it."""
    return next(path.relative_to(folder) for folder in SOURCES if path.is_relative_to(folder))


def module_name(path: Path) -> str:
    """Dotted name of a Python file: ``iuinet/network/__init__.py`` is ``iuinet.network``."""
    parts = _relative(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
