from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.errors import IndexCorruptError, IndexVersionError
from splade_engine.index.disk.manifest import MAX_BYTES, decode, encode
from splade_engine.index.disk.records import (
    ColumnRecord,
    DeletedRecord,
    Manifest,
    SegmentRecord,
    TuningRecord,
)
from splade_engine.index.disk.storage import FileRecord, SectionRecord, digest

HEX = "0123456789abcdef" * 2


def file_record(number: int) -> FileRecord:
    return FileRecord(f"{number:032x}", {"offsets": SectionRecord(11, HEX), "bytes": SectionRecord(0, HEX)})


def example() -> Manifest:
    segment = SegmentRecord(
        n_docs=10,
        nnz=55,
        postings=file_record(1),
        ids=file_record(2),
        payload=file_record(3),
        columns=(ColumnRecord("title", "text", False), ColumnRecord("année", "int", True)),
        deleted=DeletedRecord(3, file_record(4)),
    )
    return Manifest(
        generation=7,
        n_terms=30522,
        segments=(segment, SegmentRecord(5, 0, file_record(5), file_record(6))),
        encoder={"name": "model", "max_length": 256},
        config={"weights": "auto"},
        tuning=(
            TuningRecord(10, 0.95, 0.961, 84.5, 200, {"exact": False, "query_cut": 8}, 15, (HEX, HEX)),
            TuningRecord(20, 0.95, 0.961, 84.5, 200, {"exact": True}),  # of an earlier release
        ),
    )


def sealed(text: bytes) -> bytes:
    """A manifest file with this body and the right checksum."""
    return b'{"body":' + text + f',"xxh3_128":"{digest(text)}"}}\n'.encode()


def body() -> dict:
    return json.loads(encode(example()))["body"]


def test_round_trip_and_derived_counts() -> None:
    manifest = example()
    assert decode(encode(manifest), "m") == manifest
    assert (manifest.n_docs, manifest.live) == (15, 12)
    assert len(manifest.file_names()) == 6
    assert json.loads(encode(manifest))["body"]["format_version"] == 1


def test_next_counts_generations() -> None:
    assert example().next(tuning=()).generation == 8


def change(**changes: object) -> dict:
    return body() | changes


def segment(**changes: object) -> dict:
    made = body()
    made["segments"][0] |= changes
    return made


def without(key: str) -> dict:
    made = body()
    del made[key]
    return made


def plain_segment(number: int) -> dict:
    """A segment whose files belong to no other."""
    made = body()["segments"][1]
    for kind in ("postings", "ids"):
        made[kind] = made[kind] | {"id": f"{number:032x}"}
    return made


BAD = {
    "no object": [],
    "magic": change(magic="another index"),
    "key missing": without("tuning"),
    "key unknown": change(extra=1),
    "generation 0": change(generation=0),
    "generation true": change(generation=True),
    "generation a float": change(generation=1.0),
    "generation too large": change(generation=2**63),
    "a huge integer": change(generation=10**3000),
    "n_terms 0": change(n_terms=0),
    "n_terms 2^31": change(n_terms=2**31),
    "segments no list": change(segments={}),
    "encoder no object": change(encoder=[]),
    "encoder value a list": change(encoder={"name": []}),
    "encoder value true": change(encoder={"name": True}),
    "encoder value a float": change(encoder={"name": 0.5}),
    "encoder empty text": change(encoder={"name": ""}),
    "encoder surrogate": change(encoder={"name": "\ud800"}),
    "config no object": change(config=3),
    "tuning no list": change(tuning={}),
    "tuning target 2": change(tuning=[body()["tuning"][0] | {"target": 2}]),
    "tuning n_docs 0": change(tuning=[body()["tuning"][0] | {"n_docs": 0}]),
    "tuning n_docs null": change(tuning=[body()["tuning"][0] | {"n_docs": None}]),
    "tuning key unknown": change(tuning=[body()["tuning"][0] | {"documents": 9}]),
    "tuning documents none": change(tuning=[body()["tuning"][0] | {"documents": []}]),
    "tuning documents no hash": change(tuning=[body()["tuning"][0] | {"documents": [HEX, "../x"]}]),
    "tuning k 0": change(tuning=[body()["tuning"][0] | {"k": 0}]),
    "tuning settings nested": change(tuning=[body()["tuning"][0] | {"settings": {"a": {}}}]),
    "n_docs 0": segment(n_docs=0),
    "n_docs beyond the limit": segment(n_docs=2**32),
    "n_docs 2^62": segment(n_docs=2**62),
    "nnz negative": segment(nnz=-1),
    "a path as id": segment(ids={"id": "../../../../../../../../../etc/x", "sections": {}}),
    "an id in capitals": segment(ids={"id": HEX.upper(), "sections": {}}),
    "an id with newline": segment(ids={"id": HEX + "\n", "sections": {}}),
    "section name": segment(ids={"id": HEX, "sections": {"A b": [1, HEX]}}),
    "section entry": segment(ids={"id": HEX, "sections": {"a": [1]}}),
    "section count": segment(ids={"id": HEX, "sections": {"a": [-1, HEX]}}),
    "section checksum": segment(ids={"id": HEX, "sections": {"a": [1, "zz"]}}),
    "sections no object": segment(ids={"id": HEX, "sections": []}),
    "payload without columns": segment(columns=[]),
    "columns without payload": segment(payload=None),
    "column twice": segment(columns=[["a", "int", True], ["a", "int", True]]),
    "column entry": segment(columns=[["a", "int", 1]]),
    "deleted more than there are": segment(deleted={"count": 11, "id": HEX, "sections": {}}),
    "deleted none": segment(deleted={"count": 0, "id": HEX, "sections": {}}),
    "one file in two segments": change(segments=[body()["segments"][0]] * 2),
    "too many segments": change(segments=[plain_segment(i) for i in range(129)]),
    "too many documents": change(segments=[plain_segment(i) | {"n_docs": 2**31} for i in range(2)]),
}


