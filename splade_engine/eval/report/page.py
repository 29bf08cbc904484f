"""One self-contained HTML page from a comparison: tables, charts, queries won and lost. It loads nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import Any

from splade_engine.eval.measures.significance import against_baseline, letters
from splade_engine.eval.report.comparison import Comparison, Published, published
from splade_engine.eval.report.page_charts import key, recall, sparsity, tradeoff
from splade_engine.eval.report.page_data import page_data
from splade_engine.eval.report.page_table import Cell, Column, TableRow, table
from splade_engine.eval.report.tables import (
    COST_ROWS,
    MeasureTable,
    Row,
    collection_line,
    four_digits,
    measure_table,
)
from splade_engine.eval.run.results import Result


def html_page(comparison: Comparison, title: str) -> str:
    """The page as text."""
    from splade_engine import __version__

    sections = [s for s in _sections(comparison) if s[2]]
    body = "\n".join(
        f'<section><h2 id="{key}">{name}</h2>\n{html}\n</section>' for key, name, html in sections
    )
    data = json.dumps(page_data(comparison), ensure_ascii=False, separators=(",", ":"))
    values = {
        "title": escape(title),
        "lead": _lead(comparison),
        "nav": "".join(f'<a href="#{i}">{name}</a>' for i, name, _ in sections),
        "sections": body,
        "version": escape(__version__),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "css": _template("report.css"),
        "js": _template("report.js"),
        # "<" cannot close the script element, and U+2028 is no line end in JSON either
        "data": data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"),
    }
    # one pass: what is put in is not looked at again
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _template("report.html"))


def _template(name: str) -> str:
    return (files("splade_engine.eval.report") / "templates" / name).read_text(encoding="utf-8")


def _sections(c: Comparison) -> list[tuple[str, str, str]]:
    return [
        ("effectiveness", "Effectiveness", _effectiveness(c)),
        ("significance", "Significance", _significance(c)),
        ("cost", "Cost", _cost(c)),
        ("tradeoff", "Effectiveness against cost", tradeoff(c)),
        ("recall", "Recall against latency", recall(c)),
        ("sparsity", "Sparsity", sparsity(c)),
        ("queries", "Query by query", _queries(c)),
        ("about", "How this was made", _about(c)),
    ]


def _lead(c: Comparison) -> str:
    judged = sum({r.dataset: r.n_judged for r in c.results}.values())
    text = f"{_count(len(c.systems), 'system')} on {_count(len(c.datasets), 'collection')}, "
    text += f"{judged:,} judged queries."
    if c.baseline:
        text += f" Baseline: {c.baseline}."
    return escape(text)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


# ---- effectiveness --------------------------------------------------------------------------------------


def _effectiveness(c: Comparison) -> str:
    parts = [
        f"<h3>{escape(measure)}</h3>" + _measure_table(c, measure, f"measure-{number}")
        for number, measure in enumerate(c.measures)
    ]
    note = (
        "Letters after a value: the systems that it is significantly better than on that collection (paired "
        "t-test, p &lt; .05 after Holm's correction over all pairs). Bold: the best of a column. Rows marked "
        "<em>published</em> are taken from the literature, not measured here."
    )
    lines = {r.dataset: collection_line(r) for r in c.results}
    collections = "<br>".join(escape(line) for line in lines.values())
    return "\n".join([f'<p class="note">{note}</p>', *parts, f'<p class="note">{collections}</p>'])


def _measure_table(c: Comparison, measure: str, name: str) -> str:
    found = measure_table(c.results, measure, c.groups, c.means)
    better = letters(c.results, measure)
    best = {
        column: max((found.values[s, column] for s in c.systems if (s, column) in found.values), default=None)
        for column in found.columns
    }
    rows = []
    for system in c.systems:
        cells = [Cell(key(c, system))]
        if found.means:  # before the collections, whose number may push the last columns out of sight
            cells.append(_value_cell(found.means[system], "", max(found.means.values())))
        cells += [
            _value_cell(part.get(system), "", max(part.values(), default=None))
            for part in found.part_means.values()
        ]
        for column in found.columns:
            place = (system, column)
            cells.append(_value_cell(found.values.get(place), better.get(place, ""), best[column]))
        cells += [
            _value_cell(values.get(system), "", max(values.values(), default=None))
            for values in found.answerable.values()
        ]
        rows.append(TableRow(cells, "baseline" if system == c.baseline else ""))
    rows += [_published_row(row, found, c.means) for row in published(measure, found.columns)]
    means = [Column(found.mean_label)] if found.means else []
    means += [Column(label) for label in found.part_means]
    names = [*found.columns, *found.answerable]
    columns = [Column("system", "text"), *means, *(Column(name) for name in names)]
    return table(columns, rows, name)


def _value_cell(value: float | None, better: str, best: float | None) -> Cell:
    if value is None:
        return Cell("-")
    sup = f"<sup>{escape(better)}</sup>" if better else ""
    return Cell(four_digits(value) + sup, value, "best" if value == best else "")


def _published_row(row: Published, found: MeasureTable, parts: Mapping[str, Sequence[str]]) -> TableRow:
    label = f'{escape(row.system)}<span class="tag" title="{escape(row.source)}">published</span>'
    averaged = [found.averaged] if found.means else []
    averaged += [list(parts[name]) for name in found.part_means]
    values = [_mean_of(row, columns) for columns in averaged]
    values += [row.values.get(column) for column in found.columns]
    values += [None] * len(found.answerable)
    cells = [Cell("-") if value is None else Cell(f"{value:.3f}", value) for value in values]
    return TableRow([Cell(label), *cells], "published")


def _mean_of(row: Published, columns: Sequence[str]) -> float | None:
    whole = all(column in row.values for column in columns)
    return sum(row.values[c] for c in columns) / len(columns) if whole else None


# ---- significance ---------------------------------------------------------------------------------------


def _significance(c: Comparison) -> str:
    if not c.baseline or len(c.systems) < 2:
        return ""
    rows = []
    for test in against_baseline(c.results, c.baseline, c.measures[0], c.seed):
        p_values = (test.t_p, test.t_p_holm, test.randomisation_p, test.randomisation_p_holm)
        cells = [
            Cell(key(c, test.system)),
            Cell(escape(test.dataset), kind="text"),
            Cell(f"{test.difference:+.4f}", test.difference, "best" if test.significant else ""),
            *(Cell(str(n), float(n)) for n in (test.wins, test.losses, test.ties)),
            *(Cell("&lt; .0001" if p < 1e-4 else f"{p:.4f}", p) for p in p_values),
        ]
        rows.append(TableRow(cells, dataset=test.dataset))
    columns = [Column("system", "text"), Column("collection", "text")]
    columns += [Column(name) for name in ("difference", "better", "worse", "same")]
    columns += [Column(name, "up") for name in ("t-test p", "Holm", "randomisation p", "Holm ")]
    note = (
        f"{escape(c.measures[0])} against {escape(c.baseline)}, query by query. Bold differences: both tests "
        "below .05 after Holm's correction over the systems of a collection."
    )
    name = "significance-table"
    return f'<p class="note">{note}</p>' + _filter(c, name) + table(columns, rows, name)


def _filter(c: Comparison, table_name: str) -> str:
    if len(c.datasets) < 2:
        return ""
    options = "".join(f'<option value="{escape(d)}">{escape(d)}</option>' for d in c.datasets)
    return (
        f'<div class="controls"><label>Collection<select data-filter="{table_name}">'
        f'<option value="">all</option>{options}</select></label></div>'
    )


# ---- cost -----------------------------------------------------------------------------------------------


def _cost(c: Comparison) -> str:
    numbers = [row for row in COST_ROWS if row.label != "search mode"]
    used = [row for row in numbers if any(row.value(r) is not None for r in c.results)]
    if not any(r.cost.latency for r in c.results):  # run files: nothing was timed
        return ""
    columns = [Column(name, "text") for name in ("system", "collection", "mode")]
    columns += [Column(row.label.strip(), "up" if row.better == "low" else "down") for row in used]
    rows = []
    for r in c.results:
        words = [
            Cell(key(c, r.system)),
            Cell(escape(r.dataset), kind="text"),
            Cell(escape(r.mode), kind="text"),
        ]
        rows.append(TableRow([*words, *(_cost_cell(row, r) for row in used)], dataset=r.dataset))
    note = (
        "Latency: one query at a time on one thread, from the text to the hits; a hybrid's is the sum of its "
        "parts'. Encoding is timed when it happens: vectors from the cache keep the time that they took then."
    )
    return f'<p class="note">{note}</p>' + _filter(c, "cost-table") + table(columns, rows, "cost-table")


def _cost_cell(row: Row, result: Result) -> Cell:
    value = row.value(result)
    return Cell("-") if value is None else Cell(escape(row.text(result)), float(value))


# ---- queries and configuration --------------------------------------------------------------------------


def _queries(c: Comparison) -> str:
    if len(c.systems) < 2:
        return ""
    base = c.systems.index(c.baseline) if c.baseline else 0
    other = next(i for i in range(len(c.systems)) if i != base)
    systems = list(enumerate(c.systems))
    selects = [
        ("dataset", "Collection", [(d, d) for d in c.datasets], c.datasets[0]),
        ("measure", "Measure", [(m, m) for m in c.measures], c.measures[0]),
        ("a", "System", [(str(i), s) for i, s in systems], str(other)),
        ("b", "Compared with", [(str(i), s) for i, s in systems], str(base)),
    ]
    labels = []
    for name, label, options, chosen in selects:
        items = "".join(
            f'<option value="{escape(v)}"{" selected" if v == chosen else ""}>{escape(t)}</option>'
            for v, t in options
        )
        labels.append(f'<label>{label}<select id="diff-{name}">{items}</select></label>')
    note = "The queries that gained and lost most; open one for the documents and the terms responsible."
    return (
        f'<p class="note">{note}</p><div class="controls">{"".join(labels)}</div><div id="differences"></div>'
    )


def _about(c: Comparison) -> str:
    entries: list[tuple[str, Any]] = []
    for e in c.experiments:
        machine = e.get("machine", {})
        entries += [
            ("command", e.get("command")),
            ("run on", f"{machine.get('cpu')}, {machine.get('cores')} cores, {machine.get('system')}"),
            ("started", e.get("started")),
            ("seed", e.get("seed")),
            ("versions", ", ".join(f"{name} {version}" for name, version in e.get("versions", {}).items())),
        ]
        entries += [(name, text) for name, text in e.get("state", {}).items() if text != "done"]
    for system in c.systems:
        first = next(r for r in c.results if r.system == system)
        notes = dict.fromkeys(
            f"{r.dataset}: {note}" for r in c.results if r.system == system for note in r.notes
        )
        entries.append((f"system {system}", "; ".join([first.spec, *notes])))
    hashes: dict[str, dict[str, None]] = {}
    for r in c.results:
        for name, value in r.hashes.items():
            if name not in _OF_DATA:
                hashes.setdefault(name, {})[str(value)] = None
    entries += [(name, ", ".join(values)) for name, values in hashes.items()]
    entries += [(f"data {dataset}", _data_hashes(c, dataset)) for dataset in c.datasets]
    rows = "".join(
        f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in entries if v not in (None, "")
    )
    return f"<dl>{rows}</dl>"


_OF_DATA = {
    "documents": "documents",
    "corpus": "corpus",
    "queries": "queries",
    "qrels": "judgments",
    "index": "index",
}


def _data_hashes(c: Comparison, dataset: str) -> str:
    """Hashes of one collection and of the indexes over it; "" where only runs were given."""
    found = {name: value for r in c.results if r.dataset == dataset for name, value in r.hashes.items()}
    return ", ".join(f"{label} {found[name]}" for name, label in _OF_DATA.items() if name in found)
