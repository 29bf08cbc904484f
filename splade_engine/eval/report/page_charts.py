"""The charts of a report: effectiveness against cost, recall against latency, sparsity histograms."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from splade_engine.eval.measures.significance import letter
from splade_engine.eval.report import charts
from splade_engine.eval.report.comparison import Comparison
from splade_engine.eval.run.results import Result


def key(c: Comparison, system: str) -> str:
    """A system's letter in its colour, and its name."""
    number = c.systems.index(system)
    name = escape(system).replace("(", "(<wbr>")  # long names break there on a phone
    return f'<span class="key c{number % 10}">{letter(number)}</span>{name}'


def tradeoff(c: Comparison) -> str:
    """Scatter plots of the first measure against latency, index size and terms; "" without such numbers."""
    quantities: list[tuple[str, Callable[[Result], float | None]]] = [
        ("median latency, ms", lambda r: r.cost.latency.p50 if r.cost.latency else None),
        (
            "index bytes per document",
            lambda r: r.cost.index_bytes / r.n_documents if r.cost.index_bytes else None,
        ),
        ("terms per document", lambda r: r.sparsity.terms_per_document if r.sparsity else None),
    ]
    measure = c.measures[0]
    figures = []
    for label, value in quantities:
        points = _points(c, measure, label, value)
        if len({p.x for p in points}) > 1:
            chart = charts.scatter(points, label, f"mean {measure}")
            figures.append(
                f"<figure>{chart}<figcaption>{escape(measure)} against {label}</figcaption></figure>"
            )
    if not figures:
        return ""
    legend = "".join(f"<li>{key(c, system)}</li>" for system in c.systems)
    note = "Means over the collections that every system of a chart was measured on; up and left is better."
    listed = f'<p class="note">{note}</p><ul class="legend">{legend}</ul>'
    return f'{listed}<div class="charts">{"".join(figures)}</div>'


def _points(
    c: Comparison, measure: str, label: str, cost: Callable[[Result], float | None]
) -> list[charts.Point]:
    by_system: dict[str, dict[str, tuple[float, float]]] = {}
    for r in c.results:
        value, good = cost(r), r.effectiveness.mean.get(measure)
        if value and good is not None:
            by_system.setdefault(r.system, {})[r.dataset] = (value, good)
    common = [d for d in c.datasets if all(d in found for found in by_system.values())]
    points = []
    for number, system in enumerate(c.systems):
        found = [by_system[system][d] for d in common] if system in by_system else []
        if found:
            x, y = (sum(pair[i] for pair in found) / len(found) for i in (0, 1))
            tip = f"{system}: {measure} {y:.4f}, {label} {charts.number(x)}"
            points.append(charts.Point(x, y, letter(number), number, tip))
    return points


def recall(c: Comparison) -> str:
    """One chart per collection with approximate systems; "" where there are none."""
    figures = []
    for dataset in c.datasets:
        series = {
            r.system: [
                (
                    p.search_p50_ms,
                    p.recall,
                    f"{r.system}, {p.label}: recall {p.recall:.4f}, {p.search_p50_ms:.3f} ms",
                )
                for p in r.recall_curve
            ]
            for r in c.results
            if r.dataset == dataset and len(r.recall_curve) > 1
        }
        if series:
            colours = {system: c.systems.index(system) for system in series}
            chart = charts.lines(series, "median search time, ms", "recall@10", colours)
            figures.append(f"<figure>{chart}<figcaption>{escape(dataset)}</figcaption></figure>")
    if not figures:
        return ""
    shown = [s for s in c.systems if any(r.system == s and len(r.recall_curve) > 1 for r in c.results)]
    legend = "".join(f"<li>{key(c, system)}</li>" for system in shown)
    note = (
        "How much of the exact top 10 approximate search finds, and how long it takes, from fast to thorough "
        "settings; one thread, without encoding the query."
    )
    return (
        f'<p class="note">{note}</p><ul class="legend">{legend}</ul>'
        f'<div class="charts small">{"".join(figures)}</div>'
    )


def sparsity(c: Comparison) -> str:
    """Histograms of terms per document and query; "" without sparse vectors."""
    figures, seen = [], set()
    for r in c.results:
        if r.sparsity is None or not r.sparsity.document_histogram:
            continue
        shape = (
            r.dataset,
            tuple(r.sparsity.document_histogram.items()),
            tuple(r.sparsity.query_histogram.items()),
        )
        if shape in seen:  # the same vectors, searched in another way
            continue
        seen.add(shape)
        colour = c.systems.index(r.system)
        for kind, counts in (
            ("document", r.sparsity.document_histogram),
            ("query", r.sparsity.query_histogram),
        ):
            if counts:
                chart = charts.histogram(counts, f"terms per {kind}", colour)
                caption = f"{escape(r.dataset)}, {escape(r.system)}"
                figures.append(f"<figure>{chart}<figcaption>{caption}</figcaption></figure>")
    return f'<div class="charts small">{"".join(figures)}</div>' if figures else ""
