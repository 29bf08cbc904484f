"""The dense head of a student: what is fitted, and runs that train it on."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from splade_engine import SparseEncoder
from splade_engine.encoder.checkpoint import DENSE_HEAD
from splade_engine.encoder.fast.dense_head import load_dense_head
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import InvalidInputError
from splade_engine.training.data.collate import pad
from splade_engine.training.data.opening import open_sources
from splade_engine.training.kept import keep
from splade_engine.training.recipe.sections import ModelConfig
from splade_engine.training.run.run import train
from splade_engine.training.run.trainer import SparseTrainer
from splade_engine.training.student.build import build_student
from splade_engine.training.student.encode import encode
from splade_engine.training.teachers.dense import DenseTeacher
from splade_engine.training.teachers.dense_fit import assembled, fitted_projection, static_vectors
from splade_engine.training.teachers.query_bank import QueryBank
from splade_engine.training.teachers.static_queries import FLOOR
from tests.training import made


def some_texts(count, seed=0):
    rng = np.random.default_rng(seed)
    words = [word for topic in range(6) for word in made.topic_words(topic)]
    return [" ".join(rng.choice(words, 5)) for _ in range(count)]


def test_static_vectors_stand_near_the_teachers(bert_folder):
    teacher = DenseTeacher(bert_folder)
    tokenizer = TextTokenizer(bert_folder, 32)
    texts = some_texts(600)
    documents = [". ".join(texts[i : i + 6]) + "." for i in range(0, 500, 6)]
    idf = np.ones(tokenizer.size, np.float32)
    bank = QueryBank(texts[:400], teacher, per_document=2)
    vectors = static_vectors(teacher, tokenizer, idf, documents, 500, bank)
    # texts that were not fitted on: the sum over their tokens points where the teacher does
    held_out = texts[520:]
    rows, _ = tokenizer.encode(held_out, special_tokens=False)
    sums = np.stack([vectors[row].sum(0) for row in rows])
    cosines = (sums / np.linalg.norm(sums, axis=1, keepdims=True)) @ teacher.embed(held_out).numpy().T
    assert cosines.diagonal().mean() > cosines.mean() + 0.5 * (1 - cosines.mean())


def test_the_projection_is_the_ridge_solution(bert_folder, tmp_path):
    config = ModelConfig(base=str(bert_folder), preflight=False, dropout=0.0, document_length=32)
    start = build_student(config, [], tmp_path)
    tower, texts = start.student.documents.eval(), [*some_texts(200), "bara"]
    embeddings = torch.nn.functional.normalize(torch.randn(201, 7, generator=torch.manual_seed(0)), dim=1)
    found = fitted_projection(tower, start.documents, texts, embeddings)
    ids, mask = pad(start.documents.encode(texts)[0])
    with torch.no_grad():
        hidden = tower.backbone.hidden(ids, mask.long()).double().numpy()
    means = [row[keep].mean(0) for row, keep in zip(hidden, mask.numpy(), strict=True)]
    x = np.c_[np.stack(means), np.ones(201)]
    wanted = np.linalg.solve(x.T @ x + 0.1 * np.eye(x.shape[1]), x.T @ embeddings.double().numpy())
    np.testing.assert_allclose(x @ found, x @ wanted, atol=1e-3)


def test_the_head_by_hand():
    rng = np.random.default_rng(0)
    vectors, center = rng.standard_normal((9, 4)).astype(np.float32), rng.random(4).astype(np.float32)
    projection = rng.standard_normal((6, 4)).astype(np.float32)
    head = assembled(vectors, center, projection, 5.0)
    means = rng.standard_normal((3, 5)).astype(np.float32)
    e = np.c_[means, np.ones(3)] @ projection
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    wanted = np.maximum(5.0 * (e - center) @ vectors.T - FLOOR, 0)
    np.testing.assert_allclose(head(head.embed(torch.from_numpy(means))).detach(), wanted, atol=1e-5)


def recipe_with(bert_folder, rows_file, **over):
    return made.quick_recipe(
        "idf-aware",
        bert_folder,
        rows_file,
        model__dense_head=5.0,
        model__dense_texts=300,
        model__document_top_k=12,
        loss__embed=1.0,
        loss__teachers=[f"dense:{bert_folder}"],
        loss__kl_candidates="all",
        data__negatives=0,
        **over,
    )


def test_a_run_trains_the_projection_and_keeps_the_matrix(
    tmp_path, bert_folder, rows_file, no_curves, capsys
):
    recipe = recipe_with(bert_folder, rows_file, train__steps=40, train__lr=3e-3)
    result = train(recipe, tmp_path / "run", progress=True)
    assert "fitting a dense head to the teacher" in capsys.readouterr().err
    losses = [row["embed"] for row in result.rows if "embed" in row]
    assert all(0 <= loss <= 2 for loss in losses)
    encoder = SparseEncoder.load(result.model, device="cpu", dtype="float32")
    texts = some_texts(5)
    rows = encoder.encode_documents(texts)
    assert (np.diff(rows.indptr) <= 12).all() and rows.nnz > 20
    # the folder as a base: the same student goes on from there, and gives the encoder's vectors
    further = recipe.override({"model.base": str(result.model), "model.dense_head": 0.0, "train.steps": 2})
    start = build_student(further.model, open_sources(further, tmp_path), tmp_path)
    found = encode(start.student.eval(), start.collator(1), texts, "document").toarray()
    np.testing.assert_allclose(found, rows.to_scipy().toarray(), atol=1e-4)
    again = train(further, tmp_path / "again")
    before, after = (load_dense_head(folder / DENSE_HEAD) for folder in (result.model, again.model))
    assert torch.equal(before.decoder.weight, after.decoder.weight)
    assert not torch.equal(before.project.weight, after.project.weight)


def test_a_resumed_run_is_the_same_run(tmp_path, bert_folder, rows_file, no_curves, monkeypatch, caplog):
    torch.set_num_threads(1)
    recipe = recipe_with(bert_folder, rows_file, train__steps=8, train__save_steps=4)
    straight = train(recipe, tmp_path / "straight")
    step, seen = SparseTrainer.training_step, []

    def killed(self, *args):
        seen.append(1)
        if len(seen) == 7:
            raise KeyboardInterrupt
        return step(self, *args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SparseTrainer, "training_step", killed)
        train(recipe, tmp_path / "run")
    other = shutil.copytree(tmp_path / "run", tmp_path / "other")
    # the fit is not made a second time
    with monkeypatch.context() as patch:
        patch.setattr(
            "splade_engine.training.teachers.dense_fit.static_vectors", lambda *a: pytest.fail("again")
        )
        resumed = train(recipe, tmp_path / "run", resume=True)
    # unless it is another run's: the head of other weights, marked as it was there
    shutil.rmtree(other / "checkpoints")
    cache = other / "cache"
    head = {name: tensor + 1 for name, tensor in load_file(cache / "dense-head.safetensors").items()}
    save_file(head, cache / "dense-head.safetensors")
    keep(cache / "dense-head.safetensors", "another run")
    again = train(recipe, other, resume=True)
    assert "dense-head.safetensors: damaged, or made for something else" in caplog.text
    for name in ("model.safetensors", DENSE_HEAD):
        a, b, c = (load_file(run.model / name) for run in (resumed, straight, again))
        assert all(torch.equal(a[key], b[key]) and torch.equal(a[key], c[key]) for key in a)


def test_what_a_head_needs_is_said(tmp_path, bert_folder, rows_file, no_curves):
    recipe = recipe_with(bert_folder, rows_file, train__steps=1)
    with pytest.raises(InvalidInputError, match=r"model.dense_head needs a dense teacher in loss.teachers"):
        train(recipe.override({"loss.teachers": ["bm25"], "loss.embed": 0.0}), tmp_path / "lexical")
    with pytest.raises(InvalidInputError, match=r"model.dense_head needs model.query = table"):
        train(recipe.override({"model.query": "shared", "model.idf": "auto"}), tmp_path / "shared")
    done = train(recipe, tmp_path / "done")
    with pytest.raises(InvalidInputError, match=r"the base has one already"):
        train(recipe.override({"model.base": str(done.model)}), tmp_path / "twice")
