"""The fast path against transformers' own modules: body, attention, pooling, screening."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.backbone import load_backbone
from splade_engine.encoder.fast import packed as packed_module
from splade_engine.encoder.fast import screen
from splade_engine.encoder.fast.coordinates import AllCoordinates
from splade_engine.encoder.fast.linear import PackedLinear
from splade_engine.encoder.fast.packed import load_packed
from splade_engine.encoder.fast.pooling import VocabularyPooling, activate_
from splade_engine.encoder.fast.screen import Int8Bounds, ScreenedPooling, exact_int8
from splade_engine.encoder.folders.reading import read_checkpoint
from splade_engine.encoder.settings import EncoderSettings
from splade_engine.errors import CheckpointError
from tests.encoder import zoo
from tests.encoder.made import VOCABULARY

LENGTHS = (31, 31, 31, 9, 3, 3, 1)
SMALL = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
SMALL |= {"num_attention_heads": 4, "max_position_embeddings": 40}


def save_model(kind: str, folder: Path) -> None:
    import transformers as hf

    torch.manual_seed(3)
    if kind == "bert":
        model = hf.BertForMaskedLM(hf.BertConfig(**SMALL))
    elif kind == "bert-relu":
        model = hf.BertForMaskedLM(hf.BertConfig(**SMALL, hidden_act="relu"))
    elif kind == "bert-untied":
        model = hf.BertForMaskedLM(hf.BertConfig(**SMALL, tie_word_embeddings=False))
    elif kind == "roberta":
        model = hf.RobertaForMaskedLM(hf.RobertaConfig(**SMALL, type_vocab_size=1, pad_token_id=1))
    elif kind == "roberta-untied":
        model = hf.RobertaForMaskedLM(
            hf.RobertaConfig(**SMALL, type_vocab_size=1, pad_token_id=1, tie_word_embeddings=False)
        )
    elif kind == "distilbert":
        model = hf.DistilBertForMaskedLM(
            hf.DistilBertConfig(
                vocab_size=97, dim=32, hidden_dim=48, n_layers=2, n_heads=4, max_position_embeddings=40
            )
        )
    elif kind == "electra":
        model = hf.ElectraForMaskedLM(hf.ElectraConfig(**SMALL, embedding_size=32))
    elif kind == "albert":
        model = hf.AlbertForMaskedLM(hf.AlbertConfig(**SMALL, embedding_size=16))
    elif kind == "mpnet":
        model = hf.MPNetForMaskedLM(hf.MPNetConfig(**SMALL))
    else:
        model = hf.ModernBertForMaskedLM(
            hf.ModernBertConfig(**SMALL, pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2)
        )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)


def ids() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(5, 97, n).astype(np.int32) for n in LENGTHS]


def logits_of(folder: Path, batch: list[np.ndarray]) -> list[torch.Tensor]:
    """One text at a time through the transformers model."""
    from transformers import AutoModelForMaskedLM

    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    with torch.no_grad():
        return [model(torch.from_numpy(x[None].astype(np.int64))).logits[0] for x in batch]


@pytest.mark.parametrize(
    "kind",
    ["bert", "bert-relu", "bert-untied", "roberta", "distilbert", "electra", "albert", "mpnet", "modernbert"],
)
def test_backbone_and_packed_give_the_model_s_logits(kind: str, tmp_path: Path) -> None:
    save_model(kind, tmp_path / "m")
    checkpoint = read_checkpoint(tmp_path / "m")
    expected = torch.cat(logits_of(tmp_path / "m", ids()))
    backbone = load_backbone(checkpoint, "cpu", torch.float32)
    with torch.no_grad():
        rows = []
        for x in ids():
            tokens = torch.from_numpy(x[None].astype(np.int64))
            states = backbone.transform(backbone.hidden(tokens, torch.ones_like(tokens)))[0]
            rows.append(states @ backbone.decoder_weight.T + backbone.decoder_bias)
    torch.testing.assert_close(torch.cat(rows), expected, atol=2e-5, rtol=1e-4)
    packed = load_packed(checkpoint, torch.float32)
    fast = kind in ("bert", "bert-relu", "bert-untied", "roberta", "distilbert")
    assert (packed is not None) == fast
    if packed is not None:
        with torch.inference_mode():
            states = packed.states(ids())
            found = states @ packed.decoder_weight.T + packed.decoder_bias
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("padding", [0, 1, 7])
def test_positions_stand_still_at_the_padding_token(padding: int, tmp_path: Path) -> None:
    """RoBERTa counts from the padding id of its config, whatever the tokenizer pads with."""
    save_model("roberta", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "pad_token_id": padding}))
    batch = [np.array(t, dtype=np.int32) for t in ([2, 1, 9, 1, 0, 7, 8, 3], [7, 7, 7], [5, 6], [0, 0, 5])]
    packed = load_packed(read_checkpoint(tmp_path), torch.float32)
    assert packed is not None
    with torch.inference_mode():
        found = packed.states(batch) @ packed.decoder_weight.T + packed.decoder_bias
    torch.testing.assert_close(found, torch.cat(logits_of(tmp_path, batch)), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("distilbert", "hidden_act", "relu"),
        ("distilbert", "layer_norm_eps", 0.3),
        ("bert", "activation", "relu"),
    ],
)
def test_fields_of_another_architecture_change_nothing(
    kind: str, field: str, value: object, tmp_path: Path
) -> None:
    """Neither of these is read by transformers."""
    save_model(kind, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config.pop("hidden_act", None)  # gelu, in all of them
    (tmp_path / "config.json").write_text(json.dumps({**config, field: value}))
    model = load_packed(read_checkpoint(tmp_path), torch.float32)
    assert model is not None
    backbone = load_backbone(read_checkpoint(tmp_path), "cpu", torch.float32)
    ids = np.arange(7, dtype=np.int32)
    with torch.inference_mode():
        theirs = backbone(torch.from_numpy(ids)[None].long(), torch.ones(1, 7, dtype=torch.long))[0]
    assert torch.allclose(model.states([ids]), theirs, atol=1e-5)


def test_a_decoder_that_is_not_tied_must_be_there(tmp_path: Path) -> None:
    save_model("bert", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    checkpoint = read_checkpoint(tmp_path)
    assert load_packed(checkpoint, torch.float32) is None
    with pytest.raises(CheckpointError, match=r"weights missing from the file: .*cls.predictions.decoder"):
        load_backbone(checkpoint, "cpu", torch.float32)


@pytest.mark.parametrize(
    ("kind", "head"), [("bert-untied", "cls.predictions"), ("roberta-untied", "lm_head")]
)
def test_a_decoder_of_its_own_with_the_bias_of_its_head(kind: str, head: str, tmp_path: Path) -> None:
    """As release 4 of transformers writes it; release 5 would begin with zeros."""
    from safetensors.torch import load_file, save_file

    save_model(kind, tmp_path)
    file = tmp_path / "model.safetensors"
    state = load_file(file)
    state[f"{head}.bias"] = torch.randn(97)
    save_file({**state, f"{head}.decoder.bias": state[f"{head}.bias"].clone()}, file, {"format": "pt"})
    expected = torch.cat(logits_of(tmp_path, ids()))
    del state[f"{head}.decoder.bias"]
    save_file(state, file, {"format": "pt"})
    checkpoint = read_checkpoint(tmp_path)
    packed, backbone = load_packed(checkpoint, torch.float32), load_backbone(checkpoint, "cpu", torch.float32)
    assert packed is not None
    for model in (packed, backbone):
        with torch.inference_mode():
            if model is packed:
                states = packed.states(ids())
            else:
                rows = [torch.from_numpy(x[None].astype(np.int64)) for x in ids()]
                states = torch.cat([backbone(row, torch.ones_like(row))[0] for row in rows])
            found = states @ model.decoder_weight.T + model.decoder_bias
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def test_bfloat16_states(tmp_path: Path) -> None:
    save_model("bert", tmp_path / "m")
    checkpoint = read_checkpoint(tmp_path / "m")
    exact, rough = load_packed(checkpoint, torch.float32), load_packed(checkpoint, torch.bfloat16)
    assert exact is not None and rough is not None
    with torch.inference_mode():
        difference = rough.states(ids()).float() - exact.states(ids())
    assert difference.std() < 0.02  # states have a standard deviation of one


def test_attention_survives_scores_beyond_the_range_of_exp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model("bert", tmp_path / "m")
    packed = load_packed(read_checkpoint(tmp_path / "m"), torch.bfloat16)
    assert packed is not None
    torch.manual_seed(0)
    width = 32
    for scale in (1.0, 30.0):  # scores around 6 and around 5,000
        qkv = torch.randn(40, 3 * width + 4)
        qkv[:, : 2 * width] *= scale
        values = qkv[:, 2 * width :].view(40, 4, 9)
        values[:, :, 8] = 1
        qkv = qkv.bfloat16()
        with torch.inference_mode():
            found = packed._attention(qkv, [(20, 2)]).float()
        q, k = (qkv[:, a : a + width].float().view(2, 20, 4, 8).transpose(1, 2) for a in (0, width))
        v = qkv[:, 2 * width :].float().view(2, 20, 4, 9)[..., :8].transpose(1, 2)
        expected = F.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(1, 2).reshape(40, width)
        assert torch.isfinite(found).all()
        # bfloat16 scores of 5,000 are wrong by 16: the larger one wins in both, but between two close ones
        agreement = torch.cosine_similarity(found, expected, dim=1)
        assert agreement.quantile(0.1) > (0.999 if scale == 1.0 else 0.98)


def test_equal_lengths_share_a_product_up_to_a_size() -> None:
    assert packed_module._equal_runs([7, 7, 7, 5, 7], heads=2) == [(7, 3), (5, 1), (7, 1)]
    long = packed_module._equal_runs([512] * 4, heads=12)
    assert long == [(512, 1)] * 4


@pytest.mark.parametrize("activation", [("", ""), ("gelu", "none"), ("gelu", "tanh"), ("relu", "")])
def test_linear(activation: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    weight, bias, x, residual = torch.randn(24, 16), torch.randn(24), torch.randn(5, 16), torch.randn(5, 24)
    y = F.linear(x, weight, bias)
    expected = {"": y, "gelu": F.gelu(y, approximate=activation[1] or "none"), "relu": F.relu(y)}[
        activation[0]
    ]
    fused = PackedLinear(weight, bias, torch.float32, activation)
    monkeypatch.setattr("splade_engine.encoder.fast.linear._reordered", lambda _: None)
    plain = PackedLinear(weight, bias, torch.float32, activation)
    for layer in (fused, plain):
        torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)
        if not activation[0]:
            torch.testing.assert_close(layer.plus(x, residual), y + residual, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize("activation", ["log1p_relu", "log1p_log1p_relu"])
def test_pooling_is_activate_then_pool(
    pooling: str, activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splade_engine.encoder.fast.pooling._CHUNK", 16)
    torch.manual_seed(0)
    weight, bias, states = torch.randn(50, 8), torch.randn(50), torch.randn(12, 8)
    dropped = torch.tensor([0, 49])
    settings = EncoderSettings(pooling=pooling, activation=activation)  # type: ignore[arg-type]
    pooled = VocabularyPooling(weight, bias, settings, dropped)
    found = pooled(states, [5, 1, 6])
    values = torch.relu(states @ weight.T + bias).log1p()
    values = values.log1p() if activation == "log1p_log1p_relu" else values
    rows = values.split([5, 1, 6])
    expected = torch.stack([r.amax(0) if pooling == "max" else r.sum(0) for r in rows])
    expected[:, [0, 49]] = 0
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_sparsemax_counts_no_dropped_term() -> None:
    """One threshold a text, found over the terms that may have a weight."""
    torch.manual_seed(0)
    weight, bias, states = torch.randn(50, 8), torch.randn(50), torch.randn(12, 8)
    dropped = torch.tensor([0, 49])
    settings = EncoderSettings(activation="sparsemax", sparsemax_mass=7.0)
    found = VocabularyPooling(weight, bias, settings, dropped)(states, [5, 1, 6])
    logits = torch.stack([r.amax(0) for r in (states @ weight.T + bias).split([5, 1, 6])])
    logits[:, [0, 49]] = 0
    plain = torch.relu(logits).log1p()
    assert (plain.sum(1) > 7).all()
    assert activate_(torch.tensor([torch.nan, 9.0]), settings).isnan().all()  # to be refused, not to raise
    assert not activate_(torch.zeros(0), settings).numel()
    torch.testing.assert_close(found.sum(1), torch.full((3,), 7.0))
    lowered = (plain - found)[found > 0].split((found > 0).sum(1).tolist())
    for row, tau in zip(plain, lowered, strict=True):
        torch.testing.assert_close(tau, tau[:1].expand_as(tau))
        assert (row > tau[0]).sum() == len(tau)


@pytest.mark.skipif(not exact_int8(), reason="int8 products overflow here: screening is never used")
@pytest.mark.parametrize("shift", [-40.0, -15.0, 0.0])
def test_screening_misses_nothing(shift: float) -> None:
    """Every positive term comes out with the full product's logit, although coordinates have outliers."""
    torch.manual_seed(1)
    size, terms = 64, 3000
    spread = torch.ones(size)
    spread[[3, 17]] = 12.0
    weight = torch.randn(terms, size) / spread
    bias = torch.full((terms,), shift)
    states = torch.randn(60, size) * spread
    lengths = [20, 1, 39]
    bounds = Int8Bounds(weight, AllCoordinates(3 * spread))
    found = ScreenedPooling(weight, bias, bounds, torch.tensor([5]))(states, lengths)
    full = [(part @ weight.T).amax(0) + bias for part in states.split(lengths)]
    screened = 0
    for (chosen, logits), expected in zip(found, full, strict=True):
        expected[5] = -1
        positive = (expected > 0).nonzero().squeeze(1)
        assert set(positive.tolist()) <= set(chosen.tolist())
        assert 5 not in chosen.tolist()
        assert chosen.tolist() == sorted(chosen.tolist())
        torch.testing.assert_close(logits, expected[chosen], atol=1e-4, rtol=1e-5)
        screened += len(chosen) - len(positive)
    assert screened < 0.1 * terms * len(lengths)


