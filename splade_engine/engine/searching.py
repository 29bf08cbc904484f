"""One search from queries to hits, over one generation of an index."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from splade_engine.collections.limits import check_query
from splade_engine.engine.certainty import counted_terms, covered, weak_below
from splade_engine.engine.feedback import Feedback, fed_back
from splade_engine.engine.fusion import Hybrid, HybridRanking, Side, Sided, as_written, hybrid_of
from splade_engine.engine.hits import Fused, Hit, HitPage, Hits
from splade_engine.engine.listing import Page, Ranking, page_of
from splade_engine.engine.options import PLAIN, SearchOptions
from splade_engine.engine.query_text import (
    QueryText,
    demanded,
    has_signs,
    read_query,
    shown,
    without_demand,
)
from splade_engine.engine.query_weights import QueryEncoder
from splade_engine.engine.related import WEAK, Attempt, attempts, found_nothing, widened
from splade_engine.engine.rerank import Reranked, rerank_of
from splade_engine.errors import InvalidInputError
from splade_engine.index.effort import DEFAULT, EXACT, Effort, Exact
from splade_engine.index.filter.nodes import Filter, HoldsWords, Not, Where, all_of
from splade_engine.index.search import check_k
from splade_engine.index.words.text import words_of
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder
    from splade_engine.index import IndexReader


# words such as ERR_INVALID_ARG_TYPE, where nothing else was asked for: docs/searching.md has the measurement
WRITTEN = Hybrid("sum", weight=2.0)


class SidedRanking(Ranking, Sided, Protocol):
    """A ranking that knows what its scores are made of."""


@dataclass(slots=True)  # not frozen, which would cost 2 us of the 40 that a search takes
class Search:
    """What the queries of one call share."""

    reader: IndexReader
    encoder: SparseEncoder
    encode: QueryEncoder
    k: int
    effort: Effort
    where: Where | None
    threads: int
    options: SearchOptions
    # folders of shards whose documents the hits lack, see `SearchResult.missing`
    missing: set[str] = field(default_factory=set)

    def texts(self, queries: Sequence[str]) -> list[Hits]:
        """The hits of each query."""
        found = self._texts(queries)
        for query, hits in zip(queries, found, strict=True):
            hits._asked = (self.reader, self.encoder, query)
        return found

    def _texts(self, queries: Sequence[str]) -> list[Hits]:
        options = self.options
        for number, query in enumerate(queries):
            check_query(query, f"query {number + 1}" if len(queries) > 1 else "query")
        if options is PLAIN and not any(has_signs(query) or as_written(query) for query in queries):
            return self._answered(queries, self.encode(queries, self.reader))
        read = [read_query(query) for query in queries] if options.operators else []
        plain = not any(query.must or query.must_not for query in read)
        if plain and options.is_plain and not any(map(self._fuses, queries)):
            return self._answered(queries, self.encode(queries, self.reader))
        read = read or [QueryText(query) for query in queries]
        vectors = self.encode([query.text for query in read], self.reader)
        return [self._listed(query, vectors[row]) for row, query in enumerate(read)]

    def _fuses(self, query: str) -> bool:
        """Whether words as they are written count for this query."""
        hybrid = self.options.hybrid
        if hybrid is None:
            return bool(as_written(query)) and self.reader.has_words
        return hybrid is not False

    def vectors(self, vectors: SparseVectors) -> list[Hits]:
        """The hits of queries that are vectors already.

        Raises:
            InvalidInputError: for options that need the text of a query.
        """
        if self.options.hybrid or self.options.rerank is not None:
            raise InvalidInputError("search_vectors: hybrid and rerank need the text of a query")
        if self.options.is_plain:
            return self._best(vectors)
        return [self._listed(QueryText(""), vectors[row]) for row in range(len(vectors))]

    def _best(self, vectors: SparseVectors, texts: Sequence[str] = ()) -> list[Hits]:
        """The best k of each query: the path that costs microseconds. Texts are named where there are any."""
        result = self.reader.search(
            vectors, self.k, effort=self.effort, where=self.where, threads=self.threads
        )
        ordinals, scores = result.ordinals.tolist(), result.scores.tolist()
        notes = without_shards(result.missing)
        pages = []
        for row, ids in enumerate(result.ids):
            text = texts[row] if texts else ""
            page = HitPage(self.reader, self.encoder, vectors, row, ordinals[row][: len(ids)], text=text)
            pages.append(
                Hits([Hit(i + 1, id, scores[row][i], page, i) for i, id in enumerate(ids)], notes=notes)
            )
        return pages

    def _listed(self, query: QueryText, vector: SparseVectors) -> Hits:
        """The hits of one query; without what the query itself demands, where no document has that."""
        check_k(self.k, max(1, len(self.reader)))
        if isinstance(self.options.feedback, Feedback):
            vector = fed_back(self.reader, vector, self._where(query), self.options.feedback)
        ranking = self._ranking(query, vector)
        page = page_of(self.reader, ranking, self.k, self.options)
        notes = [f"without {shown(part)}" for part in query.must_not]
        if query.must_not and not query.text.strip():
            notes.append("nothing to look for: the query only says what must not be there; add a word")
        if query.must and not len(page.ordinals) and not len(ranking.top(1)[0]):  # a later page is empty too
            without = replace(query, must=())
            other = self._ranking(without, vector)
            if len(other.top(1)[0]):
                page, ranking = page_of(self.reader, other, self.k, self.options), other
                notes.append(without_demand(query.must))
                query = without
        told: list[str] = []
        if not len(page.ordinals) or self.options.related == WEAK:
            page, ranking, vector, told = self._related(query, page, ranking, vector)
        return self._shown(query, vector, ranking, page, notes + told, guessed=bool(told))

    def _answered(self, queries: Sequence[str], vectors: SparseVectors) -> list[Hits]:
        """The hits of each query, by related terms where it has none, or weak ones where that was asked."""
        found, related = self._best(vectors, queries), self.options.related
        if related is False or (all(found) and related != WEAK):
            return found
        for row, hits in enumerate(found):
            if not hits:
                found[row] = self._found_otherwise(queries[row], SparseVectors.empty(self.reader.n_terms, 1))
            elif related == WEAK and hits.weak:
                attempt = widened(self.encoder, vectors[row], queries[row])
                if attempt is not None:
                    query = QueryText(queries[row])
                    page, ranking = self._attempted(query, attempt)
                    found[row] = self._shown(
                        query, attempt.vector, ranking, page, [attempt.note], guessed=True
                    )
        return found

    def _found_otherwise(self, text: str, vector: SparseVectors) -> Hits:
        query = QueryText(text)
        ranking = self._ranking(query, vector)
        page = page_of(self.reader, ranking, self.k, self.options)
        page, ranking, vector, notes = self._related(query, page, ranking, vector)
        return self._shown(query, vector, ranking, page, notes, guessed=bool(notes))

    def _related(
        self, query: QueryText, page: Page, ranking: SidedRanking, vector: SparseVectors
    ) -> tuple[Page, SidedRanking, SparseVectors, list[str]]:
        """Another query where this one has no match, or a weak one; the same where there is none."""
        options = self.options
        if not options.related or options.min_score is not None or not query.text.strip():
            return page, ranking, vector, []
        best = ranking.top(1)[0]
        if len(best):
            attempt = widened(self.encoder, vector, query.text) if self._is_weak(vector, best) else None
            if attempt is None:
                return page, ranking, vector, []
            return *self._attempted(query, attempt), attempt.vector, [attempt.note]
        for attempt in attempts(self.encoder, self.encode, self.reader, query.text):
            other = self._ranking(replace(query, text=attempt.text), attempt.vector)
            best = other.top(1)[0]
            if len(best) and covered(attempt.vector, self.reader.vectors(best)) >= attempt.least:
                page = page_of(self.reader, other, self.k, options)
                return page, other, attempt.vector, [attempt.note]
        told = [found_nothing(self.encoder, query.text)] if self._where(query) is None else []
        return page, ranking, vector, told

    def _attempted(self, query: QueryText, attempt: Attempt) -> tuple[Page, SidedRanking]:
        """What another query finds."""
        ranking = self._ranking(query, attempt.vector)
        return page_of(self.reader, ranking, self.k, self.options), ranking

    def _is_weak(self, vector: SparseVectors, best: NDArray[np.int64]) -> bool:
        """Whether the best document holds so little of a query that the hit is weak, if that is asked."""
        if self.options.related != WEAK:
            return False
        held = covered(vector, self.reader.vectors(best), counted_terms(self.encoder))
        return held < weak_below(len(self.reader))

    def _shown(
        self,
        query: QueryText,
        vector: SparseVectors,
        ranking: SidedRanking,
        page: Page,
        notes: list[str],
        *,
        guessed: bool = False,
    ) -> Hits:
        ordinals = page.ordinals.tolist()
        fused = Fused([ranking.sides(ordinal) for ordinal in ordinals], self._words(query))
        hits = HitPage(self.reader, self.encoder, vector, 0, ordinals, fused, query.text)
        ids = self.reader.ids(page.ordinals)
        scores = page.scores.tolist()
        found = Hits(
            [Hit(page.first + i + 1, id, scores[i], hits, i) for i, id in enumerate(ids)],
            total=page.total,
            facets=page.facets,
            notes=(*notes, *without_shards(self.missing)),
        )
        found._guessed = guessed
        return found

    def _ranking(self, query: QueryText, vector: SparseVectors) -> SidedRanking:
        """By terms, fused with words where they count, reranked where that was asked."""
        options, where = self.options, self._where(query)
        ranking: SidedRanking = VectorRanking(self.reader, vector, self._effort(), where, self.missing)
        words = self._words(query)
        if words:
            hybrid = WRITTEN if options.hybrid is None else hybrid_of(options.hybrid)
            assert hybrid is not None
            ranking = HybridRanking(
                self.reader, ranking, vector, words, where, hybrid, whole=options.all_matches
            )
        rerank = rerank_of(options.rerank)
        return ranking if rerank is None else Reranked(self.reader, ranking, query.text, rerank)

    def _words(self, query: QueryText) -> list[str]:
        """The words that count as they are written: all of a hybrid search, else those of no other form."""
        hybrid = self.options.hybrid
        if hybrid is None:
            return as_written(query.text) if self.reader.has_words else []
        return words_of(query.text) if hybrid_of(hybrid) is not None else []

    def _effort(self) -> Effort:
        """Exact where pages have to fit together or all matches are looked at."""
        options = self.options
        if options.offset is None and not options.all_matches:
            return self.effort
        if self.effort is not DEFAULT and not isinstance(self.effort, Exact):
            raise InvalidInputError(
                "search: offset, total, sort and facets over matches need an exact search; leave accuracy, "
                "config and effort out"
            )
        return EXACT

    def _where(self, query: QueryText) -> Where | None:
        options = self.options
        must = (*demanded("must", options.must), *query.must)
        must_not = (*demanded("must_not", options.must_not), *query.must_not)
        return narrowed(self.where, must, must_not)


def without_shards(missing: Collection[str]) -> tuple[str, ...]:
    """The note of an answer that lacks the documents of these shards; nothing where it is complete."""
    if not missing:
        return ()
    return (f"incomplete: without the documents of {', '.join(sorted(missing))}, which did not answer",)


def narrowed(where: Where | None, must: Sequence[HoldsWords], must_not: Sequence[HoldsWords]) -> Where | None:
    """A filter, and what the texts must and must not hold besides."""
    from splade_engine.index.filter.parse import parse_where

    conditions: list[Filter] = [*must, *map(Not, must_not)]
    if not conditions:
        return where
    return all_of([*([] if where is None else [parse_where(where)]), *conditions])


@dataclass(frozen=True)
class VectorRanking:
    """The documents by the dot product of their vectors with the query's."""

    reader: IndexReader
    vector: SparseVectors
    effort: Effort
    where: Where | None
    # is told of shards that did not answer
    missing: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        """Number of documents, at least 1."""
        return max(1, len(self.reader))

    def top(self, depth: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ordinals and scores of the best `depth`; fewer where fewer share a term with the query."""
        result = self.reader.search(self.vector, depth, effort=self.effort, where=self.where)
        self.missing.update(result.missing)
        found = int((result.ordinals[0] >= 0).sum())
        return result.ordinals[0, :found], result.scores[0, :found]

    def sides(self, ordinal: int) -> tuple[Side, ...]:
        """None: the score is that of the terms alone."""
        return ()
