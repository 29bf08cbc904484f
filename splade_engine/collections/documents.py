"""`Document`, and how a record with named fields becomes one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any
from uuid import UUID

from splade_engine import arguments
from splade_engine.collections.metadata import checked_metadata, is_missing, plain_text
from splade_engine.collections.text_lines import read_lines
from splade_engine.errors import DatasetError, reason_of
from splade_engine.files import parsed_json

logger = logging.getLogger(__name__)

# what other tools call the two fields that a document must have: pyserini, MS MARCO, TREC, Cohere
ID_NAMES = ("_id", "id", "docid", "doc_id", "docno", "pid", "document_id", "passage_id")
TEXT_NAMES = ("text", "contents", "content", "passage", "body")
_OUR_IDS = ("_id", "id")
MAX_ID_BYTES = 4096  # what an index takes


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

    @property
    def length(self) -> int:
        """Characters of title and text, and of what is long in the fields: what bounds are held against."""
        fields = sum(len(value) for value in self.metadata.values() if isinstance(value, str | list | dict))
        return len(self.title) + len(self.text) + fields


def json_lines(path: Path) -> Iterator[tuple[int, object]]:
    """(line number, value) of a file with one JSON value a line.

    Raises:
        DatasetError: naming file and line of what is not JSON; and as `read_lines`.
    """
    return json_values(read_lines(path), str(path))


def json_values(lines: Iterable[tuple[int, str]], place: str) -> Iterator[tuple[int, object]]:
    """The same of numbered lines; `place` begins the messages.

    Raises:
        DatasetError: naming the line.
    """
    for number, line in lines:
        try:
            yield number, parsed_json(line)
        except ValueError as error:
            reason = reason_of(error)
            syntax = isinstance(error, json.JSONDecodeError)
            raise DatasetError(
                f"{place}:{number}: " + (f"not JSON ({reason})" if syntax else reason)
            ) from None
        except RecursionError:
            raise DatasetError(f"{place}:{number}: JSON nested too deeply") from None


def document_from_record(record: object, place: str) -> Document:
    """A document from an object with `_id` (or `id`), `text`, perhaps `title`; the rest is metadata.

    Where one of the two is missing, one field with a name that other tools use stands in for it: `docid`,
    `docno`, `pid`; `contents`, `passage`, `body` (`ID_NAMES`, `TEXT_NAMES`).

    Args:
        record: the object.
        place: "file:line", begins the messages.

    Raises:
        DatasetError: where the id or the text is missing, not a string, or could be one of several fields; or
            a number is infinite.
    """
    if not isinstance(record, dict):
        raise DatasetError(f"{place}: an object with id and text is needed, got {shown(record)}")
    fields = dict(record)
    id_field, text_name = id_and_text(fields, place)
    doc_id = take_id(fields, id_field, place, required="_id (or id)")
    check_id(doc_id, place, id_field)
    fields.pop("id", None) if id_field == "_id" and str(fields.get("id")) == doc_id else None
    text = text_field(fields, text_name, place, required=text_name)
    title = text_field(fields, "title", place)
    nested = fields.pop("metadata", None)
    if isinstance(nested, Mapping):
        fields = _joined(fields, dict(nested), place)
    elif not is_missing(nested):
        fields["metadata"] = nested
    return Document(doc_id, text, title, checked_metadata(fields, place))


def _joined(fields: dict[str, Any], nested: dict[str, Any], place: str) -> dict[str, Any]:
    """The fields of a record and those of its object `metadata`, none of which may be lost."""
    for name in [name for name in nested if name in fields]:
        here, there = (checked_metadata({name: values[name]}, place) for values in (fields, nested))
        if not here:
            del fields[name]
        elif there and here != there:
            raise DatasetError(
                f"{place}: the field {shown(name)} is {shown(here[name])}, and {shown(there[name])} in "
                "metadata; keep one of them"
            )
    return {**nested, **fields}


def without_nulls(row: Mapping[Any, object]) -> dict[str, object]:
    """A row of a table without what is missing; a null id or text stays, to be called so."""
    kept = {str(name): value for name, value in row.items() if not is_missing(value)}
    for names in (ID_NAMES, TEXT_NAMES):
        if kept.keys().isdisjoint(names):
            kept |= dict.fromkeys([name for name in names if name in row][:1])
    return kept


_said: set[str] = set()  # a corpus is read twice, and this is told once


def take_id(fields: dict[str, Any], name: str, place: str, required: str) -> str:
    """Take the id out of a record: a text, a UUID, or a whole number, of which its digits are taken.

    Raises:
        DatasetError: as `text_field`.
    """
    value = fields.get(name)
    if isinstance(value, Integral) and not isinstance(value, bool):
        if int(value).bit_length() > MAX_ID_BYTES * 3:  # which Python may not write as digits
            raise DatasetError(f"{place}: the {name} is a number of thousands of digits")
        fields[name] = str(int(value))
        source = place.rpartition(":")[0] or "the corpus"
        if source not in _said:
            _said.add(source)
            logger.warning("%s: ids are whole numbers and are read as text, %r", source, fields[name])
    elif isinstance(value, UUID):
        fields[name] = str(value)
    return text_field(fields, name, place, required)


def check_id(doc_id: str, place: str, name: str = "id") -> None:
    """Refuse an id that no index takes.

    Raises:
        DatasetError: at `place`, for an id that is empty, holds NUL or has more than 4,096 bytes.
    """
    if not doc_id:
        raise DatasetError(f"{place}: the {name} is empty")
    if "\0" in doc_id:
        raise DatasetError(f"{place}: the {name} {shown(doc_id)} holds a NUL character")
    if len(doc_id) > MAX_ID_BYTES // 4 and len(doc_id.encode()) > MAX_ID_BYTES:
        size = len(doc_id.encode())
        raise DatasetError(f"{place}: the {name} has {size:,} bytes, at most {MAX_ID_BYTES:,} are allowed")


def id_and_text(names: Iterable[str], place: str) -> tuple[str, str]:
    """Which of the fields hold id and text; ours where nothing else is there.

    Raises:
        DatasetError: where two of the names that other tools use are there and ours is not.
    """
    present = set(names)
    if not present.isdisjoint(_OUR_IDS) and "text" in present:  # nearly always: no search
        return ("_id" if "_id" in present else "id"), "text"
    own_id = "_id" if "_id" in present else "id" if "id" in present else ""
    return (
        own_id or _stand_in(present, ID_NAMES[2:], "id", place),
        "text" if "text" in present else _stand_in(present, TEXT_NAMES[1:], "text", place),
    )


def _stand_in(present: set[str], names: tuple[str, ...], ours: str, place: str) -> str:
    found = [name for name in names if name in present]
    if len(found) > 1:
        raise DatasetError(f"{place}: the field {ours} is missing, and it could be {' or '.join(found)}")
    return found[0] if found else ours


_OUR_NAMES = {("_id", "text"), ("id", "text")}
_named: set[tuple[str, str, str]] = set()  # a corpus is read twice, and its fields are told once


class FieldNames:
    """Says once which fields of a file are taken for id and text, where they are not called so."""

    def __init__(self, place: str) -> None:
        self._place = place

    def note(self, names: Iterable[str], number: int) -> None:
        """Look at the names of one record."""
        found = id_and_text(names, f"{self._place}:{number}")
        if found not in _OUR_NAMES and (self._place, *found) not in _named:
            _named.add((self._place, *found))
            logger.warning("%s: %s is read as the id, %s as the text", self._place, *found)


def text_field(fields: dict[str, Any], name: str, place: str, required: str = "") -> str:
    """Take a text out of a record, "" where it is missing, null or NaN.

    Args:
        fields: the record; the field is removed from it.
        name: of the field.
        place: "file:line", begins the messages.
        required: how messages name a field that must be there.

    Raises:
        DatasetError: where it is required and missing or null, not a string, or no valid text.
    """
    is_there = name in fields
    value = fields.pop(name, None)
    if is_missing(value):
        if required:
            raise DatasetError(
                f"{place}: the field {name} is null"
                if is_there
                else f"{place}: the field {required} is missing"
            )
        return ""
    if not isinstance(value, str):
        raise DatasetError(f"{place}: the field {name} must be a string, got {shown(value)}")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise DatasetError(f"{place}: the field {name} holds half a surrogate pair, not text") from None
    return plain_text(value)


def shown(value: object) -> str:
    """A value for a message, cut to 60 characters."""
    if isinstance(value, str | bytes) and len(value) > 200:
        value = value[:200]
    try:
        text = json.dumps(value, ensure_ascii=True, default=lambda other: type(other).__name__)
    except (TypeError, ValueError, RecursionError):  # what is no JSON, holds itself, or has no end
        text = arguments.shown(value)
    return text if len(text) <= 60 else text[:57] + "..."
