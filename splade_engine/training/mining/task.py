"""`MiningTask`: queries with their positives, and the corpus that they are searched in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from splade_engine.collections import Document
from splade_engine.errors import DatasetError
from splade_engine.training.data.sources import BeirSource, JsonlSource


@dataclass(frozen=True)
class Judged:
    """One query with all its positives."""

    query_id: str
    query: str
    positive_ids: tuple[str, ...]
    # Of the negatives that its rows have.
    negative_ids: tuple[str, ...] = ()


class MiningTask:
    """Queries with positives, and the corpus they are searched in.

    Args:
        data: a BEIR folder with `qrels/train.tsv`, or a JSONL file of pairs, whose distinct documents are the
            corpus.
        cache: folder for unpacked copies.
    """

    def __init__(self, data: Path, cache: Path) -> None:
        self.queries: list[Judged] = []
        self.ids: list[str] = []
        self._text: Callable[[int], str]
        self.corpus: Path | list[Document]
        # whether the ids are those of a collection, and not numbers of texts
        self.has_ids = data.is_dir()
        source: BeirSource | JsonlSource
        if data.is_dir():
            source = BeirSource(data, cache)
            self._from_folder(source, data)
        else:
            source = JsonlSource(data, cache)
            self._from_pairs(source)
        # the digest of every file that queries and documents come from, by its path
        self.digests = source.digests()
        self.numbers = {doc_id: i for i, doc_id in enumerate(self.ids)}

    def _from_folder(self, source: BeirSource, folder: Path) -> None:
        positives: dict[str, list[str]] = {}
        for i in range(len(source)):
            query, document = source.pair_ids(i)
            positives.setdefault(query, []).append(document)
        place = str(folder)
        self.queries = [
            Judged(q, source.queries.get(q, place, "query"), tuple(found)) for q, found in positives.items()
        ]
        self.ids = [doc_id for doc_id, _ in source.corpus]
        self._text = source.corpus.text
        self.corpus = folder

    def _from_pairs(self, source: JsonlSource) -> None:
        numbers: dict[str, int] = {}
        positives: dict[str, dict[str, None]] = {}
        negatives: dict[str, dict[str, None]] = {}
        for i in range(len(source)):
            row = source.row(i)
            for text in (*row.positives, *row.negatives):
                numbers.setdefault(text, len(numbers))
            if row.positives:
                found = positives.setdefault(row.query, {})
                found.update(dict.fromkeys(str(numbers[text]) for text in row.positives))
                given = negatives.setdefault(row.query, {})
                given.update(dict.fromkeys(str(numbers[text]) for text in row.negatives))
        if not positives:
            raise DatasetError(f"{source.lines.path}: no row has a relevant document, all are labelled 0")
        texts = list(numbers)
        self.queries = [
            Judged(str(i), query, tuple(found), tuple(negatives[query]))
            for i, (query, found) in enumerate(positives.items())
        ]
        self.ids = [str(i) for i in range(len(texts))]
        self._text = texts.__getitem__
        self.corpus = [Document(str(i), text) for i, text in enumerate(texts)]

    def text(self, doc_id: str) -> str:
        """The text of a document id."""
        return self._text(self.numbers[doc_id])

    def texts(self) -> Iterator[str]:
        """All documents, in the order of `ids`."""
        return (self._text(i) for i in range(len(self.ids)))
