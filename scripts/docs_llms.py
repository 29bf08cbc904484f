"""`llms.txt` (llmstxt.org): what the project is, and every page of the site with its first sentence."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes

SUMMARY = (
    "splade-engine is a Python library for learned sparse retrieval: it trains encoders that turn text into "
    "weighted terms, indexes the terms, searches them approximately or exactly, explains every hit, serves "
    "searches over HTTP and evaluates the results. The bundled English encoder needs no model at query time."
)


def llms_text(env: Any) -> str:
    """The file's text, in the order of the site's navigation."""
    lines = ["# splade-engine", "", f"> {SUMMARY}", "", "## Pages", ""]
    for name in pages(env, env.config.root_doc):
        title = env.titles[name].astext()
        lines.append(f"- [{title}]({name}.html): {first_sentence(env.get_doctree(name))}".rstrip(": "))
    return "\n".join([*lines, ""])


def pages(env: Any, name: str) -> list[str]:
    """A page and those below it."""
    out = [name]
    for below in env.toctree_includes.get(name, ()):
        out += [page for page in pages(env, below) if page not in out]
    return out


def first_sentence(tree: nodes.document) -> str:
    """The first sentence of a page's first paragraph."""
    paragraph = next(iter(tree.findall(nodes.paragraph)), None)
    if paragraph is None:
        return ""
    return re.split(r"(?<=[.!?])\s", " ".join(paragraph.astext().split()))[0]
