"""Tiny BERTs with random weights and the words that a test needs, written as folders.

torch and transformers are imported where a model is made, so that tests of other things do not wait for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_tokenizer(folder: Path, vocabulary: Sequence[str], max_length: int = 64) -> None:
    """A WordPiece tokenizer.json and its tokenizer_config.json; the vocabulary starts with `SPECIAL`."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    assert list(vocabulary[: len(SPECIAL)]) == SPECIAL
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in SPECIAL])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = {f"{t.strip('[]').lower()}_token": t for t in SPECIAL}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_length, **roles}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_bert(
    folder: Path,
    vocabulary: Sequence[str],
    kind: str = "BertModel",
    *,
    seed: int = 0,
    change: Callable[[Any], None] | None = None,
    **config: Any,
) -> Path:
    """A model of a class of transformers, and its tokenizer.

    change: edits the weights, without gradients, before they are saved.
    config: of BertConfig, where it is not one layer of width 32 with two heads and 64 positions;
    `add_pooling_layer` is the model's own.
    """
    import torch
    import transformers

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    options = {"add_pooling_layer": config.pop("add_pooling_layer")} if "add_pooling_layer" in config else {}
    torch.manual_seed(seed)
    settings = transformers.BertConfig(
        **({"vocab_size": len(vocabulary), "max_position_embeddings": 64} | sizes | config)
    )
    model = getattr(transformers, kind)(settings, **options)
    if change is not None:
        with torch.no_grad():
            change(model)
    model.save_pretrained(folder)
    write_tokenizer(folder, vocabulary)
    return folder
