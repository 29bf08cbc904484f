from __future__ import annotations

import numpy as np
import pytest

from splade_engine.errors import IndexCorruptError
from splade_engine.index.config import BuildConfig
from splade_engine.index.segment.build import build_segment
from splade_engine.index.segment.layout import check_structure
from splade_engine.index.segment.search import SegmentSearcher
from splade_engine.index.segment.terms import split
from tests.index.segment.test_search import random_vectors

N, TERMS = 70_000, 40
FEW = 3_000


@pytest.fixture(scope="module")
def good() -> tuple[dict[str, np.ndarray], int]:
    """Two windows, the second not full."""
    documents = random_vectors(1, N, TERMS, 3.0)
    return build_segment(documents, BuildConfig(), 1), documents.nnz


def changed(good, name, place, value):
    arrays = {key: array.copy() for key, array in good[0].items()}
    arrays[name][place] = value
    return arrays


def test_what_the_builder_makes_is_accepted(good):
    check_structure(good[0], n_docs=N, n_terms=TERMS, nnz=good[1])


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("term_ids", -1, 40, "term_ids: must be below 40, at 39: 40"),
        ("term_ids", 5, 4, "term_ids: must be strictly increasing, at 5: 4"),
        ("doc_offsets", 0, 1, "doc_offsets: must start with 0, at 0: 1"),
        ("doc_offsets", -1, 7, "doc_offsets: must end with"),
        ("doc_offsets", 9, 2**40, "doc_offsets: must not decrease, at 10"),
        ("doc_offsets", 9, -1, "doc_offsets: must not decrease, at 9: -1"),
        ("doc_terms_16", 3, 40, "doc_terms_16: must be below 40, at 3: 40"),
        ("doc_weights_16", 4, np.nan, "doc_weights_16: must be finite and above 0, at 4: nan"),
        ("doc_weights_16", 4, np.inf, "doc_weights_16: must be finite and above 0, at 4: inf"),
        ("doc_weights_16", 4, -1.0, "doc_weights_16: must be finite and above 0, at 4: -1.0"),
        ("list_offsets", 3, 2**40, "list_offsets: must not decrease, at 4"),
        ("list_offsets", -1, 0, "list_offsets: must end with"),
        ("list_scales", 2, 0.0, "list_scales: must be finite and above 0, at 2: 0.0"),
        ("list_scales", 2, np.nan, "list_scales: must be finite and above 0, at 2: nan"),
        ("list_codes", 1, 255, "list_codes: must not increase within a list, at 1: 255"),
        ("list_docs", -1, 65535, "list_docs: must be below 4464 in the last window"),
    ],
)
def test_each_rule_is_checked_with_its_place(good, name, place, value, message):
    arrays = changed(good, name, place, value)
    if name == "list_codes":
        arrays["list_codes"][place - 1] = 254
    with pytest.raises(IndexCorruptError, match=message):
        check_structure(arrays, n_docs=N, n_terms=TERMS, nnz=good[1])


def test_terms_of_a_document_must_increase(good):
    arrays = {key: array.copy() for key, array in good[0].items()}
    row = int(np.flatnonzero(np.diff(arrays["doc_offsets"]) > 1)[0])
    at = int(arrays["doc_offsets"][row])
    arrays["doc_terms_16"][at + 1] = arrays["doc_terms_16"][at]
    with pytest.raises(IndexCorruptError, match=f"doc_terms_16: must be strictly increasing, at {at + 1}"):
        check_structure(arrays, n_docs=N, n_terms=TERMS, nnz=good[1])


@pytest.fixture(scope="module")
def small() -> tuple[dict[str, np.ndarray], int]:
    """Codes and split terms, 300 of them: two blocks; some rows empty."""
    documents = random_vectors(2, FEW, 300, 3.0)
    return build_segment(documents, BuildConfig("uint8", "split"), 1), documents.nnz


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("doc_weights_8", 4, 0, "doc_weights_8: must be finite and above 0, at 4: 0"),
        ("doc_scales", 7, np.nan, "doc_scales: must be 2.-120 to 2.120 in 16 bits, at 7: nan"),
        ("doc_scales", 7, np.inf, "doc_scales: must be 2.-120 to 2.120 in 16 bits, at 7: inf"),
        ("doc_scales", 7, -0.5, "doc_scales: must be 2.-120 to 2.120 in 16 bits, at 7: -0.5"),
        ("doc_scales", 7, 2.0**-121, "doc_scales: must be 2.-120 to 2.120 in 16 bits, at 7"),
        ("doc_scales", 7, 1.4e36, "doc_scales: must be 2.-120 to 2.120 in 16 bits, at 7"),
        ("doc_scales", 7, 0.1, "doc_scales: must be 2.-120 to 2.120 in 16 bits, at 7"),
        ("doc_term_blocks", 3, 0, "doc_term_blocks: must"),
        ("doc_term_blocks", slice(None), 0, "doc_term_blocks: must have [0-9]+ bits set, has 0"),
        ("doc_term_blocks", slice(None), 2**64 - 1, "doc_term_blocks: must"),
        ("doc_term_blocks", -1, 2**64 - 1, "doc_term_blocks: must have [0-9]+ bits set, has [0-9]+ or more"),
    ],
)
def test_each_rule_of_codes_and_split_terms_is_checked(small, name, place, value, message):
    check_structure(small[0], n_docs=FEW, n_terms=300, nnz=small[1])
    with pytest.raises(IndexCorruptError, match=message):
        check_structure(changed(small, name, place, value), n_docs=FEW, n_terms=300, nnz=small[1])


