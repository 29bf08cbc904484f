"""A broken model is refused when it is loaded, in one line that names the file."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import struct
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.folders import tokenizer as tokenizer_files
from splade_engine.encoder.folders.safetensors_file import MOST_TENSORS, read_floats, read_header
from splade_engine.encoder.folders.tokenizer import load_tokenizer
from splade_engine.errors import CheckpointError
from tests.encoder import zoo
from tests.encoder.made import VOCABULARY, WORDS, write_bert
from tests.encoder.zoo import edit

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 17671552\n"
TEXTS = ["bado kime lume", "nolu"]


@pytest.fixture
def folder(mlm_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(mlm_folder, tmp_path / "m")
    return tmp_path / "m"


def refused(folder: Path, message: str) -> None:
    """`SparseEncoder.load` refuses it, without a text."""
    with pytest.raises(CheckpointError, match=message) as caught:
        SparseEncoder.load(folder, device="cpu")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def tensors(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    save_file({k: v.contiguous() for k, v in change(load_file(path)).items()}, path, {"format": "pt"})


@pytest.mark.parametrize("family", ["bert", "electra", "roberta"])
def test_no_tokenizer(family: str, tmp_path: Path) -> None:
    name = "mlm" if family == "bert" else f"mlm-{family}"
    folder = zoo.make(name, tmp_path / "m")
    (folder / "tokenizer.json").unlink()
    refused(folder, "m: no tokenizer")
    (folder / "tokenizer_config.json").unlink()
    (folder / "special_tokens_map.json").write_text("{}")
    refused(folder, "m: no tokenizer")


def test_a_tokenizer_of_special_tokens_alone(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] = {t: i for t, i in tokenizer["model"]["vocab"].items() if i < 5}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    refused(folder, "5 special tokens and no other")


@pytest.mark.parametrize("name", ["mlm", "opensearch", "unicoil", "st-csr", "echo", "bge-m3", "st-static"])
def test_a_tokenizer_with_tokens_that_the_model_has_no_row_for(name: str, tmp_path: Path) -> None:
    folder = zoo.make(name, tmp_path / "m")
    path = sorted(folder.rglob("tokenizer.json"))[0]
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"]["tugboat"] = len(VOCABULARY) + 3
    path.write_text(json.dumps(tokenizer))
    n = len(VOCABULARY)
    refused(folder, rf"a tokenizer of {n + 1} tokens for a model of {n}:")


@pytest.mark.parametrize("name", ["mlm", "opensearch", "deepimpact", "ours"])
def test_an_id_beyond_the_model_s_rows(name: str, tmp_path: Path) -> None:
    """A vocabulary with a hole: no more tokens than rows, but one of them lies beyond."""
    folder = zoo.make(name, tmp_path / "m")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["tuso"] = len(VOCABULARY)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    encoder = SparseEncoder.load(folder, device="cpu", dtype="float32")
    assert len(encoder.encode_documents(["kime lume"])) == 1 and encoder.encode_queries(["kime", "lume"]).nnz
    for encode in (encoder.encode_documents, encoder.encode_queries, lambda t: encoder.word_spans(t[0])):
        with pytest.raises(CheckpointError, match=f"the token 'tuso' with id {len(VOCABULARY)}"):
            encode(["tuso"])


def test_a_model_that_is_larger_than_its_tokenizer(tmp_path: Path) -> None:
    """Vocabularies are padded to a round number: that is no fault."""
    folder = tmp_path / "m"
    zoo.tiny_bert.write_bert(folder, VOCABULARY, "BertForMaskedLM", vocab_size=256)
    assert SparseEncoder.load(folder, device="cpu").encode_documents(TEXTS).n_terms == 256


@pytest.mark.parametrize("dtype", ["auto", "float32"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "name", ["mlm", "mlm-roberta", "mlm-electra", "unicoil", "deepimpact", "st-csr", "echo", "bge-m3", "pair"]
)
def test_a_number_that_is_not_finite(name: str, bad: float, dtype: str, tmp_path: Path) -> None:
    folder = zoo.make(name, tmp_path / "m")
    half = folder / "document" if name == "pair" else folder

    def one(state: dict[str, Any]) -> dict[str, Any]:
        key = next(k for k in state if k.endswith(("word_embeddings.weight", "embed_tokens.weight")))
        state[key][77, 3] = bad  # of one word, in no text here
        return state

    tensors(half, one)
    with pytest.raises(CheckpointError, match=r"embed.*holds a value that is not finite"):
        SparseEncoder.load(folder, device="cpu", dtype=dtype).encode_documents(TEXTS)


def test_weights_cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for length in (0, 4, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(folder, r"model\.safetensors: .*cut short")
    path.write_bytes(whole + b"x")
    refused(folder, r"model\.safetensors: cut short or damaged")
    path.write_text(POINTER)
    refused(folder, r"model\.safetensors: a Git LFS pointer.*git lfs pull")


@pytest.mark.parametrize(
    "file", ["dense_head.safetensors", "query_0_SparseStaticEmbedding/model.safetensors"]
)
def test_other_weights_are_checked_too(file: str, tmp_path: Path) -> None:
    folder = zoo.make("st-ours", tmp_path / "m")
    (folder / file).write_text(POINTER)
    with pytest.raises(CheckpointError, match=file.rpartition("/")[2]):
        SparseEncoder.load(folder, device="cpu").encode_documents(TEXTS)


def test_shards(tmp_path: Path) -> None:
    folder = zoo.make("mlm-shards", tmp_path / "m")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    kept = shard.read_bytes()
    shard.unlink()
    refused(folder, f"{shard.name}: missing")
    shard.write_bytes(kept)
    name = next(iter(index["weight_map"]))
    for outside in ("../model.safetensors", "/etc/passwd", 3, None):
        weights = {**index["weight_map"], name: outside}
        (folder / "model.safetensors.index.json").write_text(json.dumps({**index, "weight_map": weights}))
        refused(folder, "leaves the folder|not a path")
    for nothing in ({}, [], None):
        (folder / "model.safetensors.index.json").write_text(json.dumps({**index, "weight_map": nothing}))
        refused(folder, "no weight_map")


@pytest.mark.parametrize("kind", ["mlm", "mlm-shards"])
def test_weights_of_another_model_beside_are_not_read(kind: str, tmp_path: Path) -> None:
    folder = zoo.make(kind, tmp_path / "m")
    before = SparseEncoder.load(folder, device="cpu").encode_documents(TEXTS)
    parts = [load_file(path) for path in folder.glob("model*.safetensors")]
    zeros = {name: torch.zeros_like(tensor) for part in parts for name, tensor in part.items()}
    save_file(zeros, folder / "model2.safetensors", {"format": "pt"})
    save_file(zeros, folder / "model-99999-of-99999.safetensors", {"format": "pt"})
    after = SparseEncoder.load(folder, device="cpu").encode_documents(TEXTS)
    assert before.nnz > 0
    assert np.array_equal(before.terms, after.terms)
    assert np.array_equal(before.weights, after.weights)


def test_a_tensor_in_two_shards_or_in_another_than_said_is_refused(tmp_path: Path) -> None:
    folder = zoo.make("mlm-shards", tmp_path / "m")
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    files = [*index["weight_map"].values()]
    moved, shard = next(pair for pair in index["weight_map"].items() if files.count(pair[1]) > 1)
    first = folder / shard
    second = next(path for path in sorted(folder.glob("model-*.safetensors")) if path != first)
    weights = {**index["weight_map"], moved: second.name}
    path.write_text(json.dumps({**index, "weight_map": weights}))
    refused(folder, f"is in {first.name}, not in {second.name}")
    path.write_text(json.dumps(index))
    stale = load_file(second) | {moved: torch.zeros_like(load_file(first)[moved])}
    save_file(stale, second, {"format": "pt"})
    refused(folder, rf"model-0000\d-of-\S+: {moved} is in model-0000\d-of-\S+ too")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vocab_size": 10**9}, "vocab_size is 1000000000"),
        ({"vocab_size": "200"}, "vocab_size is '200'"),
        ({"num_hidden_layers": 10**8}, "num_hidden_layers is 100000000"),
        ({"hidden_size": 10**6}, "sizes of|for weights of"),
        ({"max_position_embeddings": 10**9}, "max_position_embeddings is"),
        ({"type_vocab_size": 10**9}, "type_vocab_size is"),
        ({"type_vocab_size": 2**24}, "sizes of"),
        ({"max_position_embeddings": [64]}, "max_position_embeddings is"),
        ({"intermediate_size": -3}, "intermediate_size is -3"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
    ],
)
def test_absurd_sizes(folder: Path, values: dict[str, Any], message: str) -> None:
    edit(folder / "config.json", **values)
    refused(folder, message)


@pytest.mark.parametrize(
    "values",
    [
        {"hidden_act": ["gelu"]}, {"hidden_act": "no such"}, {"num_attention_heads": 3},
        {"model_type": "none"}, {"layer_norm_eps": "x"}, {"vocab_size": 199}, {"hidden_size": 30},
        {"num_hidden_layers": 3}, {"num_hidden_layers": 1},
    ],
)  # fmt: skip
def test_a_config_that_is_not_of_these_weights(folder: Path, values: dict[str, Any]) -> None:
    edit(folder / "config.json", **values)
    with pytest.raises(CheckpointError) as caught:
        SparseEncoder.load(folder, device="cpu").encode_documents(TEXTS)
    assert "\n" not in str(caught.value)


def test_a_layer_with_weights_that_no_model_has_a_place_for(folder: Path) -> None:
    """Transformers passes over them, as over relative positions, which it no longer computes."""
    name = "bert.encoder.layer.1.attention.self.distance_embedding.weight"
    tensors(folder, lambda state: {**state, name: torch.ones(127, 8)})
    with pytest.raises(CheckpointError, match=f"BertForMaskedLM has no place for {name}"):
        SparseEncoder.load(folder, device="cpu").encode_documents(TEXTS)
    edit(folder / "config.json", position_embedding_type="relative_key")
    refused(folder, r"config.json: position_embedding_type is 'relative_key': only absolute")


@pytest.mark.parametrize("make", ["mlm", "mlm-roberta", "mlm-distil", "mlm-electra"])
def test_weights_outside_of_the_layers_that_no_model_has_a_place_for_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: str
) -> None:
    """They are left out, as in transformers, which tells them too. What training needs is expected."""
    zoo_folder = zoo.make(make, tmp_path / "model")
    plain = SparseEncoder.load(zoo_folder, device="cpu").encode_documents(TEXTS)
    assert "no place" not in caplog.text
    expected = {"bert.pooler.dense.weight": torch.ones(2, 2), "cls.seq_relationship.bias": torch.ones(2)}
    tensors(zoo_folder, lambda state: {**state, **expected})
    SparseEncoder.load(zoo_folder, device="cpu").encode_documents(TEXTS)
    assert "no place" not in caplog.text
    odd = {name: torch.ones(3) for name in ("token_scale", "projection.weight", "projection.bias", "a.b")}
    tensors(zoo_folder, lambda state: {**state, **odd})
    found = SparseEncoder.load(zoo_folder, device="cpu").encode_documents(TEXTS)
    assert found.to_dicts() == plain.to_dicts()
    told = "no place for the weights a.b, projection.bias, projection.weight and 1 more: left out"
    assert told in caplog.text


def test_a_text_that_is_longer_than_the_table_of_positions(folder: Path) -> None:
    """It was read beyond its end: "index out of range in self"."""
    edit(folder / "config.json", max_position_embeddings=None)
    long = [" ".join(["bado"] * 100)]
    assert SparseEncoder.load(folder, device="cpu").encode_documents(long).nnz
    edit(folder / "tokenizer_config.json", model_max_length=65)
    refused(folder, r"config.json: no max_position_embeddings, and bert.*has 64 rows for texts of 65 tokens")


@pytest.mark.parametrize(
    "file",
    [
        "config.json", "tokenizer.json", "tokenizer_config.json", "modules.json",
        "1_SpladePooling/config.json", "config_sentence_transformers.json",
    ],
)  # fmt: skip
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "3", "null", "\x00", '"text"'])
def test_json_of_another_kind(file: str, text: str, tmp_path: Path) -> None:
    folder = zoo.make("st-mlm", tmp_path / "m")
    (folder / file).write_text(text)
    refused(folder, file.rpartition("/")[2])


@pytest.mark.parametrize(
    "file", ["config.json", "model.safetensors", "tokenizer.json", "generation_config.json"]
)
@pytest.mark.parametrize("kind", ["pipe", "device", "lost link", "loop"])
def test_what_is_no_file(file: str, kind: str, folder: Path) -> None:
    path = folder / file
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"device": "/dev/zero", "lost link": "../blobs/gone", "loop": path.name}[kind])
    if file == "generation_config.json" and kind in ("lost link", "loop"):
        SparseEncoder.load(folder, device="cpu")  # nobody needs it
        return
    refused(folder, "a pipe or a device|cp -rL|no tokenizer|no model.safetensors")


@pytest.mark.parametrize("kind", ["folder", "pipe", "lost link"])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mlm", "sentence_bert_config.json"),
        ("mlm", "tokenizer_config.json"),
        ("mlm", "modules.json"),
        ("mlm", "idf.json"),
        ("mlm", "tokenizer.json"),
        ("mlm-vocab-txt", "vocab.txt"),
        ("mlm-vocab-txt", "tokenizer.json"),
    ],
)
def test_what_a_model_may_lack_is_a_file_or_not_there(
    name: str, file: str, kind: str, tmp_path: Path
) -> None:
    """Passed over, a link whose file was not copied gave other vectors."""
    folder = zoo.make(name, tmp_path / "m")
    path = folder / file
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("../gone")
    said = {"folder": "a folder", "pipe": "a pipe or a device", "lost link": "cp -rL"}[kind]
    refused(folder, rf"m/{file}: .*{said}")


def test_paths_that_leave_the_folder(tmp_path: Path) -> None:
    folder = zoo.make("ours", tmp_path / "m")
    shutil.copy(folder / "query_weights.safetensors", tmp_path / "outside.safetensors")
    section = json.loads((folder / "config.json").read_text())["splade_engine"]
    for name in ("query_weights", "dense_head"):
        for path in ("../outside.safetensors", str(tmp_path / "outside.safetensors"), "a/../../outside", 3):
            edit(folder / "config.json", splade_engine={**section, name: path})
            refused(folder, "leaves the folder|not a path")
    st = zoo.make("st-ours", tmp_path / "st")
    edit(st / "config_sentence_transformers.json", splade_engine={"dense_head": "../outside.safetensors"})
    refused(st, "leaves the folder")


def test_links_of_the_hub_s_cache(mlm_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    snapshot = tmp_path / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    for n, path in enumerate(sorted(mlm_folder.iterdir())):
        shutil.copy(path, tmp_path / "blobs" / str(n))
        (snapshot / path.name).symlink_to(f"../../blobs/{n}")
    expected = SparseEncoder.load(mlm_folder, device="cpu")
    found = SparseEncoder.load(snapshot, device="cpu")
    assert found.encode_documents(TEXTS) == expected.encode_documents(TEXTS)
    assert found.fingerprint()["hash"] == expected.fingerprint()["hash"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "float8_e5m2", "float8_e4m3fn"])
def test_any_floating_precision_is_read(dtype: str, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    numbers = torch.randn(3, 5, generator=torch.Generator().manual_seed(1)).to(getattr(torch, dtype))
    save_file({"x": numbers}, tmp_path / "x.safetensors")
    np.testing.assert_array_equal(read_floats(tmp_path / "x.safetensors")["x"], numbers.float().numpy())
    folder = tmp_path / "m"
    write_bert(folder)
    tensors(folder, lambda s: {k: v.to(getattr(torch, dtype)) for k, v in s.items()})
    found = SparseEncoder.load(folder, device="cpu", dtype="float32").encode_documents(TEXTS)
    wide = tmp_path / "wide"
    shutil.copytree(folder, wide)
    tensors(wide, lambda s: {k: v.float() for k, v in s.items()})
    assert found == SparseEncoder.load(wide, device="cpu", dtype="float32").encode_documents(TEXTS)


def test_whole_numbers_are_no_weights(folder: Path) -> None:
    import torch

    tensors(folder, lambda s: {k: v.to(torch.int8) for k, v in s.items()})
    refused(folder, "is stored as I8: weights that were quantised in this way")


def test_an_adapter_beside_or_in_place_of_a_model(folder: Path) -> None:
    """Its weights were passed over, and the base model's vectors came out."""
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "x"}')
    SparseEncoder.load(folder, device="cpu")  # it alone holds nothing that could be applied
    save_file({"base_model.model.bert.lora_A.weight": torch.ones(2, 2)}, folder / "adapter_model.safetensors")
    refused(folder, r"adapter_model.safetensors: an adapter \(LoRA\), which is not applied here; merge it")
    (folder / "model.safetensors").unlink()
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    refused(folder, r"adapter_model.bin: an adapter \(LoRA\)")


