"""Lists over blocks: what a kernel relies on is checked, and what may be left out of them is."""

from __future__ import annotations

import numpy as np
import pytest

from splade_engine.errors import IndexCorruptError
from splade_engine.index.config import BuildConfig
from splade_engine.index.effort import Budget, Exact
from splade_engine.index.kernels.block_sizes import BLOCK
from splade_engine.index.lists import BlockLists
from splade_engine.index.segment import block_arrays, blocks
from splade_engine.index.segment.build import build_segment
from splade_engine.index.segment.layout import check_structure
from splade_engine.index.segment.search import SegmentSearcher
from splade_engine.vectors import SparseVectors
from tests import oracle
from tests.index.segment.test_build import left_out

SIZES = ((0, 5, 2), (3, 5, 0), (1, 9, 3), (70, 40, 8), (1500, 300, 20), (3000, 80, 25), (200, 9000, 60))


def made(seed: int, n: int, n_terms: int, mean: int) -> SparseVectors:
    """Rows of about `mean` terms, popular ones first; weights that tie often."""
    rng = np.random.default_rng(seed)
    popular = 1 / np.arange(1, n_terms + 1)
    rows = []
    for _ in range(n):
        terms = rng.choice(n_terms, min(n_terms, rng.poisson(mean)), False, popular / popular.sum())
        rows.append(dict(zip(terms.tolist(), (rng.integers(1, 9, len(terms)) / 4).tolist(), strict=True)))
    return SparseVectors.from_dicts(rows, n_terms)


def searcher(documents: SparseVectors, lists: str | BlockLists) -> SegmentSearcher:
    arrays = build_segment(documents, BuildConfig(lists=lists), 1)
    sizes = {"n_docs": len(documents), "n_terms": documents.n_terms, "nnz": documents.nnz}
    check_structure(arrays, **sizes)
    return SegmentSearcher(arrays, **sizes)


@pytest.mark.parametrize("lists", [BlockLists(), BlockLists(cap=40, energy=0.8)], ids=("all", "pruned"))
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("allowed", [1.0, 0.3, 0.02])
def test_hits_are_those_of_the_other_lists(
    size: tuple[int, int, int], allowed: float, lists: BlockLists
) -> None:
    documents, queries = made(1, *size), made(2, 20, size[1], 6)
    impact, over_blocks = searcher(documents, "impact"), searcher(documents, lists)
    mask = None if allowed == 1.0 else np.random.default_rng(3).random(len(documents)) < allowed
    for k in (1, 10, 200):
        exact = impact.search(queries, k, Exact(), allowed=mask)
        found = over_blocks.search(queries, k, Exact(), allowed=mask)
        assert np.array_equal(found.ordinals, exact.ordinals)
        assert np.array_equal(found.scores, exact.scores)
        for budget in (Budget(1, 1), Budget(500, 20), Budget(10**9, 10**6)):
            one = over_blocks.search(queries, k, budget, allowed=mask)
            three = over_blocks.search(queries, k, budget, allowed=mask, threads=3)
            assert np.array_equal(one.ordinals, three.ordinals)
            hits = (one.ordinals >= 0).sum(axis=1)
            assert np.array_equal(hits, (exact.ordinals >= 0).sum(axis=1))
            if budget.n_candidates == 10**6:
                assert np.array_equal(one.scores, exact.scores)


@pytest.mark.parametrize("lists", [BlockLists(), BlockLists(cap=40, mean_postings=30, energy=0.9)])
def test_what_is_built_depends_on_no_number_of_threads(lists: BlockLists) -> None:
    documents = made(4, 20_000, 300, 12)
    one, three = (build_segment(documents, BuildConfig(lists=lists), threads) for threads in (1, 3))
    assert all(np.array_equal(one[name], three[name]) for name in one)


