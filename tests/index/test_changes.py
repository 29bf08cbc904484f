from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from splade_engine.errors import EncoderMismatchError, IndexLockedError, IndexNotFoundError, InvalidInputError
from splade_engine.index import BlockLists, BuildConfig, IndexBatch, SparseIndex, changes, merge
from splade_engine.index.disk.publish import IndexWriter
from splade_engine.index.kernels import jit
from splade_engine.vectors import SparseVectors
from tests import oracle
from tests.index import made

COUNTS = st.integers(1, 25)
N_TERMS = 30
CONFIGS = [
    BuildConfig(),
    BuildConfig("uint8", "split"),
    BuildConfig(lists="blocks"),
    BuildConfig("uint8", lists=BlockLists(cap=6, rounds=1)),
]


class Changes(RuleBasedStateMachine):
    """Any order of changes leaves what an index built from the live documents would hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="changes", dir=made.MEMORY)
        self.path = Path(self.folder.name) / "ix"
        self.seeds = itertools.count(1)
        self.live: dict[str, tuple[SparseVectors, dict]] = {}

    def documents(self, ids: list[str]) -> tuple[SparseVectors, pa.Table]:
        seed = next(self.seeds)
        vectors = made.vectors(seed, len(ids), N_TERMS, 5)
        table = made.payload(len(ids), 100 * seed)
        for i, name in enumerate(ids):
            self.live.pop(name, None)
            self.live[name] = vectors[i], table.slice(i, 1).to_pylist()[0]
        return vectors, table

    @initialize(n=COUNTS, config=st.sampled_from(CONFIGS))
    def build(self, n: int, config: BuildConfig) -> None:
        self.kind = "uint8" if config.weights == "uint8" else "float16"
        ids = [f"first-{i}" for i in range(n)]
        vectors, table = self.documents(ids)
        self.ix = SparseIndex.build(self.path, vectors, ids, payload=table, config=config, threads=1)

    @rule(n=COUNTS)
    def add(self, n: int) -> None:
        ids = [f"{next(self.seeds)}-{i}" for i in range(n)]
        vectors, table = self.documents(ids)
        assert self.ix.add(vectors, ids, payload=table, threads=1) == n

    @precondition(lambda self: self.live)
    @rule(data=st.data(), n=st.integers(0, 5))
    def update(self, data: st.DataObject, n: int) -> None:
        old = data.draw(st.lists(st.sampled_from(sorted(self.live)), min_size=1, max_size=8, unique=True))
        ids = data.draw(st.permutations([*old, *(f"{next(self.seeds)}-u{i}" for i in range(n))]))
        vectors, table = self.documents(ids)
        assert self.ix.update(vectors, ids, payload=table, threads=1) == len(old)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        gone = data.draw(st.lists(st.sampled_from(sorted(self.live)), min_size=1, unique=True))
        assert self.ix.delete(gone) == len(gone)
        for name in gone:
            del self.live[name]

    @rule()
    def compact(self) -> None:
        assert self.ix.compact(threads=1) == (1 if self.live else 0)
        assert self.ix.ids() == list(self.live)

    @rule()
    def reopen(self) -> None:
        self.ix = SparseIndex.open(self.path)

    @invariant()
    def equals_an_index_of_the_live_documents(self) -> None:
        assert len(self.ix) == len(self.live)
        assert self.ix.ids() == list(self.live)
        vectors = SparseVectors.concat([SparseVectors.empty(N_TERMS), *(v for v, _ in self.live.values())])
        vectors = oracle.stored(vectors, self.kind)
        assert self.ix.vectors() == vectors
        queries = made.vectors(0, 3, N_TERMS, 6)
        ordinals, scores = oracle.exact(vectors, queries, 12)
        found = self.ix.search(queries, 12, exact=True)
        names = list(self.live)
        assert found.ids == [[names[o] for o in row if o >= 0] for row in ordinals.tolist()]
        assert np.array_equal(found.scores, scores)
        for row, ids in zip(found.ordinals.tolist(), found.ids, strict=True):
            hits = [o for o in row if o >= 0]
            assert self.ix.payload(hits) == [self.live[name][1] for name in ids]
            assert [self.ix.ordinal(name) for name in ids] == hits
        assert self.ix.info().n_segments <= 16

    def teardown(self) -> None:
        self.folder.cleanup()


Changes.TestCase.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
TestChanges = Changes.TestCase


def test_growing_by_single_documents_stays_logarithmic(memory_path: Path) -> None:
    ix = SparseIndex.build(memory_path / "ix", made.vectors(0, 64), threads=1)
    most = 0
    for i in range(40):
        ix.add(made.vectors(i, 1), [f"n{i}"], threads=1)
        most = max(most, ix.info().n_segments)
    assert most <= 7
    assert ix.ids() == [str(i) for i in range(64)] + [f"n{i}" for i in range(40)]


def test_merges_and_compaction_keep_to_the_memory(memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "segment_cost", lambda nnz, n_docs, payload: n_docs << 20)  # 1 MiB a document
    ix = SparseIndex.build(memory_path / "ix", made.vectors(0, 100), threads=1)
    queries = made.vectors(99, 5)
    for i in range(4):
        ix.add(made.vectors(i, 60), [f"{i}-{j}" for j in range(60)], threads=1, memory=150)
    before = made.answers(ix, queries)
    assert [len(s) for s in ix.reader.snapshot.segments] == [100, 120, 120]
    ix.add(made.vectors(9, 500), [f"x{j}" for j in range(500)], threads=1)
    assert [len(s) for s in ix.reader.snapshot.segments] == [840]  # 840 MiB, within the default of 1,024
    ix.delete([f"x{j}" for j in range(500)])
    assert ix.compact(memory=64) == 1
    assert made.answers(ix, queries) == before


@pytest.mark.parametrize("config", CONFIGS)
def test_after_many_merges_every_byte_is_that_of_one_build(memory_path: Path, config: BuildConfig) -> None:
    """Rounded again at every merge, weights would drift; what is kept depends on each document alone."""
    rng = np.random.default_rng(3)
    batches = [made.vectors(i, 30) for i in range(12)]
    batches = [
        SparseVectors(b.indptr, b.terms, b.weights * rng.gamma(1.0, 1.0, b.nnz).astype(np.float32), b.n_terms)
        for b in batches
    ]
    ix = SparseIndex.build(memory_path / "ix", batches[0], config=config, threads=1)
    merges = 0
    for i, batch in enumerate(batches[1:]):
        before = ix.info().n_segments
        ix.add(batch, [f"{i}-{j}" for j in range(30)], threads=1)
        merges += ix.info().n_segments <= before
    assert merges > 5
    gone = [name for name in ix.ids() if hash_of(name) % 3 == 0]
    kept = [hash_of(name) % 3 != 0 for name in ix.ids()]
    ix.delete(gone)
    ix.compact(threads=1)
    given = SparseVectors.concat(batches)[np.flatnonzero(kept)]
    whole = SparseIndex.build(memory_path / "whole", given, ix.ids(), config=config, threads=1)
    (a,), (b,) = ix.reader.snapshot.segments, whole.reader.snapshot.segments
    assert all(np.array_equal(a.arrays[name], b.arrays[name]) for name in b.arrays)
    ix.check(deep=True)


def hash_of(name: str) -> int:
    """The same in every process, unlike `hash`."""
    return sum(name.encode())


def test_a_large_index_is_not_read_again_for_a_small_change(memory_path: Path) -> None:
    ix = made.index(memory_path / "ix", 300)
    with mock.patch("splade_engine.index.segment.segment.check_structure") as checked:
        ix.add(made.vectors(1, 2), ["a", "b"])
        assert [c.kwargs["n_docs"] for c in checked.call_args_list] == [2]
        ix.delete(["a", "7"])
        assert checked.call_count == 1


def test_all_or_nothing(tmp_path: Path) -> None:
    ix = made.changed_index(tmp_path / "ix")
    before = (tmp_path / "ix" / "manifest.json").read_bytes()
    files = {p.name for p in (tmp_path / "ix").iterdir()}
    two = made.vectors(3, 2)
    for call, message in [
        (lambda: ix.add(two, ["new", "5"]), "document 1: id '5' is in the index already"),
        (lambda: ix.add(two, ["new", "new"]), "document 1: id 'new' is also the id of document 0"),
        (lambda: ix.add(two, ["new", 5]), "document 1: id 5 is not a string"),
        (lambda: ix.add(made.vectors(1, 2, 61), ["x", "y"]), "vectors over 61 terms in an index of 60"),
        (
            lambda: ix.add(two, ["x", "y"], payload=pa.table({"open": ["a", "b"]})),
            "'open' is bool in the index and text",
        ),
        (lambda: ix.update(two, ["5", "5"]), "also the id of"),
        (lambda: ix.delete(["5", "nowhere"]), "delete: no document with id 'nowhere'"),
        (lambda: ix.delete(["3"]), "delete: no document with id '3'"),
        (lambda: ix.delete(["5", "5"]), "delete: id '5' is given twice"),
        (lambda: ix.delete("5"), "a list of strings is expected"),
    ]:  # fmt: skip
        with pytest.raises(InvalidInputError, match=message):
            call()
        assert (tmp_path / "ix" / "manifest.json").read_bytes() == before
        assert {p.name for p in (tmp_path / "ix").iterdir()} == files
    assert ix.delete([]) == 0
    assert ix.add([]) == 0


def test_deleted_ids_may_come_back(tmp_path: Path) -> None:
    ix = made.index(tmp_path / "ix", 100)
    ix.delete(["5"])
    ix.add(made.vectors(4, 1), ["5"])
    assert ix.info().n_segments == 2
    assert ix.ordinal("5") == 100
    assert SparseIndex.open(tmp_path / "ix").vectors([100]) == made.vectors(4, 1)


@pytest.mark.parametrize("change", ["add", "update"])
def test_documents_without_ids_replace_none_whose_number_compaction_freed(
    tmp_path: Path, change: str
) -> None:
    """`update` put them in the place of others, `add` refused them from then on."""
    index = SparseIndex.build(tmp_path / "i", made.vectors(1, 10))
    index.delete(["0", "3"])
    index.compact()
    new = made.vectors(2, 3, index.n_terms)
    put = getattr(index, change)
    put([IndexBatch(new[[0]]), IndexBatch(new[[1]], ["11"]), new[[2]]])
    assert index.ids() == [*"12456789", "10", "11", "12"]
    assert index.vectors([index.ordinal("9")]) == made.vectors(1, 10)[[9]]
    put(new[[0]], ["13"])
    put(new)
    assert index.ids()[-4:] == ["13", "14", "15", "16"]


def test_everything_deleted(tmp_path: Path) -> None:
    ix = made.index(tmp_path / "ix", 5)
    ix.delete([str(i) for i in range(5)])
    for opened in (ix, SparseIndex.open(tmp_path / "ix")):
        assert len(opened) == 0
        assert opened.ids() == []
        assert opened.search(made.vectors(1, 2), 3).ids == [[], []]
        assert opened.info().n_segments == 0
    assert ix.compact() == 0
    ix.add(made.vectors(1, 3), ["a", "b", "c"], payload=pa.table({"year": ["text", "now", "fine"]}))
    assert ix.ids() == ["a", "b", "c"]


def test_columns_may_come_later_and_widen(tmp_path: Path) -> None:
    ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 50), payload=pa.table({"n": [1] * 50}))
    ix.add(made.vectors(2, 2), ["a", "b"], payload=pa.table({"n": [0.5, 2.0], "new": ["x", None]}))
    ix.add(made.vectors(3, 1), ["c"])
    assert ix.info().n_segments == 2
    assert ix.info().columns == {"n": "float", "new": "text"}
    assert ix.search(made.vectors(2, 2), 60, where="n < 1", exact=True).ids[0] == ["a"]
    rows = ix.payload([0, 50, 52])
    ix.compact()
    assert ix.payload([0, 50, 52]) == [
        {"n": 1.0, "new": None},
        {"n": 0.5, "new": "x"},
        {"n": None, "new": None},
    ]
    assert rows == [{"n": 1}, {"n": 0.5, "new": "x"}, {"n": None, "new": None}]


def test_changes_of_two_holders_follow_one_another(tmp_path: Path) -> None:
    one = made.index(tmp_path / "ix", 20)
    other = SparseIndex.open(tmp_path / "ix")
    one.delete(["1"])
    other.delete(["2"])
    assert len(other) == 18
    assert len(one) == 19
    assert one.refresh().ids() == other.ids()
    with pytest.raises(IndexNotFoundError):
        (tmp_path / "ix" / "manifest.json").unlink()
        one.refresh()


def test_columns_that_no_type_holds_together_are_refused(tmp_path: Path) -> None:
    """At the addition, not when a compaction would have to make one column of them."""
    large, half = pa.table({"n": [2**53 + 1]}), pa.table({"n": [0.5]})
    for first, second in ((large, half), (half, large)):
        many = pa.concat_tables([first] * 40)  # an addition of one is not merged with it
        ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 40), payload=many, overwrite=True)
        with pytest.raises(InvalidInputError, match=r"column 'n' holds whole numbers beyond 2\^53 in some"):
            ix.add(made.vectors(2, 1), ["b"], payload=second)
        ix.add(made.vectors(2, 1), ["b"], payload=first)
        ix.compact()
        assert {row["n"] for row in ix.payload(range(41))} == {*first["n"].to_pylist()}
        with pytest.raises(InvalidInputError, match="column 'n'"):
            SparseIndex.build(
                tmp_path / "other",
                [IndexBatch(made.vectors(1, 1), ["a"], first), IndexBatch(made.vectors(1, 1), ["b"], second)],
            )
        assert not (tmp_path / "other").exists()


def test_an_index_has_a_bound_of_columns(tmp_path: Path) -> None:
    ix = SparseIndex.build(
        tmp_path / "ix", made.vectors(1, 40), payload=pa.table({f"a{i}": [1] * 40 for i in range(300)})
    )
    with pytest.raises(InvalidInputError, match="513 columns together, at most 512 are allowed"):
        ix.add(made.vectors(2, 1), ["b"], payload=pa.table({f"b{i}": [1] for i in range(213)}))
    ix.add(made.vectors(2, 1), ["b"], payload=pa.table({f"b{i}": [1] for i in range(212)}))
    ix.compact()
    assert len(SparseIndex.open(tmp_path / "ix").info().columns) == 512


def test_a_column_of_nulls_takes_no_type_from_another(tmp_path: Path) -> None:
    ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 40), payload=pa.table({"n": [1] * 40}))
    ix.add(made.vectors(2, 1), ["b"], payload=pa.table({"n": pa.nulls(1)}))
    assert ix.info().columns == {"n": "int"}


@pytest.mark.parametrize("config", [CONFIGS[0], CONFIGS[3]], ids=["impact", "blocks"])
def test_loops_are_compiled_before_the_lock_is_taken(tmp_path, monkeypatch, config):
    """Compiling takes seconds on a fresh cache, and other writers wait for the lock meanwhile."""
    index = SparseIndex.build(tmp_path / "ix", made.vectors(1, 40, N_TERMS, 5), config=config)
    compiled = []
    modules = [
        module for name, module in sys.modules.items() if name.startswith("splade_engine.index.kernels")
    ]
    for kernel in (each for module in modules for each in vars(module).values()):
        if isinstance(kernel, jit.Kernel):
            monkeypatch.setattr(kernel, "_variants", {})

    def noted(function, signature, compile=jit.compiled):
        compiled.append((function.__name__, _is_held(tmp_path / "ix")))
        return compile(function, signature)

    monkeypatch.setattr(jit, "compiled", noted)
    changes._rehearse.cache_clear()
    index.add(made.vectors(2, 40, N_TERMS, 5), [f"new-{i}" for i in range(40)])  # joined with the others
    assert len(index) == 80 and compiled
    assert [name for name, held in compiled if held] == []


def _is_held(folder):
    try:
        with IndexWriter(folder):
            return False
    except IndexLockedError:
        return True


def test_vectors_are_not_added_to_an_index_that_another_encoder_has_built_anew(tmp_path):
    vectors = made.vectors(1, 3, N_TERMS, 5)
    index = SparseIndex.build(tmp_path / "ix", vectors, encoder={"hash": "one", "source": "here"})
    SparseIndex.build(index.path, vectors, encoder={"hash": "one", "source": "there"}, overwrite=True)
    assert index.add(vectors[:1], ["same encoder"]) == 1
    SparseIndex.build(index.path, vectors, encoder={"hash": "two"}, overwrite=True)
    for change in (index.add, index.update):
        with pytest.raises(EncoderMismatchError, match=r"since it was opened \(hash one, now two\)"):
            change(vectors[:1], ["other"])
    assert len(SparseIndex.open(index.path)) == 3
