"""Distractors: documents of another corpus, added to make a collection larger.

Their ids get a prefix, so that they cannot clash with the collection's own or be judged. They stay a corpus
of their own beside the collection's: what is made of them (vectors, word counts) is kept under the hash of
the distractors and the encoder, and is the same for every collection that they are added to.
"""

from __future__ import annotations

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
        DatasetError: as `distractor_corpus`, or if an id of the collection looks like a distractor's.
    """
    own = next((d.id for part in dataset.parts for d in part if d.id.startswith(DISTRACTOR_PREFIX)), None)
    if own is not None:
        raise DatasetError(f"{dataset.name}: document {own!r} has the prefix of distractors")
    added = extra if isinstance(extra, Corpus) else distractor_corpus(extra, limit)
    parts = (*dataset.parts, added)
    n_distractors = dataset.n_distractors + added.survey().n_docs
    corpus = Corpus(_Chain(parts), allow_empty=True)
    return replace(dataset, corpus=corpus, parts=parts, n_distractors=n_distractors)