@pytest.mark.parametrize("old", ["gamma", "beta"])
def test_a_norm_under_its_older_and_its_present_name(folder: Path, old: str) -> None:
    """The one that came last in the file was taken."""
    present = {"gamma": "weight", "beta": "bias"}[old]
    name = f"bert.embeddings.LayerNorm.{present}"
    expected = SparseEncoder.load(folder, device="cpu").encode_documents(TEXTS)
    older = name.replace(present, old)
    tensors(folder, lambda s: {older if k == name else k: v for k, v in s.items()})
    assert SparseEncoder.load(folder, device="cpu").encode_documents(TEXTS) == expected
    tensors(folder, lambda s: {**s, name: s[older] * 3})
    encoder = SparseEncoder.load(folder, device="cpu")
    with pytest.raises(CheckpointError, match=rf"m: {re.escape(name)} is there twice, once as gamma or beta"):
        encoder.encode_documents(TEXTS)


@pytest.mark.parametrize("end", ["_scale", "_scale_inv"])
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float32])
def test_weights_of_eight_bits_beside_their_scales(folder: Path, end: str, dtype: torch.dtype) -> None:
    """They were read without their scales."""
    name = "bert.encoder.layer.0.attention.self.query.weight"
    more = {name + end: torch.full((32, 1), 0.01)}
    tensors(folder, lambda state: {**state, name: state[name].to(dtype), **more})
    refused(folder, f"{folder}: {name}{end} is a scale of other weights: weights that were quantised are not")


