from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splade_engine.errors import IndexLockedError, InvalidInputError
from splade_engine.index import BuildConfig, SparseIndex, changes, search, tuning
from splade_engine.index.disk.publish import IndexWriter
from splade_engine.index.effort import Budget, Exact, Work
from splade_engine.index.measured_on import drawn_documents
from splade_engine.index.tuning import Measurement, Sample, design_effect, lower_bound
from splade_engine.vectors import SparseVectors
from tests.index import made

pytestmark = pytest.mark.usefixtures("lists")


@pytest.fixture
def approximate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes of any size are searched approximately, and exact search seems slow."""
    monkeypatch.setattr(search, "EXACT_UP_TO", 0)
    timed = tuning.timed

    def slow_exact(snapshot: object, queries: object, k: int, work: Work, threads: int) -> tuple:
        ordinals, microseconds = timed(snapshot, queries, k, work, threads)
        return ordinals, 1e9 if isinstance(work, Exact) else microseconds

    monkeypatch.setattr(tuning, "timed", slow_exact)


def recall_of(ix: SparseIndex, queries: SparseVectors, k: int, accuracy: float) -> float:
    truth = ix.search(queries, k, exact=True).ordinals
    return tuning.recall(ix.search(queries, k, accuracy=accuracy).ordinals, truth)


def test_tuned_settings_reach_their_recall_and_are_kept(tmp_path: Path, approximate: None) -> None:
    ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 1500, 300, 20))
    queries = made.vectors(2, 60, 300, 15)
    tuned = ix.tune(queries, k=10, targets=(0.5, 0.99))
    assert [(t.k, t.target, t.n_queries) for t in tuned] == [(10, 0.5, 60), (10, 0.99, 60)]
    assert all(t.recall >= t.target and t.microseconds > 0 for t in tuned)
    again = SparseIndex.open(tmp_path / "ix")
    assert again.info().tuned == tuned
    for target in (0.5, 0.99):
        assert recall_of(again, queries, 10, target) >= target
    assert not again.search(queries, 10, accuracy=0.99).exact
    # a request between two targets takes the safe one, a k below the tuned one is covered by it
    snapshot = again.reader.snapshot
    assert search.tuned_work(snapshot, 10, 0.6) == search.tuned_work(snapshot, 10, 0.99)
    assert search.tuned_work(snapshot, 3, 0.99) == search.tuned_work(snapshot, 10, 0.99)
    assert search.tuned_work(snapshot, 11, 0.99) == Budget()


@pytest.mark.parametrize("count", [3, tuning.FEWEST])
def test_too_few_queries_for_the_confidence_are_told(
    count: int, tmp_path: Path, approximate: None, caplog: pytest.LogCaptureFixture
) -> None:
    ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 1500, 300, 20))
    queries = SparseVectors.concat([made.vectors(2, count, 300, 15), SparseVectors.empty(300, 40)])
    tuned = ix.tune(queries, k=100, targets=(0.2,))
    assert not tuned[0].settings["exact"] and tuned[0].n_queries == count  # those that have hits
    told = f"queries that have hits: {count}, too few to say"
    assert (told in caplog.text) == tuning.doubted(tuned) == (count < tuning.FEWEST)


def test_exact_search_is_sure_whatever_was_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ix = made.index(tmp_path / "ix")
    tuned = ix.tune(made.vectors(2, 3, ix.n_terms, 5), k=5, targets=(0.9,))
    assert tuned[0].settings["exact"] and not tuning.doubted(tuned) and not caplog.text


def test_tuning_again_replaces_and_changes_keep_it(tmp_path: Path) -> None:
    ix = made.index(tmp_path / "ix")
    ix.tune(k=5, targets=(0.9,))
    ix.tune(k=3, targets=(0.9, 0.95))
    assert [t.target for t in ix.tune(k=3, targets=(0.9,))] == [0.9]
    assert [(t.k, t.target) for t in ix.info().tuned] == [(3, 0.9), (3, 0.95), (5, 0.9)]
    ix.delete(["0"])
    ix.compact()
    assert len(ix.info().tuned) == 3
    SparseIndex.build(tmp_path / "ix", made.vectors(1, 9), overwrite=True)
    assert ix.refresh().info().tuned == ()


def test_what_was_measured_on_far_fewer_documents_is_doubted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The recall that `info` shows was that of 40 documents."""
    ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 40))
    assert [(t.n_docs, t.current) for t in ix.tune(k=5, targets=(0.9,))] == [(40, True)]
    ix.add(made.vectors(2, 20), [f"a{i}" for i in range(20)])
    assert [(t.n_docs, t.current) for t in ix.info().tuned] == [(40, True)]
    assert caplog.messages == []
    ix.add(made.vectors(3, 1), ["b"])
    assert [(t.n_docs, t.current) for t in ix.info().tuned] == [(40, False)]
    assert caplog.messages == [
        f"{tmp_path / 'ix'}: was tuned with 40 documents and has 61 now: "
        "tune it again, its recall may be another"
    ]
    ix.add(made.vectors(4, 1), ["c"])
    assert len(caplog.messages) == 1  # once, when it is crossed
    ix.delete(ix.ids()[40:])
    assert ix.info().tuned[0].current
    ix.delete(ix.ids()[:14])
    assert (len(ix), ix.info().tuned[0].current) == (26, False)
    assert len(caplog.messages) == 2
    assert ix.tune(k=5, targets=(0.9,))[0].current


