"""Showing results: tables and their writers, charts, and the HTML page of a comparison."""

from __future__ import annotations

from splade_engine.eval.report.comparison import Comparison, load_comparison
from splade_engine.eval.report.page import html_page
from splade_engine.eval.report.written import latex_tables, markdown_tables, printed, summary

__all__ = [
    "Comparison",
    "html_page",
    "latex_tables",
    "load_comparison",
    "markdown_tables",
    "printed",
    "summary",
]
