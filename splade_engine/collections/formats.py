"""The formats of a corpus file: JSONL, TSV, CSV and Parquet, each a stream of (line or row, document)."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
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
from splade_engine.collections.limits import Limits
from splade_engine.collections.text_lines import check_regular, plain_suffix, read_lines
from splade_engine.errors import DatasetError

logger = logging.getLogger(__name__)

Numbered = Iterator[tuple[int, Document]]
Lines = Iterable[tuple[int, str]]
_ROWS = 256  # of a Parquet file at a time


def jsonl(lines: Lines, place: str) -> Numbered:
    """One object a line."""
    names = _Names(place)
    for number, record in json_values(lines, place):
        if isinstance(record, dict):
            names.note(record, number)
        yield number, document_from_record(record, f"{place}:{number}")


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
    """Rows of a Parquet file with columns for id and text; ids that are whole numbers become their digits."""
    import pyarrow.parquet as pq

    check_regular(path)
    names = _Names(str(path))
    longest = Limits.of_environment()
    number = 0
    with _arrow_errors(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_ROWS):
            for row in batch.to_pylist():
                number += 1
                here = f"{path}: row {number}"
                names.note(row, number)
                id_name, _ = id_and_text(row, here)
                if isinstance(row.get(id_name), int) and not isinstance(row[id_name], bool):
                    row[id_name] = str(row[id_name])
                record = {name: _plain(value) for name, value in row.items() if value is not None}
                document = document_from_record(record, here)
                if len(document.text) > longest.document_bytes:
                    raise DatasetError(
                        f"{here}: a text of more than {longest.document_bytes:,} characters "
                        f"({longest.hint('document_bytes')})"
                    )
                yield number, document


def holds_texts(path: Path) -> bool:
    """Whether this is a Parquet file with columns for id and text: others of that suffix hold vectors.

    Raises:
        DatasetError: if it is no Parquet file.
    """
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return False
    import pyarrow.parquet as pq

    with _arrow_errors(path):
        names = set(pq.read_schema(path).names)
    return not names.isdisjoint(ID_NAMES) and not names.isdisjoint(TEXT_NAMES)


@contextmanager
def _arrow_errors(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DatasetError(f"{path}: not readable as Parquet ({reason[:200]})") from None


def _plain(value: Any) -> Any:
    """A value of a Parquet column as JSON can hold it."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


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
    return None


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


LINE_FORMATS: dict[str, Callable[[Lines, str], Numbered]] = {
    ".jsonl": jsonl,
    ".ndjson": jsonl,
    ".tsv": tsv,
    ".csv": comma_separated,
}
"""The reader of a file of lines by its suffix."""


def numbered_documents(path: Path) -> Callable[[], Numbered] | None:
    """How to read a corpus file, from its beginning each time; None where the format is not known."""
    suffix = plain_suffix(path)
    if suffix in LINE_FORMATS:
        blank = suffix == ".csv"
        return lambda: LINE_FORMATS[suffix](read_lines(path, keep_blank=blank), str(path))
    if path.suffix.lower() == ".parquet":
        return lambda: parquet(path)
    return None
