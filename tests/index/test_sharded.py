"""Several indexes as one: the oracle is the single index of all their documents."""

from __future__ import annotations

import copy
import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splade_engine.errors import (
    EncoderMismatchError,
    IndexCorruptError,
    IndexExistsError,
    IndexLockedError,
    IndexNotFoundError,
    IndexVersionError,
    InvalidInputError,
    StorageError,
)
from splade_engine.files import digest_of_json
from splade_engine.index import Budget, IndexBatch, Recall, ShardedIndex, SparseIndex, search
from splade_engine.index.collection import COLLECTION, CollectionRecord
from splade_engine.locks import take_lock
from splade_engine.vectors import SparseVectors
from tests.index import made

pytestmark = pytest.mark.usefixtures("lists")

N = 120
ENCODER: dict[str, str | int] = {"name": "none", "max_length": 3}
QUERIES = made.vectors(99, 30)


def build(folder: Path, first: int, last: int, seed: int = 1) -> SparseIndex:
    return SparseIndex.build(
        folder,
        made.vectors(seed, N)[first:last],
        [f"d{i}" for i in range(first, last)],
        payload=made.payload(N).slice(first, last - first),
        encoder=ENCODER,
        threads=1,
    )


def shards(folder: Path, n: int = 4) -> list[Path]:
    ends = [round(i * N / n) for i in range(n + 1)]
    return [build(folder / f"s{i}", a, b).path for i, (a, b) in enumerate(pairwise(ends))]


@pytest.fixture
def one(tmp_path: Path) -> SparseIndex:
    return build(tmp_path / "one", 0, N)


@pytest.fixture
def many(tmp_path: Path) -> ShardedIndex:
    return ShardedIndex.collect(tmp_path / "c", shards(tmp_path))


def same(many: SparseIndex, one: SparseIndex, k: int = 15, **options: object) -> None:
    a = many.search(QUERIES, k, exact=True, **options)  # type: ignore[arg-type]
    b = one.search(QUERIES, k, exact=True, **options)  # type: ignore[arg-type]
    np.testing.assert_array_equal(a.ordinals, b.ordinals)
    assert a.scores.tobytes() == b.scores.tobytes()
    assert a.ids == b.ids
    assert a.exact


def ranked(index: SparseIndex) -> list[dict[str, float]]:
    """All hits of each query."""
    found = index.search(QUERIES, N + 50, exact=True)
    return [
        dict(zip(ids, row.tolist(), strict=False)) for ids, row in zip(found.ids, found.scores, strict=True)
    ]


# ---- asking -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("threads", [1, 2, 40])
def test_hits_are_those_of_one_index_to_the_bit(
    tmp_path: Path, one: SparseIndex, n: int, threads: int
) -> None:
    index = ShardedIndex.open(shards(tmp_path, n))
    same(index, one, threads=threads)
    same(index, one, k=3 * N, threads=threads)
    same(index, one, threads=threads, where="year > 1990 and open = true")
    same(index, one, threads=threads, where="tags = 'odd' and title is null")


def test_whatever_is_asked_of_an_index_is_answered(one: SparseIndex, many: ShardedIndex) -> None:
    assert len(many) == len(one) == N
    assert many.ids() == one.ids()
    assert many.vectors() == one.vectors()
    picked = [119, 0, 31, 60, 0]
    assert many.ids(picked) == one.ids(picked)
    assert many.vectors(picked) == one.vectors(picked)
    assert many.payload(picked) == one.payload(picked)
    assert many.ordinal("d77") == one.ordinal("d77") == 77
    assert "d119" in many
    assert "d120" not in many
    np.testing.assert_array_equal(many.document_frequencies(), one.document_frequencies())
    assert dict(many.encoder or {}) == ENCODER
    a, b = many.info(), one.info()
    assert (a.n_docs, a.nnz, a.columns, a.n_terms) == (b.n_docs, b.nnz, b.columns, b.n_terms)
    for query in list(range(5)):
        for id in ("d3", "d50", "d119", "nobody"):
            assert many.explain(QUERIES[query], id) == one.explain(QUERIES[query], id)
    many.check()


