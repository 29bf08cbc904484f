"""What docs and docstrings point at exists."""

from __future__ import annotations

import ast
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from scripts.docs_pages import page_names

ROOT = Path(__file__).parents[1]
DOCS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
SOURCES = [*ROOT.glob("splade_engine/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("scripts/**/*.py")]
# a file of the tree is named with its suffix, alone or with folders before it
NAMED = re.compile(r"(?<![\w./~*<>{}$-])((?:[\w.-]+/)*[\w-]+\.(?:md|py|toml))(?![\w/])")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
# pages that scripts/docs makes: `scripts/docs_links.py` follows the links to them
GENERATED = {f"generated/{name}" for name in page_names()}
# names of files that users have, or that other projects do
FOREIGN = {
    "README.md",
    "mine.py",
    "test_mine.py",
    "recipe.toml",
    "collection.toml",
    "tables.md",
    "plan.md",
    "my.toml",
}


def tracked() -> set[str]:
    """Every file of the project, and every tail of its path ("index/reader.py", "reader.py")."""
    found = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if found.returncode:
        pytest.skip("not a git checkout")
    tails = set()
    for name in found.stdout.splitlines():
        parts = name.split("/")
        tails.update("/".join(parts[i:]) for i in range(len(parts)))
    return tails


def docstrings(path: Path) -> str:
    """All docstrings of a module and its comments."""
    source = path.read_text(encoding="utf-8")
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [
        ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, owners)
    ]
    return "\n".join([*texts, *re.findall(r"(?m)#\s(.*)$", source)])


def missing(text: str, known: set[str]) -> list[str]:
    names = [name.removeprefix("../") for name in NAMED.findall(text)]
    known = known | GENERATED
    return [name for name in names if name not in known and name.rpartition("/")[2] not in FOREIGN]


def test_every_file_that_docs_name_exists():
    known = tracked()
    # a changelog may name what is gone
    found = {d.name: missing(d.read_text(encoding="utf-8"), known) for d in DOCS if d.name != "CHANGELOG.md"}
    assert {name: names for name, names in found.items() if names} == {}


def test_every_link_of_the_docs_leads_somewhere():
    dead = [
        f"{document.name}: {target}"
        for document in DOCS
        for target in LINK.findall(document.read_text(encoding="utf-8"))
        if not (document.parent / target).exists() and target not in GENERATED
    ]
    assert dead == []


def test_every_file_that_a_docstring_or_comment_of_the_package_names_exists():
    known = tracked()
    found = {
        str(p.relative_to(ROOT)): missing(docstrings(p), known) for p in SOURCES if "splade_engine" in p.parts
    }
    assert {name: names for name, names in found.items() if names} == {}


def test_a_name_that_is_not_there_is_noticed():
    assert missing("see docs/nowhere.md, `reader.py` and pyproject.toml", tracked()) == ["docs/nowhere.md"]


def test_an_item_of_a_list_in_a_docstring_goes_on_under_its_text():
    broken = []
    for path in SOURCES:
        lines = docstrings(path).split("\n")
        for item, following in pairwise(lines):
            margin = len(item) - len(item.lstrip())
            continued = following.strip() and not following.lstrip().startswith(("- ", "|"))
            under = len(following) - len(following.lstrip()) > margin
            if item.lstrip().startswith("- ") and continued and not under:
                broken.append(f"{path.relative_to(ROOT)}: {item}")
    assert broken == []
