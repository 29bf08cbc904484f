from __future__ import annotations

import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splade_engine.errors import IndexCorruptError, InvalidInputError
from splade_engine.index import Budget, BuildConfig, IndexBatch, SearchConfig, SparseIndex, search
from splade_engine.vectors import SparseVectors
from tests import oracle
from tests.index import made

pytestmark = pytest.mark.usefixtures("lists")

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=40)


def test_what_was_built_is_opened(tmp_path: Path) -> None:
    documents = made.vectors(1, 40)
    ix = made.index(tmp_path / "ix")
    again = SparseIndex.open(str(tmp_path / "ix"))
    for opened in (ix, again):
        assert (len(opened), opened.n_terms, opened.generation) == (40, 60, 1)
        assert opened.encoder == {"name": "none", "max_length": 3}
        assert opened.vectors() == documents
        assert opened.vectors([5, 3, 5]) == documents[[5, 3, 5]]
        assert opened.ids() == [str(i) for i in range(40)]
        assert opened.ids([7, 0]) == ["7", "0"]
        assert opened.ordinal("17") == 17
        assert "17" in opened
        assert not {"40", "", 17, "x\0"} & set(filter(opened.__contains__, ["40", "", 17]))
        assert opened.payload([3, 1]) == made.payload(40).take([3, 1]).to_pylist()
    assert "40 documents" in repr(ix)


def test_info_counts_the_bytes_on_disk(tmp_path: Path) -> None:
    ix = made.changed_index(tmp_path / "ix")
    info = ix.info()
    files = [p for p in (tmp_path / "ix").iterdir() if p.name != "write.lock"]
    assert info.total_bytes == sum(p.stat().st_size for p in files)
    assert set(info.bytes) == {"manifest", "postings", "ids", "payload", "deleted"}
    assert (info.n_docs, info.n_deleted, info.n_segments, info.generation) == (77, 3, 2, 3)
    assert info.nnz == made.vectors(1, 60).nnz + made.vectors(2, 20).nnz
    assert info.terms_per_doc == info.nnz / 80
    assert info.columns == {"title": "text", "year": "int", "open": "bool", "grade": "float", "tags": "texts"}
    assert info.tuned == ()
    assert info.config == {"weights": "auto"} | dict(info.config)
    assert len(info.fingerprint) == 32


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), n=st.integers(1, 80), k=st.integers(1, 90), cut=st.integers(1, 79))
def test_exact_search_is_brute_force(tmp_path_factory: Any, seed: int, n: int, k: int, cut: int) -> None:
    folder = tmp_path_factory.mktemp("exact") / "ix"
    documents, queries = made.vectors(seed, n), made.vectors(seed + 1, 4)
    batches = [documents[a : a + cut] for a in range(0, n, cut)]
    ix = SparseIndex.build(folder, iter(batches), [f"d{i}" for i in range(n)], threads=1)
    found = ix.search(queries, k, exact=True)
    ordinals, scores = oracle.exact(documents, queries, k)
    assert np.array_equal(found.ordinals, ordinals)
    assert np.array_equal(found.scores, scores)
    assert found.ids == [[f"d{o}" for o in row if o >= 0] for row in ordinals.tolist()]
    assert (found.ordinals.dtype, found.scores.dtype, found.docs_scored.dtype) == (
        np.int64,
        np.float32,
        np.int64,
    )
    assert found.exact
    assert len(found) == 4


def test_segments_are_one_index(tmp_path: Path) -> None:
    documents, queries = made.vectors(1, 300), made.vectors(9, 20)
    one = SparseIndex.build(tmp_path / "one", documents)
    many = SparseIndex.build(tmp_path / "many", documents[:260])
    many.add(documents[260:285], [str(i) for i in range(260, 285)])
    many.add(documents[285:], [str(i) for i in range(285, 300)])
    assert many.info().n_segments == 2
    many.add(made.vectors(3, 2), ["x", "y"])
    assert many.info().n_segments == 3
    many.delete(["x", "y"])
    for k in (1, 7, 300, 1000):
        a, b = one.search(queries, k, exact=True), many.search(queries, k, exact=True)
        assert np.array_equal(a.ordinals, b.ordinals)
        assert np.array_equal(a.scores, b.scores)
    assert many.vectors() == documents
    order = np.random.default_rng(1).permutation(300)
    assert many.vectors(order) == documents[order]
    assert many.ids(order) == [str(o) for o in order]


def test_threads_do_not_change_a_result(tmp_path: Path) -> None:
    ix, queries = made.changed_index(tmp_path / "ix"), made.vectors(9, 100)
    for options in ({"exact": True}, {"config": SearchConfig()}, {}):
        one, eight = (ix.search(queries, 10, threads=t, **options) for t in (1, 8))
        assert np.array_equal(one.ordinals, eight.ordinals)
        assert np.array_equal(one.scores, eight.scores)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: made.answers(ix, queries), range(16)))
    assert all(answer == found[0] for answer in found)


