from __future__ import annotations

from pathlib import Path

import pytest

from splade_engine.collections.corpus import Corpus
from splade_engine.eval.run.runner import evaluate
from splade_engine.eval.systems.bm25 import Bm25Index, StemmedCorpus


def test_stems_and_stop_words():
    index = Bm25Index([StemmedCorpus(Corpus(["the roasted beans", "a bean is not a pea", "tea"]))], 0.9, 0.4)
    assert set(index.search("roasting bean", 10).ids) == {"0", "1"}
    assert index.search("roasting bean", 10).ids[0] == "0"
    assert len(index.search("the is not", 10)) == 0
    assert len(index.search("zebra", 10)) == 0
    assert len(index.search("", 10)) == 0


def test_k_larger_than_the_corpus():
    index = Bm25Index([StemmedCorpus(Corpus(["tea", "green tea"]))], 0.9, 0.4)
    assert len(index.search("tea", 100)) == 2
    assert len(index.search("tea", 1)) == 1


def test_a_corpus_without_words():
    index = Bm25Index([StemmedCorpus(Corpus(["...", "the"], allow_empty=True))], 0.9, 0.4)
    assert len(index.search("tea", 10)) == 0
    assert index.index_bytes == 0


def test_scores_are_lucenes():
    """Lucene: idf = ln(1 + (N - df + .5) / (df + .5)); tf / (tf + k1 (1 - b + b len / avg)), no (k1 + 1)."""
    import math

    index = Bm25Index([StemmedCorpus(Corpus(["red red fox", "fox den", "owl"]))], 0.9, 0.4)
    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    wanted = idf * 2 / (2 + 0.9 * (1 - 0.4 + 0.4 * 3 / 2))
    assert float(index.search("red", 1).scores[0]) == pytest.approx(wanted, rel=1e-5)


def test_an_index_of_two_parts_is_that_of_the_whole():
    """Words of the second part get the numbers that the first one gave them, or new ones."""
    texts = ["red red fox", "fox den", "owl", "the den of a red owl", "green tea", "foxes and teas"]
    whole = Bm25Index([StemmedCorpus(Corpus(texts))], 0.9, 0.4)
    rest = Corpus([{"id": str(3 + i), "text": text} for i, text in enumerate(texts[3:])])
    parts = Bm25Index([StemmedCorpus(Corpus(texts[:3])), StemmedCorpus(rest)], 0.9, 0.4)
    assert parts.ids == whole.ids == ["0", "1", "2", "3", "4", "5"]
    assert parts.index_bytes == whole.index_bytes
    for query in ("red", "fox tea", "owl den green", "nothing"):
        one, other = whole.search(query, 6), parts.search(query, 6)
        assert list(one.ids) == list(other.ids)
        assert one.scores.tolist() == pytest.approx(other.scores.tolist(), rel=1e-6)


PUBLISHED = {
    # collection: nDCG@10 of another implementation on the same files, and the distance allowed
    "scifact": (0.679, 0.01),  # pyserini, BEIR "flat"
    "nfcorpus-preproc": (
        0.322,
        0.01,
    ),  # pyserini, BEIR "flat"; the text here is the authors' stop-worded form
    "cranfield": (0.486, 0.01),
    "cisi": (0.365, 0.01),
    "med": (0.669, 0.01),
    "time": (0.701, 0.01),
    "cacm": (
        0.450,
        0.02,
    ),  # with a plural stemmer instead of Porter's, as the reference had, it is within 0.01
    "npl-vaswani": (0.420, 0.02),
}


@pytest.mark.shared
def test_published_numbers(shared_ir: Path):
    for name, (published, allowed) in PUBLISHED.items():
        found = evaluate("bm25", shared_ir / name, ["nDCG@10"]).effectiveness.mean["nDCG@10"]
        assert abs(found - published) < allowed, (name, found)
