"""Echo, uniCOIL and DeepImpact checkpoints against plain references written out here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.kinds import Echo
from splade_engine.errors import CheckpointError
from tests.encoder.made import VOCABULARY, write_tokenizer


def tokenizer_of(folder: Path):
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("family", ["Llama", "Mistral"])
def test_echo(family: str, texts: list[str], tmp_path: Path) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(
        vocab_size=len(VOCABULARY), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=200,
    )  # fmt: skip
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    folder = tmp_path / "echo"
    model.save_pretrained(folder)
    write_tokenizer(folder)
    encoder = SparseEncoder.load(folder, dtype="float32")
    assert encoder.checkpoint.kind == Echo() and not encoder.inference_free
    tokenizer = tokenizer_of(folder)
    found = encoder.encode_documents(texts[:6]).to_scipy().toarray()
    start = tokenizer.encode("").ids
    newline = tokenizer.encode("\n", add_special_tokens=False).ids
    for text, row in zip(texts[:6], found, strict=True):
        once = tokenizer.encode(text, add_special_tokens=False).ids
        with torch.no_grad():
            logits = model(torch.tensor([[*start, *once, *newline, *once]])).logits[0]
        expected = torch.log1p(torch.relu(logits[-len(once) :])).amax(0).numpy()
        np.testing.assert_allclose(row, expected, atol=1e-5)
    encoder.save(tmp_path / "saved")
    again = SparseEncoder.load(tmp_path / "saved", dtype="float32").encode_documents(texts[:6])
    np.testing.assert_allclose(again.to_scipy().toarray(), found, atol=1e-6)


def scalar_folder(folder: Path, head: str) -> None:
    """A BertModel and a head as uniCOIL's and DeepImpact's own classes save them."""
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel

    torch.manual_seed(2)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=64, architectures=[head],
    )  # fmt: skip
    state = {f"bert.{k}": v for k, v in BertModel(config).state_dict().items()}
    if head == "UniCoilEncoder":
        state |= {"tok_proj.weight": torch.randn(1, 32), "tok_proj.bias": torch.tensor([0.3])}
    else:
        state |= {"impact_score_encoder.0.weight": torch.randn(32, 32) / 5}
        state |= {"impact_score_encoder.0.bias": torch.randn(32)}
        state |= {"impact_score_encoder.2.weight": torch.randn(1, 32)}
        state |= {"impact_score_encoder.2.bias": torch.tensor([0.5])}
    folder.mkdir()
    save_file({k: v.contiguous() for k, v in state.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**config.to_dict(), "architectures": [head]}))
    write_tokenizer(folder)


def states_of(folder: Path, ids: list[int]):
    import torch
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    state = load_file(folder / "model.safetensors")
    body = BertModel(BertConfig(**json.loads((folder / "config.json").read_text()))).eval()
    body.load_state_dict({k.removeprefix("bert."): v for k, v in state.items() if k.startswith("bert.")})
    with torch.no_grad():
        return body(torch.tensor([ids])).last_hidden_state[0], state


def test_unicoil(texts: list[str], tmp_path: Path) -> None:
    import torch

    folder = tmp_path / "unicoil"
    scalar_folder(folder, "UniCoilEncoder")
    encoder = SparseEncoder.load(folder, dtype="float32")
    texts = [*texts[:4], "bado kime bado bado"]
    documents = encoder.encode_documents(texts).to_scipy().toarray()
    queries = encoder.encode_queries(texts).to_scipy().toarray()
    for text, document, query in zip(texts, documents, queries, strict=True):
        ids = tokenizer_of(folder).encode(text).ids
        states, state = states_of(folder, ids)
        weights = torch.relu(states @ state["tok_proj.weight"][0] + state["tok_proj.bias"]).tolist()
        largest, summed = np.zeros(len(VOCABULARY)), np.zeros(len(VOCABULARY))
        for i, w in zip(ids, weights, strict=True):
            if i > 4 or i == 1:
                largest[i], summed[i] = max(largest[i], w), summed[i] + w
        largest[1] = summed[1] = 0  # [UNK] is no term
        np.testing.assert_allclose(document, largest, atol=1e-5)
        np.testing.assert_allclose(query, summed, atol=1e-5)


def test_deepimpact(tmp_path: Path) -> None:
    """A word's impact comes from its first piece; a query that holds the word scores it whole."""
    import torch

    folder = tmp_path / "deepimpact"
    scalar_folder(folder, "DeepImpact")
    encoder = SparseEncoder.load(folder, dtype="float32")
    assert encoder.inference_free
    text = "bado kimelu nono kimelu bado"
    encoding = tokenizer_of(folder).encode(text)
    states, state = states_of(folder, encoding.ids)
    hidden = torch.relu(
        states @ state["impact_score_encoder.0.weight"].T + state["impact_score_encoder.0.bias"]
    )
    impact = torch.relu(
        hidden @ state["impact_score_encoder.2.weight"][0] + state["impact_score_encoder.2.bias"]
    )
    documents = encoder.encode_documents([text]).to_scipy().toarray()[0]
    for word in ("bado", "kimelu", "nono"):
        first = encoding.tokens.index(tokenizer_of(folder).encode(word, add_special_tokens=False).tokens[0])
        query = encoder.encode_queries([word]).to_scipy().toarray()[0]
        assert documents @ query == pytest.approx(float(impact[first]), abs=1e-5)
    assert documents.max() > 0


def test_scalar_without_its_body(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "broken"
    scalar_folder(folder, "UniCoilEncoder")
    state = load_file(folder / "model.safetensors")
    del state["bert.encoder.layer.0.output.dense.weight"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"weights missing.*output\.dense"):
        SparseEncoder.load(folder).encode_documents(["bado"])
