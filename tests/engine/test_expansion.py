"""Words that documents are expanded by: from an encoder's own terms, or from whatever makes texts."""

from __future__ import annotations

import pytest

from splade_engine.collections.documents import Document
from splade_engine.encoder import SparseEncoder
from splade_engine.engine import TermExpansion, expanded
from splade_engine.errors import InvalidInputError

TIDES = "The moon raises the tides of the sea twice a day."


@pytest.fixture(scope="module")
def encoder():
    return SparseEncoder.load(device="cpu")


def test_the_heaviest_words_that_are_not_there(encoder):
    (text,) = TermExpansion(encoder, 5)([TIDES])
    words = text.split()
    assert len(words) == 5 and {"tide", "ocean"} <= set(words)
    assert not set(words) & set(TIDES.lower().rstrip(".").split())
    vector = dict(zip(*encoder.encode_documents([TIDES]).row(0), strict=True))
    weights = [vector[encoder.vocabulary.index(word)] for word in words]
    assert weights == sorted(weights, reverse=True)
    (longer,) = TermExpansion(encoder, 1000)([TIDES])
    assert longer.split()[:5] == words
    pieces = [name for name in encoder.vocabulary if name.startswith("##")]
    assert not set(longer.split()) & {*pieces, "[CLS]", "."}


def test_documents_keep_what_they_are(encoder):
    documents = [Document("a", TIDES, "Tides", {"year": 1}), Document("b", "")]
    (a, b) = expanded(documents, TermExpansion(encoder, 3))
    assert (a.id, a.title, a.metadata) == ("a", "Tides", {"year": 1})
    assert a.text.startswith(TIDES + "\n") and len(a.text.split("\n")[1].split()) == 3
    assert b == documents[1]


def test_anything_that_makes_texts_will_do():
    seen = []

    def doc2query(texts):
        seen.append(list(texts))
        return [f"what is {text.split()[0]}?" for text in texts]

    many = [Document(str(i), f"w{i} x", "t") for i in range(300)]
    out = list(expanded(iter(many), doc2query))
    assert [len(texts) for texts in seen] == [256, 44] and seen[0][0] == "t w0 x"
    assert out[299] == Document("299", "w299 x\nwhat is t?", "t")


def test_what_cannot_be_done_is_told(encoder):
    with pytest.raises(
        InvalidInputError, match="expansion: terms: a whole number of at least 1 is expected, got 0"
    ):
        TermExpansion(encoder, 0)
    with pytest.raises(InvalidInputError, match="expansion: 0 texts for 1 documents"):
        list(expanded([Document("a", "b")], lambda texts: []))


def test_terms_that_are_no_words_are_refused(tmp_path):
    from tests.encoder import zoo

    csr = SparseEncoder.load(zoo.make("st-csr", tmp_path / "csr"), device="cpu")
    with pytest.raises(InvalidInputError, match=r"expansion: the terms of .* are no words"):
        TermExpansion(csr)
