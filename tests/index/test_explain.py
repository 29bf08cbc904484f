from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from splade_engine.errors import InvalidInputError
from splade_engine.index import (
    BlockLists,
    Budget,
    BuildConfig,
    Miss,
    SearchConfig,
    SparseIndex,
    explain,
)
from splade_engine.vectors import SparseVectors
from tests.index import made

pytestmark = pytest.mark.usefixtures("lists")


@pytest.fixture
def ix(tmp_path: Path) -> SparseIndex:
    return made.changed_index(tmp_path / "ix")


def test_every_document_stands_where_exact_search_has_it(
    ix: SparseIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "_FIRST_DEPTH", 7)
    query = made.vectors(5, 1)
    every = ix.search(query, 80, exact=True)
    for i, name in enumerate(ix.ids()):
        found = ix.explain(query, name, 5, exact=True)
        place = every.ids[0].index(name) if name in every.ids[0] else -1
        assert found.ordinal == ix.ordinal(name)
        assert found.rank == place + 1
        assert found.score == (every.scores[0, place] if place >= 0 else 0.0)
        assert found.found_rank == (place + 1 if 0 <= place < 5 else 0)
        assert found.reason == ("no shared term" if place < 0 else "hit" if place < 5 else "score too low")
        assert found.last_score == every.scores[0, 4]
        assert bool(found.terms) == (place >= 0), i
        assert sum(q * d for _, q, d in found.terms) == pytest.approx(found.score)
        products = [q * d for _, q, d in found.terms]
        assert products == sorted(products, reverse=True)


def test_why_a_document_cannot_be_a_hit(ix: SparseIndex) -> None:
    query = made.vectors(5, 1)
    assert ix.explain(query, "nowhere").reason == "not in the index"
    deleted = ix.explain(query, "3")
    assert (deleted.reason, deleted.ordinal) == ("deleted", 3)
    assert ix.explain(query, "1", where="year > 1981").reason == "filtered"
    assert ix.explain(ix.vectors([1]), "1", where="year = 1981").reason == "hit"
    with pytest.raises(InvalidInputError, match="explain: one query, got 2"):
        ix.explain(made.vectors(5, 2), "1")
    with pytest.raises(InvalidInputError, match="k must be at least 1"):
        ix.explain(query, "1", 0)


def test_what_an_approximate_search_missed(tmp_path: Path, lists: str) -> None:
    documents, query = made.vectors(1, 3000, 200, 30), made.vectors(2, 1, 200, 30)
    ix = SparseIndex.build(tmp_path / "ix", documents)
    config = SearchConfig(max_postings=1, n_candidates=10)
    truth = ix.search(query, 10, exact=True)
    found = set(ix.search(query, 10, config=config).ids[0])
    missed = [name for name in truth.ids[0] if name not in found]
    assert missed, "the search was not approximate enough for this test"
    told = ix.explain(query, missed[0], config=config)
    assert (told.reason, told.rank, told.found_rank) == ("missed", truth.ids[0].index(missed[0]) + 1, 0)
    assert told.score == truth.scores[0, told.rank - 1]
    assert np.isfinite(told.last_score)
    assert told.miss is not None and told.miss.estimate <= told.miss.threshold


@pytest.mark.parametrize("config", [BlockLists(), BlockLists(cap=60), BlockLists(energy=0.5)])
@pytest.mark.parametrize(("postings", "candidates"), [(1, 10), (900, 10), (10**6, 10), (2000, 40)])
def test_lists_over_blocks_say_where_a_document_was_missed(
    config: BlockLists, postings: int, candidates: int, tmp_path: Path
) -> None:
    """Its block was skipped, or others had more; and estimates that pruning has lowered say so."""
    documents, queries = made.vectors(1, 3000, 200, 30), made.vectors(2, 8, 200, 30)
    ix = SparseIndex.build(tmp_path / "ix", documents, config=BuildConfig(lists=config))
    effort = Budget(postings, candidates)
    truth = ix.search(queries, 10, exact=True)
    found = ix.search(queries, 10, effort=effort)
    steps = set()
    held = dict(zip(ix.ids(), documents.to_dicts(), strict=True))
    for q in range(len(queries)):
        for name in truth.ids[q]:
            told = ix.explain(queries[q], name, effort=effort)
            assert (told.miss is None) == (name in found.ids[q])
            if told.miss is None:
                continue
            steps.add(told.miss.step)
            assert 0 <= told.miss.estimate <= told.miss.threshold
            if told.miss.step == "skipped" and not told.miss.pruned:
                # light terms are left out: a tenth of the largest possible score, weights being up to 2
                light = 0.11 * 2.0 * float(queries[q].weights.sum())
                assert told.miss.estimate >= told.score - light
            assert set(told.miss.pruned) <= held[name].keys() & queries[q].to_dicts()[0].keys()
            assert config != BlockLists() or not told.miss.pruned
    if postings == 1:
        assert steps == {"skipped"}
    if postings == 10**6 and config == BlockLists():
        assert steps <= {"outscored"}


