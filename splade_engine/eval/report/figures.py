"""The charts of a report: effectiveness against cost, recall against latency, sparsity histograms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from splade_engine.eval.measures.significance import letter
from splade_engine.eval.report import charts
from splade_engine.eval.report.comparison import Comparison
from splade_engine.eval.run.results import Result


@dataclass(frozen=True)
class Figure:
    """A chart and the words below it."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Figures:
    """Charts of one kind, with a note and the systems whose letters and colours they use."""

    figures: Sequence[Figure]
    note: str = ""
    systems: Sequence[str] = ()
    small: bool = True


def tradeoff(c: Comparison) -> Figures:
    """Scatter plots of the first measure against latency, index size and terms; none without such numbers."""
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
            chart = Markup(charts.scatter(points, label, f"mean {measure}"))
            figures.append(Figure(chart, f"{measure} against {label}"))
    note = "Means over the collections that every system of a chart was measured on; up and left is better."
    return Figures(figures, note, c.systems, small=False)


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


def recall(c: Comparison) -> Figures:
    """One chart per collection with approximate systems."""
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
            chart = Markup(charts.lines(series, "median search time, ms", "recall@10", colours))
            figures.append(Figure(chart, dataset))
    shown = [s for s in c.systems if any(r.system == s and len(r.recall_curve) > 1 for r in c.results)]
    note = (
        "How much of the exact top 10 approximate search finds, and how long it takes, from fast to thorough "
        "settings; one thread, without encoding the query."
    )
    return Figures(figures, note, shown)


def sparsity(c: Comparison) -> Figures:
    """Histograms of terms per document and query, for sparse vectors."""
    figures: list[Figure] = []
    seen = set()
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
                chart = Markup(charts.histogram(counts, f"terms per {kind}", colour))
                figures.append(Figure(chart, f"{r.dataset}, {r.system}"))
    return Figures(figures)
