"""The formats of files of records, each a stream of (line or row, document).

A new format is a function and a row of `RECORD_KINDS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from splade_engine.arguments import first_twice
from splade_engine.collections.arrow_rows import arrow_rows
from splade_engine.collections.columns import Cells, ColumnTypes
from splade_engine.collections.documents import (
    ID_NAMES,
    TEXT_NAMES,
    Document,
    FieldNames,
    document_from_record,
    json_values,
    without_nulls,
)
from splade_engine.collections.json_array import json_array
from splade_engine.collections.limits import Limits
from splade_engine.collections.separated import comma_separated, tsv
from splade_engine.collections.text_lines import Lines, check_regular, plain_suffix, read_lines
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.files import check_one_table, read_json

Numbered = Iterator[tuple[int, Document]]
_ROWS = 256  # of a Parquet file at a time
_OF_VECTORS = ("terms", "weights")  # the columns of `vectors/files/tables.py`


def jsonl(lines: Lines, place: str) -> Numbered:
    """One object a line."""
    return _documents(json_values(_one_a_line(lines, place), place), place, "{}:{}")


def _one_a_line(lines: Lines, place: str) -> Lines:
    """The lines, unless the first begins an array, or an object over several lines, as in a JSON file."""
    lines = iter(lines)
    for number, line in lines:
        begin = line.strip()
        if begin[:1] == "[" or begin == "{":
            what = "an array" if begin[:1] == "[" else "an object over several lines"
            raise DatasetError(
                f"{place}:{number}: begins {what}; JSONL has one object per line, rename it .json"
            )
        yield number, line
        break
    yield from lines


def json_records(lines: Lines, place: str) -> Numbered:
    """An array of objects, or objects one after another, over any number of lines."""
    return _documents(json_array(lines, place), place, "{}: record {}")


def _documents(values: Iterable[tuple[int, object]], place: str, here: str) -> Numbered:
    names = FieldNames(place)
    for number, record in values:
        if isinstance(record, dict):
            names.note(record, number)
        yield number, document_from_record(record, here.format(place, number))


def parquet(path: Path) -> Numbered:
    """Rows of a Parquet file with columns for id and text."""
    import pyarrow.parquet as pq

    check_regular(path)
    with _arrow_errors(path, "Parquet"), pq.ParquetFile(path) as file:
        check_one_table(path)
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
        DatasetError: it does not say which files it is made of, or holds several datasets.
    """
    state = folder / "state.json"
    _refuse_splits(folder)
    if not state.is_file() or not (folder / "dataset_info.json").is_file():
        return None
    try:
        names = [entry["filename"] for entry in read_json(state)["_data_files"]]
        files = [folder / Path(name).name for name in names]
    except InvalidInputError as error:
        raise DatasetError(str(error)) from None
    except (KeyError, TypeError):
        raise DatasetError(f"{state}: does not name the files of a saved dataset") from None

    def numbered() -> Numbered:
        before = 0
        for file in files:
            number = 0
            for number, document in arrow(file):
                yield before + number, document
            before += number

    return numbered


def _refuse_splits(folder: Path) -> None:
    """A folder that `DatasetDict.save_to_disk` wrote: each split is a dataset of its own."""
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(str(found.parent) for found in folder.glob("*/dataset_info.json"))
        if splits:
            raise DatasetError(f"{folder}: holds several datasets; give one of {', '.join(splits):.300}")


def _rows(batches: Iterable[Any], path: Path) -> Numbered:
    names = FieldNames(str(path))
    longest = Limits.of_environment()
    number = 0
    for batch in batches:
        _refuse_twins(batch.schema.names, str(path))
        _check_columns(batch.schema.names, path)
        for row in arrow_rows(batch):
            number += 1
            here = f"{path}: row {number}"
            names.note(row, number)
            document = document_from_record(without_nulls(row), here)
            longest.check_text(document.length, here)
            yield number, document


def _refuse_twins(names: list[str], place: str) -> None:
    """One of two columns of the same name would be read, and the other not."""
    twice = first_twice(names)
    if twice is not None:
        raise DatasetError(f"{place}: two columns are named {twice!r:.60}")


def _check_columns(names: list[str], path: Path) -> None:
    if _ids_and_texts(names):
        return
    missing = "an id (_id, id, docid)" if set(names).isdisjoint(ID_NAMES) else "a text (text, contents)"
    raise DatasetError(f"{path}: no column for {missing}; its columns are {', '.join(names):.200}")


def _ids_and_texts(names: Iterable[str]) -> bool:
    return not set(names).isdisjoint(ID_NAMES) and not set(names).isdisjoint(TEXT_NAMES)


