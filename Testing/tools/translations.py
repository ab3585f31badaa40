"""Keep the translations of the panel up to date: collect its texts, and compile what was translated.

``translations.py`` says what is missing; ``--write`` writes

* ``IUINetSegmentationLib/messages.json``, the sentences of the library and the module that reach the panel,
  with {placeholders} for the values in them (``language.py`` recognises a sentence by them);
* ``Resources/Translations/*.ts`` (Qt Linguist's format), with new texts to translate and without those that
  are gone; translations stay;
* ``Resources/Translations/*.qm`` of the same languages, which Slicer loads.

Qt's lupdate and lrelease do the last two, too, but are under the GPL, and lupdate knows neither Slicer's
``_`` nor these sentences. Contexts are those of slicer.i18n and of Qt's .ui files; of JSON the file's name.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

MODULE = Path(__file__).resolve().parents[2] / "IUINetSegmentation"
FOLDER = MODULE / "Resources" / "Translations"
MESSAGES = MODULE / "IUINetSegmentationLib" / "messages.json"
NAME = "IUINetExtension"
# The languages, by the name of their .ts file, and the names that Slicer's setting may have for each.
LANGUAGES = {"zh-Hans": ("zh-Hans", "zh-CN")}

# Where the sentences stand that reach the panel: readers of files, the command and the network do not.
SPEAKERS = (
    "IUINetSegmentationLib/*.py", "IUINetSegmentationLib/panel/remedies.py",
    "IUINetSegmentationLib/scene/*.py",
    "iuinet/checks.py", "iuinet/devices.py", "iuinet/errors.py", "iuinet/files.py", "iuinet/labels.py",
    "iuinet/leftovers.py", "iuinet/report.py", "iuinet/inference/*.py", "iuinet/weights/*.py",
    "iuinet/worker/__init__.py", "iuinet/worker/child.py", "iuinet/worker/run.py",
)  # fmt: skip
SENTENCE = re.compile(r"[A-Za-z}][\w'}:,;)]* [\w{('-]")
# Sentence-like texts of these files that nobody reads in the panel: names in the scene, patterns, columns.
NEVER_SHOWN = re.compile(
    # names in the scene, patterns, log lines, and the tables of the command
    r"Binary labelmap|.* - DICOM master list|Anatomical Structure|\{\w+\} (segmentation|sequence)|.*[\\|].*"
    r"|(Fatal|Windows) .*:|Apple GPU|(out of|not enough) memory|model download.*|exit abnormally"
    r"|No matching distribution found|setting up|pip download .*|slicer\.util\..*|IUINet,? .*"
    r"|volume, ml|mean HU|not found|(\{lines\})?(warning|note): .*"
    r"|cut by the scan's edge.*|low confidence|\{\w+\}  .*|~/.*|(left|right) kidney|\{\w+\} of \{\w+\}"
    # mistakes in a program that calls the library
    r"|logits of shape .*|Give (floating|three).*|a label map of size .*|.* has no attribute .*"
    r"|the run has not ended yet|Go on calling poll\.",
    re.DOTALL,
)

# Words of which ``iuinet.checks`` makes sentences, and how it joins two of them.
SHORT = ("column", "row", "slice", "columns", "rows", "slices", "bytes", "{what}; {limit}.")

Texts = dict[str, list[str]]  # by context, each text once, in the order in which it is met


# Texts ------------------------------------------------------------------------------------------------


def collect() -> Texts:
    """All texts that can be translated, by context."""
    texts: Texts = {}
    for context, text in (*_of_python(), *_of_ui(), *_of_json()):
        known = texts.setdefault(context, [])
        if text not in known:
            known.append(text)
    return texts


def context_of(path: Path) -> str:
    """The context of a Python file as slicer.i18n has it: its package's folder and its name."""
    package = f"{path.parent.name}." if (path.parent / "__init__.py").is_file() else ""
    return package + path.stem


def module_files() -> list[Path]:
    """The Python files of the Slicer side."""
    return [MODULE / "IUINetSegmentation.py", *sorted((MODULE / "IUINetSegmentationLib").rglob("*.py"))]