def test_every_bit_of_split_terms_counts(small):
    """A bit moved by one place: another row, another term, or an order that is none.

    Never accepted unless the terms still ascend within their row.
    """
    arrays, nnz = small
    bits = np.unpackbits(arrays["doc_term_blocks"].view(np.uint8), bitorder="little")
    rng, refused = np.random.default_rng(0), 0
    for at in rng.permutation(np.flatnonzero((bits[:-1] == 1) & (bits[1:] == 0)))[:40]:
        moved = bits.copy()
        moved[at], moved[at + 1] = 0, 1
        words = np.packbits(moved, bitorder="little").view(np.uint64)
        try:
            check_structure(arrays | {"doc_term_blocks": words}, n_docs=FEW, n_terms=300, nnz=nnz)
        except IndexCorruptError:
            refused += 1
            continue
        rows = SegmentSearcher(arrays | {"doc_term_blocks": words}, n_docs=FEW, n_terms=300, nnz=nnz)
        assert all((np.diff(terms) > 0).all() for terms, _ in rows.vectors(np.arange(FEW)))
    assert refused > 0


def test_split_terms_must_ascend_across_the_parts_that_are_checked(small, monkeypatch):
    arrays, nnz = small
    monkeypatch.setattr(split, "_WORDS", 3)
    check_structure(arrays, n_docs=FEW, n_terms=300, nnz=nnz)
    offsets, lows = arrays["doc_offsets"], arrays["doc_term_lows_8"]
    vectors = SegmentSearcher(arrays, n_docs=FEW, n_terms=300, nnz=nnz).vectors(np.arange(FEW))
    numbers = np.searchsorted(arrays["term_ids"], vectors.terms)
    tried = 0
    for row in np.flatnonzero(np.diff(offsets) > 1)[:100]:
        at = int(offsets[row])
        if numbers[at] >> 8 == numbers[at + 1] >> 8:
            same = lows.copy()
            same[at + 1] = same[at]
            with pytest.raises(IndexCorruptError, match=f"must be strictly increasing, at {at + 1}"):
                check_structure(arrays | {"doc_term_lows_8": same}, n_docs=FEW, n_terms=300, nnz=nnz)
            tried += 1
            if tried == 5:
                return
    raise AssertionError("no row has two terms of the same block")


@pytest.mark.parametrize("name", ["doc_weights_8", "doc_scales", "doc_term_lows_8", "doc_term_blocks"])
def test_a_shorter_array_of_codes_or_split_terms_is_refused(small, name):
    with pytest.raises(IndexCorruptError, match=f"{name}: must hold"):
        check_structure(small[0] | {name: small[0][name][:-1]}, n_docs=FEW, n_terms=300, nnz=small[1])


def test_scales_and_blocks_belong_to_codes_and_split_terms(good, small):
    odd = [
        (good, N, TERMS, {"doc_scales": np.ones(N, np.float32)}, "doc_weights_8: must hold"),
        (
            good,
            N,
            TERMS,
            {"doc_term_blocks": small[0]["doc_term_blocks"]},
            "doc_term_blocks: must hold 0 entries",
        ),
        (small, FEW, 300, {"doc_scales": np.zeros(0, np.float32)}, "doc_scales: must hold 3000 entries"),
        (
            small,
            FEW,
            300,
            {"doc_weights_16": np.ones(3, np.float16)},
            "doc_weights_16: must be empty because",
        ),
    ]
    for (arrays, nnz), n_docs, n_terms, others, message in odd:
        with pytest.raises(IndexCorruptError, match=message):
            check_structure(arrays | others, n_docs=n_docs, n_terms=n_terms, nnz=nnz)


@pytest.mark.parametrize(
    "name", ["term_ids", "doc_offsets", "list_levels", "list_docs", "list_codes", "list_scales"]
)
def test_a_shorter_array_is_refused(good, name):
    arrays = dict(good[0])
    arrays[name] = arrays[name][:-1]
    with pytest.raises(IndexCorruptError, match="must"):
        check_structure(arrays, n_docs=N, n_terms=TERMS, nnz=good[1])


def test_a_missing_array_a_wrong_type_and_both_widths_are_refused(good):
    arrays = {key: array for key, array in good[0].items() if key != "list_docs"}
    with pytest.raises(IndexCorruptError, match="list_docs: the array is missing"):
        check_structure(arrays, n_docs=N, n_terms=TERMS, nnz=good[1])
    arrays = good[0] | {"list_docs": good[0]["list_docs"].astype(np.int16)}
    with pytest.raises(IndexCorruptError, match="list_docs: must be one-dimensional <u2, got 1-d <i2"):
        check_structure(arrays, n_docs=N, n_terms=TERMS, nnz=good[1])
    arrays = good[0] | {"doc_terms_32": good[0]["doc_terms_16"].astype(np.uint32)}
    with pytest.raises(IndexCorruptError, match="doc_terms_32: must be empty because doc_terms_16 is not"):
        check_structure(arrays, n_docs=N, n_terms=TERMS, nnz=good[1])
