"""Corpora in memory: tables, which are read row by row, and containers that are no sequence of documents."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from splade_engine.arguments import first_twice
from splade_engine.collections.arrow_rows import arrow_rows
from splade_engine.collections.documents import ID_NAMES, Document, shown, without_nulls
from splade_engine.errors import DatasetError

_ROWS = 1024  # of a table that are records at a time


def refuse_other_containers(source: object) -> None:
    """Refuse what Python iterates over and is no sequence of documents.

    Of a mapping the names would be indexed, and of a set the order is another in every process.

    Raises:
        DatasetError: with the way to make a corpus of it.
    """
    if _is_lazy(source):
        advice = f"a {type(source).__name__}, whose rows have yet to be computed: give table.collect()"
    elif isinstance(source, Mapping) and all(is_table(split) for split in source.values()) and source:
        advice = f"several tables: give one of {', '.join(map(repr, source))}"
    elif isinstance(source, Mapping):
        advice = 'a mapping: give records, [{"_id": id, "text": text} for id, text in corpus.items()]'
    elif isinstance(source, set | frozenset):
        advice = "a set, whose order is another in every process: give a list"
    elif isinstance(source, Document):
        advice = "one document: give a list, [document]"
    elif isinstance(source, bytes | bytearray | memoryview):
        advice = "bytes: give texts, or a path"
    elif is_table(source):
        return
    elif isinstance(source, io.IOBase):
        advice = "an open file, whose lines would be texts: give its path"
    elif _is_column(source):
        advice = "one column of a table: give the table, or a list of its texts"
    elif source is None or not isinstance(source, Iterable) or getattr(source, "ndim", 1) == 0:
        advice = f"{type(source).__name__}: give a path, or a list of texts, records or documents"
    else:
        return
    raise DatasetError(f"the corpus is {advice}")


def is_table(source: object) -> bool:
    """Whether it has rows and named columns: pyarrow, pandas, polars, duckdb, Hugging Face `datasets`."""
    if _is_lazy(source):
        return False
    if hasattr(source, "columns") or hasattr(source, "column_names"):
        return any(hasattr(source, n) for n in ("__arrow_c_stream__", "to_pylist", "to_dict", "iter_rows"))
    return hasattr(source, "__arrow_c_stream__") and not _is_column(source)


def _is_lazy(source: object) -> bool:
    """Whether it is a plan of polars, whose very columns would be computed."""
    return hasattr(source, "collect_schema") and not hasattr(source, "height")


def is_stream(table: object) -> bool:
    """Whether a table can perhaps be read only once, as a RecordBatchReader, or has other rows the next time.

    A relation of duckdb is a question that is asked anew.
    """
    return not any(hasattr(table, name) for name in _HELD)


_HELD = ("height", "to_batches", "to_pylist", "iloc", "column_names")  # what has rows has one of them


def _is_column(source: object) -> bool:
    """Whether it is one column of a table, with one type: pandas' and polars' Series, arrays of pyarrow."""
    return any(hasattr(source, name) for name in ("__arrow_c_stream__", "__arrow_c_array__")) and (
        hasattr(source, "dtype") or hasattr(source, "type")
    )


def table_rows(table: Any) -> Iterator[Mapping[str, object]]:
    """The rows of a table as records, without what is missing.

    Raises:
        DatasetError: two columns have one name, 7 and "7" included, and a record would hold only one of them;
            or a text is not UTF-8, which Arrow does not look at.
    """
    table = _with_its_index(table)
    names = getattr(table, "column_names", None) or list(getattr(table, "columns", ()))
    twice = first_twice(map(str, names))
    if twice is not None:
        raise DatasetError(f"the corpus has two columns {twice!r:.60}")
    count = 0
    try:
        for row in _rows(table):
            yield without_nulls(row)
            count += 1
    except UnicodeDecodeError as error:
        raise DatasetError(f"a text of the corpus behind {count} documents is not UTF-8 ({error})") from None


def _rows(table: Any) -> Iterator[Mapping[Any, object]]:
    """The rows as they are, some at a time where the table is held in another form than rows."""
    rows: Iterator[Mapping[Any, object]]
    if hasattr(table, "iter_rows") and hasattr(table, "height"):  # polars
        rows = _polars_rows(table)
    elif hasattr(table, "to_batches"):  # pyarrow
        rows = _arrow_rows(table.to_batches(max_chunksize=_ROWS))
    elif hasattr(table, "to_pylist"):  # a record batch
        rows = _arrow_rows([table])
    elif hasattr(table, "iloc"):  # pandas
        rows = _pandas_rows(table)
    elif hasattr(table, "column_names"):  # datasets
        rows = iter(_with_python_s_values(table))
    else:
        import pyarrow as pa

        rows = _arrow_rows(pa.RecordBatchReader.from_stream(table))
    return rows


def _polars_rows(table: Any) -> Iterator[Mapping[Any, object]]:
    """Times are taken from Arrow: Python's end with microseconds, and in the year 9999."""
    own = [name for name, kind in table.schema.items() if kind.is_temporal() or kind.is_nested()]
    for at in range(0, table.height, _ROWS):
        block = table.slice(at, _ROWS)
        others = block.drop(own).rows(named=True)
        yield from _put_together(table.columns, others, arrow_rows(block.select(own).to_arrow()))


