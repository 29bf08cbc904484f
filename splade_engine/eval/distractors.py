"""Distractors: documents of another corpus, added to make a collection larger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from splade_engine.documents import Document, read_documents
from splade_engine.documents.corpus import Corpus
from splade_engine.errors import DatasetError
from splade_engine.eval.dataset import Dataset

DISTRACTOR_PREFIX = "distractor/"


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


def with_distractors(dataset: Dataset, file: str | Path, limit: int | None = None) -> Dataset:
    """The same queries over more documents: the first `limit` of `file` (all if None), ids `distractor/...`.

    Raises:
        DatasetError: if the file cannot be read, or the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise DatasetError(f"the number of distractors must be at least 1, got {limit}")
    extra = Corpus(_Distractors(Path(file), limit))
    n_added = extra.survey().n_docs
    parts = (*dataset.parts, extra)
    corpus = Corpus(_Chain(parts), allow_empty=True)
    return replace(
        dataset, name=f"{dataset.name}+{n_added}", corpus=corpus, parts=parts, n_distractors=n_added
    )
