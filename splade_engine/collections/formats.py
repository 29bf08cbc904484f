"""The formats of files of records, each a stream of (line or row, document).

A new format is a function and a row of `RECORD_KINDS`.
"""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from splade_engine.collections.documents import (
    ID_NAMES,
    TEXT_NAMES,
    Document,
    document_from_record,
    id_and_text,
    json_values,
)
from splade_engine.collections.json_array import json_array
from splade_engine.collections.limits import Limits
from splade_engine.collections.text_lines import check_regular, plain_suffix, read_lines
from splade_engine.errors import DatasetError

logger = logging.getLogger(__name__)

Numbered = Iterator[tuple[int, Document]]
Lines = Iterable[tuple[int, str]]
_ROWS = 256  # of a Parquet file at a time


def jsonl(lines: Lines, place: str) -> Numbered:
    """One object a line."""
    return _documents(json_values(lines, place), place, "{}:{}")


def json_records(lines: Lines, place: str) -> Numbered:
    """An array of objects, or objects one after another, over any number of lines."""
    return _documents(json_array(lines, place), place, "{}: record {}")


def _documents(values: Iterable[tuple[int, object]], place: str, here: str) -> Numbered:
    names = _Names(place)
    for number, record in values:
        if isinstance(record, dict):
            names.note(record, number)
        yield number, document_from_record(record, here.format(place, number))


def tsv(lines: Lines, place: str) -> Numbered:
    """Records of a TSV file: columns between tabs, nothing quoted or escaped.

    A header names id and text; without one the columns are id and text, or id, title and text (MS MARCO's
    layout).
    """
    columns: list[str] | None = None
    for number, line in lines:
        values = line.split("\t")
        here = f"{place}:{number}"
        if columns is None:
            columns = _header(values, here)
            if columns is not None:
                _Names(place).note(columns, number)
                continue
            if len(values) not in (2, 3):
                rule = "id and text, or id, title and text, or a header that names id and text"
                raise DatasetError(f"{here}: {len(values)} columns; needed are {rule}")
            columns = ["id", "text"] if len(values) == 2 else ["id", "title", "text"]
        if len(values) != len(columns):
            raise DatasetError(f"{here}: {len(values)} columns where {len(columns)} were expected")
        yield number, document_from_record(dict(zip(columns, values, strict=True)), here)


def comma_separated(lines: Lines, place: str) -> Numbered:
    """Records of a CSV file as spreadsheets and pandas write it (RFC 4180), with a header of id and text.

    Blank lines within quotes belong to the text, so `lines` must hold them.
    """
    at = [0]
    csv.field_size_limit(Limits.of_environment().document_bytes)

    def texts() -> Iterator[str]:
        for number, line in lines:
            at[0] = number
            yield line + "\n"

    columns: list[str] | None = None
    rows = csv.reader(texts(), strict=True)
    while True:
        try:
            values = next(rows, None)
        except csv.Error as error:
            raise DatasetError(f"{place}:{at[0]}: not CSV ({error})") from None
        if values is None:
            return
        if not values:
            continue
        here = f"{place}:{at[0]}"
        if columns is None:
            columns = _header(values, here)
            if columns is None:
                raise DatasetError(f"{here}: a CSV file needs a header that names id and text")
            _Names(place).note(columns, at[0])
        elif len(values) != len(columns):
            raise DatasetError(f"{here}: {len(values)} columns where {len(columns)} were expected")
        else:
            yield at[0], document_from_record(dict(zip(columns, values, strict=True)), here)


def parquet(path: Path) -> Numbered:
    """Rows of a Parquet file with columns for id and text."""
    import pyarrow.parquet as pq

    check_regular(path)
    with _arrow_errors(path, "Parquet"), pq.ParquetFile(path) as file:
        yield from _rows(file.iter_batches(batch_size=_ROWS), path)


def arrow(path: Path) -> Numbered:
    """Rows of an Arrow file or stream (Feather, what Hugging Face `datasets` writes) with such columns."""
    with _arrow_errors(path, "Arrow"):
        check_regular(path)
    with _arrow_errors(path, "Arrow"), _opened_arrow(path) as batches:
        small = (batch.slice(at, _ROWS) for batch in batches for at in range(0, batch.num_rows, _ROWS))
        yield from _rows(small, path)


