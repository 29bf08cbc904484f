"""The tables of a comparison as Markdown and LaTeX, published rows marked."""

from __future__ import annotations

from pathlib import Path

from splade_engine.eval.measures.significance import against_baseline, marks
from splade_engine.eval.report.comparison import Comparison, published
from splade_engine.eval.report.markup import latex, markdown, markdown_text
from splade_engine.eval.report.tables import (
    MISSING,
    effectiveness_table,
    measure_table,
    quantity_table,
)
from splade_engine.files import atomic_file


def markdown_tables(c: Comparison) -> str:
    """A table per measure, then one of quantities per collection."""
    parts = [markdown(header, rows) for _, header, rows, _ in _measure_tables(c)]
    if c.baseline and len(c.systems) > 1:
        parts.append(markdown_text(_significance_note(c)) + "\n")
    for dataset in c.datasets:
        header, rows, _ = quantity_table([r for r in c.results if r.dataset == dataset])
        parts.append(f"### {markdown_text(dataset)}\n\n" + markdown([dataset, *header[1:]], rows))
    return "\n".join(parts)


def latex_tables(c: Comparison) -> str:
    """The same as booktabs tables; significance marks are superscripts, the best of a column is bold."""
    parts = ["% needs \\usepackage{booktabs,graphicx}\n"]
    for measure, header, rows, measured in _measure_tables(c):
        caption = f"{measure}. {_significance_note(c)}" if c.baseline and len(c.systems) > 1 else measure
        parts.append(latex(header, rows, caption, measured=measured))
    for dataset in c.datasets:
        header, rows, _ = quantity_table([r for r in c.results if r.dataset == dataset])
        systems = [[name, *(row[i] for row in rows)] for i, name in enumerate(header[1:], 1)]
        parts.append(
            latex(["system", *(row[0].strip() for row in rows)], systems, f"Cost on {dataset}", bold=False)
        )
    return "\n".join(parts)


def _significance_note(c: Comparison) -> str:
    return (
        f"+ / -: better / worse than {c.baseline}; paired t-test and randomisation test, both p < .05 after "
        "Holm's correction over the systems of a collection."
    )


def _measure_tables(c: Comparison) -> list[tuple[str, list[str], list[list[str]], int]]:
    """Measure, header, rows, and how many of the rows were measured: those after them are published."""
    out = []
    for measure in c.measures:
        tested = c.baseline and len(c.systems) > 1
        found = marks(against_baseline(c.results, c.baseline, measure, c.seed)) if tested else {}
        header, rows = effectiveness_table(c.results, measure, found, c.groups, c.means)
        measured = len(rows)
        columns = measure_table(c.results, measure, c.groups).columns
        for row in published(measure, columns):
            cells = [f"{row.values[d]:.3f}" if d in row.values else MISSING for d in columns]
            filler = [MISSING] * (len(header) - 1 - len(cells))
            rows.append([f"{row.system} (published: {row.source})", *cells, *filler])
        out.append((measure, header, rows, measured))
    return out


def write_text(path: str | Path, text: str) -> None:
    """Write a text file; a reader sees the old one or the new one.

    Raises:
        StorageError: if the disk refuses.
    """
    with atomic_file(path) as file:
        file.write(text.encode())