def test_a_tokenizer_that_draws_its_tokens(folder: Path) -> None:
    path = folder / "tokenizer.json"
    saved = json.loads(path.read_text())
    saved["model"] = {"type": "BPE", "vocab": saved["model"]["vocab"], "merges": [], "dropout": 0.1}
    path.write_text(json.dumps(saved))
    refused(folder, f"{path}: dropout 0.1: a text would become other tokens each time")


@pytest.mark.parametrize("file", ["tokenizer.json", "vocab.txt"])
@pytest.mark.parametrize("place", ["tokenizer_config.json", "config.json"])
def test_a_tokenizer_that_is_code(folder: Path, file: str, place: str) -> None:
    """Japanese BERTs cut words by a dictionary: their vocab.txt was read as BERT's."""
    if file == "vocab.txt":
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    edit(folder / "tokenizer_config.json", tokenizer_class=None)
    edit(folder / place, tokenizer_class="BertJapaneseTokenizer", word_tokenizer_type="mecab")
    refused(folder, "tokenizer_config.json: a BertJapaneseTokenizer reads texts by code of its own")
    edit(folder / place, tokenizer_class="PreTrainedTokenizerFast")
    assert SparseEncoder.load(folder, device="cpu").encode_documents(TEXTS).nnz


def test_two_models_in_one_file(folder: Path) -> None:
    """Which of the two transformers reads depends on the order of their names."""
    name = "embeddings.word_embeddings.weight"
    tensors(folder, lambda state: {**state, name: torch.zeros_like(state[f"bert.{name}"])})
    refused(folder, f"{folder}: two models: bert.{name} and {name} are among its weights")


