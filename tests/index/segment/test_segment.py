from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from splade_engine.errors import IndexCorruptError, InvalidInputError
from splade_engine.index import SparseIndex
from splade_engine.index.disk.ids import IdColumn
from tests.attacks.hostile import read_arrays, read_body, write_arrays, write_body
from tests.index import made


def forged(folder: Path, number: int, kind: str, change: Callable[[dict], dict]) -> None:
    """Replace a file of segment `number` under right checksums."""
    body = read_body(folder)
    record = body["segments"][number]
    write_arrays(folder, kind, record, change(read_arrays(folder, kind, record)), "forged")
    write_body(folder, body)


def refused(folder: Path, message: str) -> None:
    with pytest.raises(IndexCorruptError, match=message):
        SparseIndex.open(folder)


def test_the_structure_of_the_postings_is_checked(tmp_path: Path) -> None:
    ix = made.changed_index(tmp_path / "ix")
    path = ix.reader.snapshot.segments[1].record.postings.id

    def descend(arrays: dict) -> dict:
        return arrays | {"doc_offsets": arrays["doc_offsets"][::-1].copy()}

    forged(ix.path, 1, "postings", descend)
    refused(ix.path, r"[0-9a-f]{32}\.postings: doc_offsets: must start with 0")
    assert path  # the name changed with the content
    assert not (ix.path / "x").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bits: bits[:-1], "7 bytes of tombstones for 60 documents"),
        (lambda bits: np.zeros_like(bits), "the manifest counts 2 deleted documents"),
        (lambda bits: np.concatenate((bits[:-1], bits[-1:] | 0x80)), "the manifest counts 2"),
    ],
)
def test_tombstones_are_checked(tmp_path: Path, change: Callable, message: str) -> None:
    ix = made.changed_index(tmp_path / "ix")
    forged(ix.path, 0, "deleted", lambda arrays: {"bits": change(arrays["bits"])})
    refused(ix.path, message)


def test_tombstones_beyond_the_last_document_are_refused(tmp_path: Path) -> None:
    ix = made.changed_index(tmp_path / "ix")
    forged(ix.path, 0, "deleted", lambda arrays: {"bits": np.array([0, 0, 0, 0, 0, 0, 0, 0xC0], np.uint8)})
    refused(ix.path, "the manifest counts 2")


def test_sections_are_those_of_the_format(tmp_path: Path) -> None:
    ix = made.changed_index(tmp_path / "ix")
    body = read_body(ix.path)
    sections = body["segments"][0]["ids"]["sections"]
    for other in (
        dict(list(sections.items())[:-1]),
        sections | {"more": [0, "0" * 32]},
        dict(reversed(sections.items())),
    ):
        body["segments"][0]["ids"]["sections"] = other
        write_body(ix.path, body)
        refused(ix.path, "does not list the sections of a ids file")


def test_an_id_is_live_once(tmp_path: Path) -> None:
    ix = made.changed_index(tmp_path / "ix")

    def with_id(name: str) -> Callable[[dict], dict]:
        ids = [name, *(f"n{i}" for i in range(1, 20))]
        return lambda _: IdColumn.build(ids).arrays()

    forged(ix.path, 1, "ids", with_id("17"))  # deleted in the first segment: free to be used again
    assert SparseIndex.open(ix.path).ordinal("17") == 60
    forged(ix.path, 1, "ids", with_id("18"))
    refused(ix.path, "id '18' is live in two segments")
    body = read_body(ix.path)
    body["segments"].reverse()
    write_body(ix.path, body)
    refused(ix.path, "id '18' is live in two segments")


def test_id_files_are_checked_in_both_ways_of_opening(tmp_path: Path) -> None:
    ix = made.changed_index(tmp_path / "ix")
    forged(ix.path, 0, "ids", lambda arrays: arrays | {"offsets": arrays["offsets"] + 1})
    for verify in ("full", "offsets"):
        with pytest.raises(IndexCorruptError, match=r"\.ids: ids: the offsets do not cover the bytes"):
            SparseIndex.open(ix.path, verify=verify)


def test_a_payload_of_another_size_is_refused(tmp_path: Path) -> None:
    ix = made.changed_index(tmp_path / "ix")
    forged(ix.path, 0, "payload", lambda arrays: arrays | {"3.values": arrays["3.values"][:-1]})
    for verify in ("full", "offsets"):
        with pytest.raises(
            IndexCorruptError, match=r"\.payload: payload: column 'grade': 59 values, expected 60"
        ):
            SparseIndex.open(ix.path, verify=verify)


def test_refresh_keeps_what_did_not_change(tmp_path: Path) -> None:
    ix = made.changed_index(tmp_path / "ix")
    ix.search(made.vectors(1, 1), exact=True)
    first, second = ix.reader.snapshot.segments
    ix.delete(["30"])
    assert ix.reader.snapshot.segments[1] is second
    assert ix.reader.snapshot.segments[0].arrays is first.arrays
    assert ix.reader.snapshot.segments[0].searcher is first.searcher
    assert first.live is not None
    assert first.live[30]
    assert not ix.reader.snapshot.segments[0].live[30]


def test_ordinals_outside_are_named(tmp_path: Path) -> None:
    ix = made.changed_index(tmp_path / "ix")
    for ordinal in (-1, 80):
        with pytest.raises(InvalidInputError, match=f"ordinal {ordinal} of an index with ordinals 0 to 79"):
            ix.ids([0, ordinal])
