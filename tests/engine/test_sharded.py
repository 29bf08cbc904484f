"""A search engine over several indexes: hits, weights and explanations of one that holds everything."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest

from splade_engine.engine import SearchEngine
from splade_engine.engine.standing import explain_document
from splade_engine.errors import EncoderMismatchError, InvalidInputError
from splade_engine.index import ShardedIndex, SparseIndex
from splade_engine.index.disk.publish import IndexWriter
from tests.fake_encoder import WORDS, FakeEncoder


class TableEncoder(FakeEncoder):
    """Inference-free queries: their weights depend on the collection."""

    @property
    def query_table(self):
        return np.ones(self.n_terms, np.float32)

    def encode_queries(self, texts, **options):
        return super().encode_queries(texts)


def records(n=90):
    draw = random.Random(5)
    return [
        {
            "_id": f"d{i}",
            "text": " ".join(draw.choices(WORDS[1:], k=12)),
            "title": f"No {i}",
            "n": i,
            "kind": i % 4,
        }
        for i in range(n)
    ]


QUERIES = ["moon and tide", "bread", "the ship of the sea", "wind wave storm", "warm salt water"]


@pytest.fixture
def one(tmp_path):
    return SearchEngine.build(tmp_path / "one", records(), TableEncoder())


@pytest.fixture
def shards(tmp_path):
    made = []
    for i in range(3):
        part = records()[i * 30 : i * 30 + 30]
        made.append(SearchEngine.build(tmp_path / f"s{i}", part, TableEncoder()).path)
    return made


@pytest.fixture
def many(shards):
    return SearchEngine.open(shards, TableEncoder())


def told(engine, **options):
    return [
        [{**hit.to_dict(), "why": hit.explain().to_dict()} for hit in hits]
        for hits in engine.search_many(QUERIES, 12, exact=True, **options)
    ]


def test_hits_are_those_of_one_index(one, many):
    assert one.encode_queries(QUERIES) == many.encode_queries(QUERIES)
    assert told(many) == told(one)
    assert told(many, where="n >= 20 and n < 70") == told(one, where="n >= 20 and n < 70")
    assert len(many) == 90


@pytest.mark.parametrize(
    "options",
    [
        {"offset": 5},
        {"min_score": 1.5, "total": True},
        {"group_by": "kind", "total": True},
        {"must": ["moon"], "must_not": ["bread"]},
        {"sort": "-n", "total": True},
        {"facets": ["kind"], "facets_over": "matches"},
        {"hybrid": "sum"},
        {"hybrid": "rrf", "where": "n < 70"},
        {"feedback": 3},
        {"rerank": lambda query, texts: [float(len(set(text))) for text in texts]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_whatever_a_search_can_be_asked_for_is_asked_of_all_shards(one, many, options):
    assert told(many, **options) == told(one, **options)
    for query in QUERIES:
        a, b = (engine.search(query, 7, exact=True, **options) for engine in (many, one))
        assert (a.total, a.facets) == (b.total, b.facets)
    assert any(told(one, **options))


def test_where_a_document_stands_is_told_as_of_one_index(one, many):
    for query in QUERIES:
        for id in ("d3", "d44", "d89"):
            told = [explain_document(engine, query, id, 5, where="n != 44") for engine in (one, many)]
            assert told[0][1].to_dict() == told[1][1].to_dict()
            assert told[0][0] == told[1][0]


def test_weights_are_those_of_all_documents_and_not_of_a_shard(one, many, shards):
    alone = SearchEngine.open(shards[0], TableEncoder())
    assert alone.encode_queries(QUERIES) != one.encode_queries(QUERIES)
    many.delete([f"d{i}" for i in range(25, 80)])
    one.delete([f"d{i}" for i in range(25, 80)])
    assert one.encode_queries(QUERIES) == many.encode_queries(QUERIES)
    assert told(many) == told(one)


def test_a_collection_is_changed_like_an_index(shards, tmp_path):
    ShardedIndex.collect(tmp_path / "c", shards)
    engine = SearchEngine.open(tmp_path / "c", TableEncoder())
    engine.add([{"_id": "new", "text": "yeast yeast yeast", "n": 1000}])
    assert engine.search("yeast", where="n = 1000")[0].id == "new"
    engine.update([{"_id": "d40", "text": "a storm", "n": 1001}, {"_id": "d2", "text": "star", "n": 1002}])
    again = SearchEngine.open(tmp_path / "c", TableEncoder())
    assert again.search("storm", where="n = 1001")[0].id == "d40"
    assert again.search("star", where="n = 1002")[0].id == "d2"
    with pytest.raises(InvalidInputError, match="holds a document 'd7' already"):
        engine.add([{"_id": "d7", "text": "star"}])
    engine.delete(["d7", "d88"])
    engine.compact()
    assert len(SearchEngine.open(tmp_path / "c", TableEncoder())) == 89
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "s0", "s1", "s2"]
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["collection.json", "write.lock"]


def test_a_delete_that_waits_for_a_later_shard_is_finished(shards, tmp_path):
    """It tried again after the first shard was changed, and refused what it had deleted itself."""
    ShardedIndex.collect(tmp_path / "all", shards)
    engine = SearchEngine.open(tmp_path / "all", TableEncoder())
    other = IndexWriter(shards[2])
    other.__enter__()
    ends = threading.Timer(0.5, other.__exit__, (None, None, None))
    ends.start()
    engine.delete(["d1", "d80"])
    ends.join()
    assert len(engine) == 88


def test_a_shard_of_another_encoder_is_refused(shards, tmp_path):
    other = SearchEngine.build(tmp_path / "o", ["moon"], TableEncoder(max_length=9)).path
    with pytest.raises(EncoderMismatchError, match="max_length 64, now 9"):
        SearchEngine.open([*shards, other], TableEncoder())


def test_word_lists_are_merged_and_asked_over_shards(one, many, shards, tmp_path):
    merged = SparseIndex.merge(tmp_path / "m", shards)
    assert merged.info().fingerprint == one.index.info().fingerprint
    copied = SparseIndex.merge(tmp_path / "alone", shards[:1])
    assert copied.reader.has_words
    for words in (["moon", "tide"], ["bread"], ["nothing"]):
        ordinals, scores = one.index.reader.search_words(words, 10)
        for index in (many.index, merged):
            found = index.reader.search_words(words, 10)
            assert (found[0].tolist(), found[1].tolist()) == (ordinals.tolist(), scores.tolist())