def test_tokens_of_another_segment(folder: Path) -> None:
    """Such as [CLS] of Funnel: only the first segment is computed."""
    path = folder / "tokenizer.json"
    saved = json.loads(path.read_text())
    saved["post_processor"]["single"][0]["SpecialToken"]["type_id"] = 1
    path.write_text(json.dumps(saved))
    refused(folder, f"{folder}: its tokenizer puts tokens of a text into segment 1: only the first one, 0")
    edit(folder / "config.json", type_vocab_size=1)  # such models look at no segments
    tensors(
        folder,
        lambda state: {k: v[:1].clone() if "token_type" in k else v for k, v in state.items()},
    )
    assert SparseEncoder.load(folder, device="cpu").encode_documents(TEXTS).nnz


def test_weights_of_the_segment_that_are_missing(folder: Path) -> None:
    """They counted as zeros."""
    name = "bert.embeddings.token_type_embeddings.weight"
    tensors(folder, lambda s: {k: v for k, v in s.items() if k != name})
    with pytest.raises(CheckpointError, match=r"m: weights missing from the file: .*token_type_embeddings"):
        SparseEncoder.load(folder, device="cpu").encode_documents(TEXTS)


def test_a_key_twice_in_the_tokenizer(folder: Path) -> None:
    """The tokenizer library takes the last one: a word twice in a vocabulary gave other vectors."""
    path = folder / "tokenizer.json"
    text = path.read_text()
    for key in ("kime", "lowercase"):
        path.write_text(re.sub(rf'("{key}": ?)([^,}}]+)', r"\1\2, \1\2", text, count=1))
        refused(folder, rf"tokenizer.json: .*'{key}' occurs twice")


