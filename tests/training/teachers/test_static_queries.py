"""Static queries: the regression against its closed form, the texts that it is fitted on."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from splade_engine.training.teachers.static_queries import (
    fit_vectors,
    query_features,
    texts_like_queries,
)


def test_features_are_counted_idf_of_unit_length():
    idf = np.array([0, 2.0, 3.0, 0.5], np.float32)
    rows = [np.array([2, 1, 2], np.int32), np.zeros(0, np.int32), np.array([0, 0], np.int32), np.array([3])]
    found = query_features(rows, idf).toarray()
    np.testing.assert_allclose(found[0], np.array([0, 2, 6, 0]) / np.sqrt(40), rtol=1e-6)
    assert not found[1:3].any()  # no token, or none with a weight
    np.testing.assert_allclose(found[3], [0, 0, 0, 1])
    assert query_features([], idf).shape == (0, 4)


@pytest.mark.parametrize("ridge", [0.3, 3.0])
def test_vectors_are_the_ridge_solution(ridge):
    rng = np.random.default_rng(1)
    x = rng.random((300, 40)).astype(np.float32) * (rng.random((300, 40)) < 0.2)
    x[:, 7] = 0  # a term that no text holds
    e = rng.standard_normal((300, 5)).astype(np.float32)
    found = fit_vectors(sp.csr_array(x), e, ridge=ridge)
    wanted = np.linalg.solve(x.T @ x + ridge * np.eye(40), x.T @ e)
    np.testing.assert_allclose(found, wanted, atol=2e-4)
    assert not found[7].any()


def test_a_teacher_that_adds_its_tokens_up_is_found_again():
    rng = np.random.default_rng(2)
    idf = rng.uniform(1, 8, 50).astype(np.float32)
    truth = rng.standard_normal((50, 6)).astype(np.float32)
    x = query_features([rng.integers(0, 50, rng.integers(2, 9)) for _ in range(4000)], idf)
    found = fit_vectors(x, x @ truth, ridge=1e-3)
    np.testing.assert_allclose(found, truth, atol=0.01)


def test_texts_are_sentences_and_parts_of_them():
    documents = [
        "Short one. The river flows slowly to the sea. A bridge of stone crosses it here. Boats pass below "
        "the bridge all day.",
        "Nothing.",
        "Mountains rise in the north of the country.",
    ]
    texts = texts_like_queries(documents * 3, 100, np.random.default_rng(0))
    assert len(texts) == len(set(texts)) >= 3
    for text in texts:
        assert any(text in document for document in documents)
        assert 3 <= len(text.split()) <= 24
    assert any(not text.endswith(".") for text in texts) and any(text.endswith(".") for text in texts)
    assert texts == texts_like_queries(documents * 3, 100, np.random.default_rng(0))
    assert len(texts_like_queries(documents * 3, 2, np.random.default_rng(0))) == 2
    assert texts_like_queries(documents, 0, np.random.default_rng(0)) == []
