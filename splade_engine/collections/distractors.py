"""Distractors: documents of another corpus, added to make a collection larger.

Their ids get a prefix, so that they cannot clash with the collection's own or be judged. They stay a corpus
of their own beside the collection's: what is made of them (vectors, word counts) is kept under the hash of
the distractors and the encoder, and is the same for every collection that they are added to.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from splade_engine.arguments import path_of, whole
from splade_engine.collections.corpus import Corpus
from splade_engine.collections.dataset import Dataset
from splade_engine.collections.documents import Document
from splade_engine.collections.reading import read_documents
from splade_engine.errors import DatasetError
from splade_engine.files import digest_64

logger = logging.getLogger(__name__)

DISTRACTOR_PREFIX = "distractor/"


def distractor_corpus(file: str | Path, limit: int | None = None) -> Corpus:
    """The first `limit` documents of a corpus file (all if None), ids `distractor/...`.

    Raises:
        DatasetError: if the file cannot be read, or the limit is below 1.
    """
    if limit is not None:
        limit = whole("the number of distractors", limit, 1)
    corpus = Corpus(_Distractors(path_of("file", file), limit))
    found = corpus.survey().n_docs
    if limit is not None and found < limit:
        raise DatasetError(f"{file}: {limit:,} distractors are asked for, it holds {found:,} documents")
    return corpus


@dataclass(frozen=True)
class _Distractors:
    file: Path
    limit: int | None

    def __iter__(self) -> Iterator[Document]:
        documents: Iterable[Document] = islice(read_documents(self.file), self.limit)
        return (replace(d, id=DISTRACTOR_PREFIX + d.id) for d in documents)


@dataclass(frozen=True)
class _Chain:
    corpora: tuple[Corpus, ...]

    def __iter__(self) -> Iterator[Document]:
        return chain.from_iterable(self.corpora)


def with_distractors(dataset: Dataset, extra: Corpus | str | Path, limit: int | None = None) -> Dataset:
    """The same queries over more documents.

    Args:
        dataset: the collection.
        extra: what `distractor_corpus` returns, shared by several collections; or a corpus file, of which
            `limit` documents are taken.
        limit: None for all.

    Raises:
        DatasetError: as `distractor_corpus`; if an id of the collection looks like a distractor's; or if the
            distractors are the collection's own documents.
    """
    added = extra if isinstance(extra, Corpus) else distractor_corpus(extra, limit)
    relevant: set[int] = set()
    wanted = {id for judged in dataset.qrels.values() for id, grade in judged.items() if grade > 0}
    for document in chain.from_iterable(dataset.parts):
        if document.id.startswith(DISTRACTOR_PREFIX):
            raise DatasetError(f"{dataset.name}: document {document.id!r} has the prefix of distractors")
        if document.id in wanted and document.indexed_text:
            relevant.add(_text(document))
    _check_wrong(dataset, added, relevant)
    parts = (*dataset.parts, added)
    n_distractors = dataset.n_distractors + added.survey().n_docs
    corpus = Corpus(_Chain(parts), allow_empty=True)
    return replace(dataset, corpus=corpus, parts=parts, n_distractors=n_distractors)


def _check_wrong(dataset: Dataset, added: Corpus, relevant: set[int]) -> None:
    """Distractors are wrong answers; one with the text of a relevant document is none.

    Raises:
        DatasetError: that is so of half of the relevant documents.
    """
    there = relevant.intersection(map(_text, added)) if relevant else set()
    if there and 2 * len(there) >= len(relevant):
        raise DatasetError(
            f"{dataset.name}: {len(there):,} of {len(relevant):,} relevant documents are among the "
            "distractors, where they count as wrong answers; take another corpus"
        )
    if there:
        logger.warning(
            "%s: %d of %d relevant documents are among the distractors too, and count as wrong answers there",
            dataset.name,
            len(there),
            len(relevant),
        )


def _text(document: Document) -> int:
    return digest_64(document.indexed_text.encode(errors="replace"))
