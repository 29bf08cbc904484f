"""The table of weight kinds: each writes, checks and reads its own arrays, and the rest asks the row only."""

from __future__ import annotations

import numpy as np
import pytest

from splade_engine.errors import IndexCorruptError, InvalidInputError
from splade_engine.index.config import BuildConfig
from splade_engine.index.effort import Exact
from splade_engine.index.segment import layout, weights
from splade_engine.index.segment.arrays import ArraySpec, check_length
from splade_engine.index.segment.build import build_segment
from splade_engine.index.segment.layout import SEGMENT_ARRAYS, check_structure, file_arrays
from splade_engine.index.segment.search import SegmentSearcher
from splade_engine.index.segment.weights import FLOAT32, UINT8, WEIGHT_KINDS, stored_weights
from splade_engine.index.segment.weights.kind import WeightKind
from splade_engine.index.segment.weights.kind import check_weights as check_floats
from splade_engine.vectors import SparseVectors
from tests import oracle
from tests.index.segment.test_search import random_vectors


def written(kind: WeightKind, documents: SparseVectors) -> dict[str, np.ndarray]:
    """The arrays of all kinds, those of one filled."""
    empty = {spec.name: np.zeros(0, spec.dtype) for each in WEIGHT_KINDS for spec in each.arrays}
    return empty | kind.write(documents, documents.indptr, 1, np.empty)


@pytest.mark.parametrize("kind", WEIGHT_KINDS, ids=lambda kind: kind.name)
def test_what_is_written_is_recognised_and_read_again(kind: WeightKind) -> None:
    documents = random_vectors(3, 200, 50, 8.0)
    arrays = written(kind, documents)
    assert stored_weights(arrays) is kind
    weights.check_weights(arrays, len(documents), documents.nnz)
    entries = np.random.default_rng(0).permutation(documents.nnz)
    rows = np.repeat(np.arange(len(documents)), documents.row_nnz)[entries]
    scales = kind.scales(arrays)
    assert len(scales) in (0, len(documents))
    read = kind.read(kind.stored(arrays), entries, scales[rows] if len(scales) else scales)
    assert read.dtype == np.float32
    assert np.array_equal(read, oracle.stored(documents, kind.name).weights[entries])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_every_number_that_is_not_finite_and_above_0_is_refused(dtype: type[np.floating]) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    numbers = halves.astype(dtype)
    if dtype is np.float32:  # the borders of its own range too
        edges = np.array([0, 1, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x80000000, 0xFFFFFFFF], np.uint32)
        numbers = np.concatenate([numbers, edges.view(np.float32)])
    good = np.isfinite(numbers) & (numbers > 0)
    check_floats({"weights": numbers[good]}, "weights", int(good.sum()))
    for number in numbers[~good]:
        with pytest.raises(IndexCorruptError, match=r"weights: must be finite and above 0, at 1: "):
            check_floats({"weights": np.array([1, number], dtype)}, "weights", 2)


@pytest.mark.parametrize("kind", WEIGHT_KINDS, ids=lambda kind: kind.name)
def test_arrays_that_do_not_fit_are_refused(kind: WeightKind) -> None:
    documents = random_vectors(4, 30, 20, 5.0)
    arrays = written(kind, documents)
    for spec in kind.arrays:
        with pytest.raises(IndexCorruptError, match=f"{spec.name}: must hold"):
            weights.check_weights(arrays | {spec.name: arrays[spec.name][:-1]}, 30, documents.nnz)
        wrong = arrays[spec.name].copy()
        wrong[7] = 0
        with pytest.raises(IndexCorruptError, match=f"{spec.name}: must be .*, at 7: 0"):
            weights.check_weights(arrays | {spec.name: wrong}, 30, documents.nnz)
    for other in WEIGHT_KINDS:
        if other is not kind:
            both = arrays | other.write(documents, documents.indptr, 1, np.empty)
            with pytest.raises(IndexCorruptError, match=r"must be empty because doc_\w+ is not, holds \d+"):
                weights.check_weights(both, 30, documents.nnz)


def test_a_kind_that_cannot_hold_the_weights_is_refused_and_auto_takes_another() -> None:
    for largest, name in ((70_000.0, "float32"), (2.0**-11, "float32"), (3.0, "float16")):
        assert weights.weights_for(BuildConfig("auto"), largest).name == name
    for largest in (70_000.0, 2.0**-11):
        with pytest.raises(InvalidInputError, match="float16 needs a largest weight of 2"):
            weights.weights_for(BuildConfig("float16"), largest)
        assert weights.weights_for(BuildConfig("uint8"), largest) is UINT8


class Halves(WeightKind):
    """A kind of the test: half of each weight in single precision, and twice of it to read."""

    name = "halves"
    arrays = (ArraySpec("doc_weight_halves", "<f4", optional=True),)

    def write(self, vectors, offsets, threads, empty):
        return {"doc_weight_halves": vectors.weights / np.float32(2)}

    def check(self, arrays, n_docs, nnz) -> None:
        check_length("doc_weight_halves", arrays["doc_weight_halves"], nnz)

    def stored(self, arrays):
        return arrays["doc_weight_halves"] * np.float32(2)

    def read(self, stored, entries, scales):
        return stored[entries]


def test_another_kind_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    halves = Halves()
    specs = (*SEGMENT_ARRAYS, *halves.arrays)
    monkeypatch.setattr(weights, "WEIGHT_KINDS", (*WEIGHT_KINDS, halves))
    for module in (layout, "splade_engine.index.segment.build"):
        where = module if isinstance(module, str) else module.__name__
        monkeypatch.setattr(f"{where}.SEGMENT_ARRAYS", specs)
    documents = random_vectors(5, 40, 30, 6.0)
    arrays = build_segment(documents, BuildConfig("halves"), 1)
    sizes = {"n_docs": len(documents), "n_terms": documents.n_terms, "nnz": documents.nnz}
    assert stored_weights(arrays) is halves
    names = file_arrays({name for name, array in arrays.items() if len(array)})
    assert "doc_weight_halves" in names and "doc_weights_8" not in names
    check_structure(arrays, **sizes)
    plain = build_segment(documents, BuildConfig(FLOAT32.name), 1)
    ours, theirs = (SegmentSearcher(a, **sizes).search(documents, 5, Exact()) for a in (arrays, plain))
    assert np.array_equal(ours.ordinals, theirs.ordinals)
    assert np.array_equal(ours.scores, theirs.scores)
    assert SegmentSearcher(arrays, **sizes).vectors(np.arange(40)) == documents
