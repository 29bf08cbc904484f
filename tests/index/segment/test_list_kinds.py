"""The table of posting-list kinds: what is stored names its kind, and nothing of another lies beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from splade_engine.errors import IndexCorruptError
from splade_engine.index import lists
from splade_engine.index.config import BuildConfig, stored_build_config
from splade_engine.index.effort import Exact
from splade_engine.index.lists import ImpactLists
from splade_engine.index.segment import layout, list_kinds, segment, windows
from splade_engine.index.segment.arrays import ArraySpec
from splade_engine.index.segment.build import build_segment
from splade_engine.index.segment.layout import SEGMENT_ARRAYS, check_structure, file_arrays
from splade_engine.index.segment.list_kinds import IMPACT, LIST_KINDS, ListKind
from splade_engine.index.segment.search import SegmentSearcher
from tests import oracle
from tests.index.segment.test_search import random_vectors


def test_the_first_array_of_a_kind_is_never_empty() -> None:
    for vectors in (random_vectors(1, 0, 5, 2.0), random_vectors(1, 3, 5, 0.0), random_vectors(1, 9, 5, 2.0)):
        arrays = build_segment(vectors, BuildConfig(), 1)
        assert len(arrays[IMPACT.arrays[0].name])
        assert list_kinds.stored_lists(arrays) is IMPACT


def test_a_choice_is_recorded_only_where_it_is_one() -> None:
    """Indexes that were built before there was a choice have the same manifest, byte for byte."""
    assert BuildConfig("uint8", "split").to_record() == {"weights": "uint8", "terms": "split"}
    assert stored_build_config({"weights": "auto", "terms": "auto"}) == BuildConfig()
    assert {kind.name for kind in LIST_KINDS} == set(lists.KINDS)


@dataclass(frozen=True)
class PairLists:
    """The parameters of a kind of the test."""

    kind: ClassVar[str] = "pairs"
    times: int = 1


class Pairs:
    """A kind of the test: no kernel, (document, row) pairs scored by the rows alone."""

    def __init__(self, arrays, n_docs: int, n_terms: int) -> None:
        self.counts = arrays["pair_counts"]

    def scratch(self, query_terms: int, n_candidates: int) -> None:
        return None

    def search(self, first, last, limits, queries, rows, allowed, scratch, hits) -> None:
        for query in range(first, last):
            hits.docs[query, 0], hits.scores[query, 0] = query, self.counts[query]


def counted(arrays, n_docs: int, nnz: int) -> None:
    layout.check_length("pair_counts", arrays["pair_counts"], n_docs)


def test_another_kind_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a new kind has to bring, and that the rest asks the row and nothing else."""
    pairs = ListKind(
        name="pairs",
        arrays=(ArraySpec("pair_counts", "<i8"),),
        check=counted,
        build=lambda rows, n_lists, lists, threads, empty: {
            "pair_counts": np.diff(rows.offsets) * lists.times
        },
        build_cost=lambda nnz, n_docs: 0,
        frequencies=lambda arrays, n_docs: np.full(len(arrays["term_ids"]), 7),
        opened=Pairs,
    )
    monkeypatch.setattr(lists, "KINDS", {**lists.KINDS, "pairs": PairLists})
    specs = (*SEGMENT_ARRAYS, *pairs.arrays)
    monkeypatch.setattr(list_kinds, "LIST_KINDS", (IMPACT, pairs))
    monkeypatch.setattr(layout, "LIST_KINDS", (IMPACT, pairs))
    monkeypatch.setattr(layout, "SEGMENT_ARRAYS", specs)
    monkeypatch.setattr("splade_engine.index.segment.build.SEGMENT_ARRAYS", specs)
    documents = random_vectors(3, 20, 50, 8.0)
    arrays = build_segment(documents, BuildConfig("float32", lists=PairLists(times=3)), 1)
    sizes = {"n_docs": len(documents), "n_terms": documents.n_terms, "nnz": documents.nnz}
    assert list_kinds.stored_lists(arrays) is pairs
    assert BuildConfig(lists="pairs").to_record()["lists"] == {"kind": "pairs", "times": 1}
    names = file_arrays({name for name, array in arrays.items() if len(array)})
    assert names[-1] == "pair_counts"
    assert not [name for name in names if name.startswith("list_")]
    check_structure(arrays, **sizes)
    hits = SegmentSearcher(arrays, **sizes).search(documents, 1, Exact())
    assert hits.scores[:, 0].tolist() == (3 * documents.row_nnz).tolist()
    both = {
        **arrays,
        **IMPACT.build(segment_rows(arrays), len(arrays["term_ids"]), ImpactLists(), 1, np.empty),
    }
    with pytest.raises(IndexCorruptError, match="pair_counts: must hold 0 entries, holds 20"):
        check_structure(both, **sizes)


def segment_rows(arrays):
    from splade_engine.index.segment.rows import Rows

    return Rows(arrays)


def test_frequencies_are_those_of_the_rows() -> None:
    documents = random_vectors(5, 300, 40, 6.0)
    arrays = build_segment(documents, BuildConfig(), 1)
    assert (
        windows.frequencies(arrays, 300).tolist() == np.bincount(documents.terms)[arrays["term_ids"]].tolist()
    )
    assert oracle.lists(documents, windows.WINDOW, windows.N_LEVELS)["list_offsets"][-1] == documents.nnz
    assert {spec.name: spec.dtype for spec in SEGMENT_ARRAYS} == segment.POSTING_DTYPES