@pytest.mark.parametrize("made", BAD.values(), ids=BAD.keys())
def test_refused_with_the_name_of_the_file(made: object) -> None:
    with pytest.raises(IndexCorruptError, match=r"^folder/manifest.json: "):
        decode(sealed(json.dumps(made).encode()), "folder/manifest.json")


def test_the_parts_of_the_bad_examples_are_good() -> None:
    good = encode(example())
    assert sealed(good[8:-48]) == good
    decode(sealed(json.dumps(body()).encode()), "m")
    decode(sealed(json.dumps(change(segments=[plain_segment(i) for i in range(128)])).encode()), "m")


RAW = {
    "duplicate key": encode(example())[8:-48].replace(b'"generation":7', b'"generation":7,"generation":7'),
    "NaN": json.dumps(change(n_terms=0)).replace('"n_terms": 0', '"n_terms": NaN').encode(),
    "infinity by overflow": json.dumps(change(config={"a": 0})).replace('"a": 0', '"a": 1e400').encode(),
    "5,000 deep": b"[" * 5000 + b"]" * 5000,
    "deep in a key": json.dumps(change(encoder=1))
    .encode()
    .replace(b'"encoder": 1', b'"encoder": ' + b"[" * 800 + b"]" * 800),
    "5,000 digits": json.dumps(change(generation=0))
    .encode()
    .replace(b'"generation": 0', b'"generation": ' + b"9" * 5000),
    "not UTF-8": b'{"magic":"\xff"}',
    "nothing": b"",
    "UTF-16": json.dumps(body()).encode("utf-16"),
}


@pytest.mark.parametrize("text", RAW.values(), ids=RAW.keys())
def test_strict_json(text: bytes) -> None:
    with pytest.raises(IndexCorruptError, match=r"^m: "):
        decode(sealed(text), "m")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\0" * 100,
        encode(example())[:-1],
        encode(example()) + b"\n",
        b" " + encode(example()),
        encode(example()).replace(b'"generation":7', b'"generation":8'),
        encode(example()).replace(b"xxh3_128", b"xxh3_129"),
    ],
)
def test_exact_bytes(data: bytes) -> None:
    with pytest.raises(IndexCorruptError):
        decode(data, "m")


def test_too_large_is_refused_before_parsing() -> None:
    with pytest.raises(IndexCorruptError, match=f"at most {MAX_BYTES}"):
        decode(sealed(b'"' + b"x" * MAX_BYTES + b'"'), "m")


@pytest.mark.parametrize(("version", "hint"), [(0, "build the index again"), (4, "upgrade splade-engine")])
def test_other_versions_are_named(version: int, hint: str) -> None:
    text = json.dumps({"magic": "splade-engine index", "format_version": version}).encode()
    with pytest.raises(IndexVersionError, match=f"m: index format {version}, this release reads 3; {hint}"):
        decode(sealed(text), "m")


def test_a_manifest_that_could_not_be_read_back_is_never_written() -> None:
    with pytest.raises(IndexCorruptError, match="n_terms"):
        encode(Manifest(generation=1, n_terms=0))


def paths(value: object, path: tuple = ()) -> list[tuple]:
    """The path of every value inside a JSON value."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += paths(inner, (*path, key))
    return found


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=40), st.just([]), st.just({}), st.just("0" * 32), st.just([1, "0" * 32]),
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_mutated_bodies_raise_nothing_but_index_errors(data: st.DataObject) -> None:
    made: object = body()
    path = data.draw(st.sampled_from(paths(made)[1:]))
    inner: object = made
    for key in path[:-1]:
        inner = inner[key]  # type: ignore[index]
    if data.draw(st.booleans()):
        inner[path[-1]] = data.draw(VALUES)  # type: ignore[index]
    else:
        del inner[path[-1]]  # type: ignore[attr-defined]
    try:
        manifest = decode(sealed(json.dumps(made).encode()), "m")
    except (IndexCorruptError, IndexVersionError):
        return
    assert decode(encode(manifest), "m") == manifest