def _pandas_rows(table: Any) -> Iterator[Mapping[Any, object]]:
    """Columns that are held as Arrow's are read as such: of maps pandas makes lists of pairs."""
    import pyarrow as pa

    own = [name for name, kind in table.dtypes.items() if hasattr(kind, "pyarrow_dtype")]
    for at in range(0, len(table), _ROWS):
        block = table.iloc[at : at + _ROWS]
        if not own:
            yield from block.to_dict("records")
            continue
        columns = {name: pa.array(block[name].array) for name in own}
        of_arrow = arrow_rows(pa.table(list(columns.values()), names=list(map(str, own))))
        yield from _put_together(table.columns, block.drop(columns=own).to_dict("records"), of_arrow)


def _put_together(
    names: Iterable[Any], some: Sequence[Mapping[Any, object]], others: Sequence[Mapping[str, object]]
) -> Iterator[Mapping[Any, object]]:
    """Rows of which each part has some of the columns, and perhaps none; the columns in order."""
    order = list(names)
    none: Mapping[Any, object] = {}
    for one, other in itertools.zip_longest(some, others, fillvalue=none):
        yield {name: one[name] if name in one else other[str(name)] for name in order}


def _arrow_rows(batches: Iterable[Any]) -> Iterator[Mapping[Any, object]]:
    return itertools.chain.from_iterable(map(arrow_rows, batches))


def _with_python_s_values(dataset: Any) -> Any:
    """A dataset of Hugging Face that gives rows, in place of the tables or tensors of another format.

    Columns that were left out stay so, and a function that makes the rows is still called.
    """
    form = getattr(dataset, "format", None)
    if isinstance(form, dict):
        return dataset if form["type"] == "custom" else dataset.with_format(None, columns=form["columns"])
    return dataset.with_format(None) if hasattr(dataset, "with_format") else dataset


def _with_its_index(table: Any) -> Any:
    """A table of pandas whose ids are its index, as `set_index("id")` leaves it, with them as a column.

    Raises:
        DatasetError: there is no column of ids, and the index has another name.
    """
    named = [name for name in getattr(getattr(table, "index", None), "names", ()) if name is not None]
    if not named or not set(ID_NAMES).isdisjoint(table.columns):
        return table
    if named[0] in ID_NAMES and len(named) == 1:
        return table.reset_index()
    way = "table.reset_index(names='id') makes a column of it, if these are the ids"
    if len(named) > 1:
        way = "reset_index() makes columns of its levels, of which one has to be called id"
    raise DatasetError(
        f"no column of the corpus is called id; its index is {shown(', '.join(map(str, named)))}: {way}"
    )
