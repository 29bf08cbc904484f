"""Reading a corpus: JSONL, TSV, CSV, Parquet, a BEIR folder, or a folder of text and Markdown files.

Documents are streamed, one at a time; whatever cannot be accepted is a `DatasetError` that names the file
and the line.

* JSONL (`.jsonl`, `.ndjson`): one object a line: `_id` or `id` (a string), `text`, perhaps `title`; every
  other field is metadata, and the fields of an object named `metadata` (as BEIR writes it) are taken out of
  it.
* TSV (`.tsv`): with a header line that names an id and a text column, perhaps `title`, the rest metadata;
  without one: id and text, or id, title and text (MS MARCO's layout). Nothing is quoted or escaped.
* CSV (`.csv`) with such a header; Parquet (`.parquet`) with such columns.
* Files of lines may be compressed: `.gz`, `.zst`.
* `-` is standard input, JSONL or TSV.
* A folder that holds `corpus.jsonl` (or .gz, .zst) is a BEIR folder.
* Any other folder, or a single `.txt`, `.md`, `.markdown` or `.rst` file: see `text_files.py`.

Id and text may have the names that other tools give them (`docid`, `contents`, ...; see `documents.py`); the
log says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from splade_engine.collections.beir import BEIR_CORPUS
from splade_engine.collections.documents import Document
from splade_engine.collections.formats import numbered_documents
from splade_engine.collections.id_register import IdRegister
from splade_engine.collections.standard_input import PLACE, StandardInput, is_standard_input
from splade_engine.collections.text_files import TEXT_SUFFIXES, read_text_files
from splade_engine.collections.text_lines import check_regular, plain_suffix
from splade_engine.errors import DatasetError


def read_documents(
    source: str | Path, *, allow_empty: bool | None = None, root: Path | None = None
) -> Iterator[Document]:
    """The documents of `source`, streamed in the order of the file (folders: by path).

    Args:
        source: a file or folder of one of the formats above.
        allow_empty: keep documents with neither title nor text (they are never found). None: keep them in a
            BEIR folder, because leaving one out would change a published collection, and refuse them
            elsewhere.
        root: for a single text file, the folder from which its path is told; None: the one that it lies in.

    Raises:
        DatasetError: naming file and line; a duplicate id is reported at the latest when the source ends.
    """
    if is_standard_input(source):
        return checked_input(StandardInput(), bool(allow_empty))
    path = Path(source)
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder")
    if path.is_dir():
        beir = next((path / name for name in BEIR_CORPUS if (path / name).is_file()), None)
        if beir is None:
            return _never_empty(path, _text_documents(path))
        path = beir
        allow_empty = allow_empty is not False
    check_regular(path)
    numbered = numbered_documents(path)
    if numbered is not None:
        return _checked(str(path), numbered, bool(allow_empty))
    if path.suffix.lower() in TEXT_SUFFIXES:
        return _never_empty(path, _text_documents(path, root))
    known = "JSONL, TSV, CSV (.gz, .zst), Parquet, a BEIR folder, text or Markdown, - (standard input)"
    suffix = plain_suffix(path)
    raise DatasetError(
        f"{path}: the format {suffix or 'without a suffix'} is not known; readable are {known}"
    )


def holds_text_files(path: Path) -> bool:
    """Whether `read_documents` reads passages of text files from there."""
    if path.is_dir():
        return not any((path / name).is_file() for name in BEIR_CORPUS)
    return path.suffix.lower() in TEXT_SUFFIXES


def checked_input(source: StandardInput, allow_empty: bool) -> Iterator[Document]:
    """The documents of standard input, as `read_documents` checks them; readable as often as needed."""
    return _checked(PLACE, source.numbered, allow_empty)


# ---- checks that hold for every format --------------------------------------------------------

_Reader = Callable[[], Iterator[tuple[int, Document]]]


def _checked(place: str, reader: _Reader, allow_empty: bool) -> Iterator[Document]:
    """No duplicate id, no empty document (unless allowed), at least one document."""
    register = IdRegister()
    found = False
    for line, document in reader():
        found = True
        _refuse_duplicates(register.add(document.id, line), place, reader)
        if not allow_empty and not document.indexed_text:
            hint = "--allow-empty, or allow_empty=True, keeps it"
            raise DatasetError(
                f"{place}:{line}: document {document.id!r} has neither title nor text ({hint})"
            )
        yield document
    _refuse_duplicates(register.flush(), place, reader)
    if not found:
        raise DatasetError(f"{place}: empty corpus, not one document")


def _refuse_duplicates(suspects: list[tuple[int, int]], place: str, reader: _Reader) -> None:
    for earlier, later in suspects:
        ids = [document.id for line, document in reader() if line in (earlier, later)][:2]
        if ids[0] == ids[1]:  # otherwise two ids with the same hash
            raise DatasetError(f"{place}:{later}: duplicate id {ids[0]!r}, first on line {earlier}")


def _never_empty(path: Path, documents: Iterator[Document]) -> Iterator[Document]:
    found = False
    for document in documents:
        found = True
        yield document
    if not found:
        kinds = ", ".join(TEXT_SUFFIXES)
        raise DatasetError(f"{path}: empty corpus, no text in any {kinds} file and no corpus.jsonl")


def _text_documents(path: Path, root: Path | None = None) -> Iterator[Document]:
    for passage in read_text_files(path, root):
        yield Document(
            passage.id, passage.text, passage.title, {"path": passage.path, "passage": passage.number}
        )