def test_a_key_twice_in_a_tokenizer_of_several_files(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    (folder / "special_tokens_map.json").write_text('{"cls_token": "[CLS]", "cls_token": "[SEP]"}')
    with pytest.raises(CheckpointError, match=r"special_tokens_map.json: 'cls_token' occurs twice"):
        load_tokenizer(folder)


EMPTY = '{"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}'


def write_header(path: Path, names: Iterable[str]) -> None:
    header = ("{" + ",".join(f'"{name}": {EMPTY}' for name in names) + "}").encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def test_a_tensor_twice_in_a_header(tmp_path: Path) -> None:
    write_header(tmp_path / "x.safetensors", ["x", "y", "x"])
    with pytest.raises(CheckpointError, match=r"header is damaged \('x' occurs twice\)"):
        read_header(tmp_path / "x.safetensors")


def test_more_tensors_than_any_model_has(tmp_path: Path) -> None:
    """400,000 empty ones took 23 s."""
    path = tmp_path / "x.safetensors"
    write_header(path, map(str, range(MOST_TENSORS)))
    assert len(read_header(path)) == MOST_TENSORS
    write_header(path, map(str, range(MOST_TENSORS + 1)))
    with pytest.raises(CheckpointError, match=r"x.safetensors: 20,001 tensors, more than any model has"):
        read_header(path)


def test_a_header_is_compared_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for entry in (
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]},
        {"shape": [1]},
        7,
    ):
        header = json.dumps({"x": entry}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
        with pytest.raises(CheckpointError, match="header is damaged"):
            read_header(path)


def test_a_normalizer_that_grows_texts(folder: Path) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    double = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    for normalizer in (
        {"type": "Sequence", "normalizers": [double] * 30},
        {"type": "Replace", "pattern": {"Regex": ""}, "content": "x" * 5000},
        {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": [double] * 5}] * 4},
    ):
        path.write_text(json.dumps({**tokenizer, "normalizer": normalizer}))
        with pytest.raises(CheckpointError, match="its normalizer can make"):
            load_tokenizer(folder)
    path.write_text(
        json.dumps({**tokenizer, "normalizer": {"type": "Sequence", "normalizers": [double] * 3}})
    )
    load_tokenizer(folder)


def test_a_head_of_another_shape(tmp_path: Path) -> None:
    """MobileBERT's vocabulary product is over two matrices."""
    import transformers

    config = transformers.MobileBertConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        embedding_size=16, intermediate_size=64, intra_bottleneck_size=16, max_position_embeddings=64,
    )  # fmt: skip
    folder = tmp_path / "m"
    transformers.MobileBertForMaskedLM(config).save_pretrained(folder)
    zoo.write_tokenizer(folder)
    with pytest.raises(CheckpointError, match="no vocabulary head of a known shape"):
        SparseEncoder.load(folder, device="cpu").encode_documents(TEXTS)


def test_names_and_messages_are_short_lines(tmp_path: Path) -> None:
    folder = zoo.make("ours-sum", tmp_path / "m")
    for name in ("red \x1b[31m", "two\nlines", "x" * 300, 3):
        edit(folder / "config.json", splade_engine={"name": name})
        refused(folder, "name is")
    edit(folder / "config.json", splade_engine={"pooling": "x" * 200_000})
    refused(folder, "pooling")
    edit(folder / "config.json", splade_engine=None, architectures=["x" * 200_000])
    refused(folder, "neither a masked nor a causal")


def charsmap(text: str) -> str:
    """Sentencepiece's map of characters, with this as the longest text that one may become."""
    trie = struct.pack("<I", 0) * 256
    return base64.b64encode(struct.pack("<I", len(trie)) + trie + b"a\0" + text.encode() + b"\0").decode()


def test_a_precompiled_normalizer_that_makes_long_texts_of_short_ones(folder: Path) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    step = {"type": "Precompiled", "precompiled_charsmap": charsmap("\u0635\u0644" * 9)}
    path.write_text(json.dumps({**tokenizer, "normalizer": step}))
    assert load_tokenizer(folder).encode("bado").tokens
    step["precompiled_charsmap"] = charsmap("x" * 1001)
    path.write_text(json.dumps({**tokenizer, "normalizer": step}))
    refused(folder, r"tokenizer.json: its normalizer can make more than 1,000 characters of one")
    forty = {"type": "Precompiled", "precompiled_charsmap": charsmap("x" * 40)}
    both = {"type": "Sequence", "normalizers": [forty, forty]}
    path.write_text(json.dumps({**tokenizer, "normalizer": both}))
    refused(folder, r"tokenizer.json: its normalizer can make more than 1,000 characters of one")
    for broken in ("", "AAAA", "!", "////////"):
        step["precompiled_charsmap"] = broken
        path.write_text(json.dumps({**tokenizer, "normalizer": step}))
        refused(folder, r"tokenizer.json: ")


@pytest.mark.parametrize("name", ["do_lower_case", "strip_accents", "tokenize_chinese_chars"])
@pytest.mark.parametrize("value", ["false", 0, [], {}])
def test_a_setting_that_is_neither_true_nor_false(folder: Path, name: str, value: object) -> None:
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))
    (folder / "tokenizer_config.json").write_text(json.dumps({name: value}))
    refused(folder, rf"tokenizer_config.json: {name} is .*, not true or false")


