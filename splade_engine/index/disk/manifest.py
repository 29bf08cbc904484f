"""The manifest: one small JSON file that says what an index is. Replacing it is the only commit there is.

`{"body": {...}, "xxh3_128": "<32 hex digits>"}`: the checksum covers the exact bytes of the body. Parsing is
strict: closed key sets, no duplicate keys, integers in range, no NaN, at most 1 MiB. File names are not read
from it but made from ids and kinds, so no manifest can point outside its folder.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from splade_engine.arguments import first_twice
from splade_engine.errors import IndexCorruptError, IndexVersionError
from splade_engine.files.ours import INDEX, INDEX_MAGIC
from splade_engine.index.disk.records import (
    ColumnRecord,
    DeletedRecord,
    Manifest,
    SegmentRecord,
    TuningRecord,
)
from splade_engine.index.disk.storage import FileRecord, SectionRecord, digest
from splade_engine.vectors.checks import MAX_TERMS

# 3 of an index whose posting lists are not in order of impact, 2 of another one with word lists, 1 without:
# each is read by as many earlier releases as can be
FORMAT_VERSION = 3
MAX_BYTES = 1 << 20
MAX_DOCS = 2**32 - 1  # of the whole index, deleted ones included
MAX_SEGMENTS = 128
_MAX_COUNT = 2**62
_MAX_COLUMNS = 512
_MAX_DRAWN = 1024  # documents that a tuned setting may remember
_HEAD = b'{"body":'
_TAIL = re.compile(rb',"xxh3_128":"([0-9a-f]{32})"}\n\Z')
_TAIL_LENGTH = len(b',"xxh3_128":"') + 32 + len(b'"}\n')
_ID = re.compile(r"[0-9a-f]{32}\Z")
_NAME = re.compile(r"[a-z0-9_.]{1,64}\Z")


# ---- writing -----------------------------------------------------------------------------


def encode(manifest: Manifest) -> bytes:
    """The bytes of the manifest file.

    Raises:
        IndexCorruptError: if they would not be accepted when read back (a bug, or more than 1 MiB).
    """
    body = {
        "magic": INDEX_MAGIC,
        "format_version": version_of(manifest),
        "generation": manifest.generation,
        "n_terms": manifest.n_terms,
        "encoder": None if manifest.encoder is None else dict(manifest.encoder),
        "config": dict(manifest.config),
        "tuning": [_tuning_out(t) for t in manifest.tuning],
        "segments": [_segment_out(s) for s in manifest.segments],
    }
    text = json.dumps(body, separators=(",", ":"), allow_nan=False, ensure_ascii=True).encode()
    data = _HEAD + text + f',"xxh3_128":"{digest(text)}"}}\n'.encode()
    decode(data, INDEX)
    return data


def version_of(manifest: Manifest) -> int:
    """The format version that an index needs."""
    if "lists" in manifest.config:
        return FORMAT_VERSION
    return 2 if any(s.words is not None for s in manifest.segments) else 1


def _file_out(record: FileRecord) -> dict[str, Any]:
    return {"id": record.id, "sections": {n: [s.count, s.digest] for n, s in record.sections.items()}}


def _segment_out(s: SegmentRecord) -> dict[str, Any]:
    return {
        "n_docs": s.n_docs,
        "nnz": s.nnz,
        "postings": _file_out(s.postings),
        "ids": _file_out(s.ids),
        "payload": None if s.payload is None else _file_out(s.payload),
        "columns": [[c.name, c.type, c.nullable] for c in s.columns],
        "deleted": None if s.deleted is None else {"count": s.deleted.count, **_file_out(s.deleted.file)},
        **({} if s.words is None else {"words": _file_out(s.words)}),
    }


def _tuning_out(t: TuningRecord) -> dict[str, Any]:
    return {
        "k": t.k,
        "target": t.target,
        "recall": t.recall,
        "microseconds": t.microseconds,
        "n_queries": t.n_queries,
        "settings": dict(t.settings),
        **({} if t.n_docs is None else {"n_docs": t.n_docs}),
        **({"documents": list(t.documents)} if t.documents else {}),
    }


# ---- reading -----------------------------------------------------------------------------


def decode(data: bytes, name: str) -> Manifest:
    """Parse and check the bytes of a manifest; `name` stands in the error messages.

    Raises:
        IndexCorruptError: if anything is not as this library would have written it.
        IndexVersionError: if the format is one that this release does not read.
    """
    try:
        return _decode(data)
    except _Refused as refusal:
        raise IndexCorruptError(f"{name}: {refusal}") from None
    except RecursionError:
        raise IndexCorruptError(f"{name}: nested too deeply") from None
    except IndexVersionError as error:
        raise IndexVersionError(f"{name}: {error}") from None


class _Refused(Exception):
    """Not an error of its own: it becomes IndexCorruptError, with the name of the file."""


def _refuse(message: str) -> NoReturn:
    raise _Refused(message)


def _decode(data: bytes) -> Manifest:
    if len(data) > MAX_BYTES:
        _refuse(f"{len(data)} bytes, at most {MAX_BYTES} are allowed")
    tail = _TAIL.search(data[-_TAIL_LENGTH:])
    if not data.startswith(_HEAD) or tail is None:
        _refuse("not a manifest, or cut short")
    text = data[len(_HEAD) : -_TAIL_LENGTH]
    if digest(text) != tail[1].decode():
        _refuse("the checksum does not match")
    try:
        # decoded first: json.loads would guess UTF-16 and UTF-32 from bytes
        body = json.loads(
            text.decode(), object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite
        )
    except ValueError as error:
        _refuse(f"not valid JSON ({error})")
    return _manifest(body)


def _finite(text: str) -> float:
    value = float(text)
    return value if abs(value) < float("inf") else _refuse(f"{text[:20]} is beyond a double")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse(f"key {first_twice(key for key, _ in pairs)!r} twice")
    return found


def _manifest(body: Any) -> Manifest:
    if not isinstance(body, dict) or body.get("magic") != INDEX_MAGIC:
        _refuse("not the manifest of a splade-engine index")
    version = _integer(body.get("format_version"), 0, _MAX_COUNT, "format_version")
    if not 1 <= version <= FORMAT_VERSION:
        hint = "upgrade splade-engine" if version > FORMAT_VERSION else "build the index again"
        raise IndexVersionError(f"index format {version}, this release reads {FORMAT_VERSION}; {hint}")
    keys = "magic format_version generation n_terms encoder config tuning segments"
    body = _object(body, keys, "manifest")
    n_terms = _integer(body["n_terms"], 1, MAX_TERMS, "n_terms")
    manifest = Manifest(
        generation=_integer(body["generation"], 1, _MAX_COUNT, "generation"),
        n_terms=n_terms,
        segments=tuple(
            _segment(s, f"segment {i}") for i, s in enumerate(_list(body["segments"], "segments"))
        ),
        encoder=None if body["encoder"] is None else _encoder(body["encoder"]),
        config=_config(body["config"]),
        tuning=tuple(_tuning(t, f"tuning {i}") for i, t in enumerate(_list(body["tuning"], "tuning"))),
    )
    if len(manifest.segments) > MAX_SEGMENTS:
        _refuse(f"{len(manifest.segments)} segments, at most {MAX_SEGMENTS} are allowed")
    if manifest.n_docs > MAX_DOCS:
        _refuse(f"{manifest.n_docs} documents, at most {MAX_DOCS} are allowed")
    if version_of(manifest) != version:
        _refuse(f"format {version}, but what it lists is of format {version_of(manifest)}")
    names = [f"{record.id}.{kind}" for s in manifest.segments for kind, record in s.files()]
    if len(set(names)) != len(names):
        _refuse("a file belongs to two segments")
    return manifest


def _segment(value: Any, at: str) -> SegmentRecord:
    keys = "n_docs nnz postings ids payload columns deleted"
    has_words = isinstance(value, dict) and "words" in value
    value = _object(value, keys + " words" if has_words else keys, at)
    n_docs = _integer(value["n_docs"], 1, MAX_DOCS, f"{at}: n_docs")
    columns = tuple(_column(c, f"{at}: column {i}") for i, c in enumerate(_list(value["columns"], at)))
    if len({c.name for c in columns}) != len(columns) or len(columns) > _MAX_COLUMNS:
        _refuse(f"{at}: two columns of the same name, or more than {_MAX_COLUMNS}")
    if (value["payload"] is None) != (len(columns) == 0):
        _refuse(f"{at}: columns without a payload, or a payload without columns")
    return SegmentRecord(
        n_docs=n_docs,
        nnz=_integer(value["nnz"], 0, _MAX_COUNT, f"{at}: nnz"),
        postings=_file(value["postings"], f"{at}: postings"),
        ids=_file(value["ids"], f"{at}: ids"),
        payload=None if value["payload"] is None else _file(value["payload"], f"{at}: payload"),
        columns=columns,
        deleted=None if value["deleted"] is None else _deleted(value["deleted"], n_docs, f"{at}: deleted"),
        words=_file(value["words"], f"{at}: words") if has_words else None,
    )


def _deleted(value: Any, n_docs: int, at: str) -> DeletedRecord:
    value = _object(value, "count id sections", at)
    count = _integer(value["count"], 1, n_docs, f"{at}: count")
    return DeletedRecord(count, _file({"id": value["id"], "sections": value["sections"]}, at))


def _file(value: Any, at: str) -> FileRecord:
    value = _object(value, "id sections", at)
    if not isinstance(value["sections"], dict):
        _refuse(f"{at}: sections is not an object")
    sections = {}
    for name, entry in value["sections"].items():
        if not _NAME.match(name):
            _refuse(f"{at}: {name!r} is no name of a section")
        count, checksum = _pair(entry, f"{at}: {name}")
        sections[name] = SectionRecord(
            _integer(count, 0, _MAX_COUNT, f"{at}: {name}"), _hex(checksum, f"{at}: {name}")
        )
    return FileRecord(_hex(value["id"], f"{at}: id"), sections)


def _column(value: Any, at: str) -> ColumnRecord:
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[2], bool):
        _refuse(f"{at}: expected [name, type, nullable]")
    return ColumnRecord(_text(value[0], 1024, at), _text(value[1], 32, at), value[2])


def _tuning(value: Any, at: str) -> TuningRecord:
    keys = "k target recall microseconds n_queries settings"
    noted = [key for key in ("n_docs", "documents") if isinstance(value, dict) and key in value]
    value = _object(value, " ".join([keys, *noted]), at)
    settings = value["settings"]
    if not isinstance(settings, dict) or any(isinstance(v, list | dict) for v in settings.values()):
        _refuse(f"{at}: settings are not plain values")
    return TuningRecord(
        k=_integer(value["k"], 1, _MAX_COUNT, f"{at}: k"),
        target=_number(value["target"], 0.0, 1.0, f"{at}: target"),
        recall=_number(value["recall"], 0.0, 1.0, f"{at}: recall"),
        microseconds=_number(value["microseconds"], 0.0, 1e12, f"{at}: microseconds"),
        n_queries=_integer(value["n_queries"], 1, _MAX_COUNT, f"{at}: n_queries"),
        settings=settings,
        n_docs=_integer(value["n_docs"], 1, _MAX_COUNT, f"{at}: n_docs") if "n_docs" in noted else None,
        documents=_documents(value["documents"], f"{at}: documents") if "documents" in noted else (),
    )


def _documents(value: Any, at: str) -> tuple[str, ...]:
    hashes = tuple(_hex(one, at) for one in _list(value, at))
    return hashes if 1 <= len(hashes) <= _MAX_DRAWN else _refuse(f"{at}: not 1 to {_MAX_DRAWN} of them")


def _encoder(value: Any) -> dict[str, str | int]:
    if not isinstance(value, dict) or len(value) > 64:
        _refuse("encoder: not an object of at most 64 entries")
    for key, entry in value.items():
        if isinstance(entry, int):
            _integer(entry, -_MAX_COUNT, _MAX_COUNT, f"encoder: {key}")
        else:
            _text(entry, 4096, f"encoder: {key}")
        _text(key, 64, "encoder")
    return value


def _config(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse("config: not an object")
    return value


def _object(value: Any, keys: str, at: str) -> dict[str, Any]:
    expected = set(keys.split())
    if not isinstance(value, dict):
        _refuse(f"{at}: not an object")
    if set(value) != expected:
        odd = sorted(set(value) ^ expected)[0]
        _refuse(f"{at}: key {odd!r} is {'missing' if odd in expected else 'unknown'}")
    return value


def _list(value: Any, at: str) -> list[Any]:
    return value if isinstance(value, list) else _refuse(f"{at}: not a list")


def _pair(value: Any, at: str) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        _refuse(f"{at}: expected [count, checksum]")
    return value[0], value[1]


def _integer(value: Any, low: int, high: int, at: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        _refuse(f"{at}: {_short(value)} is no integer between {low} and {high}")
    return value


def _number(value: Any, low: float, high: float, at: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        _refuse(f"{at}: {_short(value)} is no number between {low} and {high}")
    return float(value)


def _text(value: Any, limit: int, at: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= limit:
        _refuse(f"{at}: {_short(value)} is no text of 1 to {limit} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        _refuse(f"{at}: a lone surrogate in {_short(value)}")
    return value


def _hex(value: Any, at: str) -> str:
    if not isinstance(value, str) or not _ID.match(value):
        _refuse(f"{at}: {_short(value)} is not 32 hexadecimal digits")
    return value


def _short(value: Any) -> str:
    text = (
        ascii(value) if not isinstance(value, int) or abs(value) < 1 << 128 else "an integer beyond 128 bits"
    )
    return text if len(text) <= 60 else text[:57] + "..."
