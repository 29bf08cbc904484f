"""Both ways to store posting lists, measured on a sample of an index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from splade_engine.errors import InvalidInputError
from splade_engine.index import BlockLists, BuildConfig, ImpactLists, SparseIndex, tuning
from splade_engine.index.disk.records import TuningRecord
from splade_engine.index.list_choice import MeasuredLists, faster_lists, measure_lists
from splade_engine.vectors import SparseVectors
from tests.index import made


@pytest.fixture
def index(tmp_path: Path) -> SparseIndex:
    lists = BlockLists(rounds=2)
    index = SparseIndex.build(tmp_path / "ix", made.vectors(1, 500, 80, 12), config=BuildConfig(lists=lists))
    index.delete(["3", "77"])
    return index


def test_both_ways_are_measured_on_live_documents_and_the_index_stays(index: SparseIndex) -> None:
    before = index.info()
    measured = measure_lists(index, made.vectors(2, 20, 80, 6), targets=(0.9, 1.0))
    assert [one.lists for one in measured] == [ImpactLists(), BlockLists(rounds=2)]  # its own parameters
    for one in measured:
        assert (one.n_docs, [record.target for record in one.tuned]) == (498, [0.9, 1.0])
        assert all(record.recall >= record.target for record in one.tuned)
        assert one.bytes > 0 and one.build_seconds > 0
        times = [record.microseconds for record in one.tuned]
        assert min(times) > 0
        np.testing.assert_allclose(one.microseconds, np.sqrt(times[0] * times[1]))
    assert index.info() == before


def test_a_sample_is_drawn_by_its_seed(index: SparseIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[bytes] = []
    build = SparseIndex.build

    def noted(path: Path, vectors: SparseVectors, **options: object) -> SparseIndex:
        drawn.append(vectors.terms.tobytes())
        return build(path, vectors, **options)

    monkeypatch.setattr(SparseIndex, "build", noted)
    for seed in (0, 0, 1):
        (one, _) = measure_lists(index, documents=100, sample=20, targets=(0.9,), seed=seed)
        assert (one.n_docs, one.tuned[0].n_queries) == (100, 20)
    assert drawn[0] == drawn[1] == drawn[2] == drawn[3]  # both ways, both times
    assert drawn[4] == drawn[5] != drawn[0]


def test_times_are_the_medians_of_rounds_in_turns(
    index: SparseIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first round of one way is slow, as when other work begins; it decides nothing."""
    asked: list[str] = []
    measure = tuning.timed

    def told(snapshot, queries, k, work, threads):
        asked.append("blocks" if "lists" in snapshot.manifest.config else "impact")
        number = asked.count(asked[-1])
        return measure(snapshot, queries, k, work, threads)[0], 1000.0 if number == 1 else float(10 + number)

    def fixed(snapshot, queries, *, k, targets, **_):
        return [TuningRecord(k, target, 1.0, 5.0, len(queries), {"exact": True}, 498) for target in targets]

    monkeypatch.setattr(tuning, "timed", told)
    monkeypatch.setattr(tuning, "measure", fixed)
    measured = measure_lists(index, made.vectors(2, 5, 80, 6), targets=(0.9,))
    assert asked == ["impact", "blocks"] * 3
    assert [one.tuned[0].microseconds for one in measured] == [13.0, 13.0]


def test_blocks_have_to_gain_something() -> None:
    record = TuningRecord(10, 0.9, 0.95, 100.0, 50, {"exact": True}, 1000)
    impact = MeasuredLists(ImpactLists(), 1000, 1.0, 10, (record,))
    for us, expected in ((94.0, BlockLists()), (96.0, ImpactLists()), (200.0, ImpactLists())):
        blocks = MeasuredLists(BlockLists(), 1000, 3.0, 15, (replace(record, microseconds=us),))
        assert faster_lists((impact, blocks)) == expected


def test_nothing_to_measure(tmp_path: Path, index: SparseIndex) -> None:
    empty = SparseIndex.build(tmp_path / "empty", made.vectors(1, 1, 80, 12))
    empty.delete(empty.ids())
    with pytest.raises(InvalidInputError, match="the index holds no documents"):
        measure_lists(empty)
    with pytest.raises(InvalidInputError, match="documents"):
        measure_lists(index, documents=0)
