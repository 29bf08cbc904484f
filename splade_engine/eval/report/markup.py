"""A table of texts as Markdown and as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

from splade_engine.eval.report.tables import MISSING
from splade_engine.plain_text import one_line

_WIDE = 8  # columns that fit a page in the usual font


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A pipe table, first column left, the others right."""
    lines = ["| " + " | ".join(markdown_text(h) for h in header) + " |"]
    lines.append("|" + "|".join([" --- ", *(" ---: " for _ in header[1:])]) + "|")
    lines += ["| " + " | ".join(markdown_text(cell) for cell in row) + " |" for row in rows]
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
    "[": "{[}",  # after the end of a row, [1cm] and * would belong to it
    "]": "{]}",
    "*": "{*}",
}


def latex(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str = "",
    *,
    bold: bool = True,
    measured: int | None = None,
) -> str:
    """A booktabs table; significance marks are superscripts, and the best value of each column among the
    first `measured` rows (None for all) is bold. A table of many columns is made as wide as the text.
    """
    wide = len(header) > _WIDE
    best = _best_rows(rows[:measured]) if bold else {}
    lines = [
        r"\begin{table}",
        r"\centering",
        *([r"\resizebox{\textwidth}{!}{%"] if wide else []),
        r"\begin{tabular}{l" + "r" * (len(header) - 1) + "}",
        r"\toprule",
    ]
    lines += [" & ".join(latex_text(h) for h in header) + r" \\", r"\midrule"]
    for number, row in enumerate(rows):
        cells = [latex_text(row[0])]
        for column, cell in enumerate(row[1:], 1):
            value, _, letters = cell.partition(" ") if bold else (cell, "", "")
            text = latex_text(value) if value != MISSING else "--"
            text = rf"\textbf{{{text}}}" if number in best.get(column, ()) else text
            cells.append(text + (rf"\textsuperscript{{{latex_text(letters)}}}" if letters else ""))
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}" + ("}" if wide else "")]
    lines += [rf"\caption{{{latex_text(caption)}}}"] if caption else []
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def latex_text(text: str) -> str:
    """One line of text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(c, c) for c in one_line(text))


def _best_rows(rows: Sequence[Sequence[str]]) -> dict[int, set[int]]:
    best: dict[int, set[int]] = {}
    for column in range(1, max((len(row) for row in rows), default=1)):
        values: dict[int, float] = {}
        for number, row in enumerate(rows):
            try:
                values[number] = float(row[column].partition(" ")[0])
            except (ValueError, IndexError):
                continue
        if values:
            top = max(values.values())
            best[column] = {number for number, value in values.items() if value == top}
    return best
