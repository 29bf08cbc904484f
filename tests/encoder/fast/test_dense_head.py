"""The dense head: its formula, its file in both forms, and an encoder that has one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from splade_engine import SparseEncoder
from splade_engine.encoder.checkpoint import DENSE_HEAD
from splade_engine.encoder.fast.dense_head import (
    DenseHead,
    WholeText,
    load_dense_head,
    quantize,
    save_dense_head,
    widened,
)
from splade_engine.encoder.place import Place
from splade_engine.errors import CheckpointError
from tests.tiny_bert import SPECIAL, write_bert

WORDS = [a + b for a in ("ba", "fe", "gi", "do") for b in ("ra", "lu", "mi", "so", "ne")]
CPU = Place(torch.device("cpu"), torch.float32)


def head(width=32, size=48, n_terms=None, seed=0):
    torch.manual_seed(seed)
    made = DenseHead(width, size, n_terms or 40)
    torch.nn.init.normal_(made.decoder.weight, std=1.0)
    return made.eval().requires_grad_(False)


def by_hand(made, hidden, lengths):
    state = {name: tensor.double().numpy() for name, tensor in made.state_dict().items()}
    rows, start = [], 0
    for n in lengths:
        mean = hidden[start : start + n].mean(0)
        start += n
        e = state["project.weight"] @ mean + state["project.bias"]
        e /= np.linalg.norm(e)
        rows.append(np.maximum(state["decoder.weight"] @ e + state["decoder.bias"], 0))
    return np.stack(rows)


def test_weights_by_hand():
    made, lengths = head(), [3, 1, 5]
    hidden = np.random.default_rng(0).standard_normal((9, 32))
    found = WholeText(made, CPU, torch.tensor([0, 7]))(torch.tensor(hidden).float(), lengths)
    wanted = by_hand(made, hidden, lengths)
    assert wanted[:, 7].any()
    wanted[:, [0, 7]] = 0
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("columns", [31, 48, 384])
def test_four_bits_round_to_half_a_step(columns):
    torch.manual_seed(1)
    matrix = torch.randn(20, columns) * torch.rand(20, 1) * 10
    matrix[3] = 0
    codes, scale = quantize(matrix)
    assert codes.shape == (20, -(-columns // 2)) and codes.dtype == torch.uint8
    back = widened(codes, scale)[:, :columns]
    step = scale.float()[:, None]
    assert ((back - matrix).abs() <= 0.51 * step + 1e-6).all()  # the scale itself is rounded
    assert not back[3].any()
    # a row's product with another vector is off by far less than its largest entry's rounding
    e = torch.nn.functional.normalize(torch.randn(columns), dim=0)
    assert ((back - matrix) @ e).abs().max() < step.max() * 1.5


def test_both_files_load(tmp_path):
    made = head()
    save_dense_head(made, tmp_path / "float.safetensors")
    save_dense_head(made, tmp_path / "four.safetensors", compact=True)
    exact, small = (load_dense_head(tmp_path / f"{n}.safetensors") for n in ("float", "four"))
    for name, tensor in made.state_dict().items():
        torch.testing.assert_close(exact.state_dict()[name], tensor, rtol=0, atol=0)
        torch.testing.assert_close(small.state_dict()[name], tensor, rtol=0, atol=0.3)
    assert not any(p.requires_grad for p in small.parameters())
    sizes = [(tmp_path / f"{n}.safetensors").stat().st_size for n in ("float", "four")]
    assert sizes[1] < sizes[0]


def test_a_broken_file_is_one_clear_error(tmp_path):
    file = tmp_path / DENSE_HEAD
    save_dense_head(head(), file)
    state = load_file(file)
    whole = file.read_bytes()
    for broken in (
        {k: v for k, v in state.items() if k != "project.weight"},
        state | {"decoder.bias": state["decoder.bias"][:-1]},
        state | {"project.bias": torch.full_like(state["project.bias"], torch.nan)},
    ):
        save_file(broken, file)
        with pytest.raises(CheckpointError, match=rf"{DENSE_HEAD}: (not a dense head|holds a value)"):
            load_dense_head(file)
    file.write_bytes(whole[:100])
    with pytest.raises(CheckpointError, match="not a dense head"):
        load_dense_head(file)


def with_head(folder, made):
    """A tiny model folder whose vectors have a part of the head's."""
    save_dense_head(made, folder / DENSE_HEAD)
    config = json.loads((folder / "config.json").read_text())
    section = {"format": 1, "kind": "mlm", "special_tokens": "zero", "dense_head": DENSE_HEAD}
    (folder / "config.json").write_text(json.dumps({**config, "splade_engine": section}))
    return folder


