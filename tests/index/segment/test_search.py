from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splade_engine.errors import InvalidInputError
from splade_engine.index.config import BuildConfig
from splade_engine.index.effort import Budget, Exact
from splade_engine.index.kernels import plan
from splade_engine.index.kernels.groups import Terms
from splade_engine.index.lists import BlockLists
from splade_engine.index.segment.build import build_segment
from splade_engine.index.segment.layout import check_structure
from splade_engine.index.segment.search import SegmentSearcher
from splade_engine.index.segment.threads import query_parts
from splade_engine.index.segment.windows import WINDOW
from splade_engine.vectors import SparseVectors
from tests import oracle

EXACT = Exact()
KINDS = [
    ("float16", "plain"),
    ("float32", "plain"),
    ("uint8", "plain"),
    ("float16", "split"),
    ("uint8", "split"),
    ("float16", "plain", "blocks"),
    ("uint8", "split", "blocks"),
    ("float16", "plain", BlockLists(cap=3)),
    ("float32", "plain", BlockLists(energy=0.6)),
    ("uint8", "plain", BlockLists(mean_postings=4, order="given")),
]
LISTS = ("impact", "blocks", BlockLists(mean_postings=1000, cap=8000))
FULL = Budget(max_postings=1 << 40, n_candidates=1 << 30)


def random_vectors(seed: int, n: int, n_terms: int, mean: float, *, dyadic: bool = False) -> SparseVectors:
    """Zipfian terms, gamma weights (or small dyadic ones, so that many documents tie)."""
    rng = np.random.default_rng(seed)
    chance = 1 / np.arange(1, n_terms + 1) ** 0.8
    rows = [
        np.unique(rng.choice(n_terms, rng.poisson(mean), p=chance / chance.sum())) if n_terms else []
        for _ in range(n)
    ]
    ptr = np.concatenate(([0], np.cumsum([len(r) for r in rows]))).astype(np.int64)
    terms = np.concatenate([*rows, np.zeros(0, int)]).astype(np.int32)
    weights = rng.integers(1, 5, len(terms)) / 4 if dyadic else rng.gamma(1.0, 1.0, len(terms)) + 1e-3
    return SparseVectors(ptr, terms, weights.astype(np.float32), n_terms)


def searcher(vectors: SparseVectors, config: BuildConfig | None = None) -> SegmentSearcher:
    arrays = build_segment(vectors, config or BuildConfig(), threads=1)
    counts = {"n_docs": len(vectors), "n_terms": vectors.n_terms, "nnz": vectors.nnz}
    check_structure(arrays, **counts)
    return SegmentSearcher(arrays, **counts)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 60),
    n_terms=st.integers(1, 40),
    mean=st.floats(0, 12),
    k=st.integers(1, 70),
    dyadic=st.booleans(),
    masked=st.booleans(),
    kinds=st.sampled_from(KINDS),
)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_exact_and_full_budget_equal_brute_force_to_the_bit(seed, n, n_terms, mean, k, dyadic, masked, kinds):
    documents = random_vectors(seed, n, n_terms, mean, dyadic=dyadic)
    queries = random_vectors(seed + 1, 4, n_terms, mean, dyadic=dyadic)
    allowed = np.random.default_rng(seed).random(n) < 0.5 if masked else None
    engine = searcher(documents, BuildConfig(*kinds))
    stored = oracle.stored(documents, kinds[0])
    assert engine.vectors(np.arange(n)) == stored
    ordinals, scores = oracle.exact(stored, queries, k, allowed)
    for config in (EXACT, FULL):
        hits = engine.search(queries, k, config, allowed=allowed)
        assert np.array_equal(hits.ordinals, ordinals)
        assert np.array_equal(hits.scores, scores)
        assert (hits.docs_scored <= n if config is FULL else hits.docs_scored >= 0).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    cut=st.integers(1, 8),
    candidates=st.integers(1, 50),
    lists=st.sampled_from(["impact", "blocks", BlockLists(cap=3)]),
)
@settings(max_examples=60, deadline=None)
def test_approximate_scores_are_the_exact_ones_of_the_documents_returned(seed, cut, candidates, lists):
    documents, queries = random_vectors(seed, 50, 30, 8.0), random_vectors(seed + 1, 3, 30, 6.0)
    budget = Budget(max_postings=cut, n_candidates=candidates)
    hits = searcher(documents, BuildConfig(lists=lists)).search(queries, 5, budget)
    for i in range(len(queries)):
        truth = oracle.all_scores(oracle.stored(documents), queries[i])
        found = hits.ordinals[i][hits.ordinals[i] >= 0]
        assert len(set(found.tolist())) == len(found)
        assert np.array_equal(truth[found], hits.scores[i][: len(found)])
        ordinals, _ = oracle.rank(np.where(np.isin(np.arange(50), found), truth, 0), 5)
        assert np.array_equal(ordinals, hits.ordinals[i])