@contextmanager
def _opened_arrow(path: Path) -> Iterator[Iterator[Any]]:
    """The record batches of an IPC file, or of a stream, which has no mark at its beginning."""
    import pyarrow as pa

    with pa.memory_map(os.fsencode(path)) as source:
        is_file = source.read(6) == b"ARROW1"
        source.seek(0)
        if is_file:
            file = pa.ipc.open_file(source)
            check_one_table(path)
            yield (file.get_batch(i) for i in range(file.num_record_batches))
        else:
            yield _whole_stream(source, path)


def _whole_stream(source: Any, path: Path) -> Iterator[Any]:
    """The batches of all streams in a file: each has an end, behind which the next may begin.

    Raises:
        DatasetError: something else follows.
    """
    import pyarrow as pa

    while True:
        begin = source.tell()
        try:
            yield from pa.ipc.open_stream(source)
        except pa.ArrowInvalid as error:
            if not begin:
                raise
            raise DatasetError(f"{path}: goes on after byte {begin:,}, where its stream ends") from error
        if source.tell() >= source.size():
            return


def holds_texts(path: Path) -> bool:
    """Whether this is a Parquet or Arrow file of texts, or one that holds neither texts nor vectors.

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
    return _ids_and_texts(names) or names.isdisjoint(_OF_VECTORS)


@contextmanager
def _arrow_errors(path: Path, what: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except DatasetError:
        raise
    except InvalidInputError as error:
        raise DatasetError(str(error)) from None
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DatasetError(f"{path}: not readable as {what} ({reason[:200]})") from None


Source = Callable[[ColumnTypes], Numbered]
"""How to read a source from its beginning; the types are of its columns, where all of those are text."""


@dataclass(frozen=True)
class RecordKind:
    """A kind of file that holds records: a row of the table. One of the three readers is there."""

    # for messages
    name: str
    suffixes: tuple[str, ...]
    # numbered lines and the file's name to documents; such files may be compressed (.gz, .zst)
    of_lines: Callable[[Lines, str], Numbered] | None = field(default=None, repr=False)
    # the same to rows of cells, whose types are not written in the file
    of_cells: Callable[[Lines, str], Cells] | None = field(default=None, repr=False)
    # a path to documents
    of_file: Callable[[Path], Numbered] | None = field(default=None, repr=False)
    # whether blank lines are given to `of_lines` and `of_cells`
    keeps_blank: bool = False

    def documents(self, lines: Callable[[], Lines], place: str, types: ColumnTypes) -> Numbered:
        """The documents of numbered lines, which can be read again and again."""
        if self.of_cells is not None:
            of_cells = self.of_cells
            return types.documents(lambda: of_cells(lines(), place), place)
        assert self.of_lines is not None
        types.refuse(place)
        return self.of_lines(lines(), place)

    def source(self, path: Path, encoding: str | None = None, advice: str = "") -> Source:
        """How to read a file of this kind; lines that are not UTF-8 as `read_lines` reads them."""
        if self.of_file is not None:
            return typed_source(partial(self.of_file, path), str(path))
        lines = partial(read_lines, path, keep_blank=self.keeps_blank, encoding=encoding, advice=advice)
        return lambda types: self.documents(lines, str(path), types)


def typed_source(reader: Callable[[], Numbered], place: str) -> Source:
    """How to read a source whose values have types of their own."""

    def documents(types: ColumnTypes) -> Numbered:
        types.refuse(place)
        return reader()

    return documents


JSONL = RecordKind("JSONL", (".jsonl", ".ndjson"), of_lines=jsonl)
JSON = RecordKind("JSON", (".json",), of_lines=json_records, keeps_blank=True)
TSV = RecordKind("TSV", (".tsv", ".tab"), of_cells=tsv)
CSV = RecordKind("CSV", (".csv",), of_cells=comma_separated, keeps_blank=True)
_ARROW = (".arrow", ".feather", ".ipc")
RECORD_KINDS = (
    JSONL,
    JSON,
    TSV,
    CSV,
    RecordKind("Parquet", (".parquet",), of_file=parquet),
    RecordKind("Arrow", _ARROW, of_file=arrow),
)
_BY_SUFFIX = {suffix: kind for kind in RECORD_KINDS for suffix in kind.suffixes}
RECORD_SUFFIXES = frozenset(_BY_SUFFIX)


def record_source(path: Path, encoding: str | None = None, advice: str = "") -> Source | None:
    """How to read a file of records; None where the format is not known."""
    kind = _BY_SUFFIX.get(plain_suffix(path))
    return None if kind is None else kind.source(path, encoding, advice)