def test_what_was_measured_on_other_documents_is_doubted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As many as before, under the same ids."""
    path = tmp_path / "ix"
    ix = SparseIndex.build(path, made.vectors(1, 60))
    ix.tune(k=5, targets=(0.9, 1.0))
    ix.update(made.vectors(1, 60)[:20], [str(i) for i in range(20)])  # as they were
    ix.update(made.vectors(2, 20), [str(i) for i in range(20)])
    ix.compact()  # other segments, the same vectors
    assert ix.info().tuned[0].current and not caplog.messages
    ix.update(made.vectors(3, 1), ["20"])
    told = "holds about 65% of the 60 documents that it was tuned with"
    assert caplog.messages == [f"{path}: {told}: tune it again, its recall may be another"]
    assert [(t.current, t.doubt) for t in ix.info().tuned] == [(False, told)] * 2
    ix.update(made.vectors(4, 60), [str(i) for i in range(60)])
    assert ix.info().tuned[0].doubt == "holds about 0% of the 60 documents that it was tuned with"
    assert SparseIndex.open(path).tune(k=5, targets=(0.9,))[0].current


def test_a_doubted_setting_searches_no_less_than_an_untuned_index(
    tmp_path: Path, approximate: None, caplog: pytest.LogCaptureFixture
) -> None:
    ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 1500, 300, 20))
    queries = made.vectors(2, 60, 300, 15)
    ix.tune(queries, k=10, targets=(0.5,))
    assert search.tuned_work(ix.reader.snapshot, 10, 0.5) != Budget()
    ix.update(made.vectors(3, 1500, 300, 20), ix.ids())
    caplog.clear()
    work = search.tuned_work(ix.reader.snapshot, 10, 0.5)
    assert isinstance(work, Budget)
    assert work.max_postings >= Budget().max_postings and work.n_candidates >= Budget().n_candidates
    for _ in range(2):
        ix.search(queries, 10, accuracy=0.5)
    assert [message[:20] for message in caplog.messages] == ["the index holds abou"]


@pytest.mark.parametrize("weights", ["float32", "uint8"])
def test_merging_keeps_what_documents_are_known_by(weights: str, tmp_path: Path) -> None:
    rows = made.vectors(1, 50)
    third = SparseVectors(rows.indptr, rows.terms, rows.weights / 3, rows.n_terms)
    ix = SparseIndex.build(tmp_path / "ix", third, config=BuildConfig(weights=weights))
    ix.add(third[:20], [f"a{i}" for i in range(20)])
    ix.delete(["7", "a3"])
    known = drawn_documents(ix.reader.snapshot)
    assert len(set(known)) == 64
    ix.compact()
    assert drawn_documents(ix.reader.snapshot) == known


def test_without_queries_documents_are_asked_for(tmp_path: Path) -> None:
    ix = made.changed_index(tmp_path / "ix")
    assert ix.tune(k=4, targets=(0.9,), sample=20)[0].n_queries == 20
    queries = tuning.queries_from_documents(ix.reader.snapshot, 1000, 0)
    assert len(queries) == 77
    assert queries.row_nnz.max() <= tuning.QUERY_TERMS


def test_recall_counts_true_hits_of_all_queries_together() -> None:
    truth = np.array([[1, 2, 3], [4, -1, -1], [-1, -1, -1]])
    assert tuning.recall(truth, truth) == 1.0
    assert tuning.recall(np.array([[3, 9, 1], [5, -1, -1], [7, -1, -1]]), truth) == 0.5
    assert tuning.recall(truth[2:], truth[2:]) == 1.0


@pytest.mark.parametrize("hits", [20, 100, 1000])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 1.0])
def test_lower_bound_holds_as_often_as_it_says(hits: int, share: float) -> None:
    found = round(share * hits)
    bound = lower_bound(found, hits, 1.0)
    assert 0.0 < bound < share
    # with the share at the bound, so many hits or more are found about one time in ten
    draws = np.random.default_rng(0).binomial(hits, bound, 50_000)
    assert 0.05 <= (draws >= found).mean() <= 0.12
    assert lower_bound(found, hits, 3.0) < bound < lower_bound(10 * found, 10 * hits, 1.0)


def test_lower_bound_of_nothing_is_nothing() -> None:
    assert lower_bound(0, 0, 1.0) == lower_bound(0, 10, 1.0) == 0.0


def test_design_effect_counts_hits_that_are_missed_together() -> None:
    hits = np.full(400, 10)
    rng = np.random.default_rng(0)
    alone = rng.binomial(10, 0.9, 400)
    together = np.where(rng.random(400) < 0.9, 10, 0)
    assert design_effect(alone, hits) == pytest.approx(1.0, abs=0.2)
    assert design_effect(together, hits) == pytest.approx(10.0, rel=0.05)
    assert design_effect(hits, hits) == design_effect(hits[:1] - 1, hits[:1]) == 1.0


class Population(Sample):
    """Queries of known kind: a hit is found from so many list entries, and so many candidates, on."""

    def __init__(
        self, postings: np.ndarray, candidates: np.ndarray, rng: np.random.Generator, n: int
    ) -> None:
        rows = rng.integers(len(postings), size=n)
        self.postings, self.candidates = postings[rows], candidates[rows]
        self.truth, self.known = np.zeros(self.postings.shape, np.int64), {}
        self.__post_init__()

    def measured(self, work: Work) -> Measurement:
        assert isinstance(work, Budget)
        seen = (self.postings <= work.max_postings) & (self.candidates <= work.n_candidates)
        self.known[work] = Measurement(work, seen.sum(axis=1), cost(work))
        return self.known[work]


def cost(work: Work) -> float:
    assert isinstance(work, Budget)
    return 15 + work.max_postings / 800 + 0.3 * work.n_candidates


@pytest.mark.parametrize(
    ("target", "n", "spare"),
    [(0.9, 100, 0.045), (0.95, 100, 0.03), (0.95, 300, 0.02), (0.95, 1000, 0.012), (0.99, 300, 0.008)],
)
def test_unseen_queries_reach_the_target_nine_times_in_ten_and_little_more(
    target: float, n: int, spare: float
) -> None:
    rng = np.random.default_rng(5)
    # queries differ, and so do the hits of one
    postings = np.exp(8 + rng.normal(0, 0.8, (20_000, 1)) + rng.normal(0, 0.8, (20_000, 10)))
    candidates = np.exp(2.5 + rng.normal(0, 0.5, (20_000, 1)) + rng.normal(0, 0.5, (20_000, 10)))
    ladders = tuning._ladders(10, 10**6)
    reached, spent = [], []
    for _ in range(100):
        asked = Population(postings, candidates, rng, n)
        asked.measured(Budget())
        best = tuning._cheapest(asked, ladders, target)
        assert best is not None and isinstance(best.work, Budget)
        seen = (postings <= best.work.max_postings) & (candidates <= best.work.n_candidates)
        reached.append(float(seen.mean()))
        spent.append(cost(best.work))
    assert np.mean(np.array(reached) >= target) >= 0.85
    assert target <= np.mean(reached) <= target + spare
    # of all settings that get as far, those chosen are hardly dearer than the cheapest
    least = min(
        cost(work)
        for ladder in ladders
        for work in ladder
        if ((postings <= work.max_postings) & (candidates <= work.n_candidates)).mean() >= np.mean(reached)
    )
    assert np.mean(spent) <= 1.15 * least


def test_the_queries_that_choose_do_not_judge(
    tmp_path: Path, approximate: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 1500, 300, 20))
    queries = made.vectors(2, 60, 300, 15)
    timed = tuning.timed
    truth, _ = timed(ix.reader.snapshot, queries, 10, Exact(), 1)

    def only(part: slice) -> list:
        """What is tuned where these queries find everything, and the others nothing."""

        def changed(snapshot: object, asked: object, k: int, work: Work, threads: int) -> tuple:
            found = np.full_like(truth, -1)
            found[part] = truth[part]
            return (truth, 1e9) if isinstance(work, Exact) else (found, 1.0)

        monkeypatch.setattr(tuning, "timed", changed)
        return [t.settings["exact"] for t in ix.tune(queries, targets=(0.9,))]

    assert only(slice(None, None, 5)) == [True]  # no ladder gets high enough on the others
    assert only(slice(None)) == [False]


def test_exact_search_is_taken_where_nothing_is_faster_or_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 1500, 300, 20))
    queries = made.vectors(2, 30, 300, 15)
    monkeypatch.setattr(search, "EXACT_UP_TO", 0)
    timed = tuning.timed

    def exact_takes(factor: float) -> None:
        def changed(snapshot: object, asked: object, k: int, work: Work, threads: int) -> tuple:
            ordinals, microseconds = timed(snapshot, asked, k, work, threads)
            return ordinals, microseconds * (factor if isinstance(work, Exact) else 1.0)

        monkeypatch.setattr(tuning, "timed", changed)

    exact_takes(1e-6)
    assert [t.settings["exact"] for t in ix.tune(queries, targets=(0.5, 0.9))] == [True, True]
    exact_takes(1e6)
    low, all_of_them = ix.tune(queries, targets=(0.5, 1.0))  # of no sample can it be said that all is found
    assert not low.settings["exact"]
    assert all_of_them.settings["exact"] and all_of_them.recall == 1.0


def test_what_was_measured_on_other_lists_is_not_stored(
    tmp_path: Path, lists: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody changes the posting lists while minutes of measuring go on."""
    ix = made.index(tmp_path / "ix")
    measure = tuning.measure

    def interrupted(*arguments: Any, **options: Any) -> Any:
        records = measure(*arguments, **options)
        SparseIndex.open(tmp_path / "ix").compact(lists="blocks" if lists == "impact" else "impact")
        return records

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "measure", interrupted)
        with pytest.raises(IndexLockedError, match="was built anew while it was measured; tune it again"):
            ix.tune(k=5, targets=(0.9,))
    again = SparseIndex.open(tmp_path / "ix")
    assert again.info().tuned == ()
    assert len(again.tune(k=5, targets=(0.9,))) == 1