@pytest.mark.parametrize(("postings", "candidates"), [(1, 10), (900, 10), (900, 200), (10**6, 10)])
def test_lists_in_order_of_impact_say_where_a_document_was_missed(
    postings: int, candidates: int, tmp_path: Path
) -> None:
    """None of its entries was reached, or others had more; estimates are parts of its score."""
    documents, queries = made.vectors(1, 3000, 200, 30), made.vectors(2, 8, 200, 30)
    ix = SparseIndex.build(tmp_path / "ix", documents, config=BuildConfig(lists="impact"))
    effort = Budget(postings, candidates)
    truth = ix.search(queries, 10, exact=True)
    found = ix.search(queries, 10, effort=effort)
    steps = set()
    for q in range(len(queries)):
        for name in truth.ids[q]:
            told = ix.explain(queries[q], name, effort=effort)
            assert (told.miss is None) == (name in found.ids[q])
            if told.miss is None:
                continue
            steps.add(told.miss.step)
            assert told.miss.estimate <= told.miss.threshold
            assert (told.miss.estimate == 0.0) == (told.miss.step == "unread")
            # codes are rounded up to 255ths of the largest weight of a list, weights being up to 2
            assert told.miss.estimate <= told.score + 2.0 / 255 * float(queries[q].weights.sum()) + 0.01
    expected = {1: {"unread", "outscored"}, 900: {"unread", "outscored"}, 10**6: {"outscored"}}
    assert steps <= expected[postings]
    if postings == 900 and candidates == 10:
        assert steps


def test_a_miss_in_one_line() -> None:
    skipped, outscored = Miss("skipped", 1.25, 2.5, ()), Miss("outscored", 0.5, 0.75, (3, 17))
    assert (
        str(skipped)
        == "its block was skipped: heavy terms give a document of it 1.250 at most, 2.500 was needed"
    )
    told = "it was outscored: what was read gives it 0.500, 0.750 was needed"
    assert str(outscored) == told + "; pruned from the lists of the terms 3, 17"
    told = "the lists were left before its first entry: nothing was known of it, 0.750 was needed"
    assert str(Miss("unread", 0.0, 0.75, ())) == told


def test_a_filtered_search_is_explained_with_its_filter(tmp_path: Path) -> None:
    documents, query = made.vectors(1, 3000, 200, 30), made.vectors(2, 1, 200, 30)
    table = pa.table({"half": [i % 2 for i in range(3000)]})
    ix = SparseIndex.build(tmp_path / "ix", documents, payload=table, config=BuildConfig(lists="blocks"))
    ix.delete([str(i) for i in range(0, 3000, 3)])
    effort = Budget(60, 10)
    truth = ix.search(query, 10, exact=True, where="half = 1").ids[0]
    found = ix.search(query, 10, effort=effort, where="half = 1").ids[0]
    assert len(found) == 10
    missed = [name for name in truth if name not in found]
    assert missed
    for name in missed:
        miss = ix.explain(query, name, effort=effort, where="half = 1").miss
        assert miss is not None
        assert miss.estimate <= miss.threshold


def test_an_empty_query(ix: SparseIndex) -> None:
    assert ix.explain(SparseVectors.empty(60, 1), "1").reason == "no shared term"