def test_documents_of_one_topic_share_blocks() -> None:
    """Fifty topics, drawn in turn: most blocks hold one of them alone; with smaller sketches, some."""
    rng = np.random.default_rng(7)
    rows = [dict.fromkeys((20 * (d % 50) + rng.permutation(20)[:8]).tolist(), 1.0) for d in range(4000)]
    documents = SparseVectors.from_dicts(rows, 1000)
    for lists, mixed in ((BlockLists(), 75), (BlockLists(dimensions=128, rounds=2), 200)):
        order = build_segment(documents, BuildConfig(lists=lists), 1)["block_docs"].astype(int)
        topics = (order % 50).reshape(-1, BLOCK)
        assert (topics != topics[:, :1]).any(axis=1).sum() < mixed  # of 250
    given = build_segment(documents, BuildConfig(lists=BlockLists(order="given")), 1)
    assert np.array_equal(given["block_docs"], np.arange(4000))


# ---- what is left out -----------------------------------------------------------------------


def kept(documents: SparseVectors, lists: BlockLists) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """bool[nnz]: which entries the lists hold; and the arrays."""
    arrays = build_segment(documents, BuildConfig("float32", lists=lists), 1)
    check_structure(arrays, n_docs=len(documents), n_terms=documents.n_terms, nnz=documents.nnz)
    return ~left_out(arrays, documents), arrays


def test_a_cap_keeps_the_largest_of_each_list() -> None:
    documents = made(8, 600, 60, 12)
    held, _ = kept(documents, BlockLists(cap=25))
    for t in np.unique(documents.terms):
        ours = np.flatnonzero(documents.terms == t)
        assert held[ours].sum() == min(25, len(ours))
        if not held[ours].all():
            assert documents.weights[ours][held[ours]].min() >= documents.weights[ours][~held[ours]].max()


def test_a_mean_keeps_the_largest_of_all() -> None:
    documents = made(9, 600, 60, 12)
    held, arrays = kept(documents, BlockLists(mean_postings=40))
    assert held.sum() >= 40 * len(arrays["term_ids"])  # equal weights stay together
    assert not held.all()
    assert documents.weights[held].min() > documents.weights[~held].max()
    assert kept(documents, BlockLists(mean_postings=10**6))[0].all()


def test_energy_keeps_the_heaviest_terms_of_each_document() -> None:
    documents = made(10, 300, 60, 12)
    held, arrays = kept(documents, BlockLists(energy=0.7))
    rows = np.repeat(np.arange(300), documents.row_nnz)
    for d in range(300):
        weights, mine = documents.weights[rows == d], held[rows == d]
        if len(weights):
            assert weights[mine].sum() >= 0.7 * weights.sum() - 1e-5
            lightest = weights[mine].min()
            assert weights[mine & (weights > lightest)].sum() < 0.7 * weights.sum()
            assert not (~mine & (weights > lightest)).any()
    assert not len(arrays["block_unlisted"])
    assert not held.all()


def test_documents_that_lose_all_their_postings_are_counted_and_still_found_exactly() -> None:
    heavy = [{0: 2.0, 1: 2.0} for _ in range(30)]
    documents = SparseVectors.from_dicts([*heavy, {0: 0.5}, {}, {1: 0.25}], 2)
    held, arrays = kept(documents, BlockLists(cap=30))
    assert arrays["block_unlisted"].tolist() == [30, 32]
    assert held.sum() == 60
    assert arrays["block_rests"].tolist() == [0.5, 0.25]
    engine = searcher(documents, BlockLists(cap=30))
    found = engine.search(SparseVectors.from_dicts([{0: 1.0}, {1: 1.0}], 2), 33, Exact())
    ordinals, scores = oracle.exact(documents, SparseVectors.from_dicts([{0: 1.0}, {1: 1.0}], 2), 33)
    assert np.array_equal(found.ordinals, ordinals)
    assert np.array_equal(found.scores, scores)


def test_pruned_lists_are_not_searched_exactly_because_they_are_short() -> None:
    """An exact answer has to score what the lists leave out, so that it never is the cheaper one."""
    documents, queries = made(11, 3000, 80, 25), made(12, 20, 80, 6)
    engine = searcher(documents, BlockLists(energy=0.7))
    found = engine.search(queries, 10, Budget(2000, 20))
    assert (found.ordinals >= 0).all()
    assert found.docs_scored.max() <= 20
    assert engine.search(queries, 10, Exact()).docs_scored.min() > 1000


