from __future__ import annotations

import numpy as np
import pytest

from splade_engine.errors import IndexCorruptError
from splade_engine.index.builder import build_segment
from splade_engine.index.config import BuildConfig
from splade_engine.index.layout import check_structure
from tests.index.test_searcher import random_vectors

N, TERMS = 70_000, 40


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
