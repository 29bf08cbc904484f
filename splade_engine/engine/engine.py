"""`SearchEngine`: text in, ranked hits out. An encoder, an index and the documents' text, kept together.

The text lies in the index folder beside the vectors, published by the same commit; the index remembers which
encoder made its vectors and is not searched with another one, because that gives plausible, wrong hits.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from splade_engine.arguments import flag, many, path_of, shown
from splade_engine.collections.corpus import Corpus, CorpusSource
from splade_engine.collections.documents import Document
from splade_engine.collections.limits import check_query
from splade_engine.collections.metadata import document_parts
from splade_engine.collections.passages import Passages
from splade_engine.engine import changes
from splade_engine.engine.adapting import neighbour_settings
from splade_engine.engine.encoder_record import refuse_other
from splade_engine.engine.encoding import check_options
from splade_engine.engine.hits import Hit, Hits
from splade_engine.engine.intake import corpus_of
from splade_engine.engine.opening import encoder_of, loaded_encoder
from splade_engine.engine.options import SearchKeywords, split_keywords
from splade_engine.engine.query_weights import QueryEncoder
from splade_engine.engine.searching import Search
from splade_engine.engine.sharing import INDEX_FILES
from splade_engine.errors import InvalidInputError
from splade_engine.hub import download, hub_name, hub_source
from splade_engine.index import BuildConfig, ShardedIndex, SparseIndex
from splade_engine.index.arguments import check_budget
from splade_engine.index.disk.publish import refuse_occupied
from splade_engine.index.effort import Effort, effort_of
from splade_engine.progress import Progress
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder
    from splade_engine.encoder.neighbours import NeighbourSettings
    from splade_engine.engine.sync import SyncReport
    from splade_engine.index import IndexReader
    from splade_engine.index.filter.nodes import Where

__all__ = ["Hit", "SearchEngine"]


class SearchEngine:
    """An index and its encoder. Make one with `build` or `open`.

    Attributes:
        index: the `SparseIndex`.
        encoder: the `SparseEncoder`.
        path: the index folder.
    """

    def __init__(
        self, path: Path, index: SparseIndex, encoder: SparseEncoder, *, collection_idf: bool = True
    ) -> None:
        flag("collection_idf", collection_idf)
        self.path = path
        self.index = index
        self.encoder = encoder
        self._collection_idf = collection_idf
        self._queries = QueryEncoder(encoder, collection=collection_idf)
        self._record = index.reader.snapshot.manifest.encoder  # of the generation that was looked at last
        self._shared: str | None = None  # the name on the Hub of what was downloaded

    # ---- building and opening ----------------------------------------------------------------------

    @classmethod
    def build(
        cls,
        path: str | Path,
        corpus: CorpusSource | Corpus,
        encoder: SparseEncoder | str | Path | None = None,
        *,
        config: BuildConfig | None = None,
        overwrite: bool = False,
        allow_empty: bool | None = None,
        passages: Passages | int | None = None,
        threads: int | None = None,
        memory: int | None = None,
        progress: Progress = False,
        collection_idf: bool = True,
        words: bool = True,
        adapt: bool | NeighbourSettings = False,
        **encode_options: Any,
    ) -> SearchEngine:
        """Encode a corpus and index it, with its text.

        The corpus is checked as a whole before anything is encoded. Until the index is complete nothing
        appears at `path`; what is encoded lies in `<path>.encoding`, where the same call goes on after an
        interruption.

        Args:
            path: the index folder to make.
            corpus: a file or folder (`collections/reading.py` lists the formats), or documents, texts or
                records in memory.
            encoder: a `SparseEncoder`, a folder or hub id to load one from, or None for the bundled one.
            config: how the index is built.
            overwrite: replace an index at `path`, and begin anew where `<path>.encoding` holds other work.
            allow_empty: see `read_documents`.
            passages: see `Corpus`; for a `Corpus` that is given, its own.
            threads: for building the index; None: all cores.
            memory: MiB for building it (slower then); None: as much as one segment takes.
            progress: see `Progress`.
            collection_idf: as in `open`.
            words: list the words of titles and texts too (`BuildConfig.words`), for `hybrid` and `must`;
                about a third of the index's size more.
            adapt: adapt the encoder to these documents first (`splade_engine.engine.adapt`); it is kept in
                the index folder.
            encode_options: for `SparseEncoder.encode_documents` (`top_k`, `batch_tokens`).

        Raises:
            IndexExistsError: something is at `path`, and not `overwrite`.
            DatasetError: bad input, with file and line.
            StorageError: the disk refused; what was encoded is kept.
            TrainingError: adapting the encoder would do harm; what was encoded is kept.
        """
        path = path_of("path", path)
        refuse_occupied(path, overwrite=overwrite)
        flag("collection_idf", collection_idf)
        if config is not None and not isinstance(config, BuildConfig):
            raise InvalidInputError(f"config: a BuildConfig is expected, got {shown(config)}")
        check_budget(threads, memory)
        index, loaded = changes.build(
            path,
            loaded_encoder(encoder),
            corpus_of(corpus, allow_empty, passages),
            replace(config or BuildConfig(), words=words),
            overwrite=overwrite,
            threads=threads,
            memory=memory,
            progress=progress,
            adapt=neighbour_settings(adapt),
            encode_options=encode_options,
        )
        return cls(path, index, loaded, collection_idf=collection_idf)

    @classmethod
    def open(
        cls,
        path: str | Path | Sequence[str | Path],
        encoder: SparseEncoder | str | Path | None = None,
        *,
        verify: Literal["full", "offsets"] = "full",
        device: str = "auto",
        collection_idf: bool = True,
    ) -> SearchEngine:
        """Open an index with the encoder it was built with.

        Args:
            path: the index folder, or that of a collection (`ShardedIndex.collect`); several index folders
                are searched as one. `hf://owner/name` (perhaps with `@revision`) is an index that somebody
                shares on the Hugging Face Hub: it is downloaded once, and can be searched but not changed.
            encoder: None: the one that the index names.
            verify: how much of the files is checked, see `SparseIndex.open`.
            device: where the encoder runs, for encoders that need a model for queries.
            collection_idf: weigh inference-free queries by the document frequencies of this index too (see
                `CollectionIdf`); False takes the encoder's table as it is.

        Raises:
            IndexNotFoundError: there is no index.
            IndexCorruptError: it does not pass its checks.
            EncoderMismatchError: the encoder is another one than the index was built with, and how they
                differ.
            HubError: an index on the Hub cannot be had.
        """
        shared = hub_source(path)
        if shared is not None:
            path = download(hub_name(shared), INDEX_FILES, SparseIndex.open)
        if isinstance(path, str | os.PathLike):
            index = SparseIndex.open(path, verify=verify)
        else:
            index = ShardedIndex.open(path, verify=verify)
        loaded = encoder_of(index, encoder, device)
        engine = cls(index.path, index, loaded, collection_idf=collection_idf)
        engine._shared = shared
        return engine

    # ---- searching -----------------------------------------------------------------------------------

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        effort: Effort | None = None,
        where: Where | None = None,
        **options: Unpack[SearchKeywords],
    ) -> Hits:
        """The `k` best documents for a query, best first.

        There are fewer if fewer match, and none for a query without terms.

        Args:
            query: any text. `+word`, `-word` and "quoted phrases" in it say what the documents must and must
                not hold (`splade_engine.engine.query_text`; `operators=False` reads them as plain words).
            k: number of hits, at least 1.
            effort: how much work the search may take, `Recall(0.95)` by default. `exact=True`,
                `accuracy=0.9` and `config=SearchConfig(...)` are shorthands for one, see
                `SparseIndex.search`.
            where: a filter on metadata, see `SparseIndex.search`.
            options: the fields of `SearchOptions`: `offset`, `min_score`, `group_by`, `must`, `must_not`,
                `sort`, `total`, `facets`, `facets_over`, `hybrid`, `rerank`, `operators`, `feedback`,
                `related` (docs/searching.md).

        Raises:
            InvalidInputError: for a value that cannot be accepted, naming it.
            EncoderMismatchError: the index was built anew with another encoder since it was opened.
        """
        if not isinstance(query, str):
            raise InvalidInputError(f"query: a string, got {shown(query)}; search_many takes several")
        return self._search(k, effort, where, 1, options).texts((query,))[0]

    def search_many(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        effort: Effort | None = None,
        where: Where | None = None,
        threads: int = 1,
        **options: Unpack[SearchKeywords],
    ) -> list[Hits]:
        """`search` for every query, in the order given."""
        queries = many("queries", queries, "texts")
        for number, query in enumerate(queries):
            if not isinstance(query, str):
                raise InvalidInputError(f"queries: number {number} is {shown(query)}, a string is expected")
        return self._search(k, effort, where, threads, options).texts(queries)

    def encode_queries(self, texts: Sequence[str]) -> SparseVectors:
        """The vectors that `search` uses.

        They are the encoder's, weighted for this collection if the encoder is inference-free.
        """
        texts = many("texts", texts, "texts")
        for number, text in enumerate(texts):
            if isinstance(text, str):  # anything else the encoder refuses
                check_query(text, f"texts: row {number}")
        return self._queries(texts, self._reader())

    def search_vectors(
        self,
        vectors: SparseVectors,
        k: int = 10,
        *,
        effort: Effort | None = None,
        where: Where | None = None,
        threads: int = 1,
        **options: Unpack[SearchKeywords],
    ) -> list[Hits]:
        """`search` for queries that are vectors already."""
        return self._search(k, effort, where, threads, options).vectors(vectors)

    def _search(
        self, k: int, effort: Effort | None, where: Where | None, threads: int, options: SearchKeywords
    ) -> Search:
        """A search of the generation that is open; the hits keep it, so that they read what was found."""
        asked, shorthand = split_keywords(options)
        effort = effort_of(effort, **shorthand)
        return Search(self._reader(), self.encoder, self._queries, k, effort, where, threads, asked)

    def _reader(self) -> IndexReader:
        """The generation that is open, if its vectors are of this encoder: the index may be built anew.

        Raises:
            EncoderMismatchError: they are of another one.
        """
        reader = self.index.reader
        record = reader.snapshot.manifest.encoder
        if record is not self._record:
            if record != self._record:
                refuse_other(self.path, record, self.encoder, reader.n_terms)
            self._record = record
        return reader

    def get(self, ids: Iterable[str]) -> list[Document]:
        """The stored documents with these ids, in this order.

        Raises:
            InvalidInputError: an id is not in the index, or `ids` is one string.
        """
        reader, wanted = self.index.reader, many("ids", ids)
        rows = reader.payload([reader.ordinal(id) for id in wanted])
        return [Document(id, *document_parts(row)) for id, row in zip(wanted, rows, strict=True)]

    # ---- changing ------------------------------------------------------------------------------------

    def add(
        self,
        corpus: CorpusSource | Corpus,
        *,
        passages: Passages | int | None = None,
        progress: Progress = False,
        **encode_options: Any,
    ) -> None:
        """Encode and add documents whose ids are not in the index yet, in one commit.

        Documents are cut into passages as those of the index were, unless `passages` says otherwise. What is
        encoded lies in `<path>.encoding-<digest>` until it is in the index: several processes can add
        at the same time, and a call that was interrupted goes on when it is repeated.

        Raises:
            InvalidInputError: an id is in the index already; nothing was encoded.
            EncoderMismatchError: the index was built anew with another encoder since it was opened.
            IndexLockedError: another process holds the index, and got no further for a minute; what was
                encoded is kept.
        """
        self._refuse_shared()
        corpus = corpus_of(corpus, None, passages)
        changes.add(self.index, self.encoder, corpus, progress, encode_options)

    def update(
        self,
        corpus: CorpusSource | Corpus,
        *,
        passages: Passages | int | None = None,
        drop: Sequence[str] = (),
        progress: Progress = False,
        **encode_options: Any,
    ) -> None:
        """Encode documents and put them in the place of those with the same id; new ids are added.

        Documents are cut as `add` does. All old passages of a document are deleted, also those that it no
        longer has; if a file has no text any more, that is all of them. A passage that `get` returned
        replaces itself alone. Documents with the ids of `drop` are deleted by the same commit.

        Raises:
            EncoderMismatchError, IndexLockedError: as `add`.
        """
        self._refuse_shared()
        drop = many("drop", drop, ordered=False)
        corpus = corpus_of(corpus, None, passages)
        changes.update(self.index, self.encoder, corpus, drop, progress, encode_options)

    def sync(
        self,
        folder: str | Path,
        *,
        passages: Passages | int | None = None,
        encoding: str | None = None,
        name: str | None = None,
        prune: bool = False,
        dry_run: bool = False,
        progress: Progress = False,
        **encode_options: Any,
    ) -> SyncReport:
        """Bring the index up to date with a folder, in one commit; see `splade_engine.engine.sync.sync`.

        Args:
            folder: of files.
            passages: how files are cut; None: as they were before.
            encoding: how text files that are not UTF-8 are decoded; None: they count as failed.
            name: what the folder is known by; None: its path.
            prune: delete what the index holds of files that are gone.
            dry_run: change nothing, and report what would be done.
            progress: see `Progress`.
            encode_options: for `SparseEncoder.encode_documents`.
        """
        self._refuse_shared()
        from splade_engine.engine.sync import sync

        check_options(self.encoder, encode_options)
        return sync(
            self.index.refresh().reader,
            lambda: self,
            path_of("folder", folder),
            passages=passages,
            encoding=encoding,
            name=name,
            prune=prune,
            dry_run=dry_run,
            progress=progress,
            **encode_options,
        )

    def delete(self, ids: Iterable[str]) -> None:
        """Remove documents by id; that of a document that was cut removes all its passages.

        Raises:
            InvalidInputError: an id is not in the index, or `ids` is one string.
            IndexLockedError: another process holds the index, and got no further for a minute.
        """
        self._refuse_shared()
        changes.delete(self.index, many("ids", ids, ordered=False))

    def compact(self) -> None:
        """Merge segments and drop what was deleted.

        Raises:
            IndexLockedError: as `delete`.
        """
        self._refuse_shared()
        changes.compact(self.index)

    def push_to_hub(self, repo: str, *, private: bool | None = None, message: str | None = None) -> str:
        """Share the index on the Hugging Face Hub, whole: vectors, texts, word lists; the commit's hash.

        `SearchEngine.open("hf://owner/name")` opens it. An encoder that is only a folder here goes with it.
        A repository without a card gets one.

        Args:
            repo: `owner/name`, perhaps `owner/name@branch`; it is created where there is none.
            private: whether one that is created is; None: what its owner has as the default.
            message: of the commit.

        Raises:
            HubError: the Hub refuses, or is out of reach.
            InvalidInputError: this is a collection of several indexes.
        """
        from splade_engine.engine.sharing import push_index

        return push_index(self, repo, private=private, message=message)

    def _over(self, index: SparseIndex, encoder: SparseEncoder | None = None) -> SearchEngine:
        """An engine over another generation of this index, which asks as this one does."""
        wished = self._collection_idf
        engine = SearchEngine(self.path, index, encoder or self.encoder, collection_idf=wished)
        engine._shared = self._shared
        return engine

    def _refuse_shared(self) -> None:
        if self._shared is not None:
            raise InvalidInputError(
                f"{self._shared}: a download that all programs here share; to change the index, take a copy: "
                f"splade-engine pull {self._shared} FOLDER"
            )

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        return f"SearchEngine({str(self.path)!r}, {len(self)} documents, encoder {self.encoder.name!r})"
