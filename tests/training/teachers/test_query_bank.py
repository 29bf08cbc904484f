"""The query bank: which queries a batch's documents bring along, and what is learned from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.training.data.opening import build_training_set, open_sources
from splade_engine.training.objective.parts import LossConfig
from splade_engine.training.objective.parts.bank import bank_loss
from splade_engine.training.run.run import train
from splade_engine.training.teachers.dense import DenseTeacher
from splade_engine.training.teachers.opening import query_bank
from splade_engine.training.teachers.query_bank import QueryBank, ranks
from tests.training import made
from tests.training import oracle_training as oracle


class Line:
    """Texts are numbers on a line; the nearer, the higher the score."""

    def embed(self, texts, query=False):
        x = torch.tensor([float(t) for t in texts])
        return torch.stack((x, torch.ones_like(x), -(x**2)), 1)

    def embed_documents(self, texts):
        x = torch.tensor([float(t) for t in texts])
        return torch.stack((2 * x, -(x**2), torch.ones_like(x)), 1)  # their product: -(q - d)^2


@pytest.mark.parametrize("count", [1, 2, 6, 40, 65, 80])
def test_ranks_begin_at_the_nearest_and_grow(count):
    found = ranks(count)
    assert found[0] == 0 and len(found) == count
    assert (np.diff(found) >= 1).all()
    if 1 < count <= 64:
        assert found[-1] == 64
    assert ranks(6).tolist() == [0, 1, 4, 11, 27, 64]


def test_documents_bring_their_neighbours_along():
    bank = QueryBank([*map(str, range(100)), "7", "8"], Line(), per_document=3)
    assert len(bank) == 100  # equal queries count once
    texts, scores = bank.near(["20"])
    order = sorted(range(100), key=lambda q: (q - 20) ** 2)
    # ranks 0, 7 and 64; neighbours on both sides are equally far
    wanted = [abs(order[r] - 20) for r in ranks(3)]
    assert sorted(abs(int(t) - 20) for t in texts) == wanted
    np.testing.assert_allclose(scores[:, 0], [-((int(t) - 20) ** 2) for t in texts])
    texts, scores = bank.near(["3", "3", "90"])
    assert scores.shape == (len(texts), 3) and len(set(texts)) == len(texts)
    assert {"3", "90"} <= set(texts)


def test_a_small_bank_gives_what_it_has():
    bank = QueryBank(["1", "2"], Line(), per_document=6)
    assert bank.near(["0"])[0] == ["1", "2"]
    with pytest.raises(DatasetError, match="no queries"):
        QueryBank([], Line(), per_document=6)


def test_loss_is_kl_to_the_ensemble():
    rng = np.random.default_rng(0)
    queries, documents = rng.random((5, 9)), rng.random((4, 9))
    dense, lexical = rng.random((5, 4)), 20 * rng.random((5, 4))
    config = LossConfig(bank_scale=12.0, teacher_weights=(0.7, 0.3), kl_temperature=2.0)
    got = bank_loss(*map(torch.tensor, (queries, documents)), [*map(torch.tensor, (dense, lexical))], config)
    spread = [(t - t.min(1, keepdims=True)) / np.ptp(t, 1, keepdims=True) for t in (dense, lexical)]
    target = 12.0 * (0.7 * spread[0] + 0.3 * spread[1])
    np.testing.assert_allclose(
        got, oracle.kl(queries @ documents.T, target, 2.0, np.ones((5, 4), bool)), 1e-4
    )


def test_a_batch_is_embedded_once(bert_folder, monkeypatch):
    teacher = DenseTeacher(bert_folder)
    bank = QueryBank(["bara bolu", "domi", "fene"], teacher, per_document=2)
    seen = []
    embed = DenseTeacher.embed
    monkeypatch.setattr(
        DenseTeacher, "embed", lambda self, texts, query=False: seen.append(list(texts)) or embed(self, texts)
    )
    documents = ["bara domi", "gito kosa"]
    texts, scores = bank.near(documents)
    again = teacher(texts, documents)
    assert seen == [documents, texts]
    torch.testing.assert_close(scores, again, atol=0.02, rtol=0)  # bfloat16, other batches
    teacher(texts, ["gito"])
    assert seen[2:] == [texts, ["gito"]]


def test_a_run_learns_from_the_bank(tmp_path, bert_folder, no_curves):
    rows = [
        {"query": f"{r['query']} {i}", "positive": r["positive"]}
        for i, r in enumerate(made.synthetic_rows(80))
    ]
    pairs = made.write_jsonl(tmp_path / "pairs.jsonl", rows)
    over = {
        "loss__teachers": [f"dense:{bert_folder}", "bm25"],
        "loss__kl": 0.0,
        "loss__contrastive": 0.0,
        "loss__bank": 1.0,
        "regularizer__document_lambda": 0.0,
        "data__negatives": 0,
        "data__held_out": 10,
    }
    recipe = made.quick_recipe("idf-aware", bert_folder, pairs, train__steps=120, **over)
    rows = train(recipe, tmp_path / "run").rows
    losses = [row["bank"] for row in rows if "bank" in row]
    assert np.mean(losses[-2:]) < 0.88 * np.mean(losses[:2])  # the teacher is a random model

    data = build_training_set(recipe, open_sources(recipe, tmp_path / "cache"))
    bank = query_bank(recipe, data, [DenseTeacher(bert_folder)])
    away = {data.sources[0].example(i, np.random.default_rng(0)).query for i in data.held_out_rows()}
    assert len(away) > 5 and not away & set(bank.texts)

    with pytest.raises(InvalidInputError, match=r"loss.bank_queries must be at least 1, got 0"):
        recipe.override({"loss.bank_queries": 0})
    with pytest.raises(InvalidInputError, match=r"loss.bank needs a dense teacher in loss.teachers"):
        train(recipe.override({"loss.teachers": ["bm25"]}), tmp_path / "lexical")
    with pytest.raises(InvalidInputError, match=r"loss.bank needs model.query = table"):
        train(recipe.override({"model.query": "shared", "model.idf": "auto"}), tmp_path / "shared")
