"""CSV and TSV: lines become rows of named cells, all of them text; `columns.py` says what type each has."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from splade_engine.collections.columns import Cells
from splade_engine.collections.documents import ID_NAMES, TEXT_NAMES, FieldNames, id_and_text, shown
from splade_engine.collections.limits import Limits
from splade_engine.collections.text_lines import Lines
from splade_engine.errors import DatasetError

logger = logging.getLogger(__name__)
_told: set[str] = set()  # a corpus is read twice, and its headers are told once


class Header:
    """The names of columns, which may stand again in a line below, as in files that were joined.

    Args:
        names: of the columns, as `header_names` gives them.
        place: the file's name.
        keys: those of id and text; a line that has both in their columns is no record.
    """

    def __init__(self, names: Sequence[str], place: str, keys: Iterable[str] = ()) -> None:
        self.names = list(names)
        self._place = place
        self._keys = [self.names.index(key) for key in keys]
        self._known, self._first = frozenset(self.names), self._keys[0] if self._keys else 0

    def stands_in(self, values: Sequence[str], number: int) -> bool:
        """Whether a line is the header once more, in every column; told once of a file.

        Raises:
            DatasetError: it is another header, so that what is below it would be read by wrong names.
        """
        if values[self._first].strip().lower() not in self._known:  # every record; its texts may be long
            return False
        names = header_names(values)
        if names == self.names:
            if self._place not in _told:
                _told.add(self._place)
                logger.warning(
                    "%s:%d: the header stands here again, as in files that were joined; it is passed over, "
                    "here and below",
                    *(self._place, number),
                )
            return True
        if self._keys and (self._has_keys(names) or sorted(names) == sorted(self.names)):
            raise DatasetError(
                f"{self._place}:{number}: another header than the first ({', '.join(names)[:200]}, not "
                f"{', '.join(self.names)[:200]}), as in files that were joined; give them as files of their "
                "own"
            )
        return False

    def _has_keys(self, names: Sequence[str]) -> bool:
        return all(names[at] == self.names[at] for at in self._keys)


def header_names(values: Sequence[str]) -> list[str]:
    """The names of columns, whatever their case."""
    return [value.strip().lower() for value in values]


def tsv(lines: Lines, place: str) -> Cells:
    """Rows of a TSV file: columns between tabs, nothing quoted or escaped.

    A header names id and text; without one the columns are id and text, or id, title and text (MS MARCO's
    layout).
    """
    columns: list[str] | None = None
    header: Header | None = None
    for number, line in lines:
        values = line.split("\t")
        here = f"{place}:{number}"
        if columns is None:
            columns = _header(values, here)
            if columns is not None:
                header = _header_of(columns, place, number)
                continue
            if all(len(v) > 1 and v[0] == v[-1] == '"' for v in values) and separator(line):
                raise DatasetError(f"{here}: the header is quoted, and TSV has no quotes; rename it .csv")
            if len(values) not in (2, 3):
                rule = "id and text, or id, title and text, or a header that names id and text"
                raise DatasetError(f"{here}: {len(values)} columns; needed are {rule}")
            columns = ["id", "text"] if len(values) == 2 else ["id", "title", "text"]
        if len(values) != len(columns):
            raise DatasetError(f"{here}: {len(values)} columns where {len(columns)} were expected")
        if header is None or not header.stands_in(values, number):
            yield number, dict(zip(columns, values, strict=True))


def comma_separated(lines: Lines, place: str) -> Cells:
    """Rows of a CSV file as spreadsheets and pandas write it (RFC 4180), with a header of id and text.

    The header may have semicolons or tabs in place of commas, as spreadsheets write them in many countries.
    A line `sep=;` before it, which spreadsheets write for one another, says so. Blank lines within quotes
    belong to the text, so `lines` must hold them.
    """
    at = [0]
    csv.field_size_limit(Limits.of_environment().document_bytes)

    lines = iter(lines)
    first, between = _beginning(lines)

    def texts() -> Iterator[str]:
        for number, line in chain(first, lines):
            at[0] = number
            yield line + "\n"

    header: Header | None = None
    rows = csv.reader(texts(), strict=True, delimiter=between or ",")
    while True:
        try:
            values = next(rows, None)
        except csv.Error as error:
            reason = "a line ends in CR alone, save it with LF" if "new-line" in str(error) else str(error)
            raise DatasetError(f"{place}:{at[0]}: not CSV ({reason})") from None
        if values is None:
            return
        if not values:
            continue
        here = f"{place}:{at[0]}"
        if header is None:
            columns = _header(values, here)
            if columns is None:
                raise DatasetError(
                    f"{here}: a CSV file needs a header that names id ({', '.join(ID_NAMES)}) and text "
                    f"({', '.join(TEXT_NAMES)}); it begins {shown(values)}"
                )
            header = _header_of(columns, place, at[0])
        elif len(values) != len(header.names):
            raise DatasetError(f"{here}: {len(values)} columns where {len(header.names)} were expected")
        elif not header.stands_in(values, at[0]):
            yield at[0], dict(zip(header.names, values, strict=True))


def _header_of(names: list[str], place: str, number: int) -> Header:
    FieldNames(place).note(names, number)
    return Header(names, place, id_and_text(names, f"{place}:{number}"))


# a first line of these alone is no document
_HEADER_WORDS = {
    *ID_NAMES,
    *TEXT_NAMES,
    *("title", "name", "key", "doc", "document", "description", "summary", "abstract", "label", "category"),
    *("url", "link", "date", "author", "language", "lang", "number", "#", "query", "answer"),
    *("qid", "query_id", "query-id", "topic", "topic_id", "question"),
}


def _header(values: list[str], place: str) -> list[str] | None:
    """The columns that a first line names, None where it is a document.

    Raises:
        DatasetError: where it is half a header: it names one of id and text, or a column twice.
    """
    names = header_names(values)
    named = ", ".join(names)[:200]
    has_id = not set(ID_NAMES).isdisjoint(names)
    has_text = not set(TEXT_NAMES).isdisjoint(names)
    if has_id and has_text:
        if len(set(names)) != len(names):
            raise DatasetError(f"{place}: the header names a column twice")
        return names
    # "d7<tab>text" may well be a document of one word, "key<tab>text" is a header
    if names[0] in ID_NAMES or (names[-1] in TEXT_NAMES and not any(c.isdigit() for c in names[0])):
        missing = "a text (text, contents, passage)" if has_id else "an id (_id, id, docid)"
        raise DatasetError(f"{place}: looks like a header, and names no column for {missing}: {named}")
    if _HEADER_WORDS.issuperset(names):
        raise DatasetError(f"{place}: looks like a header, and names no columns for id and text: {named}")
    return None


SEPARATORS = (",", ";")
_SAID = re.compile(r'"?sep=[,;|\t]"?', re.IGNORECASE)


def _beginning(lines: Iterator[tuple[int, str]]) -> tuple[list[tuple[int, str]], str]:
    """The header's line, and what stands between its columns; a line that says so is passed over."""
    said = ""
    for number, line in lines:
        if not said and says_separator(line):
            said = line.strip(' \r\n"')[-1]
        elif line.strip():
            return [(number, line)], said or separator(line)
    return [], said


