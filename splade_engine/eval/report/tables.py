"""The tables of an evaluation: a measure by systems and collections, quantities, significance, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from splade_engine.eval.measures.significance import PairedTest, interval, letters
from splade_engine.eval.report.means import measure_means
from splade_engine.eval.report.published import Published
from splade_engine.eval.report.quantities import (
    COSTS,
    Quantity,
    answerable_quantities,
    four_digits,
    measure_quantities,
)
from splade_engine.eval.report.table import Cell, Column, ColumnOfCells, Row, Table, from_columns
from splade_engine.eval.run.results import Result


def effectiveness_table(
    results: Sequence[Result],
    measure: str,
    marks: Mapping[tuple[str, str], str] | None = None,
    groups: Mapping[str, str] | None = None,
    parts: Mapping[str, Sequence[str]] | None = None,
    *,
    published: Sequence[Published] = (),
    baseline: str = "",
    means_first: bool = False,
) -> Table:
    """One measure, a row per system.

    Args:
        results: of any number of systems and collections.
        measure: its name.
        marks: of significance, by system and collection.
        groups: the group of a collection; the mean of a group is one column.
        parts: labels of further means, with the columns that they are over.
        published: numbers from the literature, in rows below the measured ones.
        baseline: the system whose row is marked as such.
        means_first: the means stand before the collections, whose number may push the last columns of a
            page out of sight.
    """
    found = measure_means(results, measure, groups, parts)

    def column(label: str, values: Mapping[str, float], dataset: str = "") -> ColumnOfCells:
        cells = {
            system: Cell(four_digits(value), value, (marks or {}).get((system, dataset), ""))
            for system, value in values.items()
        }
        return ColumnOfCells(label, cells).marked_best()

    collections = [
        column(name, {s: v for (s, c), v in found.values.items() if c == name}, name)
        for name in found.columns
    ]
    means = [column(found.mean_label, found.means)] if found.means else []
    means += [column(label, values) for label, values in found.part_means.items()]
    answerable = [column(label, values) for label, values in found.answerable.items()]
    columns = [*means, *collections, *answerable] if means_first else [*collections, *means, *answerable]
    averaged = {found.mean_label: found.averaged} if found.means else {}
    averaged |= {label: list((parts or {})[label]) for label in found.part_means}
    table = from_columns(measure, found.systems, columns)
    rows = [replace(row, kind="baseline") if row.system == baseline else row for row in table.rows]
    rows += [_published_row(row, [c.label for c in columns], averaged) for row in published]
    return replace(table, rows=tuple(rows))


def _published_row(row: Published, labels: Sequence[str], averaged: Mapping[str, Sequence[str]]) -> Row:
    values = [row.mean(averaged[label]) if label in averaged else row.values.get(label) for label in labels]
    cells = (Cell() if value is None else Cell(f"{value:.3f}", value) for value in values)
    return Row((Cell(row.system), *cells), "published", source=row.source)


def measures_table(results: Sequence[Result], baseline: str = "") -> Table:
    """All measures of one collection in one table, a row per system, each value with its 95 % interval.

    Args:
        results: of one collection.
        baseline: the system whose row is marked as such.
    """
    columns = []
    for quantity in measure_quantities(results):
        cells, found = {}, letters(results, quantity.label)
        for r in results:
            value = r.effectiveness.mean.get(quantity.label)
            if value is not None:
                values = r.effectiveness.per_query.get(quantity.label, {})
                mark = found.get((r.system, r.dataset), "")
                cells[r.system] = Cell(_with_interval(value, list(values.values())), value, mark)
        columns.append(ColumnOfCells(quantity.label, cells).marked_best())
    table = from_columns("system", list(dict.fromkeys(r.system for r in results)), columns)
    rows = [replace(row, kind="baseline") if row.system == baseline else row for row in table.rows]
    return replace(table, rows=tuple(rows), name="measures")


def _with_interval(value: float, values: Sequence[float]) -> str:
    """The value and how far its interval reaches, "0.6630 ±0.0812"."""
    if len(values) < 2:
        return four_digits(value)
    low, high = interval(np.array(values))
    return f"{four_digits(value)} \u00b1{(high - low) / 2:.4f}"


def quantity_table(results: Sequence[Result]) -> Table:
    """Everything that is known about the systems of one collection, a row per quantity."""
    rows = []
    for quantity in [*measure_quantities(results), *answerable_quantities(results), *COSTS]:
        cells = tuple(Cell(quantity.text(result)) for result in results)
        if any(cell != Cell() for cell in cells):
            rows.append(Row((Cell(quantity.label), *cells), group=quantity.group))
    return Table((Column("", "text"), *(Column(r.system) for r in results)), tuple(rows))


def significance_table(tests: Sequence[PairedTest]) -> Table:
    """Every system against the baseline, collection by collection."""
    columns = [Column("system", "text"), Column("collection", "text")]
    columns += [Column(name) for name in ("difference", "95 % interval", "better", "worse", "same")]
    columns += [Column(name, "up") for name in ("t-test p", "Holm", "randomisation p", "Holm")]
    rows = []
    for test in tests:
        p_values = (test.t_p, test.t_p_holm, test.randomisation_p, test.randomisation_p_holm)
        cells = (
            Cell(test.system),
            Cell(test.dataset),
            Cell(f"{test.difference:+.4f}", test.difference, best=test.significant),
            Cell(f"{test.low:+.4f} to {test.high:+.4f}", test.low),
            *(Cell(str(n), float(n)) for n in (test.wins, test.losses, test.ties)),
            *(Cell("< .0001" if p < 1e-4 else f"{p:.4f}", p) for p in p_values),
        )
        rows.append(Row(cells, system=test.system, dataset=test.dataset))
    return Table(tuple(columns), tuple(rows), "significance-table")


def cost_table(results: Sequence[Result]) -> Table:
    """What the systems cost, a row per system and collection."""
    numbers = [quantity for quantity in COSTS if quantity.label != "search mode"]
    used = [quantity for quantity in numbers if any(quantity.value(r) is not None for r in results)]
    columns = [Column(name, "text") for name in ("system", "collection", "mode")]
    columns += [Column(q.label.strip(), "up" if q.better == "low" else "down") for q in used]
    rows = []
    for r in results:
        cells = (Cell(r.system), Cell(r.dataset), Cell(r.mode), *(_number(q, r) for q in used))
        rows.append(Row(cells, system=r.system, dataset=r.dataset))
    return Table(tuple(columns), tuple(rows), "cost-table")


def _number(quantity: Quantity, result: Result) -> Cell:
    value = quantity.value(result)
    return Cell() if value is None else Cell(quantity.text(result), float(value))