def test_a_filter_on_a_column_that_no_shard_has_is_refused(many: ShardedIndex) -> None:
    with pytest.raises(InvalidInputError, match="no column 'nothing'"):
        many.search(QUERIES, where="nothing = 1")
    with pytest.raises(InvalidInputError, match="k must be at least 1"):
        many.search(QUERIES, 0)


def test_a_column_may_be_in_some_shards_only(tmp_path: Path) -> None:
    first = build(tmp_path / "a", 0, 20)
    bare = SparseIndex.build(tmp_path / "b", made.vectors(1, N)[20:40], [f"d{i}" for i in range(20, 40)])
    with pytest.raises(EncoderMismatchError):
        ShardedIndex.open([first.path, bare.path])
    rows = made.vectors(1, N)[20:40]
    SparseIndex.build(bare.path, rows, [f"d{i}" for i in range(20, 40)], encoder=ENCODER, overwrite=True)
    index = ShardedIndex.open([first.path, bare.path])
    found = index.search(QUERIES, 40, exact=True, where="year is null").ids
    assert {"d3", "d25"} <= {id for row in found for id in row}
    assert "d4" not in {id for row in found for id in row}


def test_recall_is_no_lower_than_that_of_one_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At one effort: each shard walks and scores as much as one index would."""
    monkeypatch.setattr(search, "EXACT_UP_TO", 0)
    vectors, queries = made.vectors(3, 4000, 400, 20), made.vectors(4, 60, 400, 20)
    whole = SparseIndex.build(tmp_path / "one", vectors, threads=1)
    paths = []
    for i in range(4):
        ids = [str(n) for n in range(1000 * i, 1000 * i + 1000)]
        part = vectors[1000 * i : 1000 * i + 1000]
        paths.append(SparseIndex.build(tmp_path / f"s{i}", part, ids, threads=1).path)
    index = ShardedIndex.open(paths)
    truth = whole.search(queries, 10, exact=True).ids

    def recall(searched: SparseIndex, **effort: object) -> float:
        found = searched.search(queries, 10, **effort)  # type: ignore[arg-type]
        assert not found.exact or "accuracy" in effort  # which `tune` may find exact search the cheapest for
        return float(np.mean([len(set(a) & set(t)) / len(t) for a, t in zip(found.ids, truth, strict=True)]))

    for effort in (Budget(100, 12), Budget(400, 30), Recall(0.9)):
        assert recall(index, effort=effort) >= recall(whole, effort=effort)
    assert recall(whole, effort=Budget(100, 12)) < 0.9
    for target in (0.6, 0.8, 0.95):  # and each shard reaches what it was tuned for
        index.tune(queries, k=10, targets=(target,))
        assert recall(index, accuracy=target) >= target
    tuned = index.info().tuned
    assert [t.target for t in tuned] == [0.6, 0.8, 0.95]
    for setting in tuned:
        assert setting.recall == min(
            t.recall for s in index.shards for t in s.info().tuned if t.target == setting.target
        )
        assert (setting.n_docs, setting.current) == (4000, True)
    SparseIndex.open(paths[0]).update(made.vectors(9, 1000, 400, 20), [str(n) for n in range(1000)])
    told = "holds about 0% of the 1,000 documents that it was tuned with"
    assert [t.doubt for t in index.refresh().info().tuned] == [told] * 3


# ---- opening ----------------------------------------------------------------------------------------------


def test_what_does_not_go_together_is_named(tmp_path: Path) -> None:
    a, b, *_ = shards(tmp_path)
    with pytest.raises(InvalidInputError, match=r"s0: is given twice"):
        ShardedIndex.open([a, b, a])
    twin = SparseIndex.build(tmp_path / "twin", made.vectors(3, 1), ["d7"], encoder=ENCODER)
    with pytest.raises(InvalidInputError, match=r"twin: holds a document 'd7', and .*s0 too"):
        ShardedIndex.open([a, b, twin.path])
    other = SparseIndex.build(tmp_path / "o", made.vectors(3, 1), ["x"], encoder={**ENCODER, "max_length": 9})
    with pytest.raises(EncoderMismatchError, match="max_length 3, now 9"):
        ShardedIndex.open([a, other.path])
    with pytest.raises(InvalidInputError, match="no index is given"):
        ShardedIndex.open([])
    with pytest.raises(IndexNotFoundError, match="gone"):
        ShardedIndex.open([a, tmp_path / "gone"])


def test_a_collection_is_opened_like_an_index(many: ShardedIndex, one: SparseIndex) -> None:
    opened = SparseIndex.open(many.path)
    assert isinstance(opened, ShardedIndex)
    same(opened, one)
    record = json.loads((many.path / COLLECTION).read_bytes())
    assert [s["path"] for s in record["shards"]] == ["../s0", "../s1", "../s2", "../s3"]
    assert record["documents"] == N
    assert record["document_frequencies"] == one.document_frequencies().tolist()


def test_a_collection_and_its_shards_move_together(tmp_path: Path, one: SparseIndex) -> None:
    (tmp_path / "home" / "c").mkdir(parents=True)
    ShardedIndex.collect(tmp_path / "home" / "c", shards(tmp_path / "home" / "c"))
    shutil.move(tmp_path / "home", tmp_path / "away")
    same(SparseIndex.open(tmp_path / "away" / "c"), one)


def test_a_shard_that_is_missing_is_no_smaller_collection(many: ShardedIndex, tmp_path: Path) -> None:
    shutil.move(tmp_path / "s2", tmp_path / "elsewhere")
    with pytest.raises(IndexNotFoundError, match=r"c: a shard is missing: .*s2"):
        SparseIndex.open(many.path)


def test_nothing_is_written_over(many: ShardedIndex, tmp_path: Path) -> None:
    paths = [shard.path for shard in many.shards]
    with pytest.raises(IndexExistsError, match="holds a collection"):
        ShardedIndex.collect(many.path, paths)
    with pytest.raises(IndexExistsError):
        ShardedIndex.collect(paths[0], paths)
    with pytest.raises(InvalidInputError, match="is a collection itself"):
        ShardedIndex.open([many.path, paths[0]])
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(IndexExistsError):
        ShardedIndex.collect(tmp_path / "letter", paths)
    before = many.generation
    fewer = ShardedIndex.collect(many.path, paths[:2], overwrite=True)
    assert len(fewer) == N // 2
    assert fewer.generation > before


def test_damage_to_the_record_is_found(many: ShardedIndex) -> None:
    file = many.path / COLLECTION
    whole = file.read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(150):
        data = bytearray(whole)
        place = int(rng.integers(len(data)))
        data[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(data)
        try:
            CollectionRecord.read(many.path)
        except (IndexCorruptError, IndexVersionError):
            continue
        assert json.loads(data) == json.loads(whole), place  # a space, or 1e2 for 100
    for content in (b"", b"{}", b"[]", b"null", whole[:-20], b"[" * 100_000):
        file.write_bytes(content)
        with pytest.raises(IndexCorruptError, match=r"collection\.json"):
            SparseIndex.open(many.path)
    record = json.loads(whole)
    file.write_text(json.dumps({**record, "format": 2}))
    with pytest.raises(IndexVersionError, match="format 2"):
        SparseIndex.open(many.path)


@pytest.mark.parametrize(
    "change",
    [
        {"document_frequencies": lambda found: [-1, *found[1:]]},
        {"document_frequencies": lambda found: [10**6, *found[1:]]},
        {"document_frequencies": lambda found: [0.5, *found[1:]]},
        {"document_frequencies": lambda found: [True, *found[1:]]},
        {"document_frequencies": lambda found: ["1", *found[1:]]},
        {"document_frequencies": lambda found: found[1:]},
        {"document_frequencies": lambda found: found[1:], "n_terms": lambda n: n - 1},
        {"n_terms": lambda n: float(n)},
        {"generation": lambda n: str(n)},
        {"generation": lambda n: 10**40},
        {"documents": lambda n: n + 1},
        {"encoder": lambda encoder: {"hash": "another"}},
        {"encoder": lambda encoder: {"hash": {"a": []}}},
        {"encoder": lambda encoder: ["hash"]},
        {"shards": lambda shards: []},
        {"shards": lambda shards: {"0": shards[0]}},
        {"shards": lambda shards: [{**shards[0], "documents": -1}, *shards[1:]]},
        {"shards": lambda shards: [{**shards[0], "generation": "1"}, *shards[1:]]},
        {"shards": lambda shards: [{**shards[0], "fingerprint": 3}, *shards[1:]]},
        {"shards": lambda shards: [{**shards[0], "path": 3}, *shards[1:]]},
        {"shards": lambda shards: [{**shards[0], "more": 3}, *shards[1:]]},
    ],
)
def test_a_record_that_somebody_wrote_by_hand_is_looked_at(many: ShardedIndex, change: dict) -> None:
    """With a digest that matches: whoever can write the one can write the other."""
    file = many.path / COLLECTION
    record = json.loads(file.read_bytes())
    del record["digest"]
    record |= {name: changed(record[name]) for name, changed in change.items()}
    file.write_text(json.dumps({**record, "digest": digest_of_json(record)}))
    with pytest.raises(IndexCorruptError, match="collection") as error:
        SparseIndex.open(many.path)
    assert "\n" not in str(error.value)


def test_another_process_opens_the_same_generation(many: ShardedIndex) -> None:
    """What `pickle` sends is what `copy` calls."""
    reader = copy.copy(many.reader)
    assert reader is not many.reader
    assert reader.snapshot.fingerprint == many.reader.snapshot.fingerprint
    listed = ShardedIndex.open([s.path for s in many.shards])
    for index in (many, listed):
        other = copy.copy(index)
        assert isinstance(other, ShardedIndex)
        assert other.reader is not index.reader
        assert other.ids() == many.ids()
    before = many.reader
    many.delete(["d0"])
    with pytest.raises(IndexNotFoundError, match="has been replaced"):
        copy.copy(before)


# ---- changing ---------------------------------------------------------------------------------------------


def test_new_documents_go_to_the_smallest_shard_in_one_commit(many: ShardedIndex) -> None:
    many.delete(["d65", "d66"])
    before = [s.generation for s in many.shards]
    assert many.add(made.vectors(5, 4), ["a", "b", "c", "d"], payload=made.payload(4)) == 4
    assert [s.generation - b for s, b in zip(many.shards, before, strict=True)] == [0, 0, 1, 0]
    assert many.payload([many.ordinal("b")]) == made.payload(4).slice(1, 1).to_pylist()
    with pytest.raises(InvalidInputError, match="document 1: id 'd3' is in the index already"):
        many.add(made.vectors(5, 2), ["e", "d3"])
    with pytest.raises(InvalidInputError, match="document 1: id 'a' is in the index already"):
        many.add(made.vectors(5, 2), ["e", "a"])
    assert "e" not in many
    assert CollectionRecord.read(many.path).is_of(many.shards)


@pytest.mark.parametrize("kind", ["one", "many"])
def test_new_documents_may_have_the_ids_of_those_that_go(kind: str, request: pytest.FixtureRequest) -> None:
    index: SparseIndex = request.getfixturevalue(kind)
    n, new = len(index), made.vectors(9, 3, index.n_terms)
    with pytest.raises(InvalidInputError, match="id 'd100' is in the index already"):
        index.add(new, ["d1", "d100", "new"], payload=made.payload(3), drop=["d1", "d2", "none"])
    assert (len(index), "new" in index, "d2" in index) == (n, False, True)
    added = index.add(new, ["d1", "d100", "new"], payload=made.payload(3), drop=["d1", "d2", "d100", "none"])
    assert (added, len(index), "d2" in index) == (3, n, False)
    for row, id in enumerate(["d1", "d100", "new"]):
        assert index.vectors([index.ordinal(id)]) == new[[row]]


def test_documents_are_replaced_where_they_lie(many: ShardedIndex) -> None:
    new = made.vectors(6, 4)
    replaced = many.update(new, ["d1", "d100", "d31", "new"], payload=made.payload(4), drop=["d2", "none"])
    assert replaced == 3
    for row, id in enumerate(["d1", "d100", "d31", "new"]):
        assert many.vectors([many.ordinal(id)]) == new[row]
    assert "d2" not in many
    assert [len(s) for s in many.shards] == [30, 30, 30, 30]
    before = many.info().fingerprint
    with pytest.raises(InvalidInputError, match="document 2: id 'x' is also the id of document 0"):
        many.update(made.vectors(6, 3), ["x", "d3", "x"])
    with pytest.raises(InvalidInputError, match="'nobody'"):
        many.delete(["d5", "nobody"])
    with pytest.raises(InvalidInputError, match="'d5' is given twice"):
        many.delete(["d5", "d6", "d5"])
    with pytest.raises(InvalidInputError, match="one string"):
        many.delete("d5")
    assert many.info().fingerprint == before


operations = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 9)),
        st.tuples(st.just("update"), st.lists(st.integers(0, 150), min_size=1, max_size=8, unique=True)),
        st.tuples(st.just("delete"), st.lists(st.integers(0, 150), min_size=1, max_size=8, unique=True)),
        st.tuples(st.just("compact"), st.just(0)),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations)
def test_changes_are_those_of_one_index(tmp_path_factory: pytest.TempPathFactory, todo: list) -> None:
    folder = tmp_path_factory.mktemp("changes")
    one = build(folder / "one", 0, N)
    many = ShardedIndex.collect(folder / "c", shards(folder, 3))
    fresh = N
    for number, (name, what) in enumerate(todo):
        before = many.generation
        if name == "add":
            ids = [f"d{fresh + i}" for i in range(what)]
            fresh += what
            for index in (one, many):
                index.add(made.vectors(number, what), ids, payload=made.payload(what))
        elif name == "update":
            ids = [f"d{i}" for i in what]
            rows = made.vectors(50 + number, len(ids))
            counts = {index.update(rows, ids, payload=made.payload(len(ids))) for index in (one, many)}
            assert len(counts) == 1
            fresh = max(fresh, max(what) + 1)
        elif name == "delete":
            ids = [f"d{i}" for i in what if f"d{i}" in one]
            assert one.delete(ids) == many.delete(ids) == len(ids)
        else:
            one.compact()
            many.compact()
        assert many.generation >= before
        assert sorted(one.ids()) == sorted(many.ids())
        assert ranked(one) == ranked(many)
        np.testing.assert_array_equal(one.document_frequencies(), many.document_frequencies())
        assert ranked(SparseIndex.open(many.path)) == ranked(one)
    many.check()


def test_who_changes_a_shard_behind_the_collection_is_seen(many: ShardedIndex) -> None:
    seen = many.stamp()
    generation = many.generation
    SparseIndex.open(many.shards[1].path).delete(["d40"])
    assert many.stamp() != seen
    reader = many.reader
    assert "d40" in reader
    many.refresh()
    assert "d40" not in many
    assert many.generation == generation + 1
    whole = np.sum([s.document_frequencies() for s in many.shards], axis=0)
    np.testing.assert_array_equal(many.document_frequencies(), whole)
    SparseIndex.open(many.shards[1].path).add(made.vectors(2, 1), ["d5"], payload=made.payload(1))
    with pytest.raises(InvalidInputError, match=r"'d5'"):
        many.refresh()
    assert "d5" in reader


def test_shards_that_were_compared_are_not_compared_again(
    many: ShardedIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "splade_engine.index.sharded_reader.check_pair",
        lambda a, b: compared.append((a.path.name, b.path.name)),
    )
    ShardedIndex.open(many.path)
    assert compared == []
    SparseIndex.open(many.shards[1].path).delete(["d31"])  # behind the collection's back
    ShardedIndex.open(many.path)
    assert len(compared) == 6
    ShardedIndex.open([shard.path for shard in many.shards])
    assert len(compared) == 12


def test_one_change_at_a_time(many: ShardedIndex) -> None:
    lock = take_lock(many.path / "write.lock")
    assert lock is not None
    with lock, pytest.raises(IndexLockedError, match="is writing this collection"):
        many.delete(["d1"])
    assert "d1" in many
    shard = take_lock(many.shards[3].path / "write.lock")
    assert shard is not None
    with shard, pytest.raises(IndexLockedError, match=r"changed already: .*s0"):
        many.delete(["d1", "d119"])
    assert ("d1" in many, "d119" in many) == (False, True)
    assert CollectionRecord.read(many.path).is_of(many.shards)


def test_a_delete_that_stops_half_way_says_so_and_is_finished_by_the_same_call(many: ShardedIndex) -> None:
    """The ids that were deleted already were refused then, and the others stayed."""
    file = many.path / "deleting.json"
    shard = take_lock(many.shards[3].path / "write.lock")
    assert shard is not None
    with shard:
        for _ in range(2):
            with pytest.raises(IndexLockedError):
                many.delete(["d1", "d119", "d2"])
            many = ShardedIndex.open(many.path)
        assert many.delete(["d3"]) == 1, "another delete does not end it"
        with pytest.raises(InvalidInputError, match="delete: no document with id 'd3'"):
            many.delete(["d3", "d119"])
    assert "d119" in many and not {"d1", "d2", "d3"} & set(many.ids())
    with pytest.raises(InvalidInputError, match="delete: no document with id 'nobody'"):
        many.delete(["d1", "d119", "d2", "nobody"])
    assert many.delete(["d1", "d119", "d2"]) == 1
    assert "d119" not in many and not file.exists()
    with pytest.raises(InvalidInputError, match="delete: no document with id 'd1'"):
        many.delete(["d1"])


def test_the_message_of_a_delete_that_stops_half_way(many: ShardedIndex) -> None:
    shard = take_lock(many.shards[3].path / "write.lock")
    assert shard is not None
    told = "; deleted: 'd1', 'd2', 'd3' and 1 more; not deleted: 'd119'. The same call makes it whole"
    with shard:
        for shards_changed in (True, False):  # by this call; the second has nothing to do in the others
            with pytest.raises(IndexLockedError) as error:
                ShardedIndex.open(many.path).delete(["d119", "d1", "d2", "d3", "d4"])
            assert str(error.value).endswith(told)
            assert ("changed already" in str(error.value)) is shards_changed


@pytest.mark.parametrize("how", ["add", "add without ids", "update"])
def test_new_documents_of_a_call_that_stops_half_way_are_not_put_in_twice(
    many: ShardedIndex, how: str
) -> None:
    """They went in before what was dropped, and the same call refused them, or numbered them anew."""
    ids = None if how == "add without ids" else ["new", "d31"]

    def call() -> int:
        index = ShardedIndex.open(many.path)
        change = index.update if how == "update" else index.add
        return change(made.vectors(5, 2), ids, payload=made.payload(2), drop=["d31", "d119"])

    shard = take_lock(many.shards[3].path / "write.lock")
    assert shard is not None
    with shard:
        for _ in range(2):
            with pytest.raises(IndexLockedError, match="is writing this index"):
                call()
    assert "new" not in many.refresh()
    assert call() == (1 if how == "update" else 2)
    here = many.refresh().ids()
    left = {f"d{i}" for i in range(N)} - {"d31", "d119"}
    assert sorted(here) == sorted(left | set(ids or ["120", "121"]))


def test_a_disk_that_refuses_the_record_leaves_the_shards_right(
    many: ShardedIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: CollectionRecord, folder: Path) -> None:
        raise StorageError(28, "cannot write: No space left on device")

    monkeypatch.setattr(CollectionRecord, "write", full)
    with pytest.raises(StorageError):
        many.delete(["d1"])
    monkeypatch.undo()
    opened = SparseIndex.open(many.path)
    assert "d1" not in opened
    whole = np.sum([s.document_frequencies() for s in many.shards], axis=0)
    np.testing.assert_array_equal(opened.document_frequencies(), whole)


@pytest.mark.parametrize("how", ["add", "update", "update of new ids"])
def test_what_another_shard_refuses_is_refused_before_anything_changes(
    many: ShardedIndex, tmp_path: Path, how: str
) -> None:
    """A shard compared new columns with its own alone, and then nobody could open the collection again."""
    ShardedIndex.collect(many.path, [shard.path for shard in many.shards[:3]], overwrite=True)
    many = ShardedIndex.open(many.path)
    many.add(made.vectors(7, 1), ["typed"], payload=pa.table({"since": [2**60]}))
    many.delete([f"d{i}" for i in range(35, 45)])  # s1 is the smallest now, "typed" lies in s0
    ids = ["d31", "d61"] if how == "update" else ["a", "b"]
    before, stamps = many.ids(), [s.generation for s in many.shards]
    change = many.add if how == "add" else many.update
    two, one = made.vectors(8, 2), made.vectors(8, 1)
    other = SparseVectors.from_dicts([{0: 1.0}], two.n_terms + 1)
    for since in (["x", "y"], [0.5, 1.5]):
        with pytest.raises(InvalidInputError, match="column 'since'"):
            change(two, ids, payload=pa.table({"since": since}))
    with pytest.raises(InvalidInputError, match=r"column 'new'.* int .* text"):
        change([IndexBatch(one, ids[:1], pa.table({"new": [1]})), (one, ids[1:], pa.table({"new": ["x"]}))])
    with pytest.raises(InvalidInputError, match="column 'l', row 1: a list of texts holds a null"):
        change(two, ids, payload=pa.table({"l": [["x"], ["y", None]]}))
    with pytest.raises(InvalidInputError, match="document 1: vectors over"):
        change([IndexBatch(one, ids[:1]), IndexBatch(other, ids[1:])])
    assert (many.ids(), [s.generation for s in many.shards]) == (before, stamps)
    assert ShardedIndex.open(many.path).ids() == before


def test_new_documents_without_ids_get_free_numbers(many: ShardedIndex) -> None:
    two = made.vectors(8, 2)
    many.add(two[[0]], ["121"])
    assert many.update(two, payload=made.payload(2)) == 0
    assert many.add([two, two]) == 4
    assert set(many.ids()) == {f"d{i}" for i in range(N)} | {"121", "122", "123", "124", "125", "126", "127"}


def test_batches_of_a_stream_are_routed(many: ShardedIndex) -> None:
    stream = (IndexBatch(made.vectors(i, 2), [f"n{i}", f"d{i}"], made.payload(2)) for i in range(0, 90, 30))
    assert many.update(stream) == 3
    assert [len(s) for s in many.shards] == [33, 30, 30, 30]
    empty: list[SparseVectors] = []
    assert many.update(empty) == 0
    assert many.add(empty) == 0
