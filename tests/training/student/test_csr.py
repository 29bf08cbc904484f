"""CSR: the autoencoder's outputs and losses are those of sentence-transformers; dead latents come back."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.folders.reading import read_checkpoint
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.training.data.collate import pad
from splade_engine.training.recipe.sections import ModelConfig
from splade_engine.training.student.csr import (
    SparseAutoencoder,
    build_csr,
    normalised_mse,
    start_in_subspace,
)
from splade_engine.training.student.saving import save_student
from tests.training import made


def pair(k=4, k_aux=6):
    """Ours and theirs with the same weights."""
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    torch.manual_seed(0)
    ours = SparseAutoencoder(8, 32, k, k_aux, 2)
    with torch.no_grad():
        ours.pre_bias.normal_()
        ours.latent_bias.normal_()
    theirs = SparseAutoEncoder(8, 32, k=k, k_aux=k_aux, dead_threshold=2)
    theirs.encoder.weight.data.copy_(ours.encoder.weight)
    theirs.pre_bias.data.copy_(ours.pre_bias)
    theirs.latent_bias.data.copy_(ours.latent_bias)
    return ours, theirs.train()


def test_codes_and_losses_are_those_of_sentence_transformers():
    from sentence_transformers.sparse_encoder.losses.csr import CSRReconstructionLoss

    ours, theirs = pair()
    loss = CSRReconstructionLoss(None, beta=1.0)
    for step in range(5):  # after three batches some latents count as dead
        x = torch.randn(6, 8, generator=torch.Generator().manual_seed(step))
        # theirs counts a batch twice (for k and for 4k latents), ours once: the same state before each step
        theirs.stats_last_nonzero.copy_(ours.since_fired)
        features = theirs({"sentence_embedding": x.clone()})
        expected = loss.compute_loss_from_embeddings([features])
        pre = ours.pre_activations(x)
        codes = ours.codes(pre, ours.k)
        ours.count(codes)
        parts = ours.losses(x, pre, codes)
        torch.testing.assert_close(codes, features["sentence_embedding"])
        first, second, third = expected.values()
        torch.testing.assert_close(parts["reconstruction"], first + second)
        torch.testing.assert_close(parts["dead"], third)
    assert (ours.since_fired > 2).any()


def test_gradients():
    ours, _ = pair()
    ours = ours.double()
    ours.since_fired += 5  # all dead: the auxiliary term is in use
    x = torch.randn(5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def total(weight, pre_bias):
        ours.encoder.weight.data.copy_(weight.detach())
        pre = (x - pre_bias) @ weight.T + ours.latent_bias.detach()
        codes = ours.codes(pre, 4)
        decoded = codes @ weight + pre_bias
        return torch.nn.functional.mse_loss(decoded, x)

    weight = ours.encoder.weight.detach().clone().requires_grad_()
    bias = ours.pre_bias.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(total, (weight, bias))
    other = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: normalised_mse(r, x), other)


def test_dead_latents_are_pulled_towards_the_residual():
    torch.manual_seed(0)
    ours = SparseAutoencoder(8, 32, 2, 6, 0)
    ours.since_fired += 5
    x = torch.randn(16, 8)
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.1)
    values = []
    for _ in range(30):
        pre = ours.pre_activations(x)
        dead = ours.losses(x, pre, ours.codes(pre, 2))["dead"]
        values.append(dead.item())
        optimizer.zero_grad()
        dead.backward()
        optimizer.step()
    assert values[-1] < 0.9 * values[0]


def test_normalised_mse_of_equal_rows_is_plain():
    x = torch.ones(4, 3)
    assert normalised_mse(torch.zeros(4, 3), x).item() == 1.0


def test_saved_folder_is_the_same_encoder_here_and_in_sentence_transformers(tmp_path, bert_folder):
    from sentence_transformers.sparse_encoder import SparseEncoder as Theirs

    config = ModelConfig(base=str(bert_folder), kind="csr", csr_k=8, csr_k_aux=16, document_length=32)
    student, documents, queries = build_csr(bert_folder, "tiny", config)
    save_student(student, tmp_path / "model", documents, queries)
    assert read_checkpoint(tmp_path / "model").kind.name == "csr"
    texts = ["bara bare", "kira gone dasa"]
    ids, _ = documents.encode(texts)
    padded, mask = pad(ids)
    student.eval()
    expected = student.document_vectors(padded, mask, mask).detach()
    ours = SparseEncoder.load(tmp_path / "model", dtype="float32").encode_documents(texts)
    torch.testing.assert_close(ours.to_torch().to_dense(), expected, atol=1e-5, rtol=1e-4)
    theirs = Theirs(str(tmp_path / "model"), device="cpu").encode_document(texts, show_progress_bar=False)
    torch.testing.assert_close(theirs.to_dense(), expected, atol=1e-5, rtol=1e-4)


def test_what_the_base_says_of_its_texts_is_kept(tmp_path, bert_folder):
    """Lower-casing and the end at which texts are cut: training reads as the saved encoder does."""
    base = tmp_path / "base"
    shutil.copytree(bert_folder, base)
    (base / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    (base / "tokenizer_config.json").write_text('{"truncation_side": "left"}')
    tokenizer = json.loads((base / "tokenizer.json").read_text())
    (base / "tokenizer.json").write_text(json.dumps({**tokenizer, "normalizer": None}))
    config = ModelConfig(base=str(base), kind="csr", csr_k=8, csr_k_aux=16, document_length=8, query_length=8)
    student, documents, queries = build_csr(base, "tiny", config)
    long = "BARA " * 3 + "kira " * 20 + "DASA"
    for tokenizer in (documents, queries):
        assert tokenizer.encode([long])[0][0].tolist() == tokenizer.encode([long.lower()])[0][0].tolist()
        assert tokenizer.token_id("dasa") in tokenizer.encode([long])[0][0]
    save_student(student, tmp_path / "model", documents, queries)
    saved = SparseEncoder.load(tmp_path / "model", device="cpu", dtype="float32")
    assert saved.checkpoint.settings.lowercase
    ids, _ = documents.encode([long])
    padded, mask = pad(ids)
    student.eval()
    expected = student.document_vectors(padded, mask, mask).detach()
    torch.testing.assert_close(
        saved.encode_documents([long]).to_torch().to_dense(), expected, atol=1e-5, rtol=1e-4
    )


def test_encoders_that_cannot_be_used(tmp_path, bert_folder):
    with pytest.raises(CheckpointError, match=r"model.csr_k = 500 of 128 latents"):
        build_csr(bert_folder, "tiny", ModelConfig(kind="csr", csr_k=500, document_length=32))
    with pytest.raises(InvalidInputError, match=r"tiny takes \d+ tokens, the recipe asks for 100000"):
        build_csr(bert_folder, "tiny", ModelConfig(kind="csr", document_length=100_000))
    with pytest.raises(CheckpointError, match=r"config.json: no such file"):
        build_csr(tmp_path, "nothing here", ModelConfig(kind="csr"))
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(CheckpointError, match="x: csr pools by mean or cls, this encoder by max"):
        build_csr(tmp_path, "x", ModelConfig(kind="csr"))


def test_non_negative_contrastive_activation():
    """A relu forward, so that what is saved stays; gelu backward, so that latents below zero still learn."""
    ours, _ = pair(k=32)
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    plain = ours.codes(ours.pre_activations(x), 32)
    soft = SparseAutoencoder(8, 32, 32, 0, 2, "relu_gelu")
    soft.load_state_dict(ours.state_dict())
    pre = soft.pre_activations(x).detach().requires_grad_()
    codes = soft.codes(pre, 32)
    torch.testing.assert_close(codes, plain)
    codes.sum().backward()
    below = pre < 0
    assert below.any() and (pre.grad[below] != 0).all()
    expected = torch.autograd.functional.jvp(torch.nn.functional.gelu, pre.detach(), torch.ones_like(pre))[1]
    torch.testing.assert_close(pre.grad, expected)


def test_queries_are_cut_where_the_base_has_no_further_position(tmp_path, bert_folder, caplog):
    config = ModelConfig(base=str(bert_folder), kind="csr", csr_k=8, document_length=32, query_length=100)
    student, _, queries = build_csr(bert_folder, "tiny", config)
    assert caplog.messages == ["tiny takes 64 tokens: longer queries are cut there (model.query_length)"]
    padded, mask = pad(queries.encode(["bara " * 200])[0])
    assert padded.shape == (1, 64)
    assert torch.isfinite(student.query_vectors(padded, mask, mask)).all()


def test_latents_start_in_the_span_of_the_data():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=g) @ torch.randn(3, 16, generator=g) + 4  # 3 of 16 dimensions
    dead = {}
    for init in ("random", "data"):
        torch.manual_seed(0)
        a = SparseAutoencoder(16, 64, 4, 0, 2)
        if init == "data":
            start_in_subspace(a, x[:50], 0)
            torch.testing.assert_close(a.pre_bias.data, x[:50].mean(0))
            rows = a.encoder.weight.data
            torch.testing.assert_close(rows.norm(dim=1), torch.full((64,), 0.5**0.5))
            assert int(torch.linalg.matrix_rank(rows, tol=1e-4)) == 3
        dead[init] = int((a.codes(a.pre_activations(x), 4) > 0).sum(0).eq(0).sum())
    assert dead["data"] < dead["random"] / 2


def test_a_student_starts_from_its_documents(tmp_path, bert_folder):
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    modules += [{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    shutil.copytree(bert_folder, tmp_path / "dense")
    (tmp_path / "dense" / "1_Pooling").mkdir()
    (tmp_path / "dense" / "modules.json").write_text(json.dumps(modules))
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (tmp_path / "dense" / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    config = ModelConfig(base="x", kind="csr", document_length=16, query_length=16, csr_k=4, csr_init="data")
    texts = [" ".join(made.topic_words(t % 12)[:3]) for t in range(40)]
    student, tokenizer, _ = build_csr(tmp_path / "dense", "x", config, texts)
    want = student.embed(*pad(tokenizer.encode(texts)[0])).mean(0)
    torch.testing.assert_close(student.autoencoder.pre_bias.data, want)
    plain, _, _ = build_csr(tmp_path / "dense", "x", replace(config, csr_init="random"), texts)
    assert not plain.autoencoder.pre_bias.any()
