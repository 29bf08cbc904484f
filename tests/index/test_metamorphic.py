"""What must not change an answer, or change it in a known way (test 13 of the reliability list)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splade_engine.index import SearchConfig, SparseIndex
from splade_engine.vectors import SparseVectors
from tests.index import made

pytestmark = pytest.mark.usefixtures("lists")

SETTINGS = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
FULL = SearchConfig(n_candidates=1 << 30)


def pairs(
    ix: SparseIndex, queries: SparseVectors, k: int = 10, **options: Any
) -> list[set[tuple[str, float]]]:
    """The hits of each query whose score is above that of the last one (so that ties do not matter)."""
    found = ix.search(queries, k, **(options or {"exact": True}))
    result = []
    for ids, scores in zip(found.ids, found.scores.tolist(), strict=True):
        lowest = scores[k - 1] if len(ids) == k else 0.0
        result.append({(i, s) for i, s in zip(ids, scores, strict=False) if s > lowest})
    return result


@SETTINGS
@given(seed=st.integers(0, 10**6), n=st.integers(2, 60))
def test_order_of_documents(tmp_path_factory: Any, seed: int, n: int) -> None:
    folder = tmp_path_factory.mktemp("order")
    documents, queries = made.vectors(seed, n), made.vectors(seed + 1, 3)
    order = np.random.default_rng(seed).permutation(n)
    one = SparseIndex.build(folder / "a", documents, threads=1)
    two = SparseIndex.build(folder / "b", documents[order], [str(o) for o in order], threads=1)
    assert pairs(one, queries) == pairs(two, queries)


@SETTINGS
@given(seed=st.integers(0, 10**6), n=st.integers(1, 60), empty=st.integers(1, 30))
def test_empty_documents_and_batches(tmp_path_factory: Any, seed: int, n: int, empty: int) -> None:
    folder = tmp_path_factory.mktemp("empty")
    documents, queries = made.vectors(seed, n), made.vectors(seed + 1, 3)
    one = SparseIndex.build(folder / "a", documents, threads=1)
    two = SparseIndex.build(folder / "b", [documents, SparseVectors.empty(60, empty)], threads=1)
    a, b = one.search(queries, exact=True), two.search(queries, exact=True)
    assert np.array_equal(a.ordinals, b.ordinals)
    assert np.array_equal(a.scores, b.scores)


@SETTINGS
@given(seed=st.integers(0, 10**6), n=st.integers(1, 60), k=st.integers(1, 20), more=st.integers(1, 50))
def test_scale_prefix_batch_and_reopening(
    tmp_path_factory: Any, seed: int, n: int, k: int, more: int
) -> None:
    folder = tmp_path_factory.mktemp("scale")
    documents, queries = made.vectors(seed, n), made.vectors(seed + 1, 5)
    ix = SparseIndex.build(folder / "a", documents, threads=1)
    for options in ({"exact": True}, {"config": FULL}):
        base = ix.search(queries, k, **options)
        double = SparseVectors(queries.indptr, queries.terms, queries.weights * np.float32(2), 60)
        scaled = ix.search(double, k, **options)
        assert np.array_equal(scaled.ordinals, base.ordinals)
        assert np.array_equal(scaled.scores, base.scores * 2)
        wider = ix.search(queries, k + more, **options)
        assert np.array_equal(wider.ordinals[:, :k], base.ordinals)
        single = [ix.search(queries[i], k, **options).ordinals[0] for i in range(5)]
        assert np.array_equal(np.array(single), base.ordinals)
        again = SparseIndex.open(folder / "a").search(queries, k, **options)
        assert np.array_equal(again.ordinals, base.ordinals)
    assert pairs(ix, queries, k, config=FULL) == pairs(ix, queries, k, exact=True)


@SETTINGS
@given(seed=st.integers(0, 10**6), n=st.integers(20, 200))
def test_approximate_scores_are_true_and_more_work_finds_more(
    tmp_path_factory: Any, seed: int, n: int
) -> None:
    folder = tmp_path_factory.mktemp("approximate")
    documents, queries = made.vectors(seed, n, 60, 15), made.vectors(seed + 1, 5, 60, 15)
    ix = SparseIndex.build(folder / "a", documents, threads=1)
    every = ix.search(queries, n, exact=True)
    truth = [
        dict(zip(o.tolist(), s.tolist(), strict=True))
        for o, s in zip(every.ordinals, every.scores, strict=True)
    ]
    last = 0.0
    for candidates in (5, 20, 1 << 30):
        found = ix.search(queries, 5, config=SearchConfig(n_candidates=candidates))
        for row, scores, true in zip(found.ordinals.tolist(), found.scores.tolist(), truth, strict=True):
            assert all(true[o] == s for o, s in zip(row, scores, strict=True) if o >= 0)
        total = float(found.scores[found.ordinals >= 0].sum())
        assert total >= last
        last = total
    assert np.array_equal(ix.search(queries, 5, config=FULL).scores, every.scores[:, :5])
