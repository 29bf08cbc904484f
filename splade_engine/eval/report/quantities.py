"""What can be read from a result and printed: measures, sparsity, latency, cost; each with its form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from splade_engine.eval.report.table import MISSING
from splade_engine.eval.run.results import Result


@dataclass(frozen=True)
class Quantity:
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


def three_digits(value: float) -> str:
    """Three significant digits, of a time."""
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


def measure_quantities(results: Sequence[Result]) -> list[Quantity]:
    """A quantity for every measure that any of the results has, in order."""
    names = dict.fromkeys(name for result in results for name in result.effectiveness.mean)
    return [Quantity(name, _measure(name), four_digits, "high", "effectiveness") for name in names]


def _answerable(name: str) -> Callable[[Result], float | None]:
    return lambda r: r.effectiveness.mean_answerable.get(name)


def answerable_quantities(results: Sequence[Result]) -> list[Quantity]:
    """The means over queries with a relevant document, where some have none."""
    names = dict.fromkeys(name for result in results for name in result.effectiveness.mean_answerable)
    return [
        Quantity(f"{name} *", _answerable(name), four_digits, "high", "effectiveness *") for name in names
    ]


COSTS = (
    Quantity("search mode", lambda r: r.mode, four_digits, "", "search"),
    Quantity("recall@10 vs exact", lambda r: r.recall_vs_exact, four_digits, "high", "search"),
    Quantity("recall@k vs exact", lambda r: r.recall_at_k, four_digits, "high", "search"),
    Quantity("docs scored / query", _cost("docs_scored"), one_digit, "low", "search"),
    Quantity("latency p50, ms", _latency("p50"), three_digits, "low", "search"),
    Quantity("latency p95, ms", _latency("p95"), three_digits, "low", "search"),
    Quantity("latency p99, ms", _latency("p99"), three_digits, "low", "search"),
    Quantity("  index only p50, ms", _latency("search_p50"), three_digits, "low", "search"),
    Quantity("  index only p99, ms", _latency("search_p99"), three_digits, "low", "search"),
    Quantity("terms / document", _sparsity("terms_per_document"), one_digit, "", "sparsity"),
    Quantity("terms / query", _sparsity("terms_per_query"), one_digit, "", "sparsity"),
    Quantity("FLOPS", _sparsity("flops"), lambda v: f"{v:.3f}", "low", "sparsity"),
    Quantity("index size, MB", _cost("index_bytes"), megabytes, "low", "cost"),
    Quantity("encode documents, s", _cost("encode_seconds"), three_digits, "low", "cost"),
    Quantity("build index, s", _cost("build_seconds"), three_digits, "low", "cost"),
    Quantity("peak memory, MB", _cost("peak_memory_bytes"), megabytes, "low", "cost"),
    Quantity(
        "own ids dropped",
        lambda r: str(r.n_own_ids_dropped) if r.n_own_ids_dropped else None,
        one_digit,
        "",
        "cost",
    ),
    Quantity(
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