DOCUMENTS, QUERIES = random_vectors(1, 150_000, 500, 6.0), random_vectors(2, 40, 500, 12.0)


@pytest.fixture(scope="module", params=LISTS, ids=("impact", "blocks", "pruned"))
def large(request) -> tuple[SparseVectors, SparseVectors, SegmentSearcher]:
    """Three windows of documents, and more blocks than are visited at a time."""
    return DOCUMENTS, QUERIES, searcher(DOCUMENTS, BuildConfig(lists=request.param))


def test_windows_beyond_the_first_are_searched_like_the_first(large):
    documents, queries, engine = large
    matrix = oracle.stored(documents).to_scipy()
    hits = engine.search(queries, 20, EXACT)
    assert (hits.ordinals > 131_072).any()
    truth = (queries.to_scipy() @ matrix.T).toarray()
    for i in range(len(queries)):
        best = np.sort(truth[i])[::-1][:20]
        np.testing.assert_allclose(hits.scores[i], best, rtol=1e-5)
        np.testing.assert_allclose(truth[i][hits.ordinals[i]], hits.scores[i], rtol=1e-5)
    full = engine.search(queries, 20, FULL)
    assert np.array_equal(full.ordinals, hits.ordinals)


def test_results_do_not_depend_on_threads_or_batch(large):
    _, queries, engine = large
    for config in (EXACT, Budget()):
        one = engine.search(queries, 10, config, threads=1)
        eight = engine.search(queries, 10, config, threads=8)
        single = [engine.search(queries[i], 10, config) for i in range(len(queries))]
        assert np.array_equal(one.ordinals, eight.ordinals)
        assert np.array_equal(one.scores, eight.scores)
        assert np.array_equal(one.docs_scored, eight.docs_scored)
        assert np.array_equal(one.ordinals, np.concatenate([s.ordinals for s in single]))


def test_approximate_search_scores_the_documents_with_the_largest_sums():
    """Recomputed from the arrays: which entries are walked, what they add up to, who is scored for that."""
    documents, queries, engine = DOCUMENTS, QUERIES, searcher(DOCUMENTS)
    arrays = build_segment(documents, BuildConfig(), 1)
    windows, wanted, k = 3, 25, 10
    hits = engine.search(queries, k, Budget(max_postings=4000, n_candidates=wanted))
    stored = oracle.stored(documents)
    offsets, rank = arrays["list_offsets"], {int(t): i for i, t in enumerate(arrays["term_ids"])}
    checked = 0
    for q in range(len(queries)):
        if hits.docs_scored[q] != wanted:
            continue  # answered exactly, by its cost
        terms, weights = queries.row(q)
        lists = np.array([rank[int(t)] for t in terms if int(t) in rank])
        factors = weights[[int(t) in rank for t in terms]].astype(float) * arrays["list_scales"][lists]
        lengths = offsets[(lists + 1) * windows] - offsets[lists * windows]
        priorities = factors / lengths**0.25
        unused = np.zeros(len(lists), np.int64)
        known = Terms(
            numbers=lists, factors=factors, priorities=priorities, multipliers=unused, lowest=unused
        )
        least = plan.impact_threshold(engine._lists.lists, known, len(lists), 4000, np.empty(512))
        scale = (plan.CEILING - 2.0 * len(lists) - 1.0) / (factors * 255.0).sum()
        sums = np.zeros(len(documents), np.int64)
        for t, factor, priority in zip(lists, factors, priorities, strict=True):
            lowest = max(1, np.ceil(least / priority))
            for w in range(windows):
                entries = slice(offsets[t * windows + w], offsets[t * windows + w + 1])
                codes = arrays["list_codes"][entries]
                walked = codes >= lowest
                places = arrays["list_docs"][entries][walked].astype(int) + w * WINDOW
                sums += oracle.bounds(codes[walked], places, int(factor * scale * 256) + 1, len(sums))
        smallest = np.sort(sums)[::-1][wanted - 1]
        scores = (queries[q].to_scipy() @ stored.to_scipy().T).toarray().ravel()
        assert (sums[hits.ordinals[q]] >= smallest).all()
        missed = np.setdiff1d(np.flatnonzero(sums > smallest), hits.ordinals[q])
        assert (scores[missed] <= hits.scores[q, -1] * (1 + 1e-5)).all()
        checked += 1
    assert checked > 10


