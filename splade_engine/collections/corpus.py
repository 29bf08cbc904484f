"""`Corpus`: documents that can be read more than once, and what a first reading of all of them tells.

Encoding takes hours where reading takes seconds. So a corpus is read through once before anything is
encoded: bad input is reported at once, the progress bar knows the total, and the digest decides whether an
interrupted encoding belongs to this corpus.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from splade_engine.arguments import flag
from splade_engine.collections.columns import ColumnTypes
from splade_engine.collections.containers import is_stream, is_table, refuse_other_containers, table_rows
from splade_engine.collections.documents import Document, check_id, document_from_record, shown
from splade_engine.collections.folders import FolderReport, SourceFile, origin_of, read_files
from splade_engine.collections.limits import Limits
from splade_engine.collections.metadata import checked_metadata, plain_text
from splade_engine.collections.passages import Passages, TokenMeter
from splade_engine.collections.readers.decoding import checked_encoding
from splade_engine.collections.reading import Cutting, checked_input, holds_files, place_of, read_documents
from splade_engine.collections.spool import Spool
from splade_engine.collections.standard_input import PLACE, StandardInput, is_standard_input
from splade_engine.collections.summary import CorpusDigest, CorpusSummary
from splade_engine.collections.text_lines import DECODES
from splade_engine.errors import DatasetError
from splade_engine.plain_text import is_text
from splade_engine.progress import Progress, ProgressBar

logger = logging.getLogger(__name__)

CorpusSource = str | Path | Iterable[Document | str | Mapping[str, object]]


class Corpus:
    """A file or folder (`read_documents`), or a collection of documents, texts or records in memory.

    Texts get the ids "0", "1", ...; a record is a mapping with the fields of the JSONL format; the rows of a
    table (pyarrow, pandas, polars, Hugging Face `datasets`) are records. An iterator that can be read only
    once is held in memory: give a path for a corpus larger than that.

    Args:
        source: see above.
        allow_empty: see `read_documents`.
        passages: cut every document into passages; a number stands for `Passages(number)`. None: files are
            cut by the default, records are not.
        encoding: how text that is not UTF-8 is decoded, of files and of lines of records; None: such records
            are refused, and such files left out of a folder.
        types: column -> type (`columns.COLUMN_TYPES`), of a CSV or TSV file; the types of its other columns
            are found in the file.
        name: what `sync` knows a folder by; None: its place.

    Attributes:
        allow_empty: see `read_documents`.
        report: what a folder holds beside the documents; known when it was read.

    Raises:
        DatasetError: for what is no sequence of documents (None, bytes, one document, a mapping, a set), with
            the way to make one of it.
        InvalidInputError: passages, an encoding or types that cannot be.
    """

    def __init__(
        self,
        source: CorpusSource,
        *,
        allow_empty: bool | None = None,
        passages: Passages | int | None = None,
        encoding: str | None = None,
        types: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        self.allow_empty = None if allow_empty is None else flag("allow_empty", allow_empty)
        how = passages if passages is None or isinstance(passages, Passages) else Passages(passages)
        self._cutting = Cutting(
            how,
            encoding=checked_encoding(encoding),
            advice=DECODES,
            name=name,
            columns=ColumnTypes(types),
        )
        self._source: Any = source
        self._input = StandardInput() if is_standard_input(source) else None
        if isinstance(source, str) and not source:
            raise DatasetError(
                "the corpus is an empty path, which would be the working folder: give '.' for that"
            )
        if isinstance(source, os.PathLike):
            self._source = Path(source)
        elif not isinstance(source, str):
            refuse_other_containers(source)
            self._cutting.columns.refuse("a corpus in memory")
            if is_table(source):
                self._source = list(table_rows(source)) if is_stream(source) else source
            elif iter(source) is source:
                self._source = list(source)
        self._summary: CorpusSummary | None = None
        self._spool: Spool | None = None
        self.report = FolderReport()

    def __iter__(self) -> Iterator[Document]:
        return iter(self._spool) if self._spool is not None else self._read(FolderReport())

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: what was kept on the disk is this object's, and is read anew."""
        kept = {} if self._spool is None else {"_summary": None, "_spool": None}
        return {**vars(self), **kept}

    @property
    def is_cut(self) -> bool:
        """Whether its documents are passages, whose length an encoder measures."""
        if self._cutting.passages is not None:
            return True
        if self._input is not None or not isinstance(self._source, str | Path):
            return False
        return holds_files(Path(self._source))

    @property
    def file(self) -> Path | None:
        """The file that it is, if that is a document and its path has not been told; else None."""
        if self._input is not None or not isinstance(self._source, str | Path):
            return None
        path = Path(self._source)
        return path if self._cutting.root is None and path.is_file() and holds_files(path) else None

    def told_from(self, root: Path) -> Corpus:
        """The same file, its path and ids told from `root`, a folder above it."""
        corpus = Corpus(self._source, allow_empty=self.allow_empty)
        corpus._cutting = replace(self._cutting, root=root)
        return corpus

    @property
    def passages(self) -> Passages | None:
        """How it was asked to be cut; None: as files and records are by default."""
        return self._cutting.passages

    def cut_as(self, how: Passages) -> Corpus:
        """The same documents, cut so; records that are passages already stay as they are."""
        corpus = copy(self)
        corpus._cutting = replace(self._cutting, passages=how, keeps_passages=True)
        corpus._summary = corpus._spool = None
        return corpus

    def typed_as(self, columns: Mapping[str, str]) -> Corpus:
        """The same documents; columns of a CSV or TSV file have the types that an index has them in.

        Args:
            columns: name and type of the columns of the index.
        """
        types = self._cutting.columns.of_index(columns)
        if types is self._cutting.columns:
            return self
        corpus = copy(self)
        corpus._cutting = replace(self._cutting, columns=types)
        corpus._summary = corpus._spool = None
        return corpus

    def measure(self, meter: TokenMeter) -> None:
        """Cut passages by the tokens of this encoder from now on. Without it, their number is guessed."""
        if self.is_cut and meter != self._cutting.meter:
            self._cutting = replace(self._cutting, meter=meter)
            self._summary = self._spool = None

    def survey(self, progress: Progress = False) -> CorpusSummary:
        """Read everything once (the answer is kept).

        What was cut into passages is kept on the disk, so that no file is opened and no text is cut twice.

        Raises:
            DatasetError: whatever `read_documents` refuses, anywhere in the corpus.
            StorageError: the disk refuses.
        """
        if self._summary is None:
            digest = CorpusDigest()
            self.report = FolderReport()
            spool = Spool() if self.is_cut else None
            documents = iter(self) if spool is None else spool.filled(self._read(self.report))
            # a function is told of the work that takes long, which begins afterwards
            shown: Progress = False if callable(progress) else progress
            with ProgressBar(shown, None, label="read", unit="doc") as bar:
                for document in bar.over(documents):
                    digest.update(document)
            self._summary, self._spool = digest.summary(), spool
            for warning in self.report.warnings():
                logger.warning("%s: %s", self._source, warning)
            for line in self.report.others():
                logger.info("%s: %s", self._source, line)
        return self._summary

    @property
    def column_types(self) -> str:
        """What types the columns of a CSV or TSV file have, for people; "" for other sources."""
        return self._cutting.columns.told

    def fit_fields(
        self, columns: Mapping[str, str], is_beyond_float: Callable[[str], bool] = lambda name: False
    ) -> CorpusSummary:
        """Choose the kind of each field so that the corpus can be added to an index; the new summary.

        Args:
            columns: name and kind of the columns of the index; none for a new one.
            is_beyond_float: whether a column of whole numbers holds some beyond 2^53.

        Raises:
            DatasetError: where no value of a field is of the kind that its column holds, or where it has a
                fraction and the column whole numbers beyond 2^53.
        """
        summary = self.survey()
        misfit = summary.survey.misfit(columns, is_beyond_float)
        if misfit is not None:
            doc_id, reason = misfit
            raise DatasetError(f"{self.place_of(doc_id)}: {reason}".removeprefix(": "))
        kinds = summary.survey.kinds(columns)
        self._summary = replace(summary, fields=kinds)
        return self._summary

    def place_of(self, doc_id: str) -> str:
        """Where a document of the corpus stands: file and line, or the source as far as it has a name."""
        if self._input is not None:
            return PLACE
        return place_of(self._source, doc_id, self._cutting) if isinstance(self._source, str | Path) else ""

    def _read(self, report: FolderReport) -> Iterator[Document]:
        if self._input is not None:
            return checked_input(self._input, bool(self.allow_empty), self._cutting)
        if isinstance(self._source, str | Path):
            return read_documents(
                self._source, allow_empty=self.allow_empty, cutting=self._cutting, report=report
            )
        documents = self._in_memory(table_rows(self._source) if is_table(self._source) else self._source)
        return documents if self._cutting.passages is None else self._cut(documents)

    def _cut(self, documents: Iterator[Document]) -> Iterator[Document]:
        seen: set[str] = set()
        for document in documents:
            for passage in self._cutting.cut(document):
                if passage.id in seen:
                    raise DatasetError(
                        f"document {document.id!r}: duplicate id {passage.id!r} of its passage"
                    )
                seen.add(passage.id)
                yield passage

    def _in_memory(self, items: Iterable[Document | str | Mapping[str, object]]) -> Iterator[Document]:
        seen: dict[str, int] = {}
        limits, is_cut = Limits.of_environment(), self._cutting.passages is not None
        for number, item in enumerate(items):
            if isinstance(item, Document):
                _check_text(item, number)
                metadata = checked_metadata(item.metadata, f"document {number}")
                texts = plain_text(item.text), plain_text(item.title)
                document = Document(plain_text(item.id), *texts, metadata)
            elif isinstance(item, str):
                document = Document(str(number), plain_text(item))
            else:
                record = dict(item) if isinstance(item, Mapping) else item
                document = document_from_record(record, f"document {number}")
            _check_text(document, number)
            limits.check_text(document.length, f"document {number}", cut=is_cut)
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


class FileCorpus(Corpus):
    """Some of the files of a folder. One that cannot be read is left out; there may be no document at all."""

    def __init__(self, folder: Path, files: Sequence[SourceFile], how: Passages, **options: Any) -> None:
        super().__init__(folder, passages=how, **options)
        self._files = files

    @property
    def is_cut(self) -> bool:
        """Files are."""
        return True

    def _read(self, report: FolderReport) -> Iterator[Document]:
        origin = origin_of(self._source, self._cutting.name)
        return read_files(self._files, self._cutting.of_files(), origin, report, strict=False)


def _check_text(document: Document, number: int) -> None:
    for name in ("id", "title", "text"):
        value: object = getattr(document, name)
        if not isinstance(value, str) or (name == "id" and not value):
            raise DatasetError(f"document {number}: its {name} must be a text, got {shown(value)}")
        if not is_text(value):
            raise DatasetError(f"document {number}: its {name} holds half a surrogate pair")
    check_id(document.id, f"document {number}")