@pytest.fixture
def folders(tmp_path):
    plain = write_bert(tmp_path / "plain", [*SPECIAL, *WORDS], "BertForMaskedLM")
    config = json.loads((plain / "config.json").read_text())
    n_terms, width = config["vocab_size"], config["hidden_size"]
    section = {"format": 1, "kind": "mlm", "special_tokens": "zero"}
    (plain / "config.json").write_text(json.dumps({**config, "splade_engine": section}))
    made = head(width, 6, n_terms)
    return plain, with_head(write_bert(tmp_path / "both", [*SPECIAL, *WORDS], "BertForMaskedLM"), made), made


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("packed", [True, False])
def test_an_encoder_adds_both_heads(folders, dtype, packed, monkeypatch):
    if not packed:  # as on a GPU: transformers' model and padded batches
        monkeypatch.setattr("splade_engine.encoder.fast.states.load_packed", lambda *a, **k: None)
    plain, both, made = folders
    texts = [" ".join(np.random.default_rng(n).choice(WORDS, 3 + 4 * n)) for n in range(7)]
    a = SparseEncoder.load(plain, device="cpu", dtype=dtype).encode_documents(texts).to_scipy().toarray()
    b = SparseEncoder.load(both, device="cpu", dtype=dtype).encode_documents(texts).to_scipy().toarray()
    more = b - a
    assert (more > 0.1).any()
    tolerance = 1e-4 if dtype == "float32" else 0.08
    assert more.min() > -tolerance
    special = [0, 1, 2, 3, 4]
    assert not b[:, special].any()
    # what is added is the head's: relu(M e + c) lies in an E-dimensional cone, so look at it through e
    weight, bias = made.decoder.weight.numpy(), made.decoder.bias.numpy()
    looked = 0
    for row in more:
        active = row > 3 * tolerance
        e, *_ = np.linalg.lstsq(weight[active], row[active] - bias[active], rcond=None)
        if active.sum() > len(e):
            looked += 1
            assert abs(np.linalg.norm(e) - 1) < 0.1
            np.testing.assert_allclose(weight[active] @ e + bias[active], row[active], atol=3 * tolerance)
    assert looked > 0


def test_the_heaviest_of_both_are_kept(folders):
    _, both, _ = folders
    encoder = SparseEncoder.load(both, device="cpu", dtype="float32")
    texts = ["bara felu domi", "fene giso"]
    whole = encoder.encode_documents(texts).to_scipy().toarray()
    few = encoder.encode_documents(texts, top_k=5).to_scipy().toarray()
    for row, kept in zip(whole, few, strict=True):
        order = np.argsort(-row)[:5]
        assert set(np.flatnonzero(kept)) == set(order)
        np.testing.assert_array_equal(kept[order], row[order])


def test_a_head_of_another_model_is_refused(folders):
    _, both, _ = folders
    save_dense_head(head(16, 48, 40), both / DENSE_HEAD)
    with pytest.raises(CheckpointError, match=r"40 terms of states of 16 for a model of"):
        SparseEncoder.load(both, device="cpu").encode_documents(["bara"])
    (both / DENSE_HEAD).unlink()
    with pytest.raises(CheckpointError, match=DENSE_HEAD):
        SparseEncoder.load(both, device="cpu")


def test_the_head_is_part_of_the_fingerprint(folders):
    _, both, made = folders
    before = SparseEncoder.load(both, device="cpu").fingerprint()["hash"]
    assert SparseEncoder.load(both, device="cpu").fingerprint()["hash"] == before
    made.decoder.bias += 0.01
    save_dense_head(made, both / DENSE_HEAD)
    assert SparseEncoder.load(both, device="cpu").fingerprint()["hash"] != before


def test_a_sentence_transformers_folder_keeps_the_head(folders, tmp_path):
    _, both, _ = folders
    encoder = SparseEncoder.load(both, device="cpu", dtype="float32")
    encoder.save(tmp_path / "st")
    again = SparseEncoder.load(tmp_path / "st", device="cpu", dtype="float32")
    texts = ["bara felu domi", "fene giso"]
    a, b = (e.encode_documents(texts).to_scipy().toarray() for e in (encoder, again))
    np.testing.assert_allclose(a, b, atol=1e-5)
