"""What the repository says about itself: the same everywhere, and what Slicer's Extensions Index asks for."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import struct
import tomllib

import pytest
from helpers.repository import MODULE, ROOT, files, git, text_files
from tools.list_module_files import listed_files, module_files
from tools.list_requirements import name_of

import iuinet

MEGABYTE = 10**6
APACHE_2_0 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
IN_SLICER = {"numpy", "scipy", "simpleitk", "pydicom", "requests", "urllib3"}  # packages that Slicer brings
# The keys that the schema of the Extensions Index (catalog entry 1.0.1) asks for and allows.
REQUIRED_KEYS = {"$schema", "category", "scm_url"}
ALLOWED_KEYS = {*REQUIRED_KEYS, "scm_revision", "scm_type", "build_dependencies", "build_subdirectory"}
ALLOWED_KEYS |= {"enabled", "tier"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


PROJECT = tomllib.loads(read("pyproject.toml"))["project"]
ADDRESS = PROJECT["urls"]["Repository"]
RAW = ADDRESS.replace("https://github.com/", "https://raw.githubusercontent.com/") + "/main/"
CMAKE = read("CMakeLists.txt")
EXTENSION = dict(re.findall(r'^set\(EXTENSION_(\w+) "?([^"\n]*)"?\)$', CMAKE, re.MULTILINE))
CATALOG = json.loads(read("IUINetExtension.json"))
S4EXT = dict(
    line.split(" ", 1) for line in read("IUINetExtension.s4ext").splitlines() if line and line[0] != "#"
)


# The repository's address and people ----------------------------------------------------------------------


def test_every_mention_of_the_repository_is_the_marked_address():
    owner_and_name = ADDRESS.removeprefix("https://github.com/")
    mention = re.compile(r"github(?:usercontent)?\.com/([\w.-]+/[\w-]*IUINet[\w-]*)", re.IGNORECASE)
    assert owner_and_name in mention.findall(CMAKE)
    assert not [
        f"{path.relative_to(ROOT)}: {found}"
        for path, text in text_files()
        for found in mention.findall(text)
        if found.removesuffix(".git") != owner_and_name
    ]


def test_the_address_is_one_the_extensions_index_takes():
    assert re.fullmatch(r"https://github\.com/[\w-]+/Slicer\w+", ADDRESS)
    assert EXTENSION["HOMEPAGE"] == ADDRESS
    assert CATALOG["scm_url"] == S4EXT["scmurl"] == ADDRESS + ".git"


def test_the_contributors_are_the_same_everywhere():
    names = ", ".join(author["name"] for author in PROJECT["authors"])
    assert EXTENSION["CONTRIBUTORS"] == S4EXT["contributors"] == names
    assert names in read("IUINetSegmentation/IUINetSegmentation.py")


def test_the_panel_and_the_pages_name_the_same_paper():
    module = read("IUINetSegmentation/IUINetSegmentation.py")
    paper = re.search(r'^PAPER = "(.+)"$', module, re.MULTILINE).group(1)
    assert re.search(r'^ADDRESS = "(.+)"$', module, re.MULTILINE).group(1) == ADDRESS
    assert all(
        paper in read(name) for name in ("README.md", "CITATION.cff", "Documentation/extensions-index.md")
    )


def test_the_citation_names_this_version_and_this_address():
    citation = dict(re.findall(r'^([\w-]+): "?([^"\n]+)"?$', read("CITATION.cff"), re.MULTILINE))
    assert citation["version"] == iuinet.__version__
    assert citation["repository-code"] == ADDRESS and citation["license"] == PROJECT["license"]
    assert f"({iuinet.__version__})" in read("CHANGELOG.md")


# The extension's description ------------------------------------------------------------------------------


def test_the_extension_has_one_name():
    name = re.search(r"^project\((\w+)\)$", CMAKE, re.MULTILINE).group(1)
    assert name == "IUINetExtension"
    assert {(ROOT / f"{name}{ending}").is_file() for ending in (".json", ".s4ext", ".png")} == {True}


def test_the_cmake_file_has_the_order_that_slicer_asks_for():
    order = [
        "project(",
        "set(EXTENSION_HOMEPAGE",
        "find_package(Slicer REQUIRED)",
        "include(${Slicer_USE_FILE})",
        "add_subdirectory(IUINetSegmentation)",
        "## NEXT_MODULE",
        "include(${Slicer_EXTENSION_GENERATE_CONFIG})",
        "include(${Slicer_EXTENSION_CPACK})",
    ]
    assert all(CMAKE.count(part) == 1 for part in order)
    assert sorted(order, key=CMAKE.index) == order


def test_the_cmake_file_is_of_the_kind_that_slicers_template_makes_today():
    # Utilities/Templates/Extensions/Default of Slicer: what it no longer sets is in the catalog entry.
    assert CMAKE.startswith("cmake_minimum_required(VERSION 3.28 FATAL_ERROR)\n")
    assert not {"STATUS", "ENABLED"} & set(EXTENSION)


def test_a_search_for_the_organs_or_the_task_finds_the_extension():
    words = EXTENSION["KEYWORDS"].lower().split()
    assert {"abdomen", "ct", "liver", "spleen", "kidney", "segmentation"} <= set(words)
    assert ";" not in EXTENSION["KEYWORDS"], "Slicer separates them by spaces"


def test_each_piece_of_metadata_stands_on_one_line_once():
    assert CMAKE.count("set(EXTENSION_") == len(EXTENSION)
    needed = {"HOMEPAGE", "CATEGORY", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"}
    assert needed <= set(EXTENSION)
    assert all(EXTENSION.values())


def test_every_field_of_the_s4ext_file_equals_the_cmake_file():
    own = {"scm": "git", "scmurl": CATALOG["scm_url"], "scmrevision": CATALOG["scm_revision"]}
    own["build_subdirectory"] = CATALOG["build_subdirectory"]
    assert {**{key.lower(): value for key, value in EXTENSION.items()}, **own} == S4EXT


def test_the_catalog_entry_has_the_right_keys_and_equals_the_cmake_file():
    assert set(CATALOG) >= REQUIRED_KEYS
    assert set(CATALOG) <= ALLOWED_KEYS
    assert CATALOG["category"] == EXTENSION["CATEGORY"] == "Segmentation"
    assert " ".join(CATALOG["build_dependencies"]) == EXTENSION["DEPENDS"] == "PyTorch"
    assert CATALOG["tier"] in {1, 3, 5}
    assert b"\r" not in (ROOT / "IUINetExtension.json").read_bytes()


@pytest.mark.parametrize("key", ["ICONURL", "SCREENSHOTURLS"])
def test_a_picture_in_the_metadata_is_a_picture_of_the_repository(key):
    for url in EXTENSION[key].split():
        assert url.startswith(RAW)
        png_size(url.removeprefix(RAW))


def test_the_icons_have_the_size_that_slicer_asks_for():
    assert EXTENSION["ICONURL"] == RAW + "IUINetExtension.png"
    assert png_size("IUINetExtension.png") == (128, 128)
    assert png_size("IUINetSegmentation/Resources/Icons/IUINetSegmentation.png") == (128, 128)


def png_size(name: str) -> tuple[int, int]:
    content = (ROOT / name).read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n"), f"{name} is no PNG"
    return struct.unpack(">II", content[16:24])


def test_the_licence_is_apache_2_everywhere():
    assert hashlib.sha256((ROOT / "LICENSE.txt").read_bytes()).hexdigest() == APACHE_2_0
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache" in read("README.md")


# What is packaged -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["scripts", "resources"])
def test_slicer_packages_every_file_of_the_module(kind):
    assert listed_files()[kind] == module_files()[kind], "run: Testing/tools/list_module_files.py --write"


def test_slicer_sees_one_module():
    # Slicer takes every Python file that lies directly in the folder for a module.
    assert [path.name for path in MODULE.glob("*.py")] == ["IUINetSegmentation.py"]


def test_a_build_of_slicer_runs_the_modules_own_test_and_the_generic_ones():
    text = read("IUINetSegmentation/CMakeLists.txt")
    macro = re.search(r"slicerMacroBuildScriptedModule\((.*?)\)", text, re.DOTALL)
    assert macro and "WITH_GENERIC_TESTS" in macro[1].split(), "name, category, contributors and panel"
    unit_test = r"if\(BUILD_TESTING\)\s+slicer_add_python_unittest\(SCRIPT \$\{MODULE_NAME\}\.py\)"
    assert re.search(unit_test, text)
    tree = ast.parse(read("IUINetSegmentation/IUINetSegmentation.py"))
    (test,) = [node for node in tree.body if getattr(node, "name", "") == "IUINetSegmentationTest"]
    methods = [node.name for node in test.body if isinstance(node, ast.FunctionDef)]
    assert "runTest" in methods and any(name.startswith("test_") for name in methods)


def test_what_the_module_installs_in_slicer_is_what_the_library_needs():
    listed = [line for line in read("IUINetSegmentation/Resources/requirements.txt").splitlines() if line]
    listed = {line for line in listed if line[0] != "#"}
    assert listed <= set(PROJECT["dependencies"])
    needed = {name_of(line) for line in PROJECT["dependencies"]}
    # PyTorch comes by an extension of its own; nibabel is for files, and Slicer reads those itself.
    assert {name_of(line) for line in listed} == needed - IN_SLICER - {"torch", "nibabel"}


def test_the_version_stands_in_one_place():
    assert "version" in PROJECT["dynamic"]
    assert not [
        str(path.relative_to(ROOT))
        for path, text in text_files()
        if re.search(rf'version\w* *[=:] *"{re.escape(iuinet.__version__)}"', text, re.IGNORECASE)
        and path != MODULE / "iuinet" / "__init__.py"
    ]


# The commands and the tests -------------------------------------------------------------------------------


def test_the_tests_run_with_exact_versions_of_everything_they_name():
    lines = [line for line in read("Testing/constraints.txt").splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), "exact, with no path and no suffix"
    pinned = {name_of(line) for line in lines}
    extras = PROJECT["optional-dependencies"]
    named = [*PROJECT["dependencies"], *(line for extra in extras.values() for line in extra)]
    assert {name_of(line) for line in named} <= pinned
    assert "torch==2.13.0" in lines


def test_every_test_file_lies_where_make_test_looks():
    parts = re.search(r"^parts=\((.*)\)$", read("Testing/tools/run_tests.sh"), re.MULTILINE).group(1).split()
    folders = {ROOT / "Testing" / part for part in parts}
    tests = [path for path in files() if path.name.startswith("test_") and path.suffix == ".py"]
    assert tests
    assert not [str(path.relative_to(ROOT)) for path in tests if path.parent not in folders]


def test_the_checkout_offers_the_commands_that_it_documents():
    offered = set(re.findall(r"^([a-z0-9.-]+):", read("Makefile"), re.MULTILINE))
    assert offered >= {"setup", "segment", "test", "lint", "bench", "test-slicer-5.12", "test-python-3.12"}
    named = {command for text in documents().values() for command in COMMAND.findall(text)}
    assert "segment" in named
    assert named <= offered


def test_every_link_of_a_page_leads_to_a_file():
    links = {(page, link) for page, text in documents().items() for link in LINK.findall(text)}
    assert not [f"{page}: {link}" for page, link in links if not (ROOT / page).parent.joinpath(link).exists()]


# A command of the Makefile in a page, and a link or picture of a page that stays in the repository.
COMMAND = re.compile(r"(?:^|`)make ([a-z][\w.-]*)", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")


def documents() -> dict[str, str]:
    """The pages of the repository, by name."""
    pages = [path.relative_to(ROOT).as_posix() for path in files() if path.suffix == ".md"]
    return {name: read(name) for name in pages}


# Size -----------------------------------------------------------------------------------------------------


def test_no_file_is_larger_than_26_megabytes():
    assert not [str(path.relative_to(ROOT)) for path in files() if path.stat().st_size > 26 * MEGABYTE]


def test_the_clone_with_its_history_stays_under_80_megabytes():
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    history = int(git("rev-list", "--disk-usage", "--objects", "HEAD"))
    assert history + sum(path.stat().st_size for path in files()) < 80 * MEGABYTE
