"""The table of term kinds: each writes, checks and reads its own arrays, and the rest asks the row only."""

from __future__ import annotations

import numpy as np
import pytest

from splade_engine.errors import IndexCorruptError, InvalidInputError
from splade_engine.index.config import BuildConfig
from splade_engine.index.effort import Exact
from splade_engine.index.segment import layout, terms
from splade_engine.index.segment.arrays import ArraySpec, check_each, check_length
from splade_engine.index.segment.build import build_segment
from splade_engine.index.segment.layout import SEGMENT_ARRAYS, check_structure, file_arrays
from splade_engine.index.segment.search import SegmentSearcher
from splade_engine.index.segment.terms import PLAIN_16, PLAIN_32, SPLIT_8, SPLIT_16, TERM_KINDS, TermKind
from splade_engine.vectors import SparseVectors
from tests.index.segment.test_search import random_vectors

N, LOCAL = 60, 700


def written(kind: TermKind, documents: SparseVectors) -> dict[str, np.ndarray]:
    """The arrays of all kinds, those of one filled."""
    arrays = {spec.name: np.zeros(0, spec.dtype) for each in TERM_KINDS for spec in each.arrays}
    arrays |= {"term_ids": np.arange(LOCAL, dtype=np.uint32), "doc_offsets": documents.indptr}
    return arrays | kind.write(documents.indptr, documents.terms.astype(np.uint32), LOCAL, np.empty)


@pytest.mark.parametrize("kind", TERM_KINDS, ids=lambda kind: kind.section)
def test_what_is_written_is_recognised_and_read_again(kind: TermKind) -> None:
    documents = random_vectors(3, N, LOCAL, 8.0)
    arrays = written(kind, documents)
    assert terms.stored_terms(arrays) is kind
    assert arrays[kind.section].dtype == np.dtype(kind.arrays[0].dtype)
    terms.check_terms(arrays, N, documents.nnz)
    rows = np.random.default_rng(0).permutation(N)[:20]
    wanted = documents[rows]
    entries = np.concatenate([np.arange(documents.indptr[d], documents.indptr[d + 1]) for d in rows])
    assert np.array_equal(kind.read(arrays, rows, wanted.indptr, entries), wanted.terms)


@pytest.mark.parametrize("kind", TERM_KINDS, ids=lambda kind: kind.section)
def test_arrays_that_do_not_fit_are_refused(kind: TermKind) -> None:
    documents = random_vectors(4, N, LOCAL, 8.0)
    arrays = written(kind, documents)
    for spec in kind.arrays:
        with pytest.raises(IndexCorruptError, match=f"{spec.name}: must hold"):
            terms.check_terms(arrays | {spec.name: arrays[spec.name][:-1]}, N, documents.nnz)
    for other in TERM_KINDS:
        if other is not kind:
            both = arrays | {other.section: np.ones(1, other.arrays[0].dtype)}
            with pytest.raises(IndexCorruptError, match=r"must be empty because doc_\w+ is not|must hold"):
                terms.check_terms(both, N, documents.nnz)


@pytest.mark.parametrize(
    ("name", "n_local", "kind"),
    [
        ("auto", 1 << 16, PLAIN_16),
        ("auto", (1 << 16) + 1, PLAIN_32),
        ("plain", 5, PLAIN_16),
        ("split", 1 << 16, SPLIT_8),
        ("split", (1 << 16) + 1, SPLIT_16),
    ],
)
def test_a_kind_is_as_wide_as_it_must_be(name: str, n_local: int, kind: TermKind) -> None:
    assert terms.terms_for(BuildConfig(terms=name), n_local) is kind


def test_an_unknown_kind_is_refused_with_the_names() -> None:
    with pytest.raises(InvalidInputError, match=r"terms must be one of auto, plain, split, got 'wide'"):
        BuildConfig(terms="wide")


class Wide(TermKind):
    """A kind of the test: 32 bits for every number."""

    name = "wide"

    def write(self, offsets, terms, n_local, empty):
        return {self.section: terms.astype(np.uint32)}

    def check(self, arrays, n_docs, nnz) -> None:
        n_local = len(arrays["term_ids"])
        check_length(self.section, arrays[self.section], nnz)
        check_each(self.section, arrays[self.section], lambda part: part < n_local, "must be below")

    def read(self, arrays, ordinals, starts, entries):
        return arrays[self.section][entries]


def test_another_kind_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Wide(1 << 32, ArraySpec("doc_terms_wide", "<u4", optional=True))
    specs = (*SEGMENT_ARRAYS, *wide.arrays)
    monkeypatch.setattr(terms, "TERM_KINDS", (*TERM_KINDS, wide))
    for where in (layout.__name__, "splade_engine.index.segment.build"):
        monkeypatch.setattr(f"{where}.SEGMENT_ARRAYS", specs)
    documents = random_vectors(5, 40, 30, 6.0)
    arrays = build_segment(documents, BuildConfig(terms="wide"), 1)
    sizes = {"n_docs": len(documents), "n_terms": documents.n_terms, "nnz": documents.nnz}
    assert terms.stored_terms(arrays) is wide
    names = file_arrays({name for name, array in arrays.items() if len(array)})
    assert "doc_terms_wide" in names and "doc_term_lows_8" not in names
    check_structure(arrays, **sizes)
    plain = build_segment(documents, BuildConfig(), 1)
    ours, theirs = (SegmentSearcher(a, **sizes).search(documents, 5, Exact()) for a in (arrays, plain))
    assert np.array_equal(ours.ordinals, theirs.ordinals)
    assert np.array_equal(ours.scores, theirs.scores)
    assert SegmentSearcher(arrays, **sizes).vectors(np.arange(40)) == SegmentSearcher(plain, **sizes).vectors(
        np.arange(40)
    )
