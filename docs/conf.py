"""Sphinx: `scripts/docs` builds the site from docs/, the docstrings and the commands."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.docs_pages import write_pages
from splade_engine import __version__
from splade_engine.training.fields import field_comments

write_pages(Path(__file__).parent / "generated")

project = "splade-engine"
author = "the splade-engine authors"
project_copyright = f"2026, {author}"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "images"]
# docstrings write code in single backticks
default_role = "literal"
smartquotes = False  # which turns the two dashes of an option into one
# two doors have a `Settings`; an annotation that names one of them is no link then
suppress_warnings = ["ref.python"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "splade-engine"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False


def _with_fields(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Fields of a dataclass are documented by the comment above each."""
    if what not in ("class", "exception") or not hasattr(value, "__dataclass_fields__"):
        return
    if any(line.startswith((":ivar", "Attributes:")) for line in lines):
        return
    comments = {k: v for k, v in field_comments(value).items() if k in value.__dataclass_fields__}
    if comments:
        lines += ["", *(f":ivar {field}: {comment}" for field, comment in comments.items()), ""]


def _skipped(app: Any, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """A field of a named tuple says "Alias for field number 0", which helps nobody."""
    return True if (getattr(value, "__doc__", "") or "").startswith("Alias for field number") else None


# a page that is called by its file name, as is useful among files
_FILE_LINK = re.compile(r"\[[\w-]+\.md\]\((?=[^):]*\.md[)#])")


def _titles(app: Any, name: str, source: list[str]) -> None:
    """On the site a link such as `[searching.md](searching.md)` shows the title of what it leads to."""
    source[0] = _FILE_LINK.sub("[](", source[0])


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _titles)
    app.connect("autodoc-process-docstring", _with_fields)
    app.connect("autodoc-skip-member", _skipped)
    app.connect("build-finished", _write_llms)


def _write_llms(app: Any, error: Exception | None) -> None:
    """`llms.txt`: the pages of the site with a line on each, for programs that read."""
    if error is not None or app.builder.name != "html":
        return
    from scripts.docs_llms import llms_text

    (Path(app.outdir) / "llms.txt").write_text(llms_text(app.env), encoding="utf-8")
