"""`Hits` and `Hit`: ranked documents. Their texts are read from the index when they are asked for.

A search takes tens of microseconds, reading ten texts several times as long: who wants ids and scores pays
for those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from splade_engine.arguments import whole
from splade_engine.collections.metadata import metadata_of
from splade_engine.engine.certainty import counted_terms, covered, respelt, weak_below
from splade_engine.engine.explain import Explanation, TermNames, explain, term_names
from splade_engine.engine.fusion import Side
from splade_engine.engine.snippets import LENGTH, READ, Snippet, snippet
from splade_engine.index.words.rank import WordMatch
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder
    from splade_engine.index import IndexReader


class Fused(NamedTuple):
    """What the hits of a page are made of besides terms."""

    # per hit; empty for a search by terms alone
    sides: Sequence[tuple[Side, ...]] = ()
    # of the query, that count as they are written
    words: Sequence[str] = ()


_TERMS_ALONE = Fused()


class HitPage:
    """The hits of one query: what they share, and what was read when one of them was asked for it."""

    __slots__ = (
        "_documents",
        "_fields",
        "_fused",
        "_ordinals",
        "_queries",
        "_reader",
        "_row",
        "_rows",
        "_text",
        "encoder",
    )

    def __init__(
        self,
        reader: IndexReader,
        encoder: SparseEncoder,
        queries: SparseVectors,
        row: int,
        ordinals: Sequence[int],
        fused: Fused | None = None,
        text: str = "",
    ) -> None:
        self.encoder = encoder
        self._text = text
        self._fused = _TERMS_ALONE if fused is None else fused
        self._reader = reader
        self._ordinals = ordinals
        self._queries = queries
        self._row = row
        self._rows: list[dict[str, Any]] | None = None
        self._fields: list[dict[str, Any]] | None = None
        self._documents: SparseVectors | None = None

    @property
    def query(self) -> SparseVectors:
        """The query's vector, one row."""
        return self._queries[self._row]

    @property
    def names(self) -> TermNames:
        """What each term is called; phrase terms by the words that the query has for them."""
        return term_names(self.encoder, self._text)

    def payload(self, i: int) -> dict[str, Any]:
        """Stored columns of hit `i`; empty for an index without texts."""
        if self._rows is None:
            self._rows = self._reader.payload(self._ordinals)
        return self._rows[i] if self._rows else {}

    def fields(self, i: int) -> dict[str, Any]:
        """The same, perhaps without the text: who shows a title does not wait for a text of 100 MB."""
        if self._rows is not None:
            return self.payload(i)
        if self._fields is None:
            self._fields = self._reader.payload(self._ordinals, without=("text",))
        return self._fields[i] if self._fields else {}

    def beginning(self, i: int) -> tuple[str, bool]:
        """The first characters of the text of hit `i`, as many as are looked at, and whether it goes on."""
        return self._reader.beginnings("text", self._ordinals[i : i + 1], READ)[0]

    def sides(self, i: int) -> tuple[Side, ...]:
        """What each side of a fusion says of hit `i`; empty for a search by terms alone."""
        return self._fused.sides[i] if self._fused.sides else ()

    def words(self, i: int) -> list[WordMatch]:
        """The words that count as they are written, in hit `i`."""
        words = self._fused.words
        return self._reader.explain_words(words, self._ordinals[i]) if words else []

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
        score: query and document weights multiplied and summed over the terms they share; of a hybrid or
            reranked search what `sides` says.
    """

    __slots__ = ("_page", "_place", "id", "rank", "score")

    def __init__(self, rank: int, id: str, score: float, page: HitPage, place: int) -> None:
        self.rank = rank
        self.id = id
        self.score = score
        self._page = page
        self._place = place

    @property
    def text(self) -> str:
        """The document's text; "" where the index holds none."""
        return self._page.payload(self._place).get("text") or ""

    @property
    def title(self) -> str:
        """The document's title, perhaps ""."""
        return self._page.fields(self._place).get("title") or ""

    @property
    def metadata(self) -> dict[str, Any]:
        """Every other field the document came with."""
        return metadata_of(self._page.fields(self._place))

    def explain(self) -> Explanation:
        """Why it was found: each shared term with its weights and its share of the score.

        Words are looked for in the first 262,144 characters of title and text.
        """
        encoder = self._page.encoder
        return explain(
            self.id,
            self._page.query,
            self._page.document(self._place),
            self._page.names,
            self.title,
            self._page.beginning(self._place)[0],
            encoder.word_spans,
            sides=self.sides,
            words=self._page.words(self._place),
        )

    @property
    def sides(self) -> tuple[Side, ...]:
        """Rank and score on each side of a hybrid or reranked search; empty for a search by terms alone."""
        return self._page.sides(self._place)

    def _covered(self) -> float:
        n_tokens = counted_terms(self._page.encoder)
        return covered(self._page.query, self._page.document(self._place), n_tokens)

    def snippet(self, length: int = LENGTH, why: Explanation | None = None) -> Snippet:
        """The stretch of the text with most matching words; it reads no more than 262,144 characters.

        Args:
            length: characters, at least 1.
            why: what `explain` gave, if it was called already.
        """
        length = whole("length", length, 1)
        text, more = self._page.beginning(self._place)
        return snippet(text, (why or self.explain()).text_spans, length, more=more)

    def to_dict(self) -> dict[str, Any]:
        """Rank, id, score, title, text and metadata, as `search --json` writes them."""
        text = self.text  # first: one read serves all
        return {
            "rank": self.rank,
            "id": self.id,
            "score": self.score,
            "title": self.title,
            "text": text,
            "metadata": self.metadata,
        }

    def __repr__(self) -> str:
        return f"Hit(rank={self.rank}, id={self.id!r}, score={self.score:.4f})"

    def _repr_html_(self) -> str:
        from splade_engine.engine.html import hits_html

        return hits_html([self])


class Hits(list[Hit]):
    """The hits of one query, best first: a list, with what was counted beside them.

    Attributes:
        total: how many documents match (with `group_by` how many groups); None unless it was asked for.
        facets: of each field asked for (value, number of documents), the most frequent first.
        notes: what a person should know of how the query was read.
    """

    # set by the search: what the hits were found in and for, and whether by terms that the query did not ask
    _asked: tuple[IndexReader, SparseEncoder, str] | None = None
    _guessed = False

    def __init__(
        self,
        hits: Iterable[Hit] = (),
        *,
        total: int | None = None,
        facets: dict[str, list[tuple[Any, int]]] | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(hits)
        self.total = total
        self.facets = facets or {}
        self.notes = notes

    @property
    def covered(self) -> float:
        """How much of the query the best hit holds: the share of its weight on terms that the hit has.

        0 without hits, and where other terms than the query's own were searched (`related`).
        """
        if not self or self._guessed:
            return 0.0
        return max(self, key=lambda hit: hit.score)._covered()

    @property
    def weak(self) -> bool:
        """Whether the best hit holds so little of the query that it is likely to speak of something else."""
        return not self or self.covered < weak_below(len(self[0]._page._reader))

    @property
    def did_you_mean(self) -> str | None:
        """The query with words that look like slips as the documents spell them; None where none does."""
        return None if self._asked is None else respelt(self._asked[1], self._asked[0], self._asked[2])

    def _repr_html_(self) -> str:
        from splade_engine.engine.html import hits_html

        return hits_html(self, self.total, self.facets, self.notes)
