"""What is printed and written of an evaluation: text for a terminal, Markdown, LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from splade_engine.eval.measures.significance import against_baseline, baseline_note, marks
from splade_engine.eval.report.comparison import Comparison
from splade_engine.eval.report.headline import headlines
from splade_engine.eval.report.published import published
from splade_engine.eval.report.quantities import collection_line, measure_quantities
from splade_engine.eval.report.table import Column, Table
from splade_engine.eval.report.tables import effectiveness_table, quantity_table
from splade_engine.eval.report.writers import latex, markdown, markdown_text, text
from splade_engine.eval.run.results import Result
from splade_engine.plain_text import one_line


def printed(results: Sequence[Result]) -> str:
    """What the command line shows for one collection: a line about it, then quantities by systems."""
    return f"{one_line(collection_line(results[0]))}\n\n{text(quantity_table(results))}"


def summary(
    results: Sequence[Result],
    baseline: str = "",
    seed: int = 42,
    groups: Mapping[str, str] | None = None,
    parts: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """What the results say in words, then one Markdown table per measure, means as in `measure_means`.

    It is "" for a single collection without a baseline.
    """
    several = len({r.dataset for r in results}) > 1
    if not results or not (several or baseline):
        return ""
    out = []
    tested = baseline if len({r.system for r in results}) > 1 else ""
    for quantity in measure_quantities(results):
        found = marks(against_baseline(results, tested, quantity.label, seed)) if tested else {}
        out.append(markdown(effectiveness_table(results, quantity.label, found, groups, parts)))
    told = headlines(Comparison(list(results), {}, baseline=tested, seed=seed), groups or {})
    words = "".join(f"{line}\n" for line in told) + "\n" if told else ""
    return words + "\n".join(out) + (f"\n{baseline_note(tested)}\n" if tested else "")


def markdown_tables(c: Comparison, *, main: bool = False) -> str:
    """What the tests say in words, a table per measure, then one of quantities per collection.

    With `main` only the words and the table of the first measure.
    """
    told = headlines(c)
    parts = ["".join(f"- {markdown_text(line)}\n" for line in told)] if told else []
    parts += [markdown(table) for table in _measure_tables(c, c.measures[:1] if main else c.measures)]
    if c.is_tested:
        parts.append(markdown_text(baseline_note(c.baseline)) + "\n")
    if main:
        return "\n".join(parts)
    for dataset, table in _quantity_tables(c):
        named = replace(table, columns=(Column(dataset, "text"), *table.columns[1:]))
        parts.append(f"### {markdown_text(dataset)}\n\n" + markdown(named))
    return "\n".join(parts)


def latex_tables(c: Comparison) -> str:
    """The same as booktabs tables."""
    parts = ["% needs \\usepackage{booktabs,graphicx}\n"]
    for table in _measure_tables(c, c.measures):
        measure = table.columns[0].label
        caption = f"{measure}. {baseline_note(c.baseline)}." if c.is_tested else measure
        parts.append(latex(replace(table, caption=caption)))
    for dataset, table in _quantity_tables(c):
        parts.append(latex(replace(table.transposed("system"), caption=f"Cost on {dataset}")))
    return "\n".join(parts)


def _measure_tables(c: Comparison, measures: Sequence[str]) -> list[Table]:
    out = []
    for measure in measures:
        found = marks(against_baseline(c.results, c.baseline, measure, c.seed)) if c.is_tested else {}
        rows = published(measure, c.published, c.sizes)
        out.append(effectiveness_table(c.results, measure, found, c.groups, c.means, published=rows))
    return out


def _quantity_tables(c: Comparison) -> list[tuple[str, Table]]:
    return [(d, quantity_table([r for r in c.results if r.dataset == d])) for d in c.datasets]