def test_overflowing_products_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As oneDNN computes without VNNI: unsigned times signed, pairs added in 16 bits that saturate."""

    def saturating(codes: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        products = (codes.int() + 128)[:, :, None] * columns.int()[None]
        pairs = (products[:, ::2] + products[:, 1::2]).clamp(-32768, 32767)
        return pairs.sum(1, dtype=torch.int32) - 128 * columns.int().sum(0, dtype=torch.int32)

    monkeypatch.setattr(screen, "_product", saturating)
    assert not screen.exact_int8()
    fast = screen.fast_int8.__wrapped__
    assert not fast()


def test_an_older_instruction_set_gives_the_same_terms(mlm_folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from splade_engine.encoder import SparseEncoder\n"
        "e = SparseEncoder.load(sys.argv[1], dtype='float32')\n"
        "np.save(sys.argv[2], e.encode_documents(['bado kime lulu mero', 'riri']).to_scipy().toarray())"
    )
    rows = []
    for name, isa in (("here", {}), ("old", {"ONEDNN_MAX_CPU_ISA": "AVX2"})):
        path = tmp_path / f"{name}.npy"
        command = [sys.executable, "-c", code, str(mlm_folder), str(path)]
        subprocess.run(command, check=True, env={**os.environ, **isa})
        rows.append(np.load(path))
    assert (rows[0] > 0).sum() > 10
    np.testing.assert_allclose(rows[1], rows[0], atol=1e-5)


@pytest.mark.parametrize("shape", ["one", "none", "single", "row"])
@pytest.mark.parametrize(
    ("name", "tensor", "needed"),
    [
        ("mlm", "cls.predictions.bias", len(VOCABULARY)),
        ("mlm", "cls.predictions.transform.dense.bias", 32),
        ("mlm", "cls.predictions.transform.LayerNorm.weight", 32),
        ("mlm", "bert.encoder.layer.1.output.dense.bias", 32),
        ("mlm", "bert.encoder.layer.1.intermediate.dense.bias", 64),
        ("mlm", "bert.encoder.layer.0.attention.self.query.bias", 32),
        ("mlm", "bert.encoder.layer.0.attention.output.dense.bias", 32),
        ("mlm-roberta", "lm_head.bias", len(VOCABULARY)),
        ("mlm-roberta", "roberta.encoder.layer.0.intermediate.dense.bias", 48),
    ],
)
def test_a_bias_of_another_shape(name: str, tensor: str, needed: int, shape: str, tmp_path: Path) -> None:
    """One number was added where a row of them belongs."""
    folder = zoo.make(name, tmp_path / "m")
    state = load_file(folder / "model.safetensors")
    whole = state[tensor]
    state[tensor] = {"one": whole[:1], "none": whole[:0], "single": whole.sum(), "row": whole[None]}[shape]
    save_file({k: v.contiguous() for k, v in state.items()}, folder / "model.safetensors")
    short = tensor.removeprefix("bert.").removeprefix("roberta.")
    told = rf"cannot build the model: {short} has the shape \[.*\], where \[{needed}\] is needed"
    with pytest.raises(CheckpointError, match=told):
        SparseEncoder.load(folder, device="cpu", dtype="float32").encode_documents(["bado"])


@pytest.mark.parametrize("table", ["token_type", "position", "word"])
def test_a_table_of_one_column(table: str, tmp_path: Path) -> None:
    folder = zoo.make("mlm", tmp_path / "m")
    state = load_file(folder / "model.safetensors")
    name = f"bert.embeddings.{table}_embeddings.weight"
    state[name] = state[name][:, :1].contiguous()
    save_file(state, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=rf"{table}_embeddings.weight has the .*, where \[any, 32\] is"):
        SparseEncoder.load(folder, device="cpu", dtype="float32").encode_documents(["bado"])