# ---- rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "at", "value", "rule"),
    [
        ("block_docs", 0, 99, "must be below 70"),
        ("block_docs", 0, 69, "must hold every document once"),
        ("block_columns", 0, 7, "must be -1 or the next number"),
        ("block_scales", 0, np.nan, "must be finite"),
        ("block_counts", 0, 99, "must be at most 70"),
        ("block_counts", 0, 0, "must add up to"),
        ("block_rests", 0, np.inf, "must be finite, from 0"),
        ("block_rests", 0, -1.0, "must be finite, from 0"),
        ("block_masks", 0, 0, "must have a bit for each of"),
        ("block_masks", 1, 1 << 63, "must have"),
        ("block_runs", 1, 1, "must count the bits before each group"),
        ("block_heads", 0, 99, "must be at most 4"),
        ("block_head_masks", 0, 0, "must have a bit for each of"),
        ("block_head_starts", 0, 1, "must start with 0"),
        ("block_starts", 0, 1, "must start with 0"),
        ("block_unlisted", 0, 70, "must be below 70"),
        ("block_unlisted", 1, 0, "must be strictly increasing"),
    ],
)
def test_what_a_kernel_relies_on_is_checked(name: str, at: int, value: float, rule: str) -> None:
    documents = made(5, 70, 400, 8)
    arrays = {n: a.copy() for n, a in build_segment(documents, BuildConfig(lists="blocks"), 1).items()}
    arrays["block_unlisted"] = np.array([3, 5], np.uint32)
    check_structure(arrays, n_docs=70, n_terms=400, nnz=documents.nnz)
    if name == "block_docs" and value == 69:
        at = 0 if arrays[name][0] != 69 else 1
    arrays[name][at] = value
    with pytest.raises(IndexCorruptError, match=f"{name}: {rule}"):
        check_structure(arrays, n_docs=70, n_terms=400, nnz=documents.nnz)


def test_no_list_has_documents_beyond_the_last() -> None:
    documents = made(5, 70, 400, 8)  # six of them in block 4
    arrays = {n: a.copy() for n, a in build_segment(documents, BuildConfig(lists="blocks"), 1).items()}
    at = int(np.flatnonzero(arrays["block_heads"] == 4)[0])
    bits = int(arrays["block_head_masks"][at]).bit_count()
    arrays["block_head_masks"][at] = ((1 << bits) - 1) << (16 - bits)
    with pytest.raises(IndexCorruptError, match="block_head_masks: must have no bit beyond the documents"):
        check_structure(arrays, n_docs=70, n_terms=400, nnz=documents.nnz)


@pytest.mark.parametrize("name", [spec.name for spec in block_arrays.ARRAYS if spec.name != "block_unlisted"])
def test_an_array_of_another_length_is_refused(name: str) -> None:
    documents = made(5, 70, 400, 8)
    arrays = dict(build_segment(documents, BuildConfig(lists=BlockLists(cap=5)), 1))
    longer = np.concatenate((arrays[name], arrays[name][-1:]))
    with pytest.raises(IndexCorruptError, match=r"block_.*: must"):
        check_structure(arrays | {name: longer}, n_docs=70, n_terms=400, nnz=documents.nnz)


def test_rests_belong_to_lists_that_leave_something_out() -> None:
    documents = made(5, 70, 400, 8)
    arrays = dict(build_segment(documents, BuildConfig(lists=BlockLists(cap=5)), 1))
    rests = arrays["block_rests"]
    for other in (np.zeros_like(rests), np.full_like(rests, 0.5)):
        with pytest.raises(
            IndexCorruptError, match="block_rests: must be above 0 where entries are left out"
        ):
            check_structure(arrays | {"block_rests": other}, n_docs=70, n_terms=400, nnz=documents.nnz)


@pytest.mark.parametrize("lists", [BlockLists(), BlockLists(cap=5)])
def test_frequencies_are_those_of_the_rows(lists: BlockLists) -> None:
    documents = made(6, 300, 40, 6)
    arrays = build_segment(documents, BuildConfig(lists=lists), 1)
    expected = np.bincount(documents.terms)[arrays["term_ids"]]
    assert blocks.frequencies(arrays, 300).tolist() == expected.tolist()
