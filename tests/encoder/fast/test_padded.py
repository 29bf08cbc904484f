"""A text has one vector, whatever else is in its batch: backbones that see padding are found out."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from splade_engine.encoder import SparseEncoder
from tests.encoder.made import VOCABULARY, random_texts, write_tokenizer

BASE = {"vocab_size": len(VOCABULARY), "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48}
MODELS = {
    "FNet": ({**BASE, "max_position_embeddings": 64}, True),
    "ConvBert": ({**BASE, "num_attention_heads": 2, "max_position_embeddings": 64}, True),
    "Nystromformer": (
        {**BASE, "num_attention_heads": 2, "max_position_embeddings": 66, "segment_means_seq_len": 64,
         "num_landmarks": 64, "conv_kernel_size": 3},
        True,
    ),
    "Electra": ({**BASE, "num_attention_heads": 2, "max_position_embeddings": 64}, False),
    "ModernBert": ({**BASE, "num_attention_heads": 2, "pad_token_id": 0}, False),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_text_alone_and_beside_a_longer_one(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import torch
    import transformers

    settings, sees = MODELS[name]
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForMaskedLM")(getattr(transformers, f"{name}Config")(**settings))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(tmp_path / "m")
    write_tokenizer(tmp_path / "m")
    encoder = SparseEncoder.load(tmp_path / "m", device="cpu", dtype="float32")
    texts = random_texts(9, seed=2, longest=30)
    with caplog.at_level(logging.WARNING):
        together = encoder.encode_documents(texts).to_scipy().toarray()
    assert ("run one at a time" in caplog.text) == sees
    assert (together > 0).any()
    for text, row in zip(texts, together, strict=True):
        alone = encoder.encode_documents([text]).to_scipy().toarray()[0]
        np.testing.assert_allclose(alone, row, atol=1e-5)
