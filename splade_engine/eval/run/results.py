"""What an evaluation returns: plain frozen dataclasses, to and from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.collections.qrels import Qrels
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.eval.measures.effectiveness import Effectiveness
from splade_engine.eval.run.runs import Run
from splade_engine.typed import made


@dataclass(frozen=True)
class Sparsity:
    """How many terms the vectors have.

    Attributes:
        terms_per_document: mean number of non-zero weights.
        terms_per_query: the same of the queries.
        flops: expected multiplications per query and document, sum over terms of p(query has it) *
            p(document has it) (Paria et al. 2020, as in the SPLADE papers).
        document_histogram: {number of terms (lower edge of the bin): documents}.
        query_histogram: the same of the queries.
    """

    terms_per_document: float
    terms_per_query: float
    flops: float
    document_histogram: dict[int, int] = field(default_factory=dict)
    query_histogram: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Latency:
    """Milliseconds from query to hits, one query at a time; `search_*` without encoding it."""

    mean: float
    p50: float
    p95: float
    p99: float
    search_p50: float | None = None
    search_p95: float | None = None
    search_p99: float | None = None

    @classmethod
    def of(cls, seconds: NDArray[np.float64], search: NDArray[np.float64] | None = None) -> Latency:
        """Percentiles of measured times in seconds (linear interpolation, as numpy does)."""
        p50, p95, p99 = (np.percentile(seconds, (50, 95, 99)) * 1e3).tolist()
        s50, s95, s99 = (
            (np.percentile(search, (50, 95, 99)) * 1e3).tolist() if search is not None else (None,) * 3
        )
        return cls(float(seconds.mean() * 1e3), p50, p95, p99, s50, s95, s99)


@dataclass(frozen=True)
class Cost:
    """What a system needs.

    Attributes:
        encode_seconds: turning every document into vectors; None where nothing is encoded. When the
            vectors came from the cache it is the time that they took when they were made.
        encode_cached: whether they came from the cache.
        build_seconds: making the index from vectors (or tokens).
        index_bytes: size of the index files.
        latency: of single queries.
        docs_scored: mean number of documents whose full score was computed for a query.
        peak_memory_bytes: largest resident size of the process while this system ran.
    """

    encode_seconds: float | None = None
    encode_cached: bool = False
    build_seconds: float | None = None
    index_bytes: int | None = None
    latency: Latency | None = None
    docs_scored: float | None = None
    peak_memory_bytes: int | None = None


@dataclass(frozen=True)
class RecallPoint:
    """One search setting of an approximate system: recall@10 against exact search, and its price."""

    label: str
    recall: float
    search_p50_ms: float
    docs_scored: float | None = None


@dataclass(frozen=True)
class Result:
    """One system on one collection.

    Attributes:
        system: the name that tables print.
        spec: the system as it was asked for, with its options (`rocchio(sparse-exact, docs=3)`).
        dataset: name of the collection; `split` of it.
        n_documents, n_queries: searched; `n_judged` of the queries enter the means, `n_distractors` of the
            documents were added to the collection's own.
        n_without_hits: queries for which nothing was returned (they count as zero).
        n_without_relevant: judged queries with no relevant document (zero for every system, as in trec_eval).
        mode: how it searched: "exact", "approximate (accuracy 0.95)", ...
        k: hits asked for per query.
        recall_vs_exact: mean share of the exact top 10 that an approximate search returned in its top 10.
        recall_at_k: the same of the exact top k among all hits.
        effectiveness, sparsity, cost: the numbers.
        recall_curve: recall against cost at several settings, for approximate systems.
        notes: choices made on the way, such as the weight chosen on a dev split.
        hashes: of documents, queries, judgments, models, and the index where there is one.
        n_own_ids_dropped: queries whose own document was a hit, and was dropped (`Dataset.drop_own_id`).
        drop_own_id: whether it would have been; None where that is not known, as in folders of before.
    """

    system: str
    spec: str
    dataset: str
    split: str
    n_documents: int
    n_queries: int
    n_judged: int
    n_without_hits: int
    n_without_relevant: int
    mode: str
    k: int
    effectiveness: Effectiveness
    sparsity: Sparsity | None = None
    cost: Cost = field(default_factory=Cost)
    recall_vs_exact: float | None = None
    recall_at_k: float | None = None
    recall_curve: tuple[RecallPoint, ...] = ()
    notes: tuple[str, ...] = ()
    hashes: Mapping[str, str | int] = field(default_factory=dict)
    n_distractors: int = 0
    n_own_ids_dropped: int = 0
    drop_own_id: bool | None = None
    run: Run | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the run is left out (it has its own file)."""
        fields = {name: value for name, value in self.__dict__.items() if name != "run"}
        plain: dict[str, Any] = asdict(_Fields(fields))["values"]
        return plain

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], run: Run | None = None) -> Result:
        """The reverse of `to_dict`.

        Raises:
            DatasetError: naming the field that is missing, of another type or of another version.
        """
        try:
            return replace(made(cls, record, "result"), run=run)
        except InvalidInputError as error:
            raise DatasetError(f"not a result of this version ({error})") from None


@dataclass
class _Fields:
    values: dict[str, Any]


def count_without_relevant(qrels: Qrels) -> int:
    """How many of the judged queries have no relevant document."""
    return sum(max(judged.values(), default=0) <= 0 for judged in qrels.values())


def records(results: list[Result]) -> list[dict[str, Any]]:
    """One flat record per result, ready for `pandas.DataFrame`."""
    rows = []
    for result in results:
        latency = result.cost.latency
        row: dict[str, Any] = {"dataset": result.dataset, "system": result.system, "mode": result.mode}
        row |= result.effectiveness.mean
        row |= {"recall_vs_exact@10": result.recall_vs_exact, "recall_vs_exact@k": result.recall_at_k}
        sparsity = result.sparsity
        row["terms_per_document"] = sparsity.terms_per_document if sparsity else None
        row["terms_per_query"] = sparsity.terms_per_query if sparsity else None
        row["flops"] = sparsity.flops if sparsity else None
        row |= {f"{p}_ms": getattr(latency, p) if latency else None for p in ("p50", "p95", "p99")}
        row |= {
            f"search_{p}_ms": getattr(latency, f"search_{p}") if latency else None
            for p in ("p50", "p95", "p99")
        }
        row |= {
            "docs_scored": result.cost.docs_scored,
            "encode_seconds": result.cost.encode_seconds,
            "build_seconds": result.cost.build_seconds,
            "index_bytes": result.cost.index_bytes,
            "peak_memory_bytes": result.cost.peak_memory_bytes,
        }
        row |= {
            name: getattr(result, name)
            for name in ("n_documents", "n_queries", "n_judged", "n_without_hits", "n_own_ids_dropped")
        }
        rows.append(row)
    return rows