def saved_dataset(folder: Path) -> Callable[[], Numbered] | None:
    """How to read a folder that Hugging Face's `Dataset.save_to_disk` wrote; None for any other folder.

    Raises:
        DatasetError: it does not say which files it is made of.
    """
    state = folder / "state.json"
    if not state.is_file() or not (folder / "dataset_info.json").is_file():
        return None
    try:
        names = [entry["filename"] for entry in json.loads(state.read_text(encoding="utf-8"))["_data_files"]]
        files = [folder / Path(name).name for name in names]
    except (OSError, ValueError, KeyError, TypeError):
        raise DatasetError(f"{state}: does not name the files of a saved dataset") from None

    def numbered() -> Numbered:
        before = 0
        for file in files:
            number = 0
            for number, document in arrow(file):
                yield before + number, document
            before += number

    return numbered


def _rows(batches: Iterable[Any], path: Path) -> Numbered:
    names = _Names(str(path))
    longest = Limits.of_environment()
    number = 0
    for batch in batches:
        _refuse_twins(batch.schema.names, str(path))
        for row in _python_times(batch).to_pylist():
            number += 1
            here = f"{path}: row {number}"
            names.note(row, number)
            document = document_from_record({k: v for k, v in row.items() if v is not None}, here)
            if len(document.text) > longest.document_bytes:
                raise DatasetError(
                    f"{here}: a text of more than {longest.document_bytes:,} characters "
                    f"({longest.hint('document_bytes')})"
                )
            yield number, document