def _of_python() -> Iterator[tuple[str, str]]:
    for path in module_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                yield context_of(path), node.args[0].value


def _of_ui() -> Iterator[tuple[str, str]]:
    for path in sorted((MODULE / "Resources" / "UI").glob("*.ui")):
        root = ElementTree.parse(path).getroot()
        for element in root.iter("string"):
            if element.text and element.get("notr") != "true":
                yield root.findtext("class"), element.text


def _of_json() -> Iterator[tuple[str, str]]:
    """Names of organs, and sentences."""
    for organ in json.loads((MODULE / "iuinet" / "organs.json").read_text(encoding="utf-8"))["organs"]:
        yield "organs", organ["name"]
    for message in messages():
        yield "messages", message


def messages() -> list[str]:
    """The sentences of the library and the module that reach the panel, sorted."""
    found = {*SHORT, *_of_models()}
    for pattern in SPEAKERS:
        for path in MODULE.glob(pattern):
            found.update(_sentences(ast.parse(path.read_text(encoding="utf-8"))))
    found = {text for text in found if not NEVER_SHOWN.fullmatch(text)}
    # A text that is nearly all values would be found everywhere.
    return sorted(text for text in found if len(re.findall("[A-Za-z]", _literal(text))) > 5 or text in SHORT)


def _of_models() -> Iterator[str]:
    """What the models that ship say of themselves on their cards."""
    for path in sorted((MODULE / "Resources" / "Weights").glob("*.safetensors")):
        with path.open("rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        for text in header["__metadata__"].values():
            document = json.loads(text) if text.startswith("{") else {}
            said = document.get("intended_use"), document.get("training", {}).get("description")
            yield from filter(None, said)


def _sentences(tree: ast.Module) -> Iterator[str]:
    """Texts of a file that look like sentences: not docstrings, and not what goes through ``_`` already."""
    taken: set[ast.AST] = set()
    for node in ast.walk(tree):  # from the outside to the inside
        if isinstance(node, ast.Expr):
            taken.add(node.value)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("_", "translate"):
            taken.update(node.args)
        before = f"{{{getattr(node.target, 'id', 'before')}}}" if isinstance(node, ast.AugAssign) else ""
        for literal in ast.walk(node.value) if before else (node,):
            text = "" if literal in taken else _template(literal)
            if text:
                taken.update(ast.walk(literal))
            if SENTENCE.search(text):
                yield (before + text).strip()


def _template(node: ast.AST) -> str:
    """The text of a literal or of a sum of some, with a placeholder for each value; "" for what is none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [_template(part) for part in (node.left, node.right)]
        return "".join(part or "{more}" for part in parts) if any(parts) else ""
    if not isinstance(node, ast.JoinedStr):
        return ""
    text, names = "", []
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += part.value
            continue
        words = re.findall(r"[A-Za-z]\w*", re.sub(r"'.*?'", _inside, ast.unparse(part.value)))
        name = words[-1].removeprefix("Get").strip("_").lower() if words else "value"
        names.append(name)
        text += f"{{{name}{names.count(name) if names.count(name) > 1 else ''}}}"
    return text


def _literal(text: str) -> str:
    """What is left of a text without its placeholders."""
    return re.sub(r"\{\w+\}", "", text)


def _inside(quoted: re.Match[str]) -> str:
    """A quoted word of an expression, such as a key, without its quotes; nothing for other quoted text."""
    word = quoted.group()[1:-1]
    return word if word.isidentifier() else ""


def placeholders(text: str) -> list[str]:
    """The placeholders of a text, sorted, with their formats."""
    return sorted(re.findall(r"(?<!\{)\{[^{}]+\}(?!\})", text))


# Qt Linguist's .ts ------------------------------------------------------------------------------------


def ts_file(language: str) -> Path:
    """The file that holds the translations into a language."""
    return FOLDER / f"{NAME}_{language}.ts"


def read_ts(path: Path) -> dict[tuple[str, str], str]:
    """Finished translations by context and text."""
    found = {}
    for context in ElementTree.parse(path).getroot().iter("context") if path.is_file() else ():
        for message in context.iter("message"):
            translation = message.find("translation")
            if translation.text and translation.get("type") is None:
                found[context.findtext("name"), message.findtext("source")] = translation.text
    return found


def ts_text(texts: Texts, translated: dict[tuple[str, str], str], language: str) -> str:
    """The whole file: every text, with its translation or as one to translate."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<!DOCTYPE TS>"]
    lines.append(f'<TS version="2.1" language="{language}" sourcelanguage="en">')
    for context, sources in sorted(texts.items()):
        lines += ["<context>", f"    <name>{context}</name>"]
        for source in sources:
            known = translated.get((context, source))
            done = f"<translation>{_xml(known)}" if known else '<translation type="unfinished">'
            lines += ["    <message>", f"        <source>{_xml(source)}</source>"]
            lines += [f"        {done}</translation>", "    </message>"]
        lines.append("</context>")
    return "\n".join([*lines, "</TS>", ""])