@pytest.mark.parametrize("name", ["mlm", "mlm-roberta", "unicoil", "deepimpact", "st-csr", "bge-m3", "ours"])
@pytest.mark.parametrize("table", ["position_embeddings.weight", "word_embeddings.weight"])
def test_a_table_that_is_shorter_than_the_config_says(name: str, table: str, tmp_path: Path) -> None:
    """A text of many tokens was read beyond its end: a traceback, perhaps after hours."""
    folder = zoo.make(name, tmp_path / "m")

    def cut(state: dict[str, Any]) -> dict[str, Any]:
        (full,) = (key for key in state if key.endswith(table))
        return {**state, full: state[full][: len(state[full]) // 2].contiguous()}

    tensors(folder, cut)
    refused(folder, rf"{table} has \d+ rows, and config.json says \w+ \d+")


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\nb", "\u202egnp.exe", "\ud800"])
def test_a_path_in_a_config_that_cannot_be_shown(name: str, tmp_path: Path) -> None:
    folder = zoo.make("st-csr", tmp_path / "m")
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = name
    (folder / "modules.json").write_text(json.dumps(modules))
    refused(folder, r"modules.json: path '.*' is no name of a file")


SPLITS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # GPT-2's


@pytest.mark.parametrize("place", ["pre_tokenizer", "normalizer"])
@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(\w+\s?)*$", r"(.*a){25}", r"(x+x+)+y"])
def test_a_pattern_that_gets_lost_is_refused(folder: Path, pattern: str, place: str) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())

    def write(regex: str) -> None:
        step: dict[str, Any] = {"pattern": {"Regex": regex}}
        step |= {"type": "Split", "behavior": "Isolated", "invert": False} if place == "pre_tokenizer" else {}
        step |= {"type": "Replace", "content": " "} if place == "normalizer" else {}
        path.write_text(json.dumps({**tokenizer, place: step}))

    write(pattern)
    refused(folder, r"tokenizer.json: a pattern cannot read ordinary texts \(.*retry-limit.*\): refused")
    write(SPLITS)
    assert load_tokenizer(folder).encode("bado").ids


def test_a_pattern_that_takes_for_ever_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Event()

    class Slow:
        def encode(self, text: str) -> None:
            waiting.wait(30)

    monkeypatch.setattr(tokenizer_files, "_PATIENCE", 0.2)
    with pytest.raises(CheckpointError, match=r"takes more than 0.2 s for a short text: refused"):
        tokenizer_files._check_patience(Slow(), folder / "tokenizer.json")
    waiting.set()


CODE = "tokenization_own.OwnTokenizer"


@pytest.mark.parametrize("file", ["tokenizer_config.json", "config.json"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mlm-vocab-txt", {"AutoTokenizer": [CODE, None]}),
        ("mlm-vocab-txt", {"AutoTokenizer": [None, CODE]}),
        ("mlm-vocab-txt", {"AutoTokenizer": CODE}),
        ("mlm", {"AutoTokenizer": [CODE, None]}),
        ("mlm", {"AutoTokenizer": CODE}),
        ("mlm", [CODE, None]),
    ],
)
def test_texts_that_are_read_by_code_of_the_folder(
    name: str, said: object, file: str, tmp_path: Path
) -> None:
    """A vocab.txt was read as BERT's, whatever the code would have made of the texts."""
    if isinstance(said, list) and file == "config.json":
        pytest.skip("a list stands in tokenizer_config.json alone")
    folder = zoo.make(name, tmp_path / "m")
    zoo.edit(folder / file, auto_map=said)
    with pytest.raises(CheckpointError, match=f"code of the model's own .auto_map: {CODE}"):
        SparseEncoder.load(folder)


def test_code_that_reads_tokenizer_json_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = zoo.make("mlm", tmp_path / "m")
    zoo.edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, CODE]})
    SparseEncoder.load(folder)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"{folder}: tokenizer.json is followed; {CODE}, which reads it, is not run"