@pytest.mark.parametrize("lists", ["impact", "blocks"])
def test_where_all_are_alike_the_first_documents_are_the_hits(lists):
    """More equal bounds than there is room for, in two windows: nothing tells the candidates apart."""
    n = WINDOW + 3000
    better = n - 2
    weights = np.ones(n, np.float32)
    weights[better] = 2.0
    documents = SparseVectors(np.arange(n + 1), np.zeros(n, np.int32), weights, 1)
    query = SparseVectors(np.array([0, 1]), np.zeros(1, np.int32), np.ones(1, np.float32), 1)
    found = searcher(documents, BuildConfig(lists=lists)).search(query, 5, EXACT)
    assert found.ordinals.tolist() == [[better, 0, 1, 2, 3]]
    assert found.scores.tolist() == [[2, 1, 1, 1, 1]]


@pytest.mark.parametrize("lists", ["impact", "blocks"])
def test_a_guess_over_long_lists_is_scored_and_changes_no_hit(lists):
    """A query of so many entries that its first candidates are scored before all lists are read."""
    documents = random_vectors(5, 4000, 120, 140)
    queries = SparseVectors(
        np.array([0, 120]), np.arange(120), np.linspace(0.1, 2, 120, dtype=np.float32), 120
    )
    engine = searcher(documents, BuildConfig(lists=lists))
    stored = oracle.stored(documents, "float16")
    for k in (1, 3):
        found = engine.search(queries, k, EXACT)
        ordinals, scores = oracle.exact(stored, queries, k)
        assert np.array_equal(found.ordinals, ordinals)
        assert np.array_equal(found.scores, scores)
        assert found.docs_scored[0] < 1000


def test_a_longer_ranking_starts_with_the_shorter_one(large):
    _, queries, engine = large
    long = engine.search(queries, 1000, EXACT)
    short = engine.search(queries, 10, EXACT)
    assert np.array_equal(long.ordinals[:, :10], short.ordinals)


def test_a_selective_mask_still_gets_k_hits(large):
    documents, queries, engine = large
    allowed = np.zeros(len(documents), bool)
    allowed[::997] = True
    hits = engine.search(queries, 10, EXACT, allowed=allowed)
    found = hits.ordinals[hits.ordinals >= 0]
    assert allowed[found].all()
    truth = (queries.to_scipy() @ oracle.stored(documents).to_scipy().T).toarray()[:, allowed]
    assert np.array_equal((hits.ordinals >= 0).sum(1), np.minimum((truth > 0).sum(1), 10))


@pytest.mark.parametrize(
    "kinds", [("uint8", "split"), ("float16", "split"), ("uint8", "plain"), ("uint8", "split", "blocks")]
)
def test_every_kind_of_rows_is_searched_alike(kinds):
    """Three windows: the same hits as the same weights stored in float32, by every way to an answer."""
    documents, queries = DOCUMENTS, QUERIES
    engine = searcher(documents, BuildConfig(*kinds))
    same = searcher(engine.vectors(np.arange(len(documents))), BuildConfig("float32", "plain", *kinds[2:]))
    few = np.arange(len(documents)) % 4001 == 0
    for config, allowed in ((EXACT, None), (Budget(), None), (FULL, few), (Budget(), few)):
        a, b = (e.search(queries, 20, config, allowed=allowed) for e in (engine, same))
        assert np.array_equal(a.ordinals, b.ordinals)
        assert np.array_equal(a.scores, b.scores)


def test_stored_vectors_come_back_in_the_order_asked(large):
    documents, _, engine = large
    wanted = np.array([149_999, 0, 7, 7])
    assert engine.vectors(wanted) == oracle.stored(documents[wanted])
    assert len(engine.vectors([])) == 0
    others = searcher(documents[:10_000], BuildConfig("uint8", "split"))
    wanted = np.array([9_999, 0, 7, 7])
    assert others.vectors(wanted) == oracle.stored(documents[wanted], "uint8")
    assert len(others.vectors([])) == 0


@pytest.mark.parametrize("lists", ["impact", "blocks"])
@pytest.mark.parametrize("terms", ["plain", "split"])
def test_more_than_65536_terms_use_the_wide_form(terms, lists):
    n_terms = 200_000
    rng = np.random.default_rng(0)
    held = np.sort(rng.permutation(n_terms)[:140_000].reshape(14_000, 10), axis=1).astype(np.int32)
    documents = SparseVectors(np.arange(0, 140_001, 10), held.ravel(), rng.random(140_000) + 0.1, n_terms)
    queries = SparseVectors.concat([documents[3:5], documents[13_999:]])
    engine = searcher(documents, BuildConfig(terms=terms, lists=lists))
    hits = engine.search(queries, 2, EXACT)
    assert engine.vectors(np.arange(14_000)) == oracle.stored(documents)
    assert hits.ordinals[:, 0].tolist() == [3, 4, 13_999]