def test_what_was_measured_waits_for_another_writer(
    tmp_path: Path, lists: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minutes of measuring were lost where somebody added a document just then."""
    ix = made.index(tmp_path / "ix")
    measure, writer = tuning.measure, IndexWriter(tmp_path / "ix")
    ends = threading.Timer(0.3, writer.__exit__, (None, None, None))

    def measured(*arguments: Any, **options: Any) -> Any:
        records = measure(*arguments, **options)
        writer.__enter__()
        ends.start()
        return records

    monkeypatch.setattr(tuning, "measure", measured)
    assert len(ix.tune(k=5, targets=(0.9,))) == 1
    ends.join()
    with IndexWriter(tmp_path / "ix"), monkeypatch.context() as patch:
        patch.setattr(tuning, "measure", measure)
        patch.setattr(changes, "PATIENCE", 0.1)
        with pytest.raises(IndexLockedError, match="is writing this index; try again when it is done"):
            ix.tune(k=5, targets=(0.9,))


def test_bad_tuning(tmp_path: Path) -> None:
    ix = made.index(tmp_path / "ix")
    before = (tmp_path / "ix" / "manifest.json").read_bytes()
    for arguments, message in [
        ({"targets": ()}, "targets"),
        ({"targets": (0.9, 1.1)}, "targets"),
        ({"targets": (0.0,)}, "targets"),
        ({"k": 0}, "k must be at least 1"),
        ({"sample": 0}, "sample: a whole number of at least 1 is expected, got 0"),
        ({"queries": made.vectors(1, 3, 61)}, "queries over 61 terms, the index has 60"),
        ({"queries": SparseVectors.empty(60, 2)}, "none of the queries has a hit"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            ix.tune(**arguments)
    assert (tmp_path / "ix" / "manifest.json").read_bytes() == before
