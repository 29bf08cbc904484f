"""Tables of results: which quantities, by system and collection; and their form for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from splade_engine.eval.run.results import Result
from splade_engine.plain_text import columns, left, one_line, right

MISSING = "-"


@dataclass(frozen=True)
class Row:
    """A quantity: label, how to read it from a result, how to write it; `better`: high or low."""

    label: str
    value: Callable[[Result], float | str | None]
    form: Callable[[float], str]
    better: str = ""
    group: str = ""

    def text(self, result: Result) -> str:
        """The value as tables print it."""
        value = self.value(result)
        if value is None:
            return MISSING
        return value if isinstance(value, str) else self.form(value)


def four_digits(value: float) -> str:
    """Effectiveness: .6682 reads as in papers, with a leading zero for programs that parse the table."""
    return f"{value:.4f}"


def milliseconds(value: float) -> str:
    """Three significant digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def seconds(value: float) -> str:
    """Seconds with as many digits as they deserve."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def megabytes(value: float) -> str:
    """10^6 bytes."""
    return f"{value / 1e6:.1f}" if value < 1e9 else f"{value / 1e6:.0f}"


def one_digit(value: float) -> str:
    """Counts that are means."""
    return f"{value:.1f}" if value < 1e4 else f"{value:.0f}"


def _latency(name: str) -> Callable[[Result], float | None]:
    return lambda r: getattr(r.cost.latency, name) if r.cost.latency else None


def _sparsity(name: str) -> Callable[[Result], float | None]:
    return lambda r: getattr(r.sparsity, name) if r.sparsity else None


def _measure(name: str) -> Callable[[Result], float | None]:
    return lambda r: r.effectiveness.mean.get(name)


def _cost(name: str) -> Callable[[Result], float | None]:
    return lambda r: getattr(r.cost, name)


def measure_rows(results: Sequence[Result]) -> list[Row]:
    """A row for every measure that any of the results has, in order."""
    names = dict.fromkeys(name for result in results for name in result.effectiveness.mean)
    return [Row(name, _measure(name), four_digits, "high", "effectiveness") for name in names]


def _answerable(name: str) -> Callable[[Result], float | None]:
    return lambda r: r.effectiveness.mean_answerable.get(name)


def _answerable_rows(results: Sequence[Result]) -> list[Row]:
    """The means over queries with a relevant document, where some have none."""
    names = dict.fromkeys(name for result in results for name in result.effectiveness.mean_answerable)
    return [Row(f"{name} *", _answerable(name), four_digits, "high", "effectiveness *") for name in names]


COST_ROWS = (
    Row("search mode", lambda r: r.mode, four_digits, "", "search"),
    Row("recall@10 vs exact", lambda r: r.recall_vs_exact, four_digits, "high", "search"),
    Row("recall@k vs exact", lambda r: r.recall_at_k, four_digits, "high", "search"),
    Row("docs scored / query", _cost("docs_scored"), one_digit, "low", "search"),
    Row("latency p50, ms", _latency("p50"), milliseconds, "low", "search"),
    Row("latency p95, ms", _latency("p95"), milliseconds, "low", "search"),
    Row("latency p99, ms", _latency("p99"), milliseconds, "low", "search"),
    Row("  index only p50, ms", _latency("search_p50"), milliseconds, "low", "search"),
    Row("  index only p99, ms", _latency("search_p99"), milliseconds, "low", "search"),
    Row("terms / document", _sparsity("terms_per_document"), one_digit, "", "sparsity"),
    Row("terms / query", _sparsity("terms_per_query"), one_digit, "", "sparsity"),
    Row("FLOPS", _sparsity("flops"), lambda v: f"{v:.3f}", "low", "sparsity"),
    Row("index size, MB", _cost("index_bytes"), megabytes, "low", "cost"),
    Row("encode documents, s", _cost("encode_seconds"), seconds, "low", "cost"),
    Row("build index, s", _cost("build_seconds"), seconds, "low", "cost"),
    Row("peak memory, MB", _cost("peak_memory_bytes"), megabytes, "low", "cost"),
    Row(
        "queries without hits",
        lambda r: str(r.n_without_hits) if r.n_without_hits else None,
        one_digit,
        "low",
        "cost",
    ),
)


def collection_line(result: Result) -> str:
    """What was searched, in one line."""
    unjudged = result.n_queries - result.n_judged
    parts = [
        f"{result.n_documents:,} documents" + _of_which(result.n_distractors),
        f"{result.n_judged:,} judged queries ({result.split})",
        f"k = {result.k}",
    ]
    if unjudged > 0:
        parts.insert(2, f"{unjudged:,} more without judgments")
    text = f"{result.dataset}: " + ", ".join(parts)
    if result.n_without_relevant:
        text += (
            f"; {result.n_without_relevant:,} judged queries have no relevant document and count as 0, as in "
            f"trec_eval (*: without them, mean over {result.n_judged - result.n_without_relevant:,} queries)"
        )
    return text


def _of_which(n_distractors: int) -> str:
    return f" ({n_distractors:,} of them distractors)" if n_distractors else ""


def quantity_table(results: Sequence[Result]) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows (quantity by system), and the numbers of the rows that end a group."""
    rows: list[list[str]] = []
    ends: list[int] = []
    group = ""
    for row in [*measure_rows(results), *_answerable_rows(results), *COST_ROWS]:
        texts = [row.text(result) for result in results]
        if all(text == MISSING for text in texts):
            continue
        if group and row.group != group:
            ends.append(len(rows) - 1)
        group = row.group
        rows.append([row.label, *texts])
    return ["", *(r.system for r in results)], rows, ends