def says_separator(line: str) -> bool:
    """Whether a line is `sep=;` or its like."""
    return _SAID.fullmatch(line.strip(" \r\n")) is not None


def separator(line: str) -> str:
    """What stands between the columns of a header that names id and text: a comma, semicolon or tab.

    "" where the line is no such header.
    """
    for sign in (*SEPARATORS, "\t"):
        names = {name.strip().strip('"').lower() for name in line.split(sign)}
        if not names.isdisjoint(ID_NAMES) and not names.isdisjoint(TEXT_NAMES):
            return sign
    return ""


class CommaSeparatedLines:
    """Divides the lines of a CSV file in which no column goes over several lines.

    Between the columns stand commas, or semicolons or tabs throughout.
    """

    def __init__(self) -> None:
        self._sign = ""

    def columns(self, line: str, place: str) -> list[str]:
        """The columns of a line; none of a first line `sep=;`.

        Raises:
            DatasetError: for quotes that nothing closes.
        """
        if not self._sign:
            if says_separator(line):
                self._sign = line.strip(' "')[-1]
                return []
            self._sign = next((sign for sign in ",;\t" if sign in line), ",")
        try:
            (values,) = csv.reader([line], strict=True, delimiter=self._sign)
        except csv.Error as error:
            raise DatasetError(f"{place}: not CSV ({error})") from None
        return [value.strip() for value in values]