@pytest.mark.parametrize("lists", ["impact", "blocks"])
def test_huge_vocabulary_ids_cost_no_table_of_their_size(lists):
    documents = SparseVectors([0, 2, 3], [5, 2**31 - 2, 2**31 - 2], [1.0, 2.0, 1.0], 2**31 - 1)
    hits = searcher(documents, BuildConfig(lists=lists)).search(documents, 3, EXACT)
    assert hits.ordinals.tolist() == [[0, 1, -1], [0, 1, -1]]
    assert hits.scores[:, :2].tolist() == [[5.0, 2.0], [2.0, 1.0]]


@pytest.mark.parametrize("lists", ["impact", "blocks", BlockLists(cap=3)])
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_weights_beyond_float16_are_kept_as_float32(scale, lists):
    documents = random_vectors(5, 40, 20, 5.0)
    documents = SparseVectors(documents.indptr, documents.terms, documents.weights * np.float32(scale), 20)
    queries = random_vectors(6, 3, 20, 5.0)
    hits = searcher(documents, BuildConfig(lists=lists)).search(queries, 5, EXACT)
    ordinals, scores = oracle.exact(documents, queries, 5)
    assert np.array_equal(hits.ordinals, ordinals)
    assert np.array_equal(hits.scores, scores)


@pytest.mark.parametrize("lists", ["impact", "blocks"])
def test_scores_that_overflow_are_clamped_and_finite(lists):
    documents = SparseVectors([0, 1, 2], [0, 0], [3e38, 1e38], 1)
    with np.errstate(over="ignore"):  # only seen where kernels run as Python (NUMBA_DISABLE_JIT=1)
        hits = searcher(documents, BuildConfig(lists=lists)).search(documents, 2, EXACT)
    assert hits.ordinals.tolist() == [[0, 1], [0, 1]]
    assert np.isfinite(hits.scores).all()


@pytest.mark.parametrize("lists", ["impact", "blocks", BlockLists(cap=3)])
def test_empty_cases_answer_with_padding(lists):
    config = BuildConfig(lists=lists)
    empty = searcher(SparseVectors.empty(10), config)
    hits = empty.search(random_vectors(0, 2, 10, 3.0), 3, EXACT)
    assert hits.ordinals.tolist() == [[-1] * 3] * 2
    assert np.isneginf(hits.scores).all()
    engine = searcher(SparseVectors.empty(10, 4), config)
    assert engine.search(SparseVectors.empty(10, 2), 3, EXACT).ordinals.tolist() == [[-1] * 3] * 2
    assert engine.search(SparseVectors.empty(10, 0), 3, EXACT).ordinals.shape == (0, 3)


def test_bad_arguments_are_named():
    engine = searcher(random_vectors(0, 5, 10, 3.0))
    queries = random_vectors(1, 1, 10, 3.0)
    with pytest.raises(InvalidInputError, match="k must be an integer of at least 1, got 0"):
        engine.search(queries, 0, EXACT)
    with pytest.raises(InvalidInputError, match="queries over 11 terms, but the index has 10"):
        engine.search(SparseVectors.empty(11, 1), 1, EXACT)
    with pytest.raises(InvalidInputError, match=r"allowed must be bool\[5\], got bool\[4\]"):
        engine.search(queries, 1, EXACT, allowed=np.ones(4, bool))
    with pytest.raises(InvalidInputError, match="threads must be at least 1"):
        engine.search(queries, 1, EXACT, threads=0)
    with pytest.raises(InvalidInputError, match="ordinal 5: the segment has 5 documents"):
        engine.vectors([5])


@given(st.integers(0, 3000), st.integers(1, 70))
def test_query_parts_cover_a_batch_once_and_get_smaller(n, threads):
    parts = query_parts(n, threads)
    assert [i for first, last in parts for i in range(first, last)] == list(range(n))
    sizes = [last - first for first, last in parts]
    assert sizes == sorted(sizes, reverse=True)
    if threads == 1:
        assert len(parts) == 1
    elif n >= 16 * threads:
        assert sizes[0] <= max(8, n / (2 * threads)) and sizes[-1] <= 16  # nobody is waited for long
        assert min(sizes[:-1]) >= 8


def test_a_failing_thread_fails_the_search():
    vectors = random_vectors(0, 60, 30, 5)
    engine = searcher(vectors)
    wanted = engine.search(vectors, 10, EXACT, threads=3)
    with mock.patch.object(engine._lists, "search", side_effect=TypeError), pytest.raises(TypeError):
        engine.search(vectors, 10, EXACT, threads=3)
    assert np.array_equal(engine.search(vectors, 10, EXACT, threads=3).ordinals, wanted.ordinals)