@pytest.mark.parametrize("auto", ["AutoModel", "AutoModelForMaskedLM"])
def test_code_of_a_network_is_told_of(auto: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = zoo.make("mlm", tmp_path / "m")
    zoo.edit(folder / "config.json", auto_map={"AutoConfig": "own.Config", auto: "own.Model"})
    SparseEncoder.load(folder)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{folder / 'config.json'}: code of the model's own (auto_map: own.Model) is not")


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("pair", "query"),
        ("st-pair", "query_0_MLMTransformer"),
        ("st-static", "query_0_SparseStaticEmbedding"),
    ],
)
def test_a_word_with_two_numbers(name: str, side: str, tmp_path: Path) -> None:
    """A query for the one word found documents of the other."""
    folder = zoo.make(name, tmp_path / "m")
    path = folder / side / "tokenizer.json"
    saved = json.loads(path.read_text())
    vocabulary = saved["model"]["vocab"]
    one, other = WORDS[0], WORDS[5]
    mine, theirs = vocabulary[one], vocabulary[other]
    vocabulary[one], vocabulary[other] = theirs, mine
    path.write_text(json.dumps(saved))
    with pytest.raises(CheckpointError, match=f"{side}: '({one}|{other})' is term .* for queries and"):
        SparseEncoder.load(folder)
    vocabulary[one], vocabulary[other] = mine, theirs
    saved["normalizer"]["lowercase"] = False  # each side reads texts as it likes
    path.write_text(json.dumps(saved))
    SparseEncoder.load(folder)


