"""Reading a corpus: files of records, files that are documents, a BEIR folder, or a folder of files.

Documents are streamed, one at a time; whatever cannot be accepted is a `DatasetError` that names the file
and the line.

* JSONL (`.jsonl`, `.ndjson`): one object a line: `_id` or `id`, `text`, perhaps `title`; every other field is
  metadata, and the fields of an object named `metadata` (as BEIR writes it) are taken out of it.
* JSON (`.json`): an array of such objects.
* TSV (`.tsv`): with a header line that names an id and a text column, perhaps `title`, the rest metadata;
  without one: id and text, or id, title and text (MS MARCO's layout). Nothing is quoted or escaped.
* CSV (`.csv`) with such a header. What types the columns of TSV and CSV have is found in the file, or given
  (`columns.py`).
* Parquet (`.parquet`) and Arrow (`.arrow`, `.feather`) with such columns.
* Files of lines may be compressed: `.gz`, `.zst`.
* `-` is standard input: JSONL, JSON, CSV or TSV.
* A folder that holds `corpus.jsonl` (or .gz, .zst) is a BEIR folder; one that Hugging Face's
  `Dataset.save_to_disk` wrote is read as the records it holds.
* Any other folder, or a single file of a kind that `readers/__init__.py` lists (text, Markdown, HTML, PDF,
  ...): see `folders.py`. Such files are cut into passages.

Id and text may have the names that other tools give them (`docid`, `contents`, ...; see `documents.py`); the
log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from splade_engine.arguments import flag, path_of
from splade_engine.collections.beir import found_corpus
from splade_engine.collections.columns import ColumnTypes
from splade_engine.collections.cutting import cut_document, is_passage, is_passage_of
from splade_engine.collections.documents import ID_NAMES, TEXT_NAMES, Document
from splade_engine.collections.folders import FileReading, FolderReport, origin_of, read_files, scan
from splade_engine.collections.formats import RECORD_KINDS, Source, record_source, saved_dataset, typed_source
from splade_engine.collections.id_register import IdRegister
from splade_engine.collections.passages import Passages, TokenMeter
from splade_engine.collections.readers import FILE_KINDS, kind_of_file
from splade_engine.collections.standard_input import PLACE, StandardInput, is_standard_input
from splade_engine.collections.text_lines import check_regular, plain_suffix
from splade_engine.errors import DatasetError
from splade_engine.files import parsed_json

logger = logging.getLogger(__name__)

_FIRST_LINE = 1 << 20  # bytes of a file's first line that are looked at


@dataclass(frozen=True)
class Cutting:
    """How documents become passages."""

    # how records are cut; None: they are not. Files are cut by the default then
    passages: Passages | None = None
    # of the encoder
    meter: TokenMeter = field(default_factory=TokenMeter, compare=False)
    # how text that is not UTF-8 is decoded; None: records are refused, and files left out of a folder
    encoding: str | None = None
    # ends the message on such records
    advice: str = ""
    # what `sync` knows a folder by; None: its place
    name: str | None = None
    # of a single file, the folder from which its path is told; None: the one that it lies in
    root: Path | None = None
    # of the columns of a CSV or TSV file
    columns: ColumnTypes = field(default_factory=ColumnTypes, compare=False)
    # a record that is a passage already (it says of what, and where) stays as it is, and is not refused
    keeps_passages: bool = False

    def cut(self, document: Document) -> list[Document]:
        """What a record becomes: its passages, or itself."""
        if self.passages is None or (self.keeps_passages and is_passage(document)):
            return [document]
        return cut_document(document, self.passages, self.meter)

    def of_files(self) -> FileReading:
        """The same for files."""
        return FileReading(self.passages or Passages(), self.meter, self.encoding, self.name)


def read_documents(
    source: str | Path,
    *,
    allow_empty: bool | None = None,
    cutting: Cutting | None = None,
    report: FolderReport | None = None,
) -> Iterator[Document]:
    """The documents of `source`, streamed in the order of the file (folders: by path).

    Args:
        source: a file or folder of one of the formats above.
        allow_empty: keep documents with neither title nor text (they are never found). None: keep them in a
            BEIR folder, because leaving one out would change a published collection, and refuse them
            elsewhere.
        cutting: how documents become passages; None: files do, by a guess of their tokens, records do not.
        report: is told what a folder holds beside the documents; None: the log is.

    Raises:
        DatasetError: naming file and line; a duplicate id is reported at the latest when the source ends.
    """
    cutting = cutting or Cutting()
    if allow_empty is not None:
        flag("allow_empty", allow_empty)
    if is_standard_input(source):
        return checked_input(StandardInput(), bool(allow_empty), cutting)
    path = path_of("source", source)
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder")
    if path.is_dir():
        beir = found_corpus(path)
        saved = saved_dataset(path)
        if beir is None and saved is not None:
            return _records(str(path), typed_source(saved, str(path)), bool(allow_empty), cutting)
        if beir is None:
            return _files(path, cutting, report)
        path = beir
        allow_empty = allow_empty is not False
    check_regular(path)
    records = record_source(path, cutting.encoding, cutting.advice)
    if records is not None:
        return _records(str(path), records, bool(allow_empty), cutting)
    if kind_of_file(path.suffix.lower()) is not None:
        _refuse_records(path)
        return _files(path, cutting, report)
    known = ", ".join(kind.name for kind in (*RECORD_KINDS, *FILE_KINDS))
    suffix = plain_suffix(path)
    raise DatasetError(
        f"{path}: the format {suffix or 'without a suffix'} is not known; readable are {known}, "
        "a BEIR folder, a folder of files, - (standard input)"
    )


def _refuse_records(path: Path) -> None:
    """Refuse a file that is given by itself, is called a text, and holds JSON records on its lines."""
    try:
        with path.open("rb") as file:
            line = file.readline(_FIRST_LINE).removeprefix(b"\xef\xbb\xbf").strip()
    except OSError:  # whoever reads it says so
        return
    if not line.startswith(b"{") or not line.endswith(b"}"):
        return
    try:
        names = set(parsed_json(line))
    except (ValueError, RecursionError):
        return
    if not names.isdisjoint(ID_NAMES) and not names.isdisjoint(TEXT_NAMES):
        raise DatasetError(
            f"{path}:1: holds a record, and {path.suffix} would be read as one text; rename it .jsonl"
        )


def place_of(source: str | Path, doc_id: str, cutting: Cutting) -> str:
    """The file and line of a document that was read, or the source where that has no lines of records."""
    path = Path(source)
    file = found_corpus(path) or path
    records = None if file.is_dir() else record_source(file, cutting.encoding, cutting.advice)
    for line, document in () if records is None else records(cutting.columns):
        if is_passage_of(doc_id, document.id):
            return f"{file}:{line}"
    return str(source)


def holds_files(path: Path) -> bool:
    """Whether `read_documents` reads files there that are documents, and not records."""
    if path.is_dir():
        return found_corpus(path) is None and saved_dataset(path) is None
    return kind_of_file(path.suffix.lower()) is not None


def checked_input(source: StandardInput, allow_empty: bool, cutting: Cutting) -> Iterator[Document]:
    """The documents of standard input, as `read_documents` checks them; readable as often as needed."""
    numbered = partial(source.numbered, encoding=cutting.encoding, advice=cutting.advice)
    return _records(PLACE, numbered, allow_empty, cutting)


# ---- checks that hold for every format --------------------------------------------------------

_Numbered = Iterator[tuple[int, Document]]
_Reader = Callable[[], _Numbered]


def _records(place: str, source: Source, allow_empty: bool, cutting: Cutting) -> Iterator[Document]:
    reader = partial(source, cutting.columns)
    numbered = _checked(place, reader, allow_empty)
    if cutting.passages is not None:

        def cut(documents: _Numbered) -> _Numbered:
            for line, document in documents:
                for passage in cutting.cut(document):
                    yield line, passage

        numbered = _unique(place, cut(numbered), lambda: cut(reader()))
    return (document for _, document in numbered)


def _checked(place: str, reader: _Reader, allow_empty: bool) -> _Numbered:
    """No duplicate id, no empty document (unless allowed), at least one document."""
    found = False
    for line, document in _unique(place, reader(), reader):
        found = True
        if not allow_empty and not document.indexed_text:
            hint = "--allow-empty, or allow_empty=True, keeps it"
            raise DatasetError(
                f"{place}:{line}: document {document.id!r} has neither title nor text ({hint})"
            )
        yield line, document
    if not found:
        raise DatasetError(f"{place}: empty corpus, not one document")


def _unique(place: str, documents: _Numbered, again: _Reader) -> _Numbered:
    """The documents, of which no two may have one id; `again` reads them once more to find out which."""
    register = IdRegister()
    for line, document in documents:
        _refuse_duplicates(register.add(document.id, line), place, again)
        yield line, document
    _refuse_duplicates(register.flush(), place, again)


def _refuse_duplicates(suspects: list[tuple[int, int]], place: str, reader: _Reader) -> None:
    for earlier, later in suspects:
        there: dict[int, list[str]] = {earlier: [], later: []}
        for line, document in reader():
            if line in there:
                there[line].append(document.id)
        twice = next((id for id in there[later] if id in there[earlier]), None)
        if twice is not None:  # otherwise two ids with the same hash
            raise DatasetError(f"{place}:{later}: duplicate id {twice!r}, first on line {earlier}")


def _files(path: Path, cutting: Cutting, told: FolderReport | None) -> Iterator[Document]:
    cutting.columns.refuse(str(path))
    report = FolderReport() if told is None else told
    reading, strict = cutting.of_files(), not path.is_dir()
    origin = origin_of(cutting.root or path, cutting.name)
    found = False
    for document in read_files(scan(path, report, cutting.root), reading, origin, report, strict=strict):
        found = True
        yield document
    if not found and report.failed:
        name, why = report.failed[0]
        reason = f"{path}: empty corpus, no file can be read; {name}: {why}"
        raise DatasetError(reason, "; ".join(report.advice))
    if not found:
        kinds = ", ".join(kind.name for kind in FILE_KINDS)
        raise DatasetError(f"{path}: empty corpus, no text in any file of {kinds}, and no corpus.jsonl")
    for warning in report.warnings() if told is None else ():
        logger.warning("%s: %s", path, warning)
