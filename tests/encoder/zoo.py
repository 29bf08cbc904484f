"""One tiny model of every layout and kind that loads: `ZOO` names them, `make(name, folder)` writes one.

The folders are written file by file, as publishers write them, so that a test can alter each file.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests import tiny_bert
from tests.encoder.made import MAX_LENGTH, VOCABULARY, WORDS, write_bert, write_tokenizer

WIDTH = 32
ST = "sentence_transformers.sparse_encoder.models."


def make(name: str, folder: Path) -> Path:
    """Write the model of that name to `folder`, which must not exist."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    ZOO[name](folder)
    return folder


def write(path: Path, value: Any) -> None:
    """JSON, folders made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1))


def edit(path: Path, **values: Any) -> None:
    """Set entries of a JSON object; None removes one."""
    merged = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({k: v for k, v in merged.items() if v is not None}))


def weights(seed: int = 7) -> dict[str, float]:
    """A weight per token, none for two of them."""
    rng = np.random.default_rng(seed)
    table = {t: float(w) for t, w in zip(VOCABULARY, rng.uniform(0.1, 9, len(VOCABULARY)), strict=True)}
    del table[WORDS[3]], table[WORDS[4]]
    return table


def write_table(path: Path, seed: int = 7) -> None:
    """`weight` float32[V] in a safetensors file."""
    from safetensors.numpy import save_file

    values = np.random.default_rng(seed).uniform(0.1, 9, len(VOCABULARY)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"weight": values}, path)


def dense_head(seed: int = 3) -> Any:
    """A second head whose terms are some tens."""
    import torch

    from splade_engine.encoder.fast.dense_head import DenseHead

    torch.manual_seed(seed)
    head = DenseHead(WIDTH, 16, len(VOCABULARY))
    with torch.no_grad():
        head.decoder.bias.normal_(-0.1, 0.3)
    return head


def mlm(folder: Path) -> None:
    write_bert(folder)


def mlm_vocab_txt(folder: Path) -> None:
    write_bert(folder)
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    write(folder / "tokenizer_config.json", {"do_lower_case": True, "model_max_length": MAX_LENGTH})


def mlm_shards(folder: Path) -> None:
    import transformers

    write_bert(folder)
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")


def mlm_roberta(folder: Path) -> None:
    """A backbone that `fast/packed.py` computes under other names, with two positions that no token uses."""
    import torch
    import transformers

    torch.manual_seed(4)
    config = transformers.RobertaConfig(
        vocab_size=len(VOCABULARY), hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=66, pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    loud(transformers.RobertaForMaskedLM(config)).save_pretrained(folder)
    write_tokenizer(folder)


def mlm_distil(folder: Path) -> None:
    """As mlm_roberta, and in the layout of the models that OpenSearch publishes."""
    import torch
    import transformers

    torch.manual_seed(6)
    config = transformers.DistilBertConfig(
        vocab_size=len(VOCABULARY), dim=WIDTH, n_layers=1, n_heads=2, hidden_dim=48,
        max_position_embeddings=64, pad_token_id=0,
    )  # fmt: skip
    loud(transformers.DistilBertForMaskedLM(config)).save_pretrained(folder)
    write_tokenizer(folder)


def mlm_electra(folder: Path) -> None:
    """A backbone that transformers computes, padded."""
    import torch
    import transformers

    torch.manual_seed(5)
    config = transformers.ElectraConfig(
        vocab_size=len(VOCABULARY), embedding_size=16, hidden_size=WIDTH, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=48, max_position_embeddings=64,
    )  # fmt: skip
    loud(transformers.ElectraForMaskedLM(config)).save_pretrained(folder)
    write_tokenizer(folder)


def loud(model: Any) -> Any:
    """The model with larger weights, so that its vectors have many terms."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(4)
    return model


def opensearch(folder: Path) -> None:
    write_bert(folder)
    write(folder / "idf.json", weights())


def opensearch_txt(folder: Path) -> None:
    write_bert(folder)
    lines = [f"{token}\t{weight}" for token, weight in weights().items()]
    (folder / "query_token_weights.txt").write_text("\n".join(lines) + "\n")


def ours(folder: Path) -> None:
    """A transformers folder with a `splade_engine` section that says everything."""
    from splade_engine.encoder.fast.dense_head import save_dense_head

    write_bert(folder)
    write_table(folder / "query_weights.safetensors")
    save_dense_head(dense_head(), folder / "dense_head.safetensors")
    section = {
        "format": 1, "kind": "mlm", "pooling": "max", "activation": "log1p_relu", "special_tokens": "zero",
        "max_length": 24, "top_k": 60, "min_weight": 0.1, "query_counts": True, "query_top_k": 8,
        "query_weights": "query_weights.safetensors", "dense_head": "dense_head.safetensors",
        "lowercase": True, "document_prompt": "bado ", "long_texts": "windows",
    }  # fmt: skip
    edit(folder / "config.json", splade_engine=section)


def ours_sum(folder: Path) -> None:
    write_bert(folder)
    section = {"format": 1, "kind": "mlm", "pooling": "sum", "activation": "log1p_log1p_relu"}
    edit(folder / "config.json", splade_engine=section)


