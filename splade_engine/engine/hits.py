"""`Hit`: one ranked document. Its text is read from the index when it is asked for, not before.

A search takes tens of microseconds, reading ten texts several times as long: who wants ids and scores pays
for those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from splade_engine.collections.metadata import metadata_of
from splade_engine.engine.explain import Explanation, explain
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder
    from splade_engine.index import IndexReader


class HitPage:
    """The hits of one query: what they share, and their payload once one of them was asked for it."""

    __slots__ = ("_documents", "_ordinals", "_queries", "_reader", "_row", "_rows", "encoder")

    def __init__(
        self,
        reader: IndexReader,
        encoder: SparseEncoder,
        queries: SparseVectors,
        row: int,
        ordinals: Sequence[int],
    ) -> None:
        self.encoder = encoder
        self._reader = reader
        self._ordinals = ordinals
        self._queries = queries
        self._row = row
        self._rows: list[dict[str, Any]] | None = None
        self._documents: SparseVectors | None = None

    @property
    def query(self) -> SparseVectors:
        """The query's vector, one row."""
        return self._queries[self._row]

    def payload(self, i: int) -> dict[str, Any]:
        """Stored columns of hit `i`; empty for an index without texts."""
        if self._rows is None:
            self._rows = self._reader.payload(self._ordinals)
        return self._rows[i] if self._rows else {}

    def document(self, i: int) -> SparseVectors:
        """Stored vector of hit `i`."""
        if self._documents is None:
            self._documents = self._reader.vectors(self._ordinals)
        return self._documents[i]


class Hit:
    """A document found.

    Attributes:
        rank: from 1.
        id: of the document.
        score: query and document weights multiplied and summed over the terms they share.
    """

    __slots__ = ("_page", "id", "rank", "score")

    def __init__(self, rank: int, id: str, score: float, page: HitPage) -> None:
        self.rank = rank
        self.id = id
        self.score = score
        self._page = page

    @property
    def text(self) -> str:
        """The document's text; "" where the index holds none."""
        return self._page.payload(self.rank - 1).get("text") or ""

    @property
    def title(self) -> str:
        """The document's title, perhaps ""."""
        return self._page.payload(self.rank - 1).get("title") or ""

    @property
    def metadata(self) -> dict[str, Any]:
        """Every other field the document came with."""
        return metadata_of(self._page.payload(self.rank - 1))

    def explain(self) -> Explanation:
        """Why it was found: each shared term with its weights and its share of the score."""
        encoder = self._page.encoder
        return explain(
            self.id,
            self._page.query,
            self._page.document(self.rank - 1),
            encoder.vocabulary,
            self.title,
            self.text,
            encoder.word_spans,
        )

    def to_dict(self) -> dict[str, Any]:
        """Rank, id, score, title, text and metadata, as `search --json` writes them."""
        return {
            "rank": self.rank,
            "id": self.id,
            "score": self.score,
            "title": self.title,
            "text": self.text,
            "metadata": self.metadata,
        }

    def __repr__(self) -> str:
        return f"Hit(rank={self.rank}, id={self.id!r}, score={self.score:.4f})"
