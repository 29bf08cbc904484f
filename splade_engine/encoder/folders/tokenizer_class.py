"""tokenizer_config.json, and which class of transformers reads a tokenizer: that decides what else acts.

Where the config names none, transformers takes what config.json names, else the class of the model's network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splade_engine.encoder.folders.files import read_json
from splade_engine.errors import CheckpointError

CONFIG = "tokenizer_config.json"
# of no network: it takes tokenizer.json as it is
GENERIC = {"PreTrainedTokenizer", "TokenizersBackend"}
# by `model_type`, where releases 4 and 5 of transformers agree in what the class does
_BY_NETWORK = {
    **dict.fromkeys(
        (
            "bert", "distilbert", "electra", "convbert", "squeezebert", "mobilebert", "megatron-bert",
            "ernie", "layoutlm", "lxmert", "visual_bert", "nomic_bert",
        ),
        "BertTokenizer",
    ),
    **dict.fromkeys(("roberta", "roberta-prelayernorm", "data2vec-text", "longformer"), "RobertaTokenizer"),
    **dict.fromkeys(("gpt2", "gpt_neo", "gptj", "opt", "phi", "starcoder2"), "GPT2Tokenizer"),
    **dict.fromkeys(("qwen2", "qwen2_moe", "qwen3", "qwen3_moe"), "Qwen2Tokenizer"),
    **dict.fromkeys(("gemma", "gemma2", "gemma3", "gemma3_text"), "GemmaTokenizer"),
    **dict.fromkeys(("t5", "mt5"), "T5Tokenizer"),
    "albert": "AlbertTokenizer",
    "bert-japanese": "BertJapaneseTokenizer",
    "bertweet": "BertweetTokenizer",
    "camembert": "CamembertTokenizer",
    "deberta": "DebertaTokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
    "esm": "EsmTokenizer",
    "flaubert": "FlaubertTokenizer",
    "funnel": "FunnelTokenizer",
    "gpt_neox": "GPTNeoXTokenizer",
    "modernbert": "TokenizersBackend",
    "mpnet": "MPNetTokenizer",
    "phobert": "PhobertTokenizer",
    "roc_bert": "RoCBertTokenizer",
    "splinter": "SplinterTokenizer",
    "xlm": "XLMTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}  # fmt: skip
# which read texts by Python code of their own in every release, whatever tokenizer.json says
_BY_CODE = {
    f"{name}Tokenizer"
    for name in (
        "BertJapanese", "Bertweet", "BioGpt", "ByT5", "Canine", "CTRL", "Esm", "Flaubert", "FSMT",
        "GPTNeoXJapanese", "MyT5", "Phobert", "ProphetNet", "RoCBert", "XLM",
    )
}  # fmt: skip


def read_tokenizer_config(folder: Path) -> dict[str, Any]:
    """What tokenizer_config.json of a folder says, with the class that it leaves to the model.

    Raises:
        CheckpointError: it, or config.json, is no JSON object; or the class reads texts by code of its own,
            which cuts words where no file says (Japanese by a dictionary).
    """
    config = read_json(folder / CONFIG, optional=True)
    if config.get("tokenizer_class") is None:
        model = read_json(folder / "config.json", optional=True)
        kind = model.get("model_type")
        found = model.get("tokenizer_class") or (_BY_NETWORK.get(kind) if isinstance(kind, str) else None)
        if found is not None:
            config = {**config, "tokenizer_class": found}
    if (name := class_of(config)) in _BY_CODE:
        raise CheckpointError(
            f"{folder / CONFIG}: a {name} reads texts by code of its own, which is not run here; if "
            "tokenizer.json reads them alike, set tokenizer_class to PreTrainedTokenizerFast"
        )
    return config


def class_of(config: Mapping[str, Any]) -> str:
    """The class that a config from `read_tokenizer_config` names: "None" where nothing says."""
    return str(config.get("tokenizer_class")).removesuffix("Fast")
