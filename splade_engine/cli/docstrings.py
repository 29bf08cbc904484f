"""The demo's corpus: what Python's own documentation strings say, found without running anything.

The source files of the standard library are parsed, never imported (some open windows or browsers when they
are); only `builtins`, which is always loaded, is looked at as it is. An entry is a public module, class,
function or method with a documentation string of some length; its id is the dotted name, `json.dumps`.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from splade_engine.collections import Document

MIN_LENGTH = 30  # characters: "See io.open." finds nothing
# tests and vendored tools; what is deprecated, repeats itself hundreds of times (tkinter, turtle) or is data
# (encodings)
_SKIPPED = {
    "__pycache__", "config", "dist-packages", "distutils", "encodings", "ensurepip", "idlelib",
    "lib-dynload", "lib2to3", "msilib", "pydoc_data", "site-packages", "test", "tests", "tkinter", "turtle",
    "turtledemo",
}  # fmt: skip
_IMPLEMENTS = {
    "_collections_abc": "collections.abc",
    "_pydatetime": "datetime",
    "_pydecimal": "decimal",
    "_pyio": "io",
}

_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def read_docstrings() -> Iterator[Document]:
    """The entries of the running Python, ordered by file, each id once."""
    seen: set[str] = set()
    for document in _all():
        if document.id not in seen and len(document.text) >= MIN_LENGTH:
            seen.add(document.id)
            yield document


def _all() -> Iterator[Document]:
    yield from _builtins()
    library = Path(sysconfig.get_path("stdlib"))
    for file in sorted(library.rglob("*.py")):
        parts = file.relative_to(library).with_suffix("").parts
        if any(part in _SKIPPED or part.startswith(("config-", "test_")) for part in parts):
            continue
        name = ".".join(parts).removesuffix(".__init__").removesuffix(".__main__")
        name = _IMPLEMENTS.get(name, name)
        if not any(part.startswith("_") for part in name.split(".")):
            yield from _module(file, name)


def _module(file: Path, name: str) -> Iterator[Document]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):  # templates and files for other Pythons
        return
    text = ast.get_docstring(tree)
    if text:
        yield Document(name, text, name, {"kind": "module", "module": name})
    yield from _definitions(tree.body, name, name)


def _definitions(body: list[ast.stmt], prefix: str, module: str) -> Iterator[Document]:
    for node in body:
        if isinstance(node, ast.If | ast.Try):  # definitions for one platform
            yield from _definitions(node.body, prefix, module)
        if not isinstance(node, _Definition) or node.name.startswith("_"):
            continue
        name = f"{prefix}.{node.name}"
        text = ast.get_docstring(node)
        if text:
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            yield Document(name, text, name, {"kind": kind, "module": module})
        if isinstance(node, ast.ClassDef):
            yield from _definitions(node.body, name, module)


def _builtins() -> Iterator[Document]:
    for name, value in sorted(vars(builtins).items()):
        if name.startswith("_") or not callable(value):
            continue
        kind = "class" if isinstance(value, type) else "function"
        yield from _entry(name, value, kind)
        if isinstance(value, type) and not issubclass(value, BaseException):
            for member, attribute in sorted(vars(value).items()):
                if not member.startswith("_"):
                    yield from _entry(f"{name}.{member}", attribute, "function")


def _entry(name: str, value: Any, kind: str) -> Iterator[Document]:
    text = inspect.getdoc(value)
    if text:
        yield Document(name, text, name, {"kind": kind, "module": "builtins"})