def compact(folder: Path) -> None:
    """The bundled encoder's format."""
    import transformers

    from splade_engine.encoder.folders.compact import save_quantized
    from splade_engine.encoder.settings import EncoderSettings

    source = folder.with_name(folder.name + "-source")
    write_bert(source)
    model = transformers.AutoModelForMaskedLM.from_pretrained(source)
    table = np.random.default_rng(2).uniform(0.1, 9, len(VOCABULARY)).astype(np.float32)
    save_quantized(
        folder, state=model.state_dict(), config=model.config.to_dict(),
        tokenizer=source / "tokenizer.json", query_weights=table, dense_head=dense_head(),
        settings=EncoderSettings(
            special_tokens="zero", max_length=64, min_weight=0.2, query_counts=True, query_top_k=9, top_k=80
        ),
        readme="# tiny\n",
    )  # fmt: skip
    shutil.rmtree(source)


def pair(folder: Path) -> None:
    """One model a side, in two folders."""
    write_bert(folder / "document")
    write_bert(folder / "query", seed=5)


def st_mlm(folder: Path) -> None:
    """sentence-transformers: Transformer, SpladePooling."""
    write_bert(folder)
    write(folder / "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False})
    splade_pooling(folder / "1_SpladePooling")
    modules(folder, ("", "MLMTransformer"), ("1_SpladePooling", "SpladePooling"))
    write(
        folder / "config_sentence_transformers.json", {"prompts": {"query": "bado "}, "max_active_dims": 70}
    )


def st_cased(folder: Path) -> None:
    """Lower-casing in sentence_bert_config.json alone: the tokenizer keeps case."""
    st_mlm(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    write(folder / "tokenizer.json", tokenizer)


def st_ours(folder: Path) -> None:
    """What `SparseEncoder.save` writes of the compact folder: a Router whose root holds a second head."""
    from splade_engine.encoder import SparseEncoder

    source = folder.with_name(folder.name + "-source")
    compact(source)
    SparseEncoder.load(source).save(folder)
    shutil.rmtree(source)


def st_static(folder: Path) -> None:
    """A Router: a static table for queries, a masked LM for documents."""
    write_bert(folder / "document_0_MLMTransformer")
    splade_pooling(folder / "document_1_SpladePooling")
    write_tokenizer(folder / "query_0_SparseStaticEmbedding")
    write_table(folder / "query_0_SparseStaticEmbedding" / "model.safetensors")
    write(folder / "query_0_SparseStaticEmbedding" / "config.json", {"frozen": True})
    router(folder, ["query_0_SparseStaticEmbedding"])


def st_idf(folder: Path) -> None:
    """A Router whose static table is an idf.json that its config.json names."""
    st_static(folder)
    static = folder / "query_0_SparseStaticEmbedding"
    (static / "model.safetensors").unlink()
    write(static / "config.json", {"path": "idf.json"})
    write(static / "idf.json", weights())


def st_pair(folder: Path) -> None:
    """A Router with a masked LM a side."""
    write_bert(folder / "document_0_MLMTransformer")
    splade_pooling(folder / "document_1_SpladePooling")
    write_bert(folder / "query_0_MLMTransformer", seed=5)
    splade_pooling(folder / "query_1_SpladePooling")
    router(folder, ["query_0_MLMTransformer", "query_1_SpladePooling"])


def st_csr(folder: Path) -> None:
    """Transformer, Pooling, Normalize, SparseAutoEncoder."""
    from safetensors.numpy import save_file

    tiny_bert.write_bert(folder, VOCABULARY, "BertModel", seed=8, num_hidden_layers=2)
    write_tokenizer(folder)
    rng = np.random.default_rng(8)
    tensors = {
        "encoder.weight": rng.normal(size=(96, WIDTH)).astype(np.float32),
        "pre_bias": rng.normal(size=WIDTH).astype(np.float32) / 9,
        "latent_bias": rng.normal(size=96).astype(np.float32) / 9,
    }
    write(folder / "1_Pooling" / "config.json", {"pooling_mode": "mean", "embedding_dimension": WIDTH})
    sae = {"input_dim": WIDTH, "hidden_dim": 96, "k": 12, "normalize": False}
    write(folder / "3_SparseAutoEncoder" / "config.json", sae)
    save_file(tensors, folder / "3_SparseAutoEncoder" / "model.safetensors")
    (folder / "2_Normalize").mkdir()
    modules(
        folder, ("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"),
        ("3_SparseAutoEncoder", "SparseAutoEncoder"),
    )  # fmt: skip
    write(folder / "sentence_bert_config.json", {"max_seq_length": 32})


def scalar(head: str) -> Callable[[Path], None]:
    """A BertModel and a head as uniCOIL's and DeepImpact's own classes save them."""

    def write_scalar(folder: Path) -> None:
        import torch
        from safetensors.torch import save_file
        from transformers import BertConfig, BertModel

        torch.manual_seed(2)
        config = BertConfig(
            vocab_size=len(VOCABULARY), hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=48, max_position_embeddings=64, architectures=[head],
        )  # fmt: skip
        state = {f"bert.{k}": v for k, v in BertModel(config).state_dict().items()}
        if head == "UniCoilEncoder":
            state |= {"tok_proj.weight": torch.randn(1, WIDTH), "tok_proj.bias": torch.tensor([0.3])}
        else:
            state |= {"impact_score_encoder.0.weight": torch.randn(WIDTH, WIDTH) / 5}
            state |= {"impact_score_encoder.0.bias": torch.randn(WIDTH)}
            state |= {"impact_score_encoder.2.weight": torch.randn(1, WIDTH)}
            state |= {"impact_score_encoder.2.bias": torch.tensor([0.5])}
        folder.mkdir()
        save_file({k: v.contiguous() for k, v in state.items()}, folder / "model.safetensors")
        write(folder / "config.json", {**config.to_dict(), "architectures": [head]})
        write_tokenizer(folder)

    return write_scalar


def echo(folder: Path) -> None:
    """A causal language model."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(VOCABULARY), hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=200,
    )  # fmt: skip
    loud(transformers.LlamaForCausalLM(config)).save_pretrained(folder)
    write_tokenizer(folder)


def bge_m3(folder: Path) -> None:
    """XLM-RoBERTa, its sparse head as published, and the modules of its dense side."""
    import torch
    import transformers

    torch.manual_seed(6)
    config = transformers.XLMRobertaConfig(
        vocab_size=len(VOCABULARY), hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=66, pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    transformers.XLMRobertaModel(config).save_pretrained(folder)
    write_tokenizer(folder)
    head = torch.nn.Linear(WIDTH, 1)
    head.weight.data.mul_(4)
    torch.save(head.state_dict(), folder / "sparse_linear.pt")
    write(folder / "1_Pooling" / "config.json", {"pooling_mode_cls_token": True})
    modules(folder, ("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))


def write_dense(
    folder: Path, pooling: str = "mean", vocabulary: Sequence[str] = VOCABULARY, **options: Any
) -> Path:
    """A sentence-transformers folder with random weights, far enough from zero that texts differ."""
    tiny_bert.write_bert(folder, vocabulary, seed=7, num_hidden_layers=2, initializer_range=0.5)
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), *options.get("modules", [])]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    modes = {
        "mean": "pooling_mode_mean_tokens",
        "cls": "pooling_mode_cls_token",
        "max": "pooling_mode_max_tokens",
    }
    entry = {"word_embedding_dimension": 32, **{name: m == pooling for m, name in modes.items()}}
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(entry))
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": options.get("length", 24)})
    )
    if "prompts" in options:
        config_file = folder / "config_sentence_transformers.json"
        config_file.write_text(json.dumps({"prompts": options["prompts"]}))
    return folder


def modules(folder: Path, *entries: tuple[str, str]) -> None:
    """modules.json of (path, class name) entries."""
    rows = [{"idx": i, "name": str(i), "path": p, "type": ST + t} for i, (p, t) in enumerate(entries)]
    write(folder / "modules.json", rows)


def splade_pooling(folder: Path) -> None:
    write(folder / "config.json", {"pooling_strategy": "max", "activation_function": "relu"})


def router(folder: Path, query: list[str]) -> None:
    """modules.json and router_config.json of a folder whose documents go through a masked LM."""
    document = ["document_0_MLMTransformer", "document_1_SpladePooling"]
    types = {name: ST + name.split("_", 2)[2] for name in query + document}
    write(
        folder / "router_config.json", {"types": types, "structure": {"query": query, "document": document}}
    )
    modules(folder, ("", "Router"))


def adapted(folder: Path) -> None:
    """One of an inference-free kind, with neighbours."""
    from splade_engine.encoder import SparseEncoder
    from splade_engine.encoder.neighbours import NeighbourSettings, write_neighbours
    from tests.encoder.made import random_texts

    opensearch(folder)
    encoder = SparseEncoder.load(folder, device="cpu", dtype="float32")
    vectors = encoder.encode_documents(random_texts(40, seed=5)).top_k(12)
    ids = [str(row) for row in range(len(vectors))]
    settings = NeighbourSettings(count=4, share=1.25, least=0.01)
    write_neighbours(folder, vectors, ids, encoder.fingerprint(), settings)


ZOO: dict[str, Callable[[Path], None]] = {
    "mlm": mlm,
    "mlm-vocab-txt": mlm_vocab_txt,
    "mlm-shards": mlm_shards,
    "mlm-roberta": mlm_roberta,
    "mlm-distil": mlm_distil,
    "mlm-electra": mlm_electra,
    "opensearch": opensearch,
    "opensearch-txt": opensearch_txt,
    "ours": ours,
    "ours-sum": ours_sum,
    "compact": compact,
    "pair": pair,
    "st-mlm": st_mlm,
    "st-cased": st_cased,
    "st-ours": st_ours,
    "st-static": st_static,
    "st-idf": st_idf,
    "st-pair": st_pair,
    "st-csr": st_csr,
    "bge-m3": bge_m3,
    "unicoil": scalar("UniCoilEncoder"),
    "deepimpact": scalar("DeepImpact"),
    "echo": echo,
    "adapted": adapted,
}
