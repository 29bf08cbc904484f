"""`Corpus`: documents that can be read more than once, and what a first reading of all of them tells.

Encoding takes hours where reading takes seconds. So a corpus is read through once before anything is
encoded: bad input is reported at once, the progress bar knows the total, and the digest decides whether an
interrupted encoding belongs to this corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from splade_engine.arguments import flag
from splade_engine.collections.documents import Document, check_id, document_from_record, shown
from splade_engine.collections.metadata import FieldKinds, FieldSurvey, checked_metadata, metadata_json
from splade_engine.collections.reading import checked_input, holds_text_files, read_documents
from splade_engine.collections.standard_input import StandardInput, is_standard_input
from splade_engine.errors import DatasetError
from splade_engine.files import Digest

CorpusSource = str | Path | Iterable[Document | str | Mapping[str, object]]


@dataclass(frozen=True)
class CorpusSummary:
    """What reading a whole corpus tells."""

    # number of documents
    n_docs: int
    # of which have neither title nor text
    n_empty: int
    # xxh3 of every id, title, text and metadata in order: two corpora with one digest are one
    digest: str
    # the kind of each metadata field (see `metadata.py`)
    fields: FieldKinds = field(default_factory=dict)
    # every value that decided about it
    survey: FieldSurvey = field(default_factory=FieldSurvey, repr=False, compare=False)


class Corpus:
    """A file or folder (`read_documents`), or a collection of documents, texts or records in memory.

    Texts get the ids "0", "1", ...; a record is a mapping with the fields of the JSONL format. An iterator
    that can be read only once is held in memory: give a path for a corpus larger than that.

    Attributes:
        allow_empty: see `read_documents`.
        root: the same.

    Raises:
        DatasetError: for what is no sequence of documents (None, bytes, one document, a mapping, a set, a
            table), with the way to make one of it.
    """

    def __init__(self, source: CorpusSource, *, allow_empty: bool | None = None) -> None:
        self.allow_empty = None if allow_empty is None else flag("allow_empty", allow_empty)
        self.root: Path | None = None
        self._source = source
        self._input = StandardInput() if is_standard_input(source) else None
        if not isinstance(source, str | Path):
            _refuse_other_containers(source)
            if iter(source) is source:
                self._source = list(source)
        self._summary: CorpusSummary | None = None

    def __iter__(self) -> Iterator[Document]:
        if self._input is not None:
            return checked_input(self._input, bool(self.allow_empty))
        if isinstance(self._source, str | Path):
            return read_documents(self._source, allow_empty=self.allow_empty, root=self.root)
        return self._in_memory(self._source)

    @property
    def text_files(self) -> Path | None:
        """The text file or folder of text files that it is made of; None for every other source."""
        if self._input is not None or not isinstance(self._source, str | Path):
            return None
        path = Path(self._source)
        return path if holds_text_files(path) else None

    def told_from(self, root: Path) -> Corpus:
        """The same text file, its path and ids told from `root`, a folder above it."""
        corpus = Corpus(self._source, allow_empty=self.allow_empty)
        corpus.root = root
        return corpus

    def survey(self) -> CorpusSummary:
        """Read everything once (the answer is kept).

        Raises:
            DatasetError: whatever `read_documents` refuses, anywhere in the corpus.
        """
        if self._summary is None:
            digest = CorpusDigest()
            for document in self:
                digest.update(document)
            self._summary = digest.summary()
        return self._summary

    def fit_fields(self, columns: Mapping[str, str]) -> CorpusSummary:
        """Choose the kind of each field so that the corpus can be added to an index; the new summary.

        Args:
            columns: name and kind of the columns of the index; none for a new one.

        Raises:
            DatasetError: where no value of a field is of the kind that its column holds.
        """
        summary = self.survey()
        self._summary = replace(summary, fields=summary.survey.kinds(columns))
        return self._summary

    def _in_memory(self, items: Iterable[Document | str | Mapping[str, object]]) -> Iterator[Document]:
        seen: dict[str, int] = {}
        for number, item in enumerate(items):
            if isinstance(item, Document):
                metadata = checked_metadata(item.metadata, f"document {number}")
                document = item if metadata == item.metadata else replace(item, metadata=metadata)
            elif isinstance(item, str):
                document = Document(str(number), item)
            else:
                record = dict(item) if isinstance(item, Mapping) else item
                document = document_from_record(record, f"document {number}")
            _check_text(document, number)
            earlier = seen.setdefault(document.id, number)
            if earlier != number:
                raise DatasetError(
                    f"document {number}: duplicate id {document.id!r}, first at document {earlier}"
                )
            if not self.allow_empty and not document.indexed_text:
                raise DatasetError(
                    f"document {number}: {document.id!r} has neither title nor text (allow_empty=True)"
                )
            yield document
        if not seen:
            raise DatasetError("empty corpus, not one document")


def _refuse_other_containers(source: object) -> None:
    """Refuse what Python can iterate over though it is no sequence of documents.

    Of a mapping or a table the names would be indexed; of a set the order differs from process to process.
    """
    if isinstance(source, Mapping):
        advice = 'a mapping: give records, [{"_id": id, "text": text} for id, text in corpus.items()]'
    elif hasattr(source, "to_pylist") and hasattr(source, "column_names"):
        advice = "a table: give its rows, table.to_pylist()"
    elif hasattr(source, "to_dict") and hasattr(source, "columns"):
        advice = 'a table: give its rows, frame.to_dict("records")'
    elif isinstance(source, set | frozenset):
        advice = "a set, whose order is another in every process: give a list"
    elif isinstance(source, Document):
        advice = "one document: give a list, [document]"
    elif isinstance(source, bytes | bytearray | memoryview):
        advice = "bytes: give texts, or a path"
    elif source is None or not isinstance(source, Iterable):
        advice = f"{type(source).__name__}: give a path, or a list of texts, records or documents"
    else:
        return
    raise DatasetError(f"the corpus is {advice}")


def _check_text(document: Document, number: int) -> None:
    for name in ("id", "title", "text"):
        value: object = getattr(document, name)
        if not isinstance(value, str) or (name == "id" and not value):
            raise DatasetError(f"document {number}: its {name} must be a text, got {shown(value)}")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise DatasetError(f"document {number}: its {name} holds half a surrogate pair") from None
    check_id(document.id, f"document {number}")


class CorpusDigest:
    """Count and hash of the documents given to it, in order."""

    def __init__(self) -> None:
        self._hash = Digest()
        self._n_docs = 0
        self._n_empty = 0
        self._fields = FieldSurvey()

    def update(self, document: Document) -> None:
        """Take one document in."""
        # with the lengths before the fields, so that none can flow into the next
        metadata = metadata_json(document.metadata)
        parts = [part.encode() for part in (document.id, document.title, document.text, metadata)]
        self._hash.update(b"%d %d %d %d;" % tuple(map(len, parts)))
        self._hash.update(b"".join(parts))
        self._n_docs += 1
        self._n_empty += not document.indexed_text
        self._fields.note(document.id, document.metadata)

    def summary(self) -> CorpusSummary:
        """Of everything taken in so far."""
        return CorpusSummary(
            self._n_docs, self._n_empty, self._hash.text(), self._fields.kinds(), self._fields
        )
