"""One search from queries to hits, over one generation of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splade_engine.engine.feedback import Feedback, fed_back
from splade_engine.engine.hits import Hit, HitPage, Hits
from splade_engine.engine.listing import Page, page_of
from splade_engine.engine.options import SearchOptions
from splade_engine.engine.query_text import QueryText, demanded, read_query, shown
from splade_engine.engine.query_weights import QueryEncoder
from splade_engine.errors import InvalidInputError
from splade_engine.index.effort import DEFAULT, EXACT, Effort, Exact
from splade_engine.index.filter.nodes import Filter, HoldsWords, Not, Where, all_of
from splade_engine.index.search import check_k
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder
    from splade_engine.index import IndexReader


@dataclass(frozen=True)
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

    def texts(self, queries: Sequence[str]) -> list[Hits]:
        """The hits of each query."""
        read = [read_query(query) for query in queries] if self.options.operators else []
        plain = not any(query.must or query.must_not for query in read)
        if plain and self.options.is_plain:
            return self._best(self.encode(queries, self.reader))
        read = read or [QueryText(query) for query in queries]
        vectors = self.encode([query.text for query in read], self.reader)
        return [self._listed(query, vectors[row]) for row, query in enumerate(read)]

    def vectors(self, vectors: SparseVectors) -> list[Hits]:
        """The hits of queries that are vectors already."""
        if self.options.is_plain:
            return self._best(vectors)
        return [self._listed(QueryText(""), vectors[row]) for row in range(len(vectors))]

    def _best(self, vectors: SparseVectors) -> list[Hits]:
        """The best k of each query: the path that costs microseconds."""
        result = self.reader.search(
            vectors, self.k, effort=self.effort, where=self.where, threads=self.threads
        )
        ordinals, scores = result.ordinals.tolist(), result.scores.tolist()
        pages = []
        for row, ids in enumerate(result.ids):
            page = HitPage(self.reader, self.encoder, vectors, row, ordinals[row][: len(ids)])
            pages.append(Hits([Hit(i + 1, id, scores[row][i], page, i) for i, id in enumerate(ids)]))
        return pages

    def _listed(self, query: QueryText, vector: SparseVectors) -> Hits:
        """The hits of one query; without what the query itself demands, where no document has that."""
        check_k(self.k, max(1, len(self.reader)))
        if isinstance(self.options.feedback, Feedback):
            vector = fed_back(self.reader, vector, self._where(query), self.options.feedback)
        page = self._page(query, vector)
        notes = [f"without {shown(part)}" for part in query.must_not]
        if query.must and not len(page.ordinals) and not page.first:
            relaxed = self._page(replace(query, must=()), vector)
            if len(relaxed.ordinals):
                page = relaxed
                notes.append(
                    f"no document holds {' and '.join(map(shown, query.must))}: searched without that"
                )
        hits = HitPage(self.reader, self.encoder, vector, 0, page.ordinals.tolist())
        ids = self.reader.ids(page.ordinals)
        scores = page.scores.tolist()
        return Hits(
            [Hit(page.first + i + 1, id, scores[i], hits, i) for i, id in enumerate(ids)],
            total=page.total,
            facets=page.facets,
            notes=tuple(notes),
        )

    def _page(self, query: QueryText, vector: SparseVectors) -> Page:
        effort = self._effort()
        where = self._where(query)
        return page_of(self.reader, VectorRanking(self.reader, vector, effort, where), self.k, self.options)

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

    @property
    def size(self) -> int:
        """Number of documents, at least 1."""
        return max(1, len(self.reader))

    def top(self, depth: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ordinals and scores of the best `depth`; fewer where fewer share a term with the query."""
        result = self.reader.search(self.vector, depth, effort=self.effort, where=self.where)
        found = int((result.ordinals[0] >= 0).sum())
        return result.ordinals[0, :found], result.scores[0, :found]
