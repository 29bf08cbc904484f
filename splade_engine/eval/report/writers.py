"""A table as text for a terminal, as Markdown, and as LaTeX. Cells are shown, never acted on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from splade_engine.eval.report.table import MISSING, Row, Table
from splade_engine.plain_text import columns, left, one_line, right

_WIDE = 8  # columns that fit a page in the usual font


def text(table: Table) -> str:
    """Aligned columns, a blank line below the heading and between groups of rows."""
    lines = [[one_line(column.label) for column in table.columns]]
    lines += [[_label(row), *(one_line(cell.marked) for cell in row.cells[1:])] for row in table.rows]
    widths = [max(columns(line[i]) for line in lines) for i in range(len(table.columns))]
    out = [_aligned(lines[0], widths)]
    group = None
    for row, line in zip(table.rows, lines[1:], strict=True):
        if row.group != group:
            out.append("")
        group = row.group
        out.append(_aligned(line, widths))
    return "\n".join(out) + "\n"


def _label(row: Row) -> str:
    """What a row is about; the space that sets a quantity below the one before it stays."""
    label = row.cells[0].text
    said = one_line(f"{label} (published: {row.source})" if row.kind == "published" else label)
    return " " * (len(label) - len(label.lstrip(" "))) + said


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [left(row[0], widths[0]), *(right(c, w) for c, w in zip(row[1:], widths[1:], strict=True))]
    return "  ".join(cells).rstrip()


def markdown(table: Table) -> str:
    """A pipe table, first column left, the others right."""
    rows = [[column.label for column in table.columns]]
    rows += [[_label(row), *(cell.marked for cell in row.cells[1:])] for row in table.rows]
    lines = ["| " + " | ".join(markdown_text(cell) for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "|".join([" --- ", *(" ---: " for _ in table.columns[1:])]) + "|")
    return "\n".join(lines) + "\n"


# what Markdown, or the HTML in it, would act on; an underscore within a word is text
_MARKDOWN = re.compile(r"[\\`*\[\]|!~]|(?<!\w)_|_(?!\w)")


def markdown_text(text: str) -> str:
    """One line of text with Markdown's and HTML's special characters escaped."""
    text = _MARKDOWN.sub(r"\\\g<0>", one_line(text))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_LATEX = {c: "\\" + c for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",  # these three are other characters in LaTeX's oldest fonts
    "[": "{[}",  # after the end of a row, [1cm] and * would belong to it
    "]": "{]}",
    "*": "{*}",
}


def latex(table: Table) -> str:
    """A booktabs table; marks of significance are superscripts, and the best values are bold.

    A table of many columns is made as wide as the text.
    """
    wide = len(table.columns) > _WIDE
    lines = [
        r"\begin{table}",
        r"\centering",
        *([r"\resizebox{\textwidth}{!}{%"] if wide else []),
        r"\begin{tabular}{l" + "r" * (len(table.columns) - 1) + "}",
        r"\toprule",
    ]
    lines += [" & ".join(latex_text(column.label) for column in table.columns) + r" \\", r"\midrule"]
    for row in table.rows:
        cells = [latex_text(_label(row))]
        for cell in row.cells[1:]:
            said = "--" if cell.text == MISSING else latex_text(cell.text)
            said = rf"\textbf{{{said}}}" if cell.best else said
            cells.append(said + (rf"\textsuperscript{{{latex_text(cell.mark)}}}" if cell.mark else ""))
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}" + ("}" if wide else "")]
    lines += [rf"\caption{{{latex_text(table.caption)}}}"] if table.caption else []
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def latex_text(text: str) -> str:
    """One line of text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(c, c) for c in one_line(text))
