"""tokenizer_config.json, and which class of transformers reads a tokenizer: that decides what else acts.

Where the config names none, transformers takes what config.json names, else the class of the model's network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splade_engine.encoder.folders.files import present, read_json
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
    "rembert": "RemBertTokenizer",
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
    model = read_json(folder / "config.json", optional=True)
    _refuse_code(folder, *_code_named(config, model))
    if config.get("tokenizer_class") is None:
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


def code_beside(folder: Path) -> str | None:
    """The class that reads tokenizer.json by code of its own, which is not run here; None: there is none."""
    return _code_named(*(read_json(folder / name, optional=True) for name in (CONFIG, "config.json")))[1]


def _code_named(config: Mapping[str, Any], model: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The classes of `auto_map`: one that reads the vocabulary, and one that reads tokenizer.json."""
    for said in (config.get("auto_map"), model.get("auto_map")):
        named = said.get("AutoTokenizer") if isinstance(said, dict) else said
        several = named if isinstance(named, list) else [named]  # older releases named one
        slow, fast = (name if isinstance(name, str) else None for name in (*several, None, None)[:2])
        if slow is not None or fast is not None:
            return slow, fast
    return None, None


def _refuse_code(folder: Path, slow: str | None, fast: str | None) -> None:
    """Refuse what reads texts by code in the folder, unless tokenizer.json says what it does.

    Raises:
        CheckpointError: naming the class.
    """
    saved = present(folder / "tokenizer.json")
    if (fast is not None and saved) or (slow is None and fast is None):
        return
    how = "if tokenizer.json reads them alike" if saved else "if the vocabulary alone says how they are read"
    raise CheckpointError(
        f"{folder / CONFIG}: texts are read by code of the model's own (auto_map: {slow or fast:.80}), which "
        f"is not run here; {how}, take auto_map out"
    )


def class_of(config: Mapping[str, Any]) -> str:
    """The class that a config from `read_tokenizer_config` names: "None" where nothing says."""
    return str(config.get("tokenizer_class")).removesuffix("Fast")
