"""What tokenizer_config.json says of letters and tokenizer.json does not: case, accents, Chinese characters.

transformers' classes for BERT follow the config, so a model was trained with what that says; its generic
class follows tokenizer.json.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splade_engine.encoder.folders.files import truth

logger = logging.getLogger(__name__)

# classes of transformers that read these entries of tokenizer_config.json
_BERT_LIKE = {"Bert", "DistilBert", "Electra", "MobileBert", "MPNet", "SqueezeBert", "ConvBert"}
_OF_LETTERS = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")


def told(config: Mapping[str, Any], normalizer: Any, path: Path) -> dict[str, bool]:
    """How BERT's normaliser treats letters where a config says it otherwise than tokenizer.json.

    Args:
        config: of tokenizer_config.json.
        normalizer: that of the parsed tokenizer.json.
        path: of the config, for messages.

    Returns:
        `lowercase`, `strip_accents` and `handle_chinese_chars`; nothing where both files say the same.

    Raises:
        CheckpointError: if one of the entries is neither true nor false.
    """
    name = str(config.get("tokenizer_class")).removesuffix("Fast").removesuffix("Tokenizer")
    if name not in _BERT_LIKE or config.keys().isdisjoint(_OF_LETTERS):
        return {}
    if not isinstance(normalizer, dict) or normalizer.get("type") != "BertNormalizer":
        return {}
    before = _letters(normalizer)
    lowercase = truth(config, "do_lower_case", before["lowercase"], path)
    follows = "strip_accents" in config or lowercase != before["lowercase"]  # null: as it lowercases
    accents = lowercase if follows else before["strip_accents"]
    said = {
        "lowercase": lowercase,
        "strip_accents": truth(config, "strip_accents", accents, path),
        "handle_chinese_chars": truth(config, "tokenize_chinese_chars", before["handle_chinese_chars"], path),
    }
    return {} if said == before else said


def follow(tokenizer: Any, config: Mapping[str, Any], path: Path) -> None:
    """Make a `tokenizers.Tokenizer` treat letters as the config says, see `told`; the log says how.

    Raises:
        CheckpointError: as `told`.
    """
    from tokenizers import normalizers

    before = tokenizer.normalizer
    if not isinstance(before, normalizers.BertNormalizer):
        return
    names = ("lowercase", "strip_accents", "handle_chinese_chars")
    saved = {"type": "BertNormalizer", **{name: getattr(before, name) for name in names}}
    other = told(config, saved, path)
    if not other:
        return
    said = ", ".join(f"{name} {value}".lower() for name, value in sorted(other.items()))
    logger.warning("%s: %s, as %s says and tokenizer.json does not", path.parent, said, path.name)
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=before.clean_text, **other)


def _letters(normalizer: Mapping[str, Any]) -> dict[str, bool]:
    """What a BertNormalizer does; it takes accents away where it lowercases, unless it is told."""
    lowercase, strip = bool(normalizer.get("lowercase", True)), normalizer.get("strip_accents")
    return {
        "lowercase": lowercase,
        "strip_accents": lowercase if strip is None else bool(strip),
        "handle_chinese_chars": bool(normalizer.get("handle_chinese_chars", True)),
    }
