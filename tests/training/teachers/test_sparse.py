"""The sparse teacher: its scores, and that a batch is encoded once however often it is asked about."""

from __future__ import annotations

import numpy as np
import torch

from splade_engine.encoder import SparseEncoder
from splade_engine.training.teachers.opening import load_teacher

TEXTS = ["flow river", "the sea the sea the sea", "flows"]


def test_sparse_teacher_is_the_dot_product_of_its_vectors(bert_folder):
    teacher = load_teacher(f"sparse:{bert_folder}")
    encoder = SparseEncoder.load(bert_folder)
    queries = encoder.encode_queries(TEXTS[:2]).to_scipy()
    wanted = (queries @ encoder.encode_documents(TEXTS).to_scipy().T).toarray()
    scores = teacher(TEXTS[:2], TEXTS)
    assert wanted.any()
    assert scores.dtype is torch.float32
    np.testing.assert_allclose(scores.numpy(), wanted, rtol=1e-6)


def test_a_batch_of_documents_is_encoded_once(bert_folder, monkeypatch):
    teacher = load_teacher(f"sparse:{bert_folder}")
    encoded = []
    real = teacher.encoder.encode_documents
    monkeypatch.setattr(
        teacher.encoder, "encode_documents", lambda texts: encoded.append(texts) or real(texts)
    )
    first = teacher(TEXTS[:1], TEXTS)
    again = teacher(TEXTS[1:], TEXTS)
    other = teacher(TEXTS[:1], TEXTS[::-1])
    assert encoded == [TEXTS, TEXTS[::-1]]
    assert again.shape == (2, 3)
    torch.testing.assert_close(other, first.flip(1))