@dataclass(frozen=True)
class MeasureTable:
    """One measure, systems by columns; a column is a collection or a group of collections.

    Attributes:
        systems, columns: names in order.
        values: by (system, column); absent where the system was not measured on all of the column.
        means: by system, over `averaged`; empty where that is fewer than two columns.
        averaged: the columns that every system has.
        part_means: named means over some of the columns, by label and system; a system that lacks one of
            the columns is not there.
        answerable: of collections with queries that no document is relevant to, the means over the others,
            by label (the collection's name and a star) and system.
    """

    systems: list[str]
    columns: list[str]
    values: dict[tuple[str, str], float]
    means: dict[str, float]
    averaged: list[str]
    part_means: dict[str, dict[str, float]] = field(default_factory=dict)
    answerable: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def mean_label(self) -> str:
        """Heading of the mean: how many columns it is over, if not all."""
        return "mean" if len(self.averaged) == len(self.columns) else f"mean of {len(self.averaged)}"


def measure_table(
    results: Sequence[Result],
    measure: str,
    groups: Mapping[str, str] | None = None,
    parts: Mapping[str, Sequence[str]] | None = None,
) -> MeasureTable:
    """Means by system and column.

    Args:
        results: of any number of systems and collections.
        measure: its name.
        groups: the group of a collection; the mean of a group is one column.
        parts: labels of further means, with the columns that they are over; left out where a column is
            missing altogether.
    """
    column_of = {r.dataset: (groups or {}).get(r.dataset) or r.dataset for r in results}
    columns, systems = list(dict.fromkeys(column_of.values())), list(dict.fromkeys(r.system for r in results))
    found = {(r.system, r.dataset): r.effectiveness.mean.get(measure) for r in results}
    values: dict[tuple[str, str], float] = {}
    for system in systems:
        for column in columns:
            members = [found.get((system, d)) for d, c in column_of.items() if c == column]
            known = [value for value in members if value is not None]
            if len(known) == len(members):
                values[system, column] = sum(known) / len(known)
    averaged = [c for c in columns if all((s, c) in values for s in systems)]
    means = {s: sum(values[s, c] for c in averaged) / len(averaged) for s in systems if len(averaged) > 1}
    part_means = {
        label: {
            s: sum(values[s, c] for c in wanted) / len(wanted)
            for s in systems
            if all((s, c) in values for c in wanted)
        }
        for label, wanted in (parts or {}).items()
        if set(wanted) <= set(columns)
    }
    answerable: dict[str, dict[str, float]] = {}
    for r in results:
        if measure in r.effectiveness.mean_answerable:
            answerable.setdefault(f"{r.dataset} *", {})[r.system] = r.effectiveness.mean_answerable[measure]
    return MeasureTable(systems, columns, values, means, averaged, part_means, answerable)


def effectiveness_table(
    results: Sequence[Result],
    measure: str,
    marks: Mapping[tuple[str, str], str] | None = None,
    groups: Mapping[str, str] | None = None,
    parts: Mapping[str, Sequence[str]] | None = None,
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a measure's table, `marks` after the values; the means are last."""
    table = measure_table(results, measure, groups, parts)
    further = {**table.part_means, **table.answerable}
    header = [measure, *table.columns, *([table.mean_label] if table.means else []), *further]
    rows = []
    for system in table.systems:
        cells = [
            _cell(table.values.get((system, c)), (marks or {}).get((system, c), "")) for c in table.columns
        ]
        means = [four_digits(table.means[system])] if table.means else []
        means += [_cell(found.get(system), "") for found in further.values()]
        rows.append([system, *cells, *means])
    return header, rows


def _cell(value: float | None, letters: str) -> str:
    return MISSING if value is None else four_digits(value) + (f" {letters}" if letters else "")


def printed(results: Sequence[Result]) -> str:
    """What the command line shows for one collection: a line about it, then quantities by systems."""
    header, rows, ends = quantity_table(results)
    header = [one_line(name) for name in header]
    widths = [max(columns(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [one_line(collection_line(results[0])), "", _aligned(header, widths)]
    for number, row in enumerate(rows):
        if number == 0 or number - 1 in ends:
            lines.append("")
        lines.append(_aligned(row, widths))
    return "\n".join(lines) + "\n"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [left(row[0], widths[0]), *(right(c, w) for c, w in zip(row[1:], widths[1:], strict=True))]
    return "  ".join(cells).rstrip()
