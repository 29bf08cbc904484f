"""Tokenizers that transformers 5 builds anew around their vocabulary, whatever else tokenizer.json says.

Earlier releases read tokenizer.json, and release 5 writes there what it has built. So tokenizer.json says
what a model was trained with, and is followed. Where release 5 reads some texts otherwise, the log says so.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from splade_engine.encoder.folders.files import read_json
from splade_engine.encoder.folders.tokenizer_class import CONFIG, class_of
from splade_engine.encoder.folders.told_letters import BERT_LIKE, letters_said
from splade_engine.encoder.folders.told_tokens import FURTHER

logger = logging.getLogger(__name__)

# networks for which release 5 reads tokenizer.json whatever class the config names
_READ_AS_IT_IS = {
    "granite", "internlm2", "minicpm3", "ministral", "mistral", "mixtral", "modernbert", "nystromformer",
    "olmo2", "phi3", "stablelm", "umt5", "xlm-roberta-xl",
}  # fmt: skip
# what the steps before a vocabulary treat differently: spaces, line ends, letters, forms, signs
_PROBES = (
    " moon", "  moon", "moon ", "a  b", "a\tb", "a\nb", "Moon", "caf\u00e9", "cafe\u0301", "\ufb01n \uff21",
    "\u6771\u4eac", "don't (see) a-b x_1", "12345", "``a''", "a\u00a0b\u200bc", "\u2581a \u2581",
)  # fmt: skip
_SENTINEL = "<extra_id_0>"
_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
# of a model of word pieces
_WORDPIECE = {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
# special tokens that a class puts around a text itself
_AROUND = {
    **dict.fromkeys(BERT_LIKE, 2),
    **dict.fromkeys(("XLMRobertaTokenizer", "CamembertTokenizer", "AlbertTokenizer", "BigBirdTokenizer"), 2),
    **dict.fromkeys(("RobertaTokenizer", "DebertaTokenizer", "DebertaV2Tokenizer"), 2),
    **dict.fromkeys(("HerbertTokenizer", "LukeTokenizer", "RemBertTokenizer"), 2),
    "T5Tokenizer": 1,
    "GPTNeoXTokenizer": 0,
}


def tell_if_read_otherwise(tokenizer: Any, config: Mapping[str, Any], folder: Path) -> None:
    """Say in one line of the log which text transformers 5 reads otherwise than this tokenizer, if it does.

    Args:
        tokenizer: a `tokenizers.Tokenizer` made of tokenizer.json.
        config: from `read_tokenizer_config`.
        folder: of both.

    Raises:
        CheckpointError: an entry of the config is neither true nor false.
    """
    name = class_of(config)
    if read_json(folder / "config.json", optional=True).get("model_type") in _READ_AS_IT_IS:
        return
    built = _built(name, config, tokenizer.normalizer, folder)
    if built is None or (name == "LlamaTokenizer" and _is_byte_level(tokenizer.pre_tokenizer)):
        return
    told = []
    before = tokenizer.normalizer, tokenizer.pre_tokenizer
    if _states(*before) != _states(*built):
        ours = _read(tokenizer)
        tokenizer.normalizer, tokenizer.pre_tokenizer = built
        theirs = _read(tokenizer)
        tokenizer.normalizer, tokenizer.pre_tokenizer = before
        pairs = zip(_PROBES, ours, theirs, strict=True)
        told += [f"reads {text!a} as other tokens" for text, a, b in pairs if a != b][:1]
    for option, usually in _WORDPIECE.items() if name in BERT_LIKE else ():
        if (said := getattr(tokenizer.model, option, usually)) != usually:
            told.append(f"has {usually!r} for the {option} {said!r:.60}")
    if name == "T5Tokenizer" and _adds_sentinels(tokenizer, config):
        told.append(f"reads {_SENTINEL!r} as one token")
    around, usual = tokenizer.num_special_tokens_to_add(False), _AROUND.get(name)
    if usual is not None and around != usual:
        told.append(f"puts {usual} special tokens around a text, not {around}")
    if told:
        what = " and ".join(told)
        logger.warning(
            "%s: tokenizer.json is followed; transformers 5 builds its tokenizer anew, as a %s, and %s",
            folder,
            name,
            what,
        )


def _adds_sentinels(tokenizer: Any, config: Mapping[str, Any]) -> bool:
    """Whether T5's class adds tokens that nothing names: as many as `extra_ids` says, usually a hundred."""
    named = any(config.get(name) for name in FURTHER)
    return not named and bool(config.get("extra_ids", 100)) and len(_ids(tokenizer, _SENTINEL)) != 1


def _ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return found


def _read(tokenizer: Any) -> list[list[int]]:
    return [e.ids for e in tokenizer.encode_batch(list(_PROBES), add_special_tokens=False)]