@pytest.mark.parametrize("package", ["", "someone/code--"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_module_of_the_folder_is_not_theirs_of_the_same_name(
    place: int, package: str, tmp_path: Path
) -> None:
    """`custom_st.Transformer` was taken for the Transformer of sentence-transformers."""
    folder = zoo.make("st-mlm", tmp_path / "m")
    modules = json.loads((folder / "modules.json").read_text())
    modules[place]["type"] = package + "custom_st." + modules[place]["type"].rpartition(".")[2]
    zoo.write(folder / "modules.json", modules)
    (folder / "custom_st.py").touch()
    with pytest.raises(CheckpointError, match=rf"modules .*'{package}custom_st\.[A-Za-z]+'"):
        SparseEncoder.load(folder)


@pytest.mark.parametrize(
    "name",
    [
        "bert.embeddings.word_embeddings.lora_embedding_A.default",
        "cls.predictions.transform.dense.lora_B.default.weight",
        "cls.predictions.decoder.modules_to_save.default.weight",
        "bert.encoder.layer.0.attention.self.query.base_layer.weight",
    ],
)
def test_an_adapter_that_is_not_merged(name: str, tmp_path: Path) -> None:
    """Outside of the layers it was passed over, as transformers does."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = zoo.make("mlm", tmp_path / "m")
    state = load_file(folder / "model.safetensors")
    save_file({**state, name: torch.ones(4, 32)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"{name} is of an adapter .*merge_and_unload"):
        SparseEncoder.load(folder)


def test_a_number_that_only_float64_holds(tmp_path: Path) -> None:
    """It was infinite where it is computed with: the message named a row of NaN, and no file."""
    from safetensors.torch import load_file, save_file

    folder = zoo.make("mlm", tmp_path / "m")
    state = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.0.attention.self.query.weight"
    save_file({**state, name: state[name].double() * 1e300}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"{name} holds a value that is not finite"):
        SparseEncoder.load(folder, device="cpu").encode_documents(["bado"])
