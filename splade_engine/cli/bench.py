"""`splade-engine bench`: what a search of an index costs, and what it finds of the exact result."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from splade_engine.cli import options, output
from splade_engine.cli.numbers import real, whole

if TYPE_CHECKING:
    from splade_engine.index import SparseIndex
    from splade_engine.vectors import SparseVectors


def run(
    folder: options.IndexFolder,
    queries: Annotated[Path, typer.Argument(metavar="QUERIES", help="JSONL or TSV with id and text.")],
    k: options.K = 10,
    accuracy: Annotated[
        list[float] | None,
        real("--accuracy", help="A tuned recall to time as well; repeatable."),
    ] = None,
    encoder: options.IndexEncoder = None,
    repeat: Annotated[
        int, whole("--repeat", most=10_000, help="Rounds over the queries after a first one.")
    ] = 3,
    as_json: options.Json = False,
) -> None:
    """Time the search of an index, one query at a time on one thread: exact, by default, and as tuned.

    Recall is the share of the exact top k that is found. The time of a query is its median over the rounds;
    encoding the query is timed separately. Percentiles are over queries.

    \b
    Examples:
      splade-engine bench my-index queries.jsonl
      splade-engine tune my-index queries.jsonl && splade-engine bench my-index queries.jsonl --accuracy 0.95
    """
    from splade_engine.collections.queries import query_texts
    from splade_engine.engine import SearchEngine
    from splade_engine.errors import InvalidInputError

    texts = list(query_texts(queries).values())
    engine = SearchEngine.open(folder, options.named_encoder(encoder))
    vectors = engine.encode_queries(texts)
    encoding = _times([lambda t=t: engine.encode_queries([t]) for t in texts], 1)
    exact = engine.index.search(vectors, k, exact=True).ordinals
    if not (exact >= 0).any():
        raise InvalidInputError(f"{queries}: no query has a hit, so there is no recall to measure")
    settings: list[tuple[str, dict[str, Any]]] = [("exact", {"exact": True}), ("default", {})]
    settings += [(f"accuracy {a:g}", {"accuracy": a}) for a in accuracy or []]
    rows = [_measure(engine.index, name, vectors, k, exact, given, repeat) for name, given in settings]
    if as_json:
        facts = {"queries": len(texts), "k": k, "documents": len(engine), "encode_us": _percentiles(encoding)}
        output.write_json({**facts, "settings": rows})
        return
    header = ("search", f"recall@{k}", "p50 us", "p95 us", "p99 us", "docs scored")
    cells = []
    for row in rows:
        times = [f"{row[p]:.0f}" for p in ("p50", "p95", "p99")]
        cells.append((row["name"], f"{row['recall']:.3f}", *times, f"{row['docs_scored']:.0f}"))
    for line in output.table_lines(header, cells):
        output.write(line)
    p50 = _percentiles(encoding)["p50"]
    output.note(f"{len(texts)} queries, {len(engine):,} documents, one thread; encoding a query {p50:.0f} us")


def _measure(
    index: SparseIndex,
    name: str,
    vectors: SparseVectors,
    k: int,
    exact: Any,
    given: dict[str, Any],
    repeat: int,
) -> dict[str, Any]:
    result = index.search(vectors, k, **given)
    found = sum(
        len(np.intersect1d(a[a >= 0], b[b >= 0])) for a, b in zip(result.ordinals, exact, strict=True)
    )
    searches = [lambda i=i: index.search(vectors[i], k, **given) for i in range(len(vectors))]
    return {
        "name": name,
        "recall": found / int((exact >= 0).sum()),
        **_percentiles(_times(searches, repeat)),
        "docs_scored": float(result.docs_scored.mean()),
    }


def _times(actions: list[Any], repeat: int) -> Any:
    """float64[n]: microseconds of each action, the median of `repeat` rounds after an uncounted one."""
    seconds = np.empty((repeat + 1, len(actions)))
    for row in seconds:
        for i, action in enumerate(actions):
            start = time.perf_counter()
            action()
            row[i] = time.perf_counter() - start
    return 1e6 * np.median(seconds[1:], axis=0)


def _percentiles(values: Any) -> dict[str, float]:
    return {f"p{p}": float(np.percentile(values, p)) for p in (50, 95, 99)}
