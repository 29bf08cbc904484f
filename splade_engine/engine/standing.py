"""Where one document stands for a query, hit or not, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from splade_engine.collections.limits import check_query
from splade_engine.engine.explain import Explanation, explain, term_names
from splade_engine.engine.query_text import QueryText, read_query, shown, without_demand
from splade_engine.engine.searching import narrowed
from splade_engine.engine.snippets import READ
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.engine.engine import SearchEngine
    from splade_engine.index.explain import Placement
    from splade_engine.index.filter.nodes import HoldsWords, Where


def explain_document(
    engine: SearchEngine,
    query: str,
    id: str,
    k: int = 10,
    *,
    where: Where | None = None,
    operators: bool = True,
    **options: Any,
) -> tuple[Placement, Explanation, tuple[str, ...]]:
    """Why a document is, or is not, among the k hits of a query.

    Args:
        engine: which is asked.
        query: as `SearchEngine.search` reads it.
        id: of the document.
        k: number of hits.
        where: the filter of the search.
        operators: whether `+word`, `-word` and quotes are read, as in the search.
        options: as for `SparseIndex.explain`.

    Returns:
        Where it stands in that search (`rank` and `miss` by terms alone, where words count as they are
        written), the terms that it shares with the query, and notes: how the query was read, and what it
        demands that the document does not meet.

    Raises:
        InvalidInputError: the document is not in the index.
    """
    reader, encoder = engine.index.reader, engine.encoder
    if isinstance(query, str):  # anything else is refused below
        check_query(query, "query")
    read = read_query(query) if operators else QueryText(query)
    vector = engine.encode_queries([read.text])
    ordinal = reader.ordinal(id)
    found = engine.search(query, k, where=where, operators=operators, **options)
    must = read.must
    if must and without_demand(must) in found.notes:
        must = ()
    unmet = [
        *(f"the document does not hold {shown(part)}" for part in must if not _holds(engine, id, part)),
        *(f"the document holds {shown(part)}" for part in read.must_not if _holds(engine, id, part)),
    ]
    notes = (*found.notes, *unmet)
    # searched once more, by terms alone: only that has a rank among all documents, and a step that missed it
    place = reader.explain(vector, id, k, where=narrowed(where, must, read.must_not), **options)
    last = found[-1].score if len(found) == k else 0.0
    hit = next((hit for hit in found if hit.id == id), None)
    if hit is not None:
        return replace(place, reason="hit", found_rank=hit.rank, last_score=last), hit.explain(), notes
    if place.reason == "hit":  # by its terms; words as they are written put others before it
        place = replace(place, reason="score too low", found_rank=0, last_score=last)
    row = reader.payload([ordinal], without=("text",))[0]
    why = explain(
        id,
        vector,
        reader.vectors([ordinal]),
        term_names(encoder, read.text),
        row.get("title") or "",
        reader.beginnings("text", [ordinal], READ)[0][0],
        encoder.word_spans,
    )
    return place, why, notes


def _holds(engine: SearchEngine, id: str, part: HoldsWords) -> bool:
    """Whether the text of a document holds a word or phrase."""
    reader = engine.index.reader
    nothing = SparseVectors.empty(reader.n_terms, 1)
    return reader.explain(nothing, id, 1, where=part).reason != "filtered"