def _refuse_twins(names: list[str], place: str) -> None:
    """One of two columns of the same name would be read, and the other not."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DatasetError(f"{place}: two columns are named {twice!r:.60}")


def _python_times(batch: Any) -> Any:
    """The batch with times in microseconds, as Python has them; as text where that would lose some."""
    import pyarrow as pa

    for i, column in enumerate(batch.columns):
        kind = column.type
        if not pa.types.is_temporal(kind) or getattr(kind, "unit", "") != "ns":
            continue
        try:
            if pa.types.is_timestamp(kind):
                made = column.cast(pa.timestamp("us", kind.tz))
            else:
                made = column.cast(pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us"))
        except pa.ArrowInvalid:
            made = column.cast(pa.int64() if pa.types.is_duration(kind) else pa.string())
        batch = batch.set_column(i, batch.schema.names[i], made)
    return batch


@contextmanager
def _opened_arrow(path: Path) -> Iterator[Iterator[Any]]:
    """The record batches of an IPC file, or of a stream, which has no mark at its beginning."""
    import pyarrow as pa

    with pa.memory_map(os.fsencode(path)) as source:
        is_file = source.read(6) == b"ARROW1"
        source.seek(0)
        if is_file:
            file = pa.ipc.open_file(source)
            yield (file.get_batch(i) for i in range(file.num_record_batches))
        else:
            yield iter(pa.ipc.open_stream(source))


def holds_texts(path: Path) -> bool:
    """Whether this is a Parquet or Arrow file with columns for id and text: others hold vectors.

    Raises:
        DatasetError: if it is no Parquet or Arrow file.
    """
    suffix = path.suffix.lower()
    if suffix not in (".parquet", *_ARROW) or not path.is_file():
        return False
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _arrow_errors(path, "Parquet" if suffix == ".parquet" else "Arrow"):
        if suffix == ".parquet":
            names = set(pq.read_schema(path).names)
        else:
            with pa.memory_map(os.fsencode(path)) as source:
                is_file = source.read(6) == b"ARROW1"
                source.seek(0)
                opened = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
                names = set(opened.schema.names)
    return not names.isdisjoint(ID_NAMES) and not names.isdisjoint(TEXT_NAMES)


@contextmanager
def _arrow_errors(path: Path, what: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DatasetError(f"{path}: not readable as {what} ({reason[:200]})") from None


# a first line of these alone is no document
_HEADER_WORDS = {
    *ID_NAMES,
    *TEXT_NAMES,
    *("title", "name", "key", "doc", "document", "description", "summary", "abstract", "label", "category"),
    *("url", "link", "date", "author", "language", "lang", "number", "#", "query", "answer"),
}


def _header(values: list[str], place: str) -> list[str] | None:
    """The columns that a first line names, None where it is a document.

    Raises:
        DatasetError: where it is half a header: it names one of id and text, or a column twice.
    """
    names = [value.strip().lower() for value in values]
    has_id = not set(ID_NAMES).isdisjoint(names)
    has_text = not set(TEXT_NAMES).isdisjoint(names)
    if has_id and has_text:
        if len(set(names)) != len(names):
            raise DatasetError(f"{place}: the header names a column twice")
        return names
    # "d7<tab>text" may well be a document of one word, "key<tab>text" is a header
    if names[0] in ID_NAMES or (names[-1] in TEXT_NAMES and not any(c.isdigit() for c in names[0])):
        missing = "a text (text, contents, passage)" if has_id else "an id (_id, id, docid)"
        raise DatasetError(f"{place}: looks like a header, and names no column for {missing}")
    if _HEADER_WORDS.issuperset(names):
        raise DatasetError(f"{place}: looks like a header, and names no columns for id and text")
    return None


def names_id_and_text(line: str) -> bool:
    """Whether a line is the header of a CSV file with columns for id and text."""
    names = {name.strip().strip('"').lower() for name in line.split(",")}
    return not names.isdisjoint(ID_NAMES) and not names.isdisjoint(TEXT_NAMES)


_OURS = {("_id", "text"), ("id", "text")}
_said: set[tuple[str, str, str]] = set()  # a corpus is read twice, and its fields are told once


class _Names:
    """Says once which fields of a file are taken for id and text, where they are not called so."""

    def __init__(self, place: str) -> None:
        self._place = place

    def note(self, names: Iterable[str], number: int) -> None:
        """Look at the names of one record."""
        found = id_and_text(names, f"{self._place}:{number}")
        if found not in _OURS and (self._place, *found) not in _said:
            _said.add((self._place, *found))
            logger.warning("%s: %s is read as the id, %s as the text", self._place, *found)


@dataclass(frozen=True)
class RecordKind:
    """A kind of file that holds records: a row of the table. One of the two readers is there."""

    # for messages
    name: str
    suffixes: tuple[str, ...]
    # numbered lines and the file's name to documents; such files may be compressed (.gz, .zst)
    of_lines: Callable[[Lines, str], Numbered] | None = field(default=None, repr=False)
    # a path to documents
    of_file: Callable[[Path], Numbered] | None = field(default=None, repr=False)
    # whether blank lines are given to `of_lines`
    keeps_blank: bool = False

    def reader(self, path: Path) -> Callable[[], Numbered]:
        """How to read a file of this kind, from its beginning each time."""
        if self.of_lines is None:
            assert self.of_file is not None
            return partial(self.of_file, path)
        of_lines = self.of_lines
        return lambda: of_lines(read_lines(path, keep_blank=self.keeps_blank), str(path))


_ARROW = (".arrow", ".feather", ".ipc")
RECORD_KINDS = (
    RecordKind("JSONL", (".jsonl", ".ndjson"), jsonl),
    RecordKind("JSON", (".json",), json_records, keeps_blank=True),
    RecordKind("TSV", (".tsv", ".tab"), tsv),
    RecordKind("CSV", (".csv",), comma_separated, keeps_blank=True),
    RecordKind("Parquet", (".parquet",), of_file=parquet),
    RecordKind("Arrow", _ARROW, of_file=arrow),
)
_BY_SUFFIX = {suffix: kind for kind in RECORD_KINDS for suffix in kind.suffixes}
RECORD_SUFFIXES = frozenset(_BY_SUFFIX)


def numbered_documents(path: Path) -> Callable[[], Numbered] | None:
    """How to read a file of records, from its beginning each time; None where the format is not known."""
    kind = _BY_SUFFIX.get(plain_suffix(path))
    return None if kind is None else kind.reader(path)
