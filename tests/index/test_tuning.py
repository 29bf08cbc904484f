from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from splade_engine.errors import InvalidInputError
from splade_engine.index import SparseIndex, search, tuning
from splade_engine.index.effort import Budget, Exact, Work
from splade_engine.vectors import SparseVectors
from tests.index import made


@pytest.fixture
def approximate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes of any size are searched approximately, and exact search seems slow."""
    monkeypatch.setattr(search, "EXACT_UP_TO", 0)
    timed = tuning._timed

    def slow_exact(snapshot: object, queries: object, k: int, work: Work, threads: int) -> tuple:
        ordinals, microseconds = timed(snapshot, queries, k, work, threads)
        return ordinals, 1e9 if isinstance(work, Exact) else microseconds

    monkeypatch.setattr(tuning, "_timed", slow_exact)


def recall_of(ix: SparseIndex, queries: SparseVectors, k: int, accuracy: float) -> float:
    truth = ix.search(queries, k, exact=True).ordinals
    return tuning.recall(ix.search(queries, k, accuracy=accuracy).ordinals, truth)


def test_tuned_settings_reach_their_recall_and_are_kept(tmp_path: Path, approximate: None) -> None:
    ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 1500, 300, 20))
    queries = made.vectors(2, 30, 300, 15)
    tuned = ix.tune(queries, k=10, targets=(0.5, 0.99))
    assert [(t.k, t.target, t.n_queries) for t in tuned] == [(10, 0.5, 30), (10, 0.99, 30)]
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
    ix.delete(ix.ids()[:22])
    assert ix.info().tuned[0].current
    ix.delete(ix.ids()[:14])
    assert (len(ix), ix.info().tuned[0].current) == (26, False)
    assert len(caplog.messages) == 2
    assert ix.tune(k=5, targets=(0.9,))[0].current


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