def _states(*steps: Any) -> list[Any]:
    return [None if step is None else json.loads(step.__getstate__()) for step in steps]


def _is_byte_level(pre_tokenizer: Any) -> bool:
    return pre_tokenizer is not None and b'"ByteLevel"' in pre_tokenizer.__getstate__()


def _charsmaps(normalizer: Any) -> Iterator[bytes]:
    """The tables of sentencepiece among the steps of a normaliser; a class takes the first one over."""
    for step in _states(normalizer):
        for each in step.get("normalizers", [step]) if step else ():
            if each["type"] == "Precompiled":
                yield base64.b64decode(each["precompiled_charsmap"])


def _built(name: str, config: Mapping[str, Any], before: Any, folder: Path) -> tuple[Any, Any] | None:
    """Normaliser and pre-tokenizer that release 5 gives to a class; None: those of tokenizer.json."""
    from tokenizers import Regex
    from tokenizers import normalizers as n
    from tokenizers import pre_tokenizers as p

    prefix = config.get("add_prefix_space")
    puts_one = config.get("add_prefix_space", True)
    always = "always" if puts_one else "never"
    words = p.Sequence([p.WhitespaceSplit(), p.Metaspace(prepend_scheme=always)])
    steps: list[Any]
    mapped = [n.Precompiled(table) for table in _charsmaps(before)][:1]
    if name in BERT_LIKE:
        return n.BertNormalizer(**letters_said(config, folder / CONFIG)), p.BertPreTokenizer()
    match name:
        case "LlamaTokenizer" | "CodeLlamaTokenizer":
            legacy = config.get("legacy") and name == "LlamaTokenizer"
            scheme = "never" if prefix is False else "always" if legacy else "first"
            return None, p.Metaspace(prepend_scheme=scheme, split=False)
        case "GemmaTokenizer":
            return n.Replace(" ", "\u2581"), p.Split(" ", "merged_with_previous")
        case "T5Tokenizer":
            return next(iter(mapped), None), p.Sequence([p.WhitespaceSplit(), p.Metaspace()])
        case "XLMRobertaTokenizer" | "CamembertTokenizer":
            return next(iter(mapped), None), words
        case "AlbertTokenizer":
            steps = [n.Replace("``", '"'), n.Replace("''", '"')]
            steps += [] if config.get("keep_accents") else [n.NFKD(), n.StripAccents()]
            steps += [n.Lowercase()] if config.get("do_lower_case", True) else []
            return n.Sequence([*steps, *mapped]), words
        case "RemBertTokenizer":
            steps = [n.Replace("``", '"'), n.Replace("''", '"'), n.Replace(Regex(" {2,}"), " ")]
            steps += [] if config.get("keep_accents", True) else [n.NFKD(), n.StripAccents()]
            steps += [n.Lowercase()] if config.get("do_lower_case") else []
            return n.Sequence([*steps, *mapped]), p.Metaspace(prepend_scheme=always)
        case "DebertaV2Tokenizer":
            steps = [n.Lowercase()] if config.get("do_lower_case") else []
            spaces = n.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")
            marks = [p.Punctuation("isolated")] if config.get("split_by_punct") else []
            scheme = "always" if puts_one else "first"
            return (
                n.Sequence([*steps, spaces, n.NFC(), n.Strip(left=False, right=True)]),
                p.Sequence([*marks, p.Metaspace(prepend_scheme=scheme)]),
            )
        case "BigBirdTokenizer":
            spaces = n.Replace(Regex(" {2,}"), "\u2581")
            return n.Sequence([n.Strip(left=False, right=False), spaces]), p.Metaspace(prepend_scheme=always)
        case "HerbertTokenizer":
            return n.BertNormalizer(lowercase=False, strip_accents=False), p.BertPreTokenizer()
    return _built_of_bytes(name, prefix is True)


def _built_of_bytes(name: str, prefix: bool) -> tuple[Any, Any] | None:
    """The same of a class whose vocabulary is of bytes; `prefix`: whether a space is put before a text."""
    from tokenizers import Regex
    from tokenizers import normalizers as n
    from tokenizers import pre_tokenizers as p

    letters = p.ByteLevel(add_prefix_space=prefix)
    match name:
        case "CohereTokenizer":
            return n.NFC(), p.Sequence([p.Digits(individual_digits=True), letters])
        case "GPT2Tokenizer" | "RobertaTokenizer" | "DebertaTokenizer" | "LukeTokenizer":
            return None, letters
        case "GPTNeoXTokenizer":
            return n.NFC(), letters
        case "Qwen2Tokenizer":
            split = p.Split(Regex(_QWEN), "isolated")
            return n.NFC(), p.Sequence([split, p.ByteLevel(add_prefix_space=prefix, use_regex=False)])
    return None
