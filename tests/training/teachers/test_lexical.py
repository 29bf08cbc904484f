"""What BM25 knows: scores against its formula, and term targets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from splade_engine import SparseEncoder
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.training.recipe.recipe import load_recipe
from splade_engine.training.student.build import build_student
from splade_engine.training.teachers.lexical import LexicalTeacher, TermTeacher
from splade_engine.training.teachers.opening import load_teacher
from splade_engine.training.teachers.term_targets import term_targets
from tests.tiny_bert import SPECIAL

DOCUMENTS = [
    "Rivers flow to the sea; the flow of a river varies.",
    "The sea is salty.",
    "Bridges cross rivers.",
]
TOKENS = [*SPECIAL, "flow", "flows", "flowing", "river", "##s", "the", "sea"]


def bm25(query_terms, counts, length, average, frequencies, total, k1=1.2, b=0.75):
    score = 0.0
    for term in query_terms:
        tf, n = counts.get(term, 0), frequencies.get(term, 0)
        idf = math.log(1 + (total - n + 0.5) / (n + 0.5))
        score += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / average)) if tf else 0.0
    return score


def test_lexical_teacher_is_bm25_over_stems():
    teacher = LexicalTeacher(DOCUMENTS)
    scores = teacher(["flowing river", "nothing known"], DOCUMENTS)
    assert scores.shape == (2, 3)
    frequencies = {"flow": 1, "river": 2}
    average = (11 + 4 + 3) / 3
    wanted = [
        bm25(("flow", "river"), {"flow": 2, "river": 2}, 11, average, frequencies, 3),
        0.0,
        bm25(("flow", "river"), {"river": 1}, 3, average, frequencies, 3),
    ]
    np.testing.assert_allclose(scores[0].numpy(), wanted, rtol=1e-5)
    assert not scores[1].any()


def test_lexical_teacher_counts_a_query_word_once():
    teacher = LexicalTeacher(DOCUMENTS)
    once, twice = teacher(["river"], DOCUMENTS), teacher(["rivers river"], DOCUMENTS)
    torch.testing.assert_close(once, twice)


def test_lexical_teacher_needs_documents():
    with pytest.raises(DatasetError, match="no documents"):
        load_teacher("bm25")
    with pytest.raises(DatasetError, match="no documents"):
        LexicalTeacher(["...", ""])
    with pytest.raises(InvalidInputError, match="out of range"):
        LexicalTeacher(DOCUMENTS, b=1.5)


def term_teacher(**settings):
    idf = np.array([0, 0, 0, 0, 0, 5.0, 6.0, 7.0, 5.0, 3.0, 0.1, 4.0], np.float32)
    return TermTeacher(TOKENS, idf, np.arange(5, dtype=np.int32), **settings), idf


def test_term_targets_share_the_frequency_of_a_stem():
    teacher, _ = term_teacher()
    ids = np.array([2, 5, 6, 8, 10, 11, 3], np.int32)  # flow flows river the sea
    (target,) = teacher([ids])
    norm = 1.2 * (0.25 + 0.75 * 7 / 150)
    two, one = 2 * 2.2 / (2 + norm), 2.2 / (1 + norm)
    np.testing.assert_allclose(target[[5, 6, 8, 11]], [two, two, one, one], rtol=1e-5)
    np.testing.assert_allclose(target[7], 0.7 * two, rtol=1e-5)  # flowing, absent
    assert not target[[2, 3, 10]].any()  # special tokens, and "the" below min_idf


def test_term_targets_add_the_most_common_forms_only():
    teacher, _ = term_teacher(forms=1)
    (target,) = teacher([np.array([7], np.int32)])  # flowing: flow and flows are the two commonest members
    assert set(np.flatnonzero(target)) == {5, 6, 7}
    teacher, _ = term_teacher(max_idf=5.5)
    (target,) = teacher([np.array([7], np.int32)])
    assert set(np.flatnonzero(target)) == {7}


def test_targets_mix_bm25_and_the_starting_encoder(tmp_path, bert_folder):
    texts = ["bara bolu bara", "fene gito kosa", "domi"]

    def targets(share):
        config = {"model.base": str(bert_folder), "model.idf": "uniform", "model.document_length": 32}
        config |= {"loss.term_start": share, "model.query_length": 16, "model.preflight": False}
        recipe = load_recipe("idf-aware").override(config)
        start = build_student(recipe.model, [], tmp_path)
        start.student.table.data.fill_(5.0)  # above min_idf
        return term_targets(recipe, start)(start.documents.encode(texts)[0], texts)

    lexical, own, mixed = targets(0.0), targets(1.0), targets(0.25)
    wanted = SparseEncoder.load(bert_folder, device="cpu", max_length=32).encode_documents(texts).to_scipy()
    np.testing.assert_allclose(own, wanted.toarray(), atol=1e-6)
    assert lexical.any() and not np.allclose(lexical, own)
    np.testing.assert_allclose(mixed, 0.75 * lexical + 0.25 * own, atol=1e-6)
    with pytest.raises(InvalidInputError, match=r"loss.term_start must be at most 1, got 1.5"):
        load_recipe("idf-aware").override({"loss.term_start": 1.5})
