"""Sources of training examples: JSONL files, BEIR folders, ir_datasets ids, plain documents.

Every source answers `example(i, rng)` for i in 0..len-1, so that order, mixture and restart are decided
outside (see `mixture.py`). Nothing is held in memory but line offsets and ids.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import shown
from splade_engine.collections.beir import corpus_file, found_corpus, qrels_file, queries_file
from splade_engine.collections.qrels import Judgment, unique_judgments
from splade_engine.errors import DatasetError
from splade_engine.files import digest_of_file, expanded
from splade_engine.training.data import generation
from splade_engine.training.data.examples import TEXTS_OR_IDS, Example, Row, row_from_record, unread
from splade_engine.training.data.foreign_rows import as_object
from splade_engine.training.data.line_file import LineFile, TextsById, checked_text
from splade_engine.training.data.mined import MINED_FROM, check_mined_from, tell_unmarked
from splade_engine.training.data.mined_rows import NegativesById
from splade_engine.training.data.pages import pages_file
from splade_engine.training.recipe.sections import SourceConfig, SourceKind

logger = logging.getLogger(__name__)

GENERATED = ("ict", "bfs", "wlp")
_COPY = "a text is positive and negative at once; such negatives are left out, in later rows too"
_ROW = '{"query": "...", "positive": "..."}'


class Source(Protocol):
    """Examples by number. `example` returns None where row i yields none (a document too short for ICT)."""

    name: str

    def __len__(self) -> int: ...

    def example(self, i: int, rng: np.random.Generator) -> Example | None:
        """Example i, or None."""
        ...

    def documents(self) -> Iterator[str]:
        """Document texts, for an idf table: every text once where the source has a corpus."""
        ...

    def digests(self) -> dict[str, str]:
        """The digest of each file that examples come from, by its path."""
        ...


def open_source(config: SourceConfig, cache: Path) -> Source:
    """The source that a configuration names; `kind` auto tells it by what is at `path`.

    Raises:
        DatasetError: naming what is missing or of no known kind.
    """
    path, kind = expanded(config.path), kind_of(config)
    if kind == "beir":
        return BeirSource(path, cache, config.negatives)
    if kind == "jsonl":
        return JsonlSource(path, cache, config.corpus, config.queries)
    if kind == "ir_datasets":
        from splade_engine.training.data.ir_source import IrDatasetsSource

        return IrDatasetsSource(config.path, cache)
    return GeneratedSource(path, cache, kind, config.links)


def kind_of(config: SourceConfig) -> SourceKind:
    """The kind of a source, by what is at its path where it is `auto`."""
    if config.kind != "auto":
        return config.kind
    path = expanded(config.path)
    return "beir" if path.is_dir() else "jsonl" if path.is_file() else "ir_datasets"


class JsonlSource:
    """Pairs, triples or scored lists, one JSON value a line (`examples.py` lists the layouts).

    Args:
        path: the file.
        cache: folder for unpacked copies of compressed files.
        corpus, queries: JSONL collections in which ids are looked up.
    """

    def __init__(
        self, path: Path, cache: Path, corpus: str | None = None, queries: str | None = None
    ) -> None:
        self.name = path.name
        self.lines = LineFile(path, cache)
        self._documents = TextsById(corpus, cache) if corpus else None
        self._queries = TextsById(queries, cache, titled=False) if queries else None
        self._told_copy = False
        try:
            first = as_object(self.lines.value(0), self.lines.place(0))
        except DatasetError as error:  # a table, an array, rows of numbers
            raise DatasetError(f"{error}; a row of training data is an object such as {_ROW}") from None
        self.row(0)  # the wrong kind of file is reported at once
        if names := unread(first):
            logger.warning(
                "%s: fields that are not read: %.300s (a label is read as label, a teacher's score as score, "
                "further negatives as negatives or negative_1)",
                *(path, ", ".join(map(shown, names))),
            )
        if not corpus and (names := [name for name in TEXTS_OR_IDS if name in first]):
            logger.info(
                "%s: %s: read as texts, since no corpus is given in which they would be ids",
                *(path, " and ".join(names)),
            )
        if corpus and queries and "query" not in first:
            tell_unmarked(path, first)

    def __len__(self) -> int:
        return len(self.lines)

    def example(self, i: int, rng: np.random.Generator) -> Example | None:
        """See `Source`; None where a label says that no document of the row is relevant."""
        del rng  # the row decides
        return self.row(i).example

    def row(self, i: int) -> Row:
        """Row i with what is not relevant too.

        Raises:
            DatasetError: naming file, line and field.
        """
        value = self.lines.value(i)
        query_text, document_text = (t.get if t else None for t in (self._queries, self._documents))
        try:
            record = as_object(value, "")
            row = row_from_record(record, "", query_text, document_text)
            if query_text and document_text and "query" not in record:  # texts of its own may be edited
                check_mined_from(record, "", row.query, row.positives, row.negatives)
        except DatasetError as error:  # finding the line number reads the file: only when it is needed
            raise DatasetError(f"{self.lines.place(i)}{error}") from None
        kept = row.without_copies()
        if kept is not row and not self._told_copy:
            self._told_copy = True
            logger.warning("%s: %s", self.lines.place(i), _COPY)
        return kept

    def documents(self) -> Iterator[str]:
        """See `Source`."""
        if self._documents:
            yield from (text for _, text in self._documents)
            return
        for i in range(len(self)):
            row = self.row(i)
            yield from row.positives + row.negatives

    def digests(self) -> dict[str, str]:
        """See `Source`."""
        texts = [texts.lines for texts in (self._documents, self._queries) if texts]
        return {str(lines.path): lines.digest for lines in [self.lines, *texts]}


class BeirSource:
    """A BEIR folder (`collections/beir.py`) with judgments of the split `train`.

    One example per judged pair with a score above zero; pairs whose document the corpus lacks are left out,
    with a warning. Mined negatives come from JSONL with `query_id` and `negative_ids` (as `mine` writes it).

    Raises:
        DatasetError: naming the file that is missing, or the line whose ids are.
    """

    def __init__(self, folder: Path, cache: Path, negatives: str | None = None) -> None:
        self.name = folder.name
        self.corpus = TextsById(corpus_file(folder), cache)
        self.queries = TextsById(queries_file(folder), cache, titled=False)
        self._qrels = qrels_file(folder, "train")
        self._query_rows, self._document_rows = self._pairs()
        self._by_query = np.argsort(self._query_rows, kind="stable")
        self.negatives = NegativesById(Path(negatives), cache) if negatives else None
        if self.negatives is not None and not self._any_negatives():
            raise DatasetError(f"{negatives}: has negatives of no query that {self._qrels} judges")

    def _pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        queries: list[int] = []
        documents: list[int] = []
        missing: list[Judgment] = []
        for judgment in unique_judgments(self._qrels):
            if judgment.grade <= 0:
                continue
            place = f"{self._qrels}:{judgment.line}"
            query, document = self.queries.row(judgment.query_id), self.corpus.row(judgment.doc_id)
            if query is None:
                raise DatasetError(
                    f"{place}: query {judgment.query_id!r} is not in {self.queries.lines.path}"
                )
            if document is None:
                missing.append(judgment)
                continue
            queries.append(query)
            documents.append(document)
        if missing and not queries:
            place, where = f"{self._qrels}:{missing[0].line}", self.corpus.lines.path
            raise DatasetError(
                f"{place}: document {missing[0].doc_id!r} is not in {where}, nor is any other relevant one"
            )
        if missing:
            logger.warning("%s: %d judged documents are not in the corpus", self._qrels, len(missing))
        if not queries:
            raise DatasetError(f"{self._qrels}: no pair with a score above 0")
        return np.array(queries, np.int64), np.array(documents, np.int64)

    def _any_negatives(self) -> bool:
        assert self.negatives is not None
        queries = np.unique(self._query_rows).tolist()
        return any(self.negatives.rows_of(self.queries._id(query)) for query in queries)

    def __len__(self) -> int:
        return len(self._query_rows)

    def pair_ids(self, i: int) -> tuple[str, str]:
        """Query id and document id of pair i."""
        return self.queries._id(int(self._query_rows[i])), self.corpus._id(int(self._document_rows[i]))

    def example(self, i: int, rng: np.random.Generator) -> Example | None:
        """See `Source`; None where query or document has no text."""
        del rng
        query = self.queries.text(int(self._query_rows[i]))
        positive = self.corpus.text(int(self._document_rows[i]))
        if not query or not positive:
            return None
        negatives, scores = self._mined(i, query) if self.negatives is not None else ((), None)
        return Example(query, (positive,), negatives, scores)

    def _mined(self, i: int, query: str) -> tuple[tuple[str, ...], tuple[float, ...] | None]:
        """The mined negatives of pair i; scores, positive first, where the row has one for each."""
        assert self.negatives is not None
        query_id, positive_id = self.pair_ids(i)
        row = self.negatives.row(query_id, positive_id)
        if row is None:
            return (), None
        record = self.negatives.lines.record(row)
        ids, of = [str(d) for d in record["negative_ids"]], str(record.get("positive_id", ""))
        place = str(self.negatives.lines.path)
        texts = [self.corpus.get(d, place, "document") for d in ids]
        if MINED_FROM in record:
            try:
                check_mined_from(record, "", query, [self.corpus.get(of, "", "document")], texts)
            except DatasetError as error:  # as above
                raise DatasetError(f"{self.negatives.lines.place(row)}{error}") from None
        relevant = self._relevant(int(self._query_rows[i]))  # perhaps judged since
        kept = [place for place, d in enumerate(ids) if d not in relevant and texts[place]]
        negatives = tuple(texts[place] for place in kept)
        scores = record.get("scores")
        if of != positive_id or scores is None:
            return negatives, None
        return negatives, (float(scores[0]), *(float(scores[place + 1]) for place in kept))

    def _relevant(self, query: int) -> set[str]:
        """The ids of all relevant documents of a row of the queries."""
        first, last = np.searchsorted(self._query_rows, (query, query + 1), sorter=self._by_query)
        return {self.pair_ids(i)[1] for i in self._by_query[first:last].tolist()}

    def documents(self) -> Iterator[str]:
        """See `Source`."""
        yield from (text for _, text in self.corpus)

    def digests(self) -> dict[str, str]:
        """See `Source`."""
        parts = [self.corpus.lines, self.queries.lines]
        if self.negatives is not None:
            parts.append(self.negatives.lines)
        return {str(lines.path): lines.digest for lines in parts} | {
            str(self._qrels): digest_of_file(self._qrels)
        }


class GeneratedSource:
    """Pairs made from plain documents by `generation.ict`, `bfs` or `wlp`; fresh ones every epoch.

    Args:
        path: JSONL collection (or a BEIR folder's corpus) with `_id`, `text`, for wlp links too; or a folder
            of files (`pages.py`).
        cache: folder for unpacked copies.
        kind: ict, bfs or wlp.
        links: for wlp, the field with the ids of the pages that a page is linked with.

    Raises:
        DatasetError: for wlp, if no page is linked with another.
    """

    def __init__(self, path: Path, cache: Path, kind: str, links: str = "links") -> None:
        if kind not in GENERATED:
            raise DatasetError(f"{path}: pairs are generated by {', '.join(GENERATED)}, not {kind!r}")
        self.name = f"{kind}:{path.name}"
        self.kind, self._links = kind, links
        file = path
        if path.is_dir():
            file = found_corpus(path) or pages_file(path, cache)
        self.lines = LineFile(file, cache)
        self._path = path if file.parent == cache else file
        self._pages = TextsById(self.lines.path, cache) if kind == "wlp" else None
        if kind == "wlp" and not any(self._linked(i) for i in range(len(self.lines))):
            where = f"in the field {links}" if file == path else "in Markdown or HTML"
            raise DatasetError(f"{path}: no page has a link to another {where}, and wlp makes pairs of them")

    def __len__(self) -> int:
        return len(self.lines)

    def example(self, i: int, rng: np.random.Generator) -> Example | None:
        """See `Source`."""
        pair = self._pair(i, self._text(i), rng)
        return None if pair is None else Example(pair[0], (pair[1],))

    def _text(self, i: int) -> str:
        text = self.lines.record(i).get("text")
        if not isinstance(text, str):
            raise DatasetError(f"{self.lines.place(i)}: the field text is missing or not a string")
        return checked_text(text, self.lines.place, i, "text")

    def _pair(self, i: int, text: str, rng: np.random.Generator) -> generation.Pair | None:
        if self.kind == "ict":
            return generation.ict(text, rng)
        if self.kind == "bfs":
            return generation.bfs(text, rng)
        return generation.wlp(text, self._ids(self.lines.record(i), i), self._page, rng)

    def _ids(self, record: dict[str, Any], i: int) -> list[str]:
        """The ids of the pages that row i is linked with."""
        links = record.get(self._links) or []
        if not isinstance(links, list) or not all(isinstance(link, str | int) for link in links):
            raise DatasetError(f"{self.lines.place(i)}: the field {self._links} is not a list of ids")
        return [str(link) for link in links]

    def _linked(self, i: int) -> bool:
        assert self._pages is not None
        return any(self._pages.row(link) is not None for link in self._ids(self.lines.record(i), i))

    def _page(self, page_id: str) -> str | None:
        assert self._pages is not None
        row = self._pages.row(page_id)
        return None if row is None else self._text(row)

    def documents(self) -> Iterator[str]:
        """See `Source`."""
        yield from (str(self.lines.record(i).get("text") or "") for i in range(len(self)))

    def digests(self) -> dict[str, str]:
        """See `Source`."""
        return {str(self._path): self.lines.digest}
