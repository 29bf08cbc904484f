"""`IndexReader`: one generation of an index, and everything that can be asked of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from splade_engine.arguments import check_many, path_of, real, whole
from splade_engine.errors import IndexNotFoundError, InvalidInputError
from splade_engine.index.arguments import check_queries, checked_ordinals, checked_threads
from splade_engine.index.disk.payload import COLUMN_TYPES
from splade_engine.index.effort import Effort, EffortOptions, effort_of
from splade_engine.index.explain import Placement, explain_placement
from splade_engine.index.info import IndexInfo, index_info
from splade_engine.index.opening import open_snapshot
from splade_engine.index.search import Plan, SearchResult, allowed_documents, check_k, search
from splade_engine.index.segment.segment import Verify
from splade_engine.index.snapshot import Snapshot
from splade_engine.index.words.rank import (
    ALIKE,
    WordMatch,
    explain_words,
    has_words,
    near_word,
    rank_by_words,
    score_words,
)
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.index.filter.parse import Where


class IndexReader:
    """One generation of an index. It never changes, whatever is published after it; safe for many threads.

    Documents are numbered through from 0 (their *ordinals*), deleted ones included.

    Attributes:
        path: the folder of the index.
        snapshot: its opened files.
    """

    def __init__(self, path: Path, snapshot: Snapshot, verify: Verify = "full") -> None:
        self.path = path
        self.snapshot = snapshot
        self._verify = verify

    @classmethod
    def open(cls, path: str | os.PathLike[str], verify: Verify = "full") -> IndexReader:
        """Open the generation that is published now; see `SparseIndex.open`."""
        path = path_of("path", path)
        return cls(path, open_snapshot(path, verify), verify)

    def newest(self) -> IndexReader:
        """The reader of the generation that is published now: itself, where that is still the same."""
        snapshot = open_snapshot(self.path, self._verify, self.snapshot)
        same = snapshot.fingerprint == self.snapshot.fingerprint
        return self if same else IndexReader(self.path, snapshot, self._verify)

    # ---- what the index is ---------------------------------------------------------------

    def __len__(self) -> int:
        """Number of documents that are not deleted."""
        return self.snapshot.manifest.live

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""
        return self.snapshot.manifest.n_terms

    @property
    def encoder(self) -> Mapping[str, str | int] | None:
        """Fingerprint of the encoder of the vectors, as given to `build`."""
        record = self.snapshot.manifest.encoder
        return None if record is None else dict(record)  # a copy: what the index remembers cannot be changed

    @property
    def generation(self) -> int:
        """Number of this generation; every change of the index adds 1."""
        return self.snapshot.manifest.generation

    def info(self) -> IndexInfo:
        """What the index holds, from the manifest alone."""
        return index_info(self.path, self.snapshot)

    # ---- searching -----------------------------------------------------------------------

    def search(
        self,
        queries: SparseVectors,
        k: int = 10,
        *,
        effort: Effort | None = None,
        threads: int = 1,
        where: Where | None = None,
        **shorthand: Unpack[EffortOptions],
    ) -> SearchResult:
        """The `k` documents with the largest dot product with each query; only scores above 0 are hits.

        The result depends on no number of threads.

        Args:
            queries: one row per query, over the vocabulary of the index.
            k: hits wanted per query.
            effort: how much work a query may take, `Recall(0.95)` by default. `exact=True`, `accuracy=0.9`
                and `config=SearchConfig(...)` are shorthands for one (`splade_engine.index.effort`).
            threads: queries are spread over so many.
            where: a filter on the payload, see `splade_engine.index.filter.parse`.

        Raises:
            InvalidInputError: k < 1, another vocabulary, contradicting options, a filter that does not
                parse.
        """
        plan = Plan.of(self.snapshot, k, effort_of(effort, **shorthand))
        check_queries(queries, self.n_terms)
        return search(self.snapshot, queries, k, plan, checked_threads(threads), where)

    @property
    def has_words(self) -> bool:
        """Whether the words of the documents are listed (`BuildConfig.words`)."""
        return has_words(self.snapshot)

    def search_words(
        self, words: Sequence[str], k: int = 10, *, where: Where | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ordinals and BM25 scores of the best `k` documents by these words, see `index/words/rank.py`.

        Args:
            words: of the query, as `words.text.words_of` gives them.
            k: hits wanted.
            where: a filter, as for `search`.

        Raises:
            InvalidInputError: the index has no word lists.
        """
        self._check_words(words)
        check_k(k, int(self.snapshot.bases[-1]))
        return rank_by_words(self.snapshot, words, k, allowed_documents(self.snapshot, where))

    def score_terms(self, query: SparseVectors, ordinals: ArrayLike) -> NDArray[np.float64]:
        """float64[len(ordinals)]: the dot products of a query with these documents.

        Raises:
            InvalidInputError: not one query, or of another vocabulary.
        """
        check_queries(query, self.n_terms)
        if len(query) != 1:
            raise InvalidInputError(f"query: one row is expected, got {len(query)}")
        documents = self.vectors(checked_ordinals(ordinals))
        weights = np.zeros(self.n_terms, np.float32)
        terms, values = query.row(0)
        weights[terms] = values
        rows = np.repeat(np.arange(len(documents)), documents.row_nnz)
        products = documents.weights * weights[documents.terms]
        return np.bincount(rows, weights=products, minlength=len(documents)).astype(np.float64, copy=False)

    def score_words(self, words: Sequence[str], ordinals: ArrayLike) -> NDArray[np.float64]:
        """float64[len(ordinals)]: the BM25 scores of these documents, 0 where they hold none of the words.

        Raises:
            InvalidInputError: the index has no word lists.
        """
        self._check_words(words)
        return score_words(self.snapshot, words, checked_ordinals(ordinals))

    def explain_words(self, words: Sequence[str], ordinal: int) -> list[WordMatch]:
        """The words of a query that a document holds, with their parts of its BM25 score.

        Raises:
            InvalidInputError: the index has no word lists.
        """
        self._check_words(words)
        return explain_words(self.snapshot, words, whole("ordinal", ordinal))

    def near_word(self, word: str, *, alike: float = ALIKE) -> str | None:
        """The word that documents hold and that this one, which none holds, is a slip of; None where none is.

        Args:
            word: in small letters.
            alike: the share of pairs of letters that makes two words alike, from 0 to 1.

        Raises:
            InvalidInputError: the index has no word lists; `alike` is no share.
        """
        self._check_words()
        return near_word(self.snapshot, word, real("alike", alike, 0, 1))

    def _check_words(self, words: Sequence[str] = ()) -> None:
        check_many("words", words)
        if not self.has_words:
            raise InvalidInputError(f"{self.path}: has no word lists; build it anew with them")

    def explain(
        self,
        query: SparseVectors,
        id: str,
        k: int = 10,
        *,
        effort: Effort | None = None,
        where: Where | None = None,
        **shorthand: Unpack[EffortOptions],
    ) -> Placement:
        """Why the document `id` is, or is not, among the `k` hits of one query; options as for `search`."""
        plan = Plan.of(self.snapshot, k, effort_of(effort, **shorthand))
        check_queries(query, self.n_terms)
        return explain_placement(self.snapshot, query, id, k, plan, where)

    # ---- documents -----------------------------------------------------------------------

    def ids(self, ordinals: ArrayLike | None = None) -> list[str]:
        """The ids of these ordinals; without any, those of all live documents in order."""
        return self.snapshot.ids(self._ordinals(ordinals))

    def ordinal(self, id: str) -> int:
        """The ordinal of the live document with this id.

        Raises:
            InvalidInputError: if there is none.
        """
        found = int(self.snapshot.find([id])[0])
        if found < 0:
            raise InvalidInputError(f"{self.path}: no document with id {id!r}")
        return found

    def ordinals(self, where: Where | None = None) -> NDArray[np.int64]:
        """The ordinals of all live documents, or of those that match a filter, in order.

        Raises:
            InvalidInputError: a filter that does not parse.
        """
        if where is None:
            return self.snapshot.live_ordinals()
        masks = zip(allowed_documents(self.snapshot, where), self.snapshot.bases.tolist(), strict=False)
        found = [np.flatnonzero(mask) + base for mask, base in masks if mask is not None]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and int(self.snapshot.find([id])[0]) >= 0

    def vectors(self, ordinals: ArrayLike | None = None) -> SparseVectors:
        """The stored vectors of these documents (of all live ones), in this order."""
        return self.snapshot.vectors(self._ordinals(ordinals))

    def payload(self, ordinals: ArrayLike, *, without: Sequence[str] = ()) -> list[dict[str, Any]]:
        """The stored row of each of these documents; {} where the index has no payload.

        Args:
            ordinals: of the documents.
            without: columns to leave out: a long text costs nothing then.
        """
        check_many("without", without, "columns", ordered=False)
        return self.snapshot.payload(checked_ordinals(ordinals), without)

    def column(self, name: str, ordinals: ArrayLike) -> list[Any]:
        """One stored column of each of these documents, None where a document has no such value.

        Args:
            name: of the column, or a path into an object that came with the documents: "author.name".
            ordinals: of the documents.

        Raises:
            InvalidInputError: no document has such a column.
        """
        return self.snapshot.column(name, checked_ordinals(ordinals))

    def beginnings(self, name: str, ordinals: ArrayLike, length: int) -> list[tuple[str, bool]]:
        """The first `length` characters of a text column, and whether there is more.

        Reads no more than that, however long the texts are. ("", False) where there is none.
        """
        return self.snapshot.beginnings(name, checked_ordinals(ordinals), whole("length", length))

    def text_columns(self, *names: str) -> pa.Table:
        """A table of the ids of all documents that are not deleted, and of some columns of their payload.

        A column that is not there, or holds no text, is null.
        """
        return self.snapshot.text_columns(names)

    def check_columns(self, columns: Mapping[str, str]) -> None:
        """Check, before any work, that documents with a payload of these columns can be added.

        Args:
            columns: name and type of each; types as in `IndexInfo.columns` ("text", "int", "float", "bool",
                "texts").

        Raises:
            InvalidInputError: naming the column that is of another type in the index.
        """
        empty = {name: pa.array([], COLUMN_TYPES[kind]) for name, kind in columns.items()}
        self.snapshot.check_columns([pa.table(empty)])

    def document_frequencies(self) -> NDArray[np.int64]:
        """int64[n_terms]: how many live documents hold each term."""
        return self.snapshot.document_frequencies()

    def _ordinals(self, ordinals: ArrayLike | None) -> NDArray[np.int64]:
        return self.snapshot.live_ordinals() if ordinals is None else checked_ordinals(ordinals)

    # ---- other processes -----------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the same generation itself, and refuses another one."""
        return _open_again, (self.path, self._verify, self.snapshot.fingerprint)

    def __repr__(self) -> str:
        return (
            f"IndexReader({str(self.path)!r}, generation {self.generation}, {len(self)} documents, "
            f"{self.n_terms} terms)"
        )


def _open_again(path: Path, verify: Verify, fingerprint: str) -> IndexReader:
    reader = IndexReader.open(path, verify)
    if reader.snapshot.fingerprint != fingerprint:
        raise IndexNotFoundError(f"{path}: the generation that was sent here has been replaced; open it anew")
    return reader