def _xml(text: str) -> str:
    return escape(text, {'"': "&quot;", "'": "&apos;"})


# Qt's .qm ---------------------------------------------------------------------------------------------

MAGIC = bytes.fromhex("3cb86418caef9c95cd211cbf60a1bddd")
HASHES, MESSAGES_PART = 0x42, 0x69
END, TRANSLATION, SOURCE, CONTEXT = 1, 3, 6, 7


def qm_bytes(translated: dict[tuple[str, str], str]) -> bytes:
    """The translations as QTranslator reads them: hashes of the texts, sorted, then the messages."""
    table, body = [], b""
    for (context, source), translation in sorted(translated.items()):
        table.append((_elf_hash(source.encode()), len(body)))
        body += _field(TRANSLATION, translation.encode("utf-16-be"))
        body += _field(SOURCE, source.encode()) + _field(CONTEXT, context.encode()) + bytes([END])
    hashes = b"".join(struct.pack(">II", *entry) for entry in sorted(table))
    return MAGIC + _field(HASHES, hashes) + _field(MESSAGES_PART, body)


def _field(tag: int, content: bytes) -> bytes:
    return struct.pack(">BI", tag, len(content)) + content


def _elf_hash(text: bytes) -> int:
    value = 0
    for byte in text:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high & 0xFFFFFFFF
    return value or 1


# The files --------------------------------------------------------------------------------------------


def written() -> dict[Path, bytes]:
    """What every file should hold."""
    files = {MESSAGES: (json.dumps(messages(), indent=1, ensure_ascii=False) + "\n").encode()}
    texts = collect()
    for language, settings in LANGUAGES.items():
        known = read_ts(ts_file(language))
        there = {key: known[key] for key in known if key[1] in texts.get(key[0], ())}
        files[ts_file(language)] = ts_text(texts, there, language).encode()
        files |= {FOLDER / f"{NAME}_{setting}.qm": qm_bytes(there) for setting in settings}
    return files


def untranslated(language: str) -> list[tuple[str, str]]:
    """Context and text of what has no finished translation."""
    known = read_ts(ts_file(language))
    texts = [(context, text) for context, listed in collect().items() for text in listed]
    return [entry for entry in texts if entry not in known]


def main() -> int:
    """Read the command line; the exit status is 1 if anything is stale or not translated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="bring the files up to date")
    if parser.parse_args().write:
        FOLDER.mkdir(exist_ok=True)
        for path, content in written().items():
            path.write_bytes(content)
    stale = [
        path for path, content in written().items() if not path.is_file() or path.read_bytes() != content
    ]
    for path in stale:
        print(f"not up to date: {path.relative_to(MODULE)}")
    missing = [(language, *entry) for language in LANGUAGES for entry in untranslated(language)]
    for language, context, text in missing:
        print(f"not translated into {language}: {context}: {text!r}")
    return int(bool(stale or missing))


if __name__ == "__main__":
    raise SystemExit(main())
