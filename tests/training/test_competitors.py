"""Competitors: which documents a query has to tell apart, their scores, and the loss over them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csr_array

from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.training import query_bank
from splade_engine.training.competitors import Competing, Competitors, chosen, find_competitors, pair_scores
from splade_engine.training.lexical import LexicalTeacher
from splade_engine.training.objective import bank_loss
from splade_engine.training.recipe_sections import LossConfig
from splade_engine.training.run import train
from splade_engine.training.start import build_student, build_training_set, open_sources
from splade_engine.training.teachers import DenseTeacher
from splade_engine.vectors import SparseVectors
from tests.training import made
from tests.training import oracle_training as oracle

CPU = torch.device("cpu")
WORDS = ["bara", "bolu", "domi", "fene", "gito", "kosa"]


def some_texts(count, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 4)) for _ in range(count)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_pairs_score_like_the_whole_table(data):
    queries, documents, width, count = (data.draw(st.integers(1, 6)) for _ in range(4))
    small = st.floats(0, 4, width=16)
    q = data.draw(hnp.arrays(np.float32, (queries, width), elements=small))
    d = data.draw(hnp.arrays(np.float32, (documents, width), elements=small))
    found = data.draw(hnp.arrays(np.int32, (queries, count), elements=st.integers(-1, documents - 1)))
    wanted = np.where(found >= 0, np.take_along_axis(q @ d.T, np.maximum(found, 0).astype(np.int64), 1), 0)
    np.testing.assert_allclose(pair_scores(q, d, found), wanted, rtol=1e-5)
    np.testing.assert_allclose(pair_scores(csr_array(q), csr_array(d), found), wanted, rtol=1e-5)


def test_half_are_the_students_and_the_dense_teacher_adds_others():
    student = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, -1, -1], [5, -1, -1, -1]])
    dense = np.array([[2, 5, 1, 6], [9, 8, 7, 6], [2, 1, 0, 3], [5, 4, -1, -1]])
    assert chosen(student, dense, 4).tolist() == [[1, 2, 5, 6], [1, 2, 9, 8], [1, 2, 0, 3], [5, -1, 4, -1]]
    assert chosen(student[:, :1], dense[:, :1], 1).tolist() == [[2], [9], [2], [5]]


def test_found_are_the_best_of_both_and_every_teacher_scores_them(bert_folder, tmp_path):
    queries, texts = some_texts(7, 0), some_texts(40, 1)
    rng = np.random.default_rng(2)
    q, d = rng.random((7, 30), np.float32), rng.random((40, 30), np.float32)
    vectors = tuple(SparseVectors.from_scipy(csr_array(rows)) for rows in (q, d))
    dense, lexical = DenseTeacher(bert_folder), LexicalTeacher(texts)
    found = find_competitors(queries, texts, lambda: vectors, [lexical, dense], 6, tmp_path / "work")
    best = np.argsort(-(q @ d.T), axis=1)[:, :3]
    assert found.documents[:, :3].tolist() == best.tolist()
    table = dense.query_rows(queries) @ dense.document_rows(texts).T
    for row, own, others in zip(table, best, found.documents[:, 3:].numpy(), strict=True):
        left = np.setdiff1d(np.arange(40), own)
        np.testing.assert_allclose(np.sort(row[others])[::-1], np.sort(row[left])[::-1][:3], atol=1e-6)
    asked = torch.tensor([4, 0])
    places = found.documents[asked].long()
    competing = found.of(asked, ["not in the corpus"], CPU)
    assert competing.valid.all()
    np.testing.assert_allclose(competing.student, torch.tensor(q @ d.T)[asked].gather(1, places), rtol=1e-5)
    for got, teacher in zip(competing.teachers, (lexical, dense), strict=True):
        wanted = teacher([queries[4], queries[0]], texts).gather(1, places)
        torch.testing.assert_close(got, wanted, atol=0.02, rtol=1e-5)  # bfloat16, other batches

    def never():
        raise AssertionError("looked again")

    again = find_competitors(queries, texts, never, [], 6, tmp_path / "work")
    torch.testing.assert_close(again.teachers, found.teachers)
    with pytest.raises(DatasetError, match=r"loss.bank_corpus: there are no documents"):
        find_competitors(queries, [], never, [dense], 6, tmp_path / "none")


def test_the_batchs_own_documents_do_not_compete():
    texts = ["a", "b", "a", "c"]
    documents = np.array([[0, 1, 2], [3, 2, -1]], np.int32)
    scores = np.arange(6, dtype=np.float32).reshape(2, 3)
    competitors = Competitors(texts, documents, scores, scores[None])
    valid = competitors.of(torch.tensor([0, 1, 1]), ["a", "x", "a"], CPU).valid
    assert valid.tolist() == [[False, True, False], [True, False, False], [True, False, False]]


def test_entropies_tell_how_sure_both_are():
    documents = np.array([[0, 1, -1]] * 3, np.int32)
    student, teacher = np.zeros((3, 3), np.float32), np.array([[1, 0, 9]] * 3, np.float32)
    competitors = Competitors(["a", "b"], documents, student, teacher[None])
    ours, theirs = competitors.entropies(2.0)
    p = 1 / (1 + np.exp(-2.0))  # min-max makes the two scores 2 and 0; the third is padding
    assert ours == pytest.approx(np.log(2), abs=1e-5)
    assert theirs == pytest.approx(-p * np.log(p) - (1 - p) * np.log(1 - p), abs=1e-4)
    assert competitors.entropies(40.0)[1] < 1e-3


def test_loss_is_kl_over_the_batch_and_the_competitors():
    rng = np.random.default_rng(0)
    queries, documents, student = rng.random((5, 9)), rng.random((4, 9)), 3 * rng.random((5, 3))
    teachers = [rng.random((5, 4)), 20 * rng.random((5, 4))]
    others = [rng.random((5, 3)), 20 * rng.random((5, 3))]
    valid = rng.random((5, 3)) < 0.7
    mask = np.concatenate((np.ones((5, 4), bool), valid), 1)
    target = np.zeros((5, 7))
    for pair in zip(teachers, others, strict=True):
        both = np.concatenate(pair, 1)
        low = np.where(mask, both, np.inf).min(1, keepdims=True)
        high = np.where(mask, both, -np.inf).max(1, keepdims=True)
        target += 6.0 * np.where(mask, (both - low) / (high - low), 0)
    scores = np.concatenate((queries @ documents.T, student), 1)
    trained = torch.tensor(documents, requires_grad=True)
    competing = Competing(torch.tensor(student), [*map(torch.tensor, others)], torch.tensor(valid))
    config = LossConfig(bank_scale=12.0)
    got = bank_loss(torch.tensor(queries), trained, [*map(torch.tensor, teachers)], config, competing)
    np.testing.assert_allclose(got.detach(), oracle.kl(scores, target, 1.0, mask), 1e-4)
    got.backward()
    assert trained.grad.abs().sum() > 0


def bank_recipe(folder, pairs, corpus, **over):
    settings = {
        "loss__teachers": [f"dense:{folder}", "bm25"],
        "loss__kl": 0.0,
        "loss__contrastive": 0.0,
        "loss__bank": 1.0,
        "loss__bank_corpus": str(corpus),
        "loss__bank_competitors": 8,
        "regularizer__document_lambda": 0.0,
        "data__negatives": 0,
        "data__held_out": 10,
        "model__idf": "uniform",
    }
    return made.quick_recipe("idf-aware", folder, pairs, **{**settings, **over})


def test_a_run_learns_where_its_documents_belong(tmp_path, bert_folder, no_curves, monkeypatch, caplog):
    rows = [
        {"query": f"{r['query']} {i}", "positive": r["positive"]}
        for i, r in enumerate(made.synthetic_rows(80))
    ]
    pairs = made.write_jsonl(tmp_path / "pairs.jsonl", rows)
    corpus = made.write_jsonl(
        tmp_path / "corpus.jsonl", [{"_id": str(i), "text": t} for i, t in enumerate(some_texts(60, 5))]
    )
    recipe = bank_recipe(bert_folder, pairs, corpus, train__steps=80)
    logged = train(recipe, tmp_path / "run").rows
    losses = [row["bank"] for row in logged if "bank" in row]
    assert np.mean(losses[-2:]) < 0.9 * np.mean(losses[:2])

    sources = open_sources(recipe, tmp_path / "cache")
    data = build_training_set(recipe, sources)
    start = build_student(recipe.model, sources, tmp_path / "cache")
    teachers = [DenseTeacher(bert_folder), LexicalTeacher(some_texts(9, 1))]
    caplog.clear()
    bank = query_bank.open_bank(recipe, data, teachers, start, tmp_path / "cache")
    assert not caplog.text  # warnings only
    assert bank.competitors.documents.shape == (len(bank), 8)
    monkeypatch.setattr(query_bank, "encode_corpus", None)  # a run that goes on encodes nothing again
    again = query_bank.open_bank(recipe, data, teachers, start, tmp_path / "cache")
    assert again.competitors.student.equal(bank.competitors.student)
    monkeypatch.setattr(query_bank, "UNSURE", 0.0)
    query_bank.open_bank(recipe, data, teachers, start, tmp_path / "cache")
    assert "a larger scale makes them surer" in caplog.text

    with pytest.raises(InvalidInputError, match=r"loss.bank_competitors must be at least 1, got 0"):
        recipe.override({"loss.bank_competitors": 0})
    with pytest.raises(DatasetError, match=r"nowhere.jsonl"):
        train(recipe.override({"loss.bank_corpus": str(tmp_path / "nowhere.jsonl")}), tmp_path / "none")