def test_small_indexes_are_searched_exactly_unless_told(tmp_path: Path) -> None:
    ix, queries = made.index(tmp_path / "ix"), made.vectors(9, 5)
    assert ix.search(queries).exact
    assert ix.search(queries, accuracy=0.9).exact
    assert ix.search(queries, accuracy=1.0).exact
    assert not ix.search(queries, config=SearchConfig()).exact


def test_work_is_dealt_out_to_segments() -> None:
    plan = search.Plan(Budget(max_postings=30_000), shared=True)
    assert [plan.for_segment(n, 100_000).max_postings for n in (100_000, 50_000, 10, 1)] == [
        30_000,
        15_000,
        2_000,
        2_000,
    ]
    assert search.Plan(Budget(max_postings=7), shared=True).for_segment(5, 10).max_postings == 7
    assert search.Plan(Budget(max_postings=7), shared=False).for_segment(1, 10).max_postings == 7


def test_edges_of_a_search(tmp_path: Path) -> None:
    ix = made.index(tmp_path / "ix")
    nothing = ix.search(SparseVectors.empty(60, 3), 4)
    assert nothing.ids == [[], [], []]
    assert (nothing.ordinals == -1).all()
    assert np.isneginf(nothing.scores).all()
    none = ix.search(SparseVectors.empty(60), 4)
    assert none.ordinals.shape == (0, 4)
    assert none.ids == []
    wide = ix.search(made.vectors(9, 2), 5000)
    assert wide.ordinals.shape == (2, 5000)
    assert max(map(len, wide.ids)) <= 40


