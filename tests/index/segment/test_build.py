from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.errors import InvalidInputError
from splade_engine.index.config import BuildConfig, SearchConfig
from splade_engine.index.segment.build import build_segment
from splade_engine.index.segment.layout import SEGMENT_ARRAYS
from splade_engine.index.segment.windows import N_LEVELS, WINDOW
from splade_engine.vectors import SparseVectors
from tests import oracle
from tests.index.segment.test_search import KINDS, random_vectors


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 300),
    n_terms=st.integers(1, 20),
    kinds=st.sampled_from(KINDS),
)
@settings(max_examples=60, deadline=None)
def test_lists_equal_the_plain_construction(seed, n, n_terms, kinds):
    documents = random_vectors(seed, n, n_terms, 6.0)
    arrays = build_segment(documents, BuildConfig(*kinds), 1)
    assert {name: a.dtype.newbyteorder("<").str for name, a in arrays.items()} == {
        spec.name: np.dtype(spec.dtype).str for spec in SEGMENT_ARRAYS
    }
    stored = oracle.stored(documents, kinds[0])
    expected = oracle.lists(stored, WINDOW, N_LEVELS)
    if len(kinds) > 2:
        order = arrays["block_docs"].astype(int)
        assert np.array_equal(np.sort(order), np.arange(n))
        expected = oracle.block_lists(stored, order, left_out(arrays, stored))
    for name, array in expected.items():
        assert np.array_equal(arrays[name], array), name
    if kinds[0] == "uint8":
        codes, scales = oracle.quantised(documents)
        assert np.array_equal(arrays["doc_weights_8"], codes)
        assert np.array_equal(arrays["doc_scales"], scales)
    numbers = np.searchsorted(arrays["term_ids"], documents.terms)
    if kinds[1] == "split" and documents.nnz:
        lows, words = oracle.split(numbers, documents.indptr, len(arrays["term_ids"]), 8)
        assert np.array_equal(arrays["doc_term_lows_8"], lows)
        assert np.array_equal(arrays["doc_term_blocks"], words)
    else:
        assert np.array_equal(arrays["doc_terms_16"], numbers)


def left_out(arrays, documents):
    """bool[nnz]: which entries the lists do not hold, as their masks say."""
    held = np.zeros((len(arrays["term_ids"]), 16 * (-(-len(documents) // 1024) * 64)), bool)
    groups = -(-len(documents) // 64)
    for t, column in enumerate(arrays["block_columns"].tolist()):
        if column >= 0:
            masks = arrays["block_masks"][column * groups : (column + 1) * groups]
            held[t, : 64 * groups] = np.unpackbits(masks.view(np.uint8), bitorder="little")
        heads = slice(*arrays["block_head_starts"][t : t + 2])
        for block, mask in zip(arrays["block_heads"][heads], arrays["block_head_masks"][heads], strict=True):
            held[t, 16 * int(block) : 16 * int(block) + 16] = [int(mask) >> i & 1 for i in range(16)]
    places = np.argsort(arrays["block_docs"])
    rows = np.repeat(np.arange(len(documents)), documents.row_nnz)
    return ~held[np.searchsorted(arrays["term_ids"], documents.terms), places[rows]]


@pytest.mark.parametrize("config", [BuildConfig(), BuildConfig("uint8", "split")])
def test_the_arrays_do_not_depend_on_threads(config):
    documents = random_vectors(3, 140_000, 300, 4.0)
    one, four = (build_segment(documents, config, threads) for threads in (1, 4))
    assert all(np.array_equal(one[name], four[name]) for name in one)
    stored = oracle.stored(documents, "uint8" if config.weights == "uint8" else "float16")
    expected = oracle.lists(stored, WINDOW, N_LEVELS)
    assert all(np.array_equal(one[name], array) for name, array in expected.items())


def test_codes_bound_weights_from_above():
    documents = random_vectors(4, 500, 30, 10.0)
    arrays = build_segment(documents, BuildConfig(), 1)
    offsets = arrays["list_offsets"]
    stored = oracle.stored(documents).to_scipy().tocsc()
    for t, term in enumerate(arrays["term_ids"]):
        entries = slice(offsets[t], offsets[t + 1])
        bound = arrays["list_codes"][entries].astype(np.float32) * arrays["list_scales"][t]
        weights = stored[arrays["list_docs"][entries].astype(int), int(term)].toarray().ravel()
        assert (bound >= weights).all()
        assert (bound <= weights + 1.01 * arrays["list_scales"][t]).all()


def test_weights_are_stored_as_asked_or_as_they_fit():
    documents = random_vectors(5, 20, 10, 4.0)
    huge = SparseVectors([0, 1], [0], [1e6], 1)
    assert len(build_segment(documents, BuildConfig(), 1)["doc_weights_16"]) == documents.nnz
    exact = build_segment(documents, BuildConfig(weights="float32"), 1)["doc_weights_32"]
    assert np.array_equal(exact, documents.weights)
    assert build_segment(huge, BuildConfig(), 1)["doc_weights_32"].tolist() == [1e6]
    coded = build_segment(huge, BuildConfig(weights="uint8"), 1)
    assert coded["doc_weights_8"].tolist() == [255]
    assert abs(coded["doc_scales"][0] * 255 / 1e6 - 1) < 2**-15
    with pytest.raises(InvalidInputError, match="weights: float16 needs a largest weight of"):
        build_segment(huge, BuildConfig(weights="float16"), 1)
    with pytest.raises(InvalidInputError, match="threads must be at least 1"):
        build_segment(huge, BuildConfig(), 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: BuildConfig(weights="int4"),
            "BuildConfig.weights must be one of auto, float16, float32, uint8",
        ),
        (
            lambda: BuildConfig(terms="delta"),
            "BuildConfig.terms must be one of auto, plain, split, got 'delta'",
        ),
        (lambda: SearchConfig(exact=1), "SearchConfig.exact must be True or False, got 1"),
        (lambda: SearchConfig(max_postings=0), "SearchConfig.max_postings must be an integer between 1"),
        (lambda: SearchConfig(n_candidates=2.5), "SearchConfig.n_candidates must be an integer between 1"),
        (lambda: SearchConfig(n_candidates=True), "SearchConfig.n_candidates must be an integer between 1"),
    ],
)
def test_bad_settings_are_refused_by_name(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()
