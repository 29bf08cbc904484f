"""Indexes put together are the index of all their documents built at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from splade_engine.errors import EncoderMismatchError, IndexExistsError, InvalidInputError
from splade_engine.index import BuildConfig, IndexBatch, ShardedIndex, SparseIndex, combine, merge
from splade_engine.vectors import SparseVectors
from tests.index import made

ENCODER: dict[str, str | int] = {"name": "none", "max_length": 3}


def parts(folder: Path, sizes: tuple[int, ...] = (40, 25, 12), **options: object) -> list[SparseIndex]:
    """Indexes "p0", "p1", ... with ids "0-0", "0-1", ..."""
    return [
        SparseIndex.build(
            folder / f"p{n}",
            made.vectors(n, size),
            [f"{n}-{i}" for i in range(size)],
            payload=made.payload(size, 100 * n),
            encoder={**ENCODER, "name": f"copy {n}"},
            threads=1,
            **options,  # type: ignore[arg-type]
        )
        for n, size in enumerate(sizes)
    ]


def whole(folder: Path, made_of: list[SparseIndex], **options: object) -> SparseIndex:
    """The live documents of these indexes, built at once."""
    batches = []
    for ix in made_of:
        live = ix.reader.snapshot.live_ordinals()
        table = pa.Table.from_pylist(ix.payload(live), schema=made.payload(1).schema)
        batches.append(IndexBatch(ix.vectors(), ix.ids(), table))
    encoder = dict(made_of[0].encoder or {}) or None
    return SparseIndex.build(folder, batches, encoder=encoder, threads=1, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "config", [BuildConfig(), BuildConfig("uint8", "split"), BuildConfig("float32", lists="blocks")]
)
def test_merging_is_building_at_once(tmp_path: Path, config: BuildConfig) -> None:
    given = parts(tmp_path, config=config)
    one = SparseIndex.merge(tmp_path / "m", [given[0], tmp_path / "p1", str(tmp_path / "p2")], threads=1)
    other = whole(tmp_path / "w", given, config=config)
    assert one.info().fingerprint == other.info().fingerprint  # which holds the checksum of every file
    assert one.info().n_segments == 1
    assert [len(p) for p in given] == [40, 25, 12]
    one.check()


def test_a_collection_is_its_shards(tmp_path: Path) -> None:
    given = parts(tmp_path)
    folder = tmp_path / "c"
    collection = ShardedIndex.collect(folder, [p.path for p in given[:2]])
    wanted = SparseIndex.merge(tmp_path / "w", given, threads=1).info().fingerprint
    for n, part in enumerate((folder, collection)):
        merged = SparseIndex.merge(tmp_path / f"m{n}", [part, given[2]], threads=1)
        assert merged.info().fingerprint == wanted
    with pytest.raises(InvalidInputError, match="p1: is given twice"):
        SparseIndex.merge(tmp_path / "m", [folder, given[1]])
    with pytest.raises(InvalidInputError, match="c: is a collection itself"):
        ShardedIndex.collect(tmp_path / "d", [folder, given[2].path])
    assert not (tmp_path / "m").exists() and not (tmp_path / "d").exists()


def test_what_is_deleted_stays_behind_and_its_id_is_free(tmp_path: Path) -> None:
    a, b, c = parts(tmp_path)
    a.delete(["0-3", "0-39"])
    b.add(made.vectors(9, 2), ["0-3", "new"], payload=made.payload(2, 7), threads=1)
    c.delete(c.ids())
    one = SparseIndex.merge(tmp_path / "m", [a, b, c], threads=1)
    assert one.ids() == [*a.ids(), *b.ids()]
    assert one.info().n_deleted == 0
    assert one.info().fingerprint == whole(tmp_path / "w", [a, b, c]).info().fingerprint
    queries = made.vectors(77, 20)
    assert made.answers(one, queries) == made.answers(whole(tmp_path / "x", [a, b, c]), queries)
    np.testing.assert_array_equal(
        one.document_frequencies(), a.document_frequencies() + b.document_frequencies()
    )


def test_columns_that_differ_are_joined(tmp_path: Path) -> None:
    a = SparseIndex.build(
        tmp_path / "a", made.vectors(1, 2), ["a", "b"], payload=pa.table({"n": [1, 2], "t": ["x", "y"]})
    )
    b = SparseIndex.build(tmp_path / "b", made.vectors(2, 1), ["c"], payload=pa.table({"n": [0.5]}))
    c = SparseIndex.build(tmp_path / "c", made.vectors(3, 1), ["d"])
    one = SparseIndex.merge(tmp_path / "m", [a, b, c])
    assert one.payload([0, 1, 2, 3]) == [
        {"n": 1.0, "t": "x"},
        {"n": 2.0, "t": "y"},
        {"n": 0.5, "t": None},
        {"n": None, "t": None},
    ]
    d = SparseIndex.build(tmp_path / "d", made.vectors(4, 1), ["e"], payload=pa.table({"n": ["text"]}))
    with pytest.raises(InvalidInputError, match="column 'n' is float in the index and text"):
        SparseIndex.merge(tmp_path / "n", [one, d])
    assert not (tmp_path / "n").exists()


def test_a_budget_leaves_segments_apart_and_copies_whole_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = parts(tmp_path)
    monkeypatch.setattr(merge, "_BYTES_PER_ID", (64 << 20) // 50)  # 65 documents and more are too many
    monkeypatch.setattr(merge, "segment_cost", lambda *_: 1 << 40)
    one = SparseIndex.merge(tmp_path / "m", given, memory=64)
    assert [s.n_docs for s in one.reader.snapshot.manifest.segments] == [40, 37]
    queries = made.vectors(77, 20)
    assert made.answers(one, queries) == made.answers(whole(tmp_path / "w", given), queries)
    one.check()
    copied, first = (ix.reader.snapshot.segments[0] for ix in (one, given[0]))
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(copied.arrays[name], array)


def test_an_id_of_two_parts_is_named(tmp_path: Path) -> None:
    a, b, _ = parts(tmp_path)
    b.add(made.vectors(9, 1), ["0-7"], threads=1)
    with pytest.raises(InvalidInputError, match=r"p1: holds a document '0-7', and .*p0 too"):
        SparseIndex.merge(tmp_path / "m", [a, b])
    with pytest.raises(InvalidInputError, match="p0: is given twice"):
        SparseIndex.merge(tmp_path / "m", [a, a])
    assert not (tmp_path / "m").exists()


def test_parts_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    a, b, _ = parts(tmp_path)
    row = SparseVectors.from_dicts([{1: 1.0}], 60)
    other = SparseIndex.build(tmp_path / "other", row, ["x"], encoder={**ENCODER, "max_length": 4})
    with pytest.raises(EncoderMismatchError, match=r"not of the encoder of .*max_length 3, now 4"):
        SparseIndex.merge(tmp_path / "m", [a, b, other])
    nameless = SparseIndex.build(tmp_path / "nameless", row, ["x"])
    for order in ([a, nameless], [nameless, a]):
        with pytest.raises(EncoderMismatchError, match="nameless: does not say which encoder"):
            SparseIndex.merge(tmp_path / "m", order)
    wide = SparseIndex.build(tmp_path / "wide", SparseVectors.from_dicts([{1: 1.0}], 61), ["x"])
    with pytest.raises(InvalidInputError, match=r"wide: vectors over 61 terms, those of .*nameless over 60"):
        SparseIndex.merge(tmp_path / "m", [nameless, wide])
    with pytest.raises(InvalidInputError, match="no index is given"):
        SparseIndex.merge(tmp_path / "m", [])
    with pytest.raises(InvalidInputError, match="one string"):
        SparseIndex.merge(tmp_path / "m", str(tmp_path / "p0"))  # type: ignore[arg-type]


def test_another_way_of_storing_is_refused_unless_one_is_chosen(tmp_path: Path) -> None:
    (a,) = parts(tmp_path, (9,))
    b = SparseIndex.build(
        tmp_path / "b", made.vectors(5, 4), encoder=ENCODER, config=BuildConfig("uint8"), threads=1
    )
    with pytest.raises(InvalidInputError, match=r"built with weights uint8, .* with auto; say which"):
        SparseIndex.merge(tmp_path / "m", [a, b])
    one = SparseIndex.merge(tmp_path / "m", [a, b], config=BuildConfig("float32"))
    assert one.vectors() == SparseVectors.concat([a.vectors(), b.vectors()])
    alone = SparseIndex.merge(tmp_path / "alone", [a], config=BuildConfig("float32"))
    assert alone.info().config["weights"] == "float32"
    alone.check()


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    a, b, _ = parts(tmp_path)
    with pytest.raises(IndexExistsError):
        SparseIndex.merge(tmp_path / "p2", [a, b])
    with pytest.raises(InvalidInputError, match="p0: is one of the parts"):
        SparseIndex.merge(tmp_path / "p0", [a, b], overwrite=True)
    assert len(SparseIndex.merge(tmp_path / "p2", [a, b], overwrite=True)) == 65


def test_an_index_without_documents_is_not_made(tmp_path: Path) -> None:
    (a,) = parts(tmp_path, (3,))
    a.delete(a.ids())
    with pytest.raises(InvalidInputError, match="hold no documents"):
        SparseIndex.merge(tmp_path / "m", [a])
    assert not (tmp_path / "m").exists()


def test_more_documents_than_an_index_holds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(combine, "MAX_DOCS", 64)
    with pytest.raises(InvalidInputError, match="more than 64 documents; open the parts as shards"):
        SparseIndex.merge(tmp_path / "m", parts(tmp_path))
