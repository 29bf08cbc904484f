"""Reading a corpus: JSONL, TSV, a BEIR folder, or a folder of text and Markdown files.

Documents are streamed, one at a time; whatever cannot be accepted is a `DatasetError` that names the file
and the line.

* JSONL (`.jsonl`, `.ndjson`): one object a line: `_id` or `id` (a string), `text`, perhaps `title`; every
  other field is metadata, and the fields of an object named `metadata` (as BEIR writes it) are taken out of
  it.
* TSV (`.tsv`): with a header line that names an `id` (or `_id`) and a `text` column, perhaps `title`, the
  rest metadata; without one: id and text, or id, title and text (MS MARCO's layout). Nothing is quoted or
  escaped.
* Both may be compressed: `.gz`, `.zst`.
* A folder that holds `corpus.jsonl` (or .gz, .zst) is a BEIR folder.
* Any other folder, or a single `.txt`, `.md`, `.markdown` or `.rst` file: see `text_files.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splade_engine.collections.id_register import IdRegister
from splade_engine.collections.text_files import TEXT_SUFFIXES, read_text_files
from splade_engine.collections.text_lines import plain_suffix, read_lines
from splade_engine.errors import DatasetError

JSONL_SUFFIXES = (".jsonl", ".ndjson")
BEIR_CORPUS = ("corpus.jsonl", "corpus.jsonl.gz", "corpus.jsonl.zst")


@dataclass(frozen=True, slots=True)
class Document:
    """One entry of a corpus. Metadata values are whatever JSON can hold."""

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def indexed_text(self) -> str:
        """What the encoder reads: title, a space, text (the convention of BEIR), without space around it."""
        return f"{self.title} {self.text}".strip()


def read_documents(source: str | Path, *, allow_empty: bool | None = None) -> Iterator[Document]:
    """The documents of `source`, streamed in the order of the file (folders: by path).

    Args:
        source: a file or folder of one of the formats above.
        allow_empty: keep documents with neither title nor text (they are never found). None: keep them in a
            BEIR folder, because leaving one out would change a published collection, and refuse them
            elsewhere.

    Raises:
        DatasetError: naming file and line; a duplicate id is reported at the latest when the source ends.
    """
    path = Path(source)
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder")
    if path.is_dir():
        beir = next((path / name for name in BEIR_CORPUS if (path / name).is_file()), None)
        if beir is not None:
            return _checked(beir, _jsonl, allow_empty is not False)
        return _never_empty(path, _text_documents(path))
    suffix = plain_suffix(path)
    if suffix in JSONL_SUFFIXES:
        return _checked(path, _jsonl, bool(allow_empty))
    if suffix == ".tsv":
        return _checked(path, _tsv, bool(allow_empty))
    if path.suffix.lower() in TEXT_SUFFIXES:
        return _never_empty(path, _text_documents(path))
    known = "JSONL, TSV (.gz, .zst), a BEIR folder, text or Markdown files"
    raise DatasetError(
        f"{path}: the format {suffix or 'without a suffix'} is not known; readable are {known}"
    )


# ---- checks that hold for every format --------------------------------------------------------

_Reader = Callable[[Path], Iterator[tuple[int, Document]]]


def _checked(path: Path, reader: _Reader, allow_empty: bool) -> Iterator[Document]:
    """No duplicate id, no empty document (unless allowed), at least one document."""
    register = IdRegister()
    found = False
    for line, document in reader(path):
        found = True
        _refuse_duplicates(register.add(document.id, line), path, reader)
        if not allow_empty and not document.indexed_text:
            hint = "--allow-empty, or allow_empty=True, keeps it"
            raise DatasetError(f"{path}:{line}: document {document.id!r} has neither title nor text ({hint})")
        yield document
    _refuse_duplicates(register.flush(), path, reader)
    if not found:
        raise DatasetError(f"{path}: empty corpus, not one document")


def _refuse_duplicates(suspects: list[tuple[int, int]], path: Path, reader: _Reader) -> None:
    for earlier, later in suspects:
        ids = [document.id for line, document in reader(path) if line in (earlier, later)][:2]
        if ids[0] == ids[1]:  # otherwise two ids with the same hash
            raise DatasetError(f"{path}:{later}: duplicate id {ids[0]!r}, first on line {earlier}")


def _never_empty(path: Path, documents: Iterator[Document]) -> Iterator[Document]:
    found = False
    for document in documents:
        found = True
        yield document
    if not found:
        kinds = ", ".join(TEXT_SUFFIXES)
        raise DatasetError(f"{path}: empty corpus, no text in any {kinds} file and no corpus.jsonl")


# ---- formats ------------------------------------------------------------------------------------


def _jsonl(path: Path) -> Iterator[tuple[int, Document]]:
    for number, line in read_lines(path):
        place = f"{path}:{number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DatasetError(f"{place}: not JSON ({error})") from None
        except RecursionError:
            raise DatasetError(f"{place}: JSON nested too deeply") from None
        yield number, document_from_record(record, place)


def document_from_record(record: object, place: str) -> Document:
    """A document from a JSON object; `place` ("file:line") begins the error message.

    Raises:
        DatasetError: where the id or the text is missing or not a string.
    """
    if not isinstance(record, dict):
        raise DatasetError(f"{place}: an object with id and text is needed, got {_shown(record)}")
    fields = dict(record)
    id_field = "_id" if "_id" in fields else "id"
    doc_id = _string(fields, id_field, place, required="_id (or id)")
    if not doc_id:
        raise DatasetError(f"{place}: the {id_field} is empty")
    fields.pop("id", None) if id_field == "_id" and fields.get("id") == doc_id else None
    text = _string(fields, "text", place, required="text")
    title = _string(fields, "title", place)
    nested = fields.pop("metadata", None)
    if isinstance(nested, dict):
        fields = {**nested, **fields}
    elif nested is not None:
        fields["metadata"] = nested
    return Document(doc_id, text, title, fields)


def _string(fields: dict[str, Any], name: str, place: str, required: str = "") -> str:
    value = fields.pop(name, None)
    if value is None:
        if required:
            raise DatasetError(f"{place}: the field {required} is missing")
        return ""
    if not isinstance(value, str):
        raise DatasetError(f"{place}: the field {name} must be a string, got {_shown(value)}")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise DatasetError(f"{place}: the field {name} holds half a surrogate pair, not text") from None
    return value


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else text[:57] + "..."


def _tsv(path: Path) -> Iterator[tuple[int, Document]]:
    columns: list[str] | None = None
    for number, line in read_lines(path):
        values = line.split("\t")
        place = f"{path}:{number}"
        if columns is None:
            header = [value.strip().lower() for value in values]
            if "text" in header and ("id" in header or "_id" in header):
                if len(set(header)) != len(header):
                    raise DatasetError(f"{place}: the header names a column twice")
                columns = header
                continue
            if len(values) not in (2, 3):
                rule = "id and text, or id, title and text, or a header that names id and text"
                raise DatasetError(f"{place}: {len(values)} columns; needed are {rule}")
            columns = ["id", "text"] if len(values) == 2 else ["id", "title", "text"]
        if len(values) != len(columns):
            raise DatasetError(f"{place}: {len(values)} columns where {len(columns)} were expected")
        yield number, document_from_record(dict(zip(columns, values, strict=True)), place)


def _text_documents(path: Path) -> Iterator[Document]:
    for passage in read_text_files(path):
        yield Document(
            passage.id, passage.text, passage.title, {"path": passage.path, "passage": passage.number}
        )
