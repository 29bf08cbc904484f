"""CollectionIdf: query weights blended with the collection's idf, and where they are used."""

from __future__ import annotations

import numpy as np
import pytest

from splade_engine.engine import SearchEngine
from splade_engine.engine.query_weights import CollectionIdf, QueryEncoder
from splade_engine.index import SparseIndex
from splade_engine.vectors import SparseVectors
from tests.fake_encoder import FakeEncoder
from tests.index import made


class TableEncoder(FakeEncoder):
    @property
    def query_table(self) -> np.ndarray:
        return np.ones(self.n_terms, np.float32)


def test_the_blend_is_the_formula() -> None:
    idf = CollectionIdf(np.array([0, 1, 300]), 300)
    query = SparseVectors.from_dicts([{0: 2.0, 2: 3.0}, {}, {1: 1.0}], 3)
    share = 0.5 * 300 / 400
    rare, common = np.log1p(300.5 / 0.5), np.log1p(0.5 / 300.5)
    found = idf.weigh(query, np.array([2.0, 1.0, 1.5], np.float32))  # the last one stands there twice
    assert found.indptr.tolist() == query.indptr.tolist()
    assert found.terms.tolist() == query.terms.tolist()
    once = np.log1p(299.5 / 1.5)
    expected = [
        (1 - share) * 2 + share * rare,
        2 * ((1 - share) * 1.5 + share * common),
        (1 - share) * 1 + share * once,
    ]
    assert found.weights.tolist() == pytest.approx(expected, rel=1e-6)
    assert found.weights.dtype == np.float32


def test_a_collection_of_a_few_documents_is_hardly_trusted() -> None:
    assert CollectionIdf(np.zeros(1, np.int64), 1).share < 0.01
    assert CollectionIdf(np.zeros(1, np.int64), 10**9).share == pytest.approx(0.5)


def test_queries_of_a_model_are_left_alone(tmp_path) -> None:
    index = SparseIndex.build(tmp_path / "ix", made.vectors(1, 500, n_terms=30), threads=1)
    plain = FakeEncoder().encode_queries(["moon and sea"])
    for encode, same in (
        (QueryEncoder(FakeEncoder()), True),
        (QueryEncoder(TableEncoder(), collection=False), True),
        (QueryEncoder(TableEncoder()), False),
    ):
        assert (encode(["moon and sea"], index.reader).weights.tolist() == plain.weights.tolist()) is same


def test_the_engine_follows_its_index(tmp_path) -> None:
    """A word that every document holds counts less as soon as the documents are there."""
    texts = {f"d{i}": f"moon {'tide' if i % 2 else 'star'}" for i in range(200)}
    engine = SearchEngine.build(
        tmp_path / "ix", [{"id": i, "text": t} for i, t in texts.items()], TableEncoder()
    )
    moon, star = engine.encode_queries(["moon", "star"]).weights
    assert moon < star
    engine.add([{"id": f"e{i}", "text": "star"} for i in range(400)])
    after = engine.encode_queries(["moon", "star"]).weights
    assert after[0] > moon
    assert after[1] < star
    engine.delete([f"e{i}" for i in range(400)])
    again = engine.encode_queries(["moon", "star"]).weights
    assert again.tolist() == pytest.approx([moon, star]), "deleted documents do not count"
    raw = SearchEngine.open(tmp_path / "ix", TableEncoder(), collection_idf=False)
    assert raw.encode_queries(["moon", "star"]).weights.tolist() == [1.0, 1.0]
    assert raw.search("star")[0].score != engine.search("star")[0].score


def test_frequencies_are_those_of_the_live_documents(tmp_path) -> None:
    index = made.changed_index(tmp_path / "ix")
    live = index.vectors()
    expected = np.bincount(live.terms, minlength=index.n_terms)
    everything = index.vectors(np.arange(index.reader.snapshot.bases[-1]))
    assert np.bincount(everything.terms, minlength=index.n_terms).tolist() != expected.tolist(), (
        "some are deleted"
    )
    assert index.document_frequencies().tolist() == expected.tolist()
    index.compact()
    assert index.document_frequencies().tolist() == expected.tolist()