BAD_SEARCHES: list[tuple[dict[str, Any], str]] = [
    ({"k": 0}, "k must be at least 1, got 0"),
    ({"k": -1}, "k must be at least 1, got -1"),
    ({"k": 1.5}, "k must be an integer, got 1.5"),
    ({"k": True}, "k must be an integer, got True"),
    ({"k": 10**9}, "k must be at most 1000000, got 1000000000"),
    ({"queries": made.vectors(1, 2, n_terms=61)}, "queries over 61 terms, the index has 60"),
    ({"queries": [[1, 2]]}, "queries must be SparseVectors, got list"),
    ({"accuracy": 0.0}, "accuracy must be above 0 and at most 1, got 0.0"),
    ({"accuracy": 1.01}, "accuracy must be above 0 and at most 1, got 1.01"),
    ({"accuracy": float("nan")}, "accuracy must be above 0"),
    ({"accuracy": 0.9, "exact": True}, "give one of accuracy, exact and config"),
    ({"config": SearchConfig(), "exact": True}, "give one of accuracy, exact and config"),
    ({"threads": 0}, "threads: a whole number from 1 to 1024 is expected, got 0"),
    ({"where": "((("}, "where: expected a column"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_SEARCHES)
def test_bad_searches(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    ix = made.index(tmp_path / "ix")
    with pytest.raises(InvalidInputError, match=message):
        ix.search(**({"queries": made.vectors(9, 2)} | arguments))


TWO = made.vectors(1, 2)
BAD_BUILDS: list[tuple[dict[str, Any], str]] = [
    ({"vectors": SparseVectors.empty(60)}, "ix: no documents to build an index from"),
    ({"vectors": []}, "ix: no documents to build an index from"),
    (
        {"vectors": [TWO, made.vectors(1, 2, n_terms=61)]},
        "document 2: vectors over 61 terms in an index of 60",
    ),
    ({"vectors": [{"a": 1}]}, "expected SparseVectors or IndexBatch, got dict"),
    ({"ids": ["a"]}, "1 ids for 2 documents"),
    ({"ids": ["a", "b", "c"]}, "3 ids for 2 documents"),
    ({"ids": "ab"}, "a list of strings is expected, got one string"),
    ({"ids": ["a", 7]}, "document 1: id 7 is not a string"),
    ({"ids": ["a", "a"]}, "document 1: id 'a' is also the id of document 0"),
    ({"vectors": [TWO, TWO], "ids": ["a", "b", "c", "a"]}, "document 3: id 'a' is also the id of document 0"),
    ({"payload": [{"a": 1}] * 2}, "expected a pyarrow.Table, got list"),
    ({"payload": pa.table({"a": [1]})}, "1 rows for 2 documents"),
    ({"payload": pa.table({"a": [{"b": 1}] * 2})}, "column 'a' is of type struct"),
    ({"vectors": [IndexBatch(TWO, ["a"])]}, "1 ids for 2 documents"),
    ({"encoder": {"name": 0.5}}, "encoder: 'name': 0.5 is neither text nor an integer"),
    ({"threads": 0}, "threads: a whole number from 1 to 1024 is expected, got 0"),
    ({"memory": 1}, r"memory \(MiB\): a whole number from 64 to 2147483648 is expected, got 1"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_BUILDS)
def test_bad_builds_leave_nothing(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        SparseIndex.build(tmp_path / "ix", **({"vectors": TWO} | arguments))
    assert not (tmp_path / "ix").exists()


def test_bad_looks(tmp_path: Path) -> None:
    ix = made.index(tmp_path / "ix")
    with pytest.raises(InvalidInputError, match="no document with id 'x'"):
        ix.ordinal("x")
    for call in (ix.ids, ix.vectors, ix.payload):
        for ordinals in ([40], [-1], [[1]], [0.5], ["a"]):
            with pytest.raises(InvalidInputError, match="ordinal"):
                call(ordinals)
    with pytest.raises(InvalidInputError, match="'full' or 'offsets', got 'none'"):
        SparseIndex.open(tmp_path / "ix", verify="none")


def test_batches_with_their_own_ids_and_payload(tmp_path: Path) -> None:
    documents, table = made.vectors(1, 30), made.payload(30)
    stream = (
        IndexBatch(documents[a : a + 10], [f"d{i}" for i in range(a, a + 10)], table.slice(a, 10))
        for a in range(0, 30, 10)
    )
    ix = SparseIndex.build(tmp_path / "ix", stream)
    assert ix.ids() == [f"d{i}" for i in range(30)]
    assert ix.payload(range(30)) == table.to_pylist()
    assert ix.vectors() == documents


def test_documents_without_terms_are_kept_and_never_found(tmp_path: Path) -> None:
    ix = SparseIndex.build(tmp_path / "ix", SparseVectors.empty(9, 3), config=BuildConfig())
    everything = SparseVectors([0, 9], list(range(9)), [1.0] * 9, 9)
    assert len(ix) == 3
    assert ix.search(everything).ids == [[]]
    assert ix.search(everything, config=SearchConfig()).ids == [[]]


def test_a_wide_vocabulary(tmp_path: Path) -> None:
    rows = [{2**31 - 2: 1.0, 70_000: 0.5}, {5: 2.0}]
    documents = SparseVectors.from_dicts(rows, 2**31 - 1)
    ix = SparseIndex.build(tmp_path / "ix", documents)
    assert ix.search(documents, 2, exact=True).ids == [["0"], ["1"]]
    assert ix.vectors() == documents


def test_unverified_opening_gives_the_same_and_still_checks_sizes(tmp_path: Path) -> None:
    full, queries = made.changed_index(tmp_path / "ix"), made.vectors(9, 5)
    fast = SparseIndex.open(tmp_path / "ix", verify="offsets")
    assert made.answers(fast, queries) == made.answers(full, queries)
    assert fast.payload([0]) == full.payload([0])
    victim = max((tmp_path / "ix").glob("*.postings"), key=lambda p: p.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(IndexCorruptError, match="the manifest says"):
        SparseIndex.open(tmp_path / "ix", verify="offsets")


def test_an_index_handed_to_another_process_is_opened_there(tmp_path: Path) -> None:
    ix, queries = made.index(tmp_path / "ix"), made.vectors(9, 5)
    here = ix.search(queries, 5)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(SparseIndex.search, ix, queries, 5).result()
    assert there.ids == here.ids
    np.testing.assert_array_equal(there.scores, here.scores)


@settings(max_examples=25, deadline=None)
@given(ids=st.lists(TEXT, min_size=1, max_size=15, unique=True))
def test_any_ids_go_through(tmp_path_factory: Any, ids: list[str]) -> None:
    documents = SparseVectors.from_dicts([{0: 1.0 + i} for i in range(len(ids))], 3)
    path = tmp_path_factory.mktemp("ids") / "ix"
    SparseIndex.build(path, documents, ids, threads=1)
    ix = SparseIndex.open(path)
    assert ix.ids() == ids
    assert [ix.ordinal(i) for i in ids] == list(range(len(ids)))
    found = ix.search(SparseVectors([0, 1], [0], [1.0], 3), len(ids))
    assert found.ids == [ids[::-1]]
    ix.delete(ids[:1])
    assert ids[0] not in ix


def test_importing_the_index_loads_no_torch() -> None:
    code = "import sys, splade_engine.index; assert not {'torch', 'transformers', 'numba'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": "float16"}, "config: a BuildConfig is expected, got 'float16'"),
        ({"config": {}}, "config: a BuildConfig is expected, got {}"),
        ({"encoder": "splade"}, "encoder: a mapping is expected, got 'splade'"),
        ({"encoder": []}, r"encoder: a mapping is expected, got \[\]"),
    ],
)
def test_settings_of_other_types_are_refused(tmp_path, options, message):
    vectors = SparseVectors.from_dicts([{0: 1.0}], 3)
    with pytest.raises(InvalidInputError, match=message):
        SparseIndex.build(tmp_path / "ix", vectors, **options)
    assert list(tmp_path.iterdir()) == []
