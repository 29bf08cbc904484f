"""What is answered: plain functions of one generation and a request, for HTTP and MCP alike."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from splade_engine import __version__
from splade_engine.collections.metadata import HIDDEN, METADATA_JSON, RESERVED, metadata_of
from splade_engine.engine.standing import explain_document
from splade_engine.server.problems import Problem, invalid, not_found, too_large
from splade_engine.server.requests import ExplainRequest, SearchRequest
from splade_engine.server.settings import Limits

if TYPE_CHECKING:
    from splade_engine.engine import Hit, Hits, Rerank, SearchEngine
    from splade_engine.vectors import SparseVectors

SAMPLED = 2000  # documents that the values of metadata fields are counted over
SHOWN_VALUES = 12  # of a field, the most frequent
SIMILAR_TERMS = 32  # a document's heaviest, which is what its neighbours share


def stamp(name: str, engine: SearchEngine) -> dict[str, Any]:
    """Which index, and which generation of it, an answer was made from."""
    return {"index": name, "generation": engine.index.generation}


def check_queries(limits: Limits, queries: Sequence[str], k: int) -> None:
    """Refuse what is above the limits.

    Raises:
        Problem: 400 for no query, 413 for too many or too long ones, 422 for too large a k.
    """
    if not queries:
        raise Problem(400, "Empty", "query: the list is empty")
    if len(queries) > limits.batch:
        raise too_large(f"query: {len(queries)} queries, at most {limits.batch} per request")
    longest = max(map(len, queries))
    if longest > limits.query_length:
        raise too_large(f"query: {longest} characters, at most {limits.query_length}")
    if k > limits.k:
        raise invalid(f"k: at most {limits.k}, got {k}")


def search(
    name: str, engine: SearchEngine, request: SearchRequest, rerank: Rerank | None = None
) -> dict[str, Any]:
    """`SearchAnswer`.

    Raises:
        Problem: 422 where the hits are to be scored anew and there is nothing that does.
    """
    if request.rerank and rerank is None:
        raise invalid("rerank: this server has no reranker; it is started with one by serve --rerank MODEL")
    options = {**request.options(), **({"rerank": rerank} if request.rerank else {})}
    _check_fields(engine, request.fields or ())
    started = time.perf_counter_ns()
    pages = engine.search_many(request.queries, request.k, **options)
    took = (time.perf_counter_ns() - started) // 1000
    hits = [[_hit(hit, request) for hit in page] for page in pages]
    answer = {**stamp(name, engine), "took_us": took}
    if not isinstance(request.query, str):
        counts = [_counts(page, request) for page in pages]
        return {**answer, "hits": hits, **({"counts": counts} if any(counts) else {})}
    return {**answer, "hits": hits[0], **_counts(pages[0], request)}


def _check_fields(engine: SearchEngine, names: Sequence[str]) -> None:
    """Refuse a field that no document has.

    Raises:
        Problem: 422, naming it.
    """
    if not names:
        return
    known = {"title", "text", *engine.index.info().columns}
    if METADATA_JSON in known:  # documents have others besides
        return
    for name in names:
        if name not in known:
            raise invalid(f"fields: no field {name!r:.60}; there are {', '.join(sorted(known))}")


def _counts(page: Hits, request: SearchRequest) -> dict[str, Any]:
    """What stands beside the hits of a query, where there is anything."""
    counts: dict[str, Any] = {} if page.total is None else {"total": page.total}
    if page.facets:
        counts["facets"] = page.facets
    if page.notes:
        counts["notes"] = page.notes
    if request.certainty:
        counts |= {"covered": page.covered, "weak": page.weak}
        meant = page.did_you_mean
        if meant is not None:
            counts["did_you_mean"] = meant
    return counts


def _hit(hit: Hit, request: SearchRequest) -> dict[str, Any]:
    answer: dict[str, Any] = {"rank": hit.rank, "id": hit.id, "score": hit.score}
    wanted = request.fields
    if wanted is None or "title" in wanted:
        answer["title"] = hit.title
    text_wanted = wanted is None or "text" in wanted
    if text_wanted and request.snippet is None:
        answer["text"] = hit.text
    if wanted is None:
        answer["metadata"] = hit.metadata
    elif not set(wanted) <= {"title", "text"}:  # who wants ids and scores alone waits for no text
        answer["metadata"] = {name: value for name, value in hit.metadata.items() if name in wanted}
    if request.explain or request.snippet is not None:
        why = hit.explain()
        if request.snippet is not None:
            answer["snippet"] = hit.snippet(request.snippet, why).to_dict()
            answer["title_spans"] = why.title_spans
        if request.explain:
            answer["explanation"] = why.to_dict()
    return answer


def explain(name: str, engine: SearchEngine, request: ExplainRequest) -> dict[str, Any]:
    """`ExplainAnswer`."""
    _ordinal(engine, request.id)
    placement, why, notes = explain_document(
        engine, request.query, request.id, request.k, **request.options()
    )
    return {
        **stamp(name, engine),
        "id": request.id,
        "reason": placement.reason,
        **({"notes": notes} if notes else {}),
        "rank": placement.rank,
        "found_rank": placement.found_rank,
        "last_score": placement.last_score,
        **({"miss": placement.miss.to_dict()} if placement.miss else {}),
        **why.to_dict(),
    }


def document(
    name: str, engine: SearchEngine, id: str, *, neighbours: int = 0, similar: int = 0
) -> dict[str, Any]:
    """`DocumentAnswer`: with `neighbours` documents before and after it, and `similar` ones by its vector."""
    ordinal = _ordinal(engine, id)
    answer = {**stamp(name, engine), **_document(id, _row(engine, ordinal))}
    if neighbours:
        answer["before"], answer["after"] = _around(engine, ordinal, neighbours)
    if similar:
        vector = engine.index.vectors([ordinal]).top_k(SIMILAR_TERMS)
        hits = engine.search_vectors(vector, similar + 1)[0]
        others = [hit for hit in hits if hit.id != id][:similar]
        answer["similar"] = [{"id": hit.id, "title": hit.title, "score": hit.score} for hit in others]
    return answer


def documents(name: str, engine: SearchEngine, ids: Sequence[str]) -> dict[str, Any]:
    """`DocumentsAnswer`."""
    known = [id for id in dict.fromkeys(ids) if id in engine.index]
    rows = engine.index.payload([engine.index.ordinal(id) for id in known]) if known else []
    missing = [id for id in dict.fromkeys(ids) if id not in engine.index]
    stored = [_document(id, row) for id, row in zip(known, rows, strict=True)]
    return {**stamp(name, engine), "documents": stored, "missing": missing}


def embedded(vectors: SparseVectors) -> list[list[dict[str, Any]]]:
    """Vectors as text-embeddings-inference writes them."""
    return [
        [{"index": t, "value": w} for t, w in zip(terms.tolist(), weights.tolist(), strict=True)]
        for terms, weights in vectors
    ]


def info(name: str, engine: SearchEngine, limits: Limits) -> dict[str, Any]:
    """`InfoAnswer`."""
    held = engine.index.info()
    encoder = engine.encoder
    record: Mapping[str, Any] = held.encoder or {}
    return {
        "model_id": encoder.name,
        "model_sha": str(record["hash"]) if "hash" in record else None,
        "model_dtype": "float32",
        "served_model_name": encoder.name,
        "model_type": {"embedding": {"pooling": "splade"}},
        "max_concurrent_requests": limits.threads + limits.waiting,
        "max_input_length": encoder.max_length,
        "max_batch_tokens": limits.batch_tokens,
        "max_batch_requests": None,
        "max_client_batch_size": limits.batch,
        "auto_truncate": True,
        "tokenization_workers": limits.threads,
        "version": __version__,
        **stamp(name, engine),
        "documents": held.n_docs,
        "fingerprint": held.fingerprint,
        "bytes": held.total_bytes,
    }


def fields(name: str, engine: SearchEngine) -> dict[str, Any]:
    """`FieldsAnswer`: what filters can be built from, counted over documents spread evenly over the index."""
    index = engine.index
    columns = {c: kind for c, kind in index.info().columns.items() if c not in HIDDEN}
    rows: list[dict[str, Any]] = []
    if columns:
        live = index.reader.snapshot.live_ordinals()
        places = np.unique(np.linspace(0, max(0, len(live) - 1), min(len(live), SAMPLED)).astype(np.int64))
        rows = index.payload(live[places], without=RESERVED) if len(live) else []
    described = [_field(column, kind, [row.get(column) for row in rows]) for column, kind in columns.items()]
    return {**stamp(name, engine), "documents": len(index), "sampled": len(rows), "fields": described}


def _field(name: str, kind: str, column: Sequence[Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"name": name, "type": kind}
    present = [value for value in column if value is not None]
    if kind in ("int", "float"):
        if present:
            described |= {"least": min(present), "most": max(present)}
        return described
    flat = [item for value in present for item in (value if isinstance(value, list) else [value])]
    counted = Counter(flat).most_common(SHOWN_VALUES)
    described["values"] = [(value, count) for value, count in counted]
    return described


def _ordinal(engine: SearchEngine, id: str) -> int:
    if id not in engine.index:
        raise not_found(f"no document with id {id!r}")
    return engine.index.ordinal(id)


def _row(engine: SearchEngine, ordinal: int) -> dict[str, Any]:
    return engine.index.payload([ordinal])[0]


def _document(id: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": id,
        "title": row.get("title") or "",
        "text": row.get("text") or "",
        "metadata": metadata_of(dict(row)),
    }


def _around(
    engine: SearchEngine, ordinal: int, count: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    live = engine.index.reader.snapshot.live_ordinals()
    place = int(np.searchsorted(live, ordinal))
    return (
        _titles(engine, live[max(0, place - count) : place].tolist()),
        _titles(engine, live[place + 1 : place + 1 + count].tolist()),
    )


def _titles(engine: SearchEngine, ordinals: Sequence[int]) -> list[dict[str, Any]]:
    if not ordinals:
        return []
    ids, rows = engine.index.ids(ordinals), engine.index.payload(ordinals, without=("text",))
    return [{"id": id, "title": row.get("title") or ""} for id, row in zip(ids, rows, strict=True)]
